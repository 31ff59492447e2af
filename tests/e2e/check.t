#!/usr/bin/env bash
# kvmrepro check: is it fixed? Every answer by recorded runs, then two real kernels.
. "$(dirname "$0")/../tap.sh"
. tests/e2e/record.sh

# answer NAME STATUS SENTENCE BASE KERNEL [OPTION...]: what the runs of both end in, and an ERE for
# the last line.
answer() {
	local name=$1 want=$2 sentence=$3 base=$4 kernel=$5 dir=$T/in/${1//[^a-z0-9]/-}
	shift 5
	# shellcheck disable=SC2086
	record "$dir/base" $base
	# shellcheck disable=SC2086
	record "$dir/kernel" $kernel
	# shellcheck disable=SC2086
	set -- --runs "$(wc -w <<<"$base")" "$@"
	run "$KVMREPRO" check --engine "replay:$dir" --repro create-vm --jobs 2 --out "$dir/out" "$@"
	status_is "$want" "$name: exit status $want"
	tail -n 1 "$T/out" | grep -Eq -- "$sentence"
	result $? "$name: the sentence"
	# shellcheck disable=SC2016
	check "$name: check.json has the same answer" jq -e --argjson want "$want" \
		--arg line "$(tail -n 1 "$T/out")" \
		'.verdict as $word | .exit_status == $want and .answer == $line and ($line | startswith($word)) and
		$word == {"0": "fixed", "1": "not fixed"}[$want | tostring] // "cannot tell"' "$dir/out/check.json"
	json=$dir/out/check.json
}
E='WARNING in kvm_target'

answer "fixed" 0 '^fixed \(chance that the bug is still there and hid: 0\.00[0-9]+\)$' \
	"$(many 10 hit)" "$(many 10 ok)" --expect "$E"
# How many runs it takes depends on which end first. Wilson's interval of n of n, and of 0 of n, for
# z = 1.96.
percent() {
	awk "BEGIN { printf \"%.3g\", $1 }"
}
hits=$(jq .base.tally.hits "$json") clean=$(jq .kernel.tally.clean "$json")
out_like "^base: crashed in $hits of $hits conclusive runs: 100 % \(95 % interval $(percent \
	"100 * $hits / ($hits + 3.8416)") to 100 %\)$" "fixed: the base's rate and its interval"
out_like "^kernel: crashed in 0 of $clean conclusive runs: 0 % \(95 % interval 0 to $(percent \
	"100 * 3.8416 / ($clean + 3.8416)") %\)$" "fixed: the kernel's rate and its interval"
check "fixed: no more runs than it takes" jq -e '.base.tally.runs + .kernel.tally.runs <= 12' "$json"
check "fixed: the rate is in the kernel's run.json" jq -e \
	'.verdict | .verdict == "good" and .policy.known_hits == .policy.known_runs
	and .policy.known_runs >= 4' "${json%/*}/kernel/run.json"
answer "not fixed" 1 '^not fixed: the crash was seen in 1 of [0-9]+ runs?$' "$(many 10 hit)" \
	"ok hit $(many 8 ok)" --expect "$E"
answer "a flaky bug that is gone" 0 '^fixed' "$(for i in $(seq 15); do echo ok hit; done)" \
	"$(many 30 ok)" --expect "$E"
check "a flaky bug takes more runs" jq -e '.kernel.tally.runs >= 8' "$json"
answer "too few runs" 125 '^cannot tell: 3 of 3 runs were clean; .*; 2 more clean runs would make' \
	"$(many 3 hit)" "$(many 3 ok)" --expect "$E"
answer "a base that does not show it" 125 '^cannot tell: the base did not show the crash in 10 runs' \
	"$(many 10 ok)" "$(many 10 ok)" --expect "$E"
answer "a kernel that does not boot" 125 '^cannot tell: 0 of 10 .*, 10 did not boot' \
	"$(many 10 hit)" "$(many 10 boot)" --expect "$E"
out_like '^kernel: crashed in 0 of 0 conclusive runs; 10 did not boot' "and no rate is made up"
answer "another crash" 125 '^cannot tell: 0 of 10 .*, 10 crashed otherwise' "$(many 10 hit)" \
	"$(many 10 other)" --expect "$E"
answer "another name" 1 '^not fixed' "$(many 10 hit)" "ok ok $(many 8 renamed)" --expect "$E"
err_like 'kernel: WARNING in kvm_former: counts as the crash: the same stack' "another name: said"
answer "what may be it" 125 '^cannot tell: 9 of 10 .*, 1 crashed in a way that may be the same' \
	"$(many 10 hit)" "possible $(many 9 ok)" --expect "$E"
answer "an alias of the base's" 1 '^not fixed' "hit hit hit alias $(many 6 hit)" \
	"ok ok ok ok $(many 6 alias)" --expect "$E" --alpha 0.0001
# Without --expect the base's crashes are the target, and others are not.
answer "no --expect" 1 '^not fixed' "$(many 10 hit)" "$(many 10 hit)"
answer "no --expect, another crash" 125 '^cannot tell: 0 of 10 .*, 10 crashed otherwise' \
	"$(many 10 hit)" "$(many 10 other)"
answer "no --expect, fixed" 0 '^fixed' "$(many 10 hit)" "$(many 10 ok)"
answer "the harness's own trouble" 128 '^cannot tell: ' "$(many 3 died)" "$(many 3 ok)"
# A hang outlasts clean runs.
answer "slow" 1 '^not fixed: the crash was seen in 1 of' "$(many 20 hit)" "slow $(many 19 ok)" \
	--expect "$E" --expect "no output from test machine"

run "$KVMREPRO" check --engine "replay:$T/in/fixed" --repro create-vm --jobs 1 --runs 10 \
	--expect "$E" --format json --out "$T/json"
check "--format json prints check.json" cmp "$T/out" "$T/json/check.json"
run "$KVMREPRO" check --engine "replay:$T/in/fixed" --repro create-vm --out "$T/json"
status_is 129 "an --out that is in use: exit status 129"
err_like 'holds a run already' "an --out that is in use: said"
run "$KVMREPRO" check --engine "replay:$T/json" --repro create-vm --jobs 1 --runs 4 --expect "$E"
status_is 0 "the evidence of a check can be played"

# For real: seed 000's bug, and the kernel without it, on one libvirt.
cached() {
	find "$XDG_CACHE_HOME/kvmrepro/kernels" -path "*/$1-????????????????/bzImage" \
		-printf '%T@ %p\n' 2>/dev/null | sort -n | sed -n '$s/^[^ ]* //p'
}
buggy=$(cached debug+000) healthy=$(cached debug)
if [ -n "$buggy" ] && [ -n "$healthy" ]; then
	run "$KVMREPRO" check --base "$buggy" --kernel "$healthy" --repro create-vm-bad-type \
		--expect "WARNING: suspicious RCU usage in kvm_dev_ioctl" --alpha 0.05 \
		--out "$T/real"
	status_is 0 "seed 000, fixed: exit status 0"
	out_like '^fixed \(chance that the bug is still there and hid: 0\.0' "seed 000, fixed: said"
	run "$KVMREPRO" check --base "$buggy" --kernel "$buggy" --repro create-vm-bad-type
	status_is 1 "seed 000, not fixed: exit status 1"
	pgrep -f "qemu-system-x86_64.*$T" >/dev/null
	[ $? -eq 1 ]
	result $? "no QEMU is left"
	check "no temporary directory is left" \
		test -z "$(find "$T" -maxdepth 1 -name 'kvmrepro-??????')"
else
	result 0 "real kernels # SKIP none are built: images/build-kernel debug debug+000"
fi
done_testing
