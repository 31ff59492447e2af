#!/usr/bin/env bash
# kvmrepro run on Bochs: nested VMX and its bug without any hardware, resets, the end of every Bochs.
. "$(dirname "$0")/../tap.sh"

[ -x /usr/bin/bochs-bin ] || skip_all "no Bochs: apt-get install bochs"
test_kernels lean lean+003
{ read -r lean && read -r buggy; } <"$T/paths"

# bochs_of PID: the Bochs that this harness runs.
bochs_of() {
	pgrep -P "$1" -x bochs-bin
}

run "$KVMREPRO" run --kernel "$buggy" --repro nested-state-double-set --runs 1 --out "$T/bad"
status_is 1 "seed 003's bug: exit status 1"
out_is "all runs: crashed: WARNING in enter_vmx_operation" "seed 003's bug: its title"
err_like '^kvmrepro: engine: bochs \(nested-state-double-set needs VMX; .+\)$' \
	"auto chose Bochs, and says why in one line"
check "run.json knows what ran the VM" jq -e \
	'.engine | .name == "bochs" and .hypervisor == "Bochs 2.7" and .vcpus == 1' "$T/bad/run.json"
check "Bochs's log is kept" grep -q 'bx_pc_system_c::Reset' "$T/bad/trial-000/bochs.log"
check "Bochs's configuration is kept" grep -q '^vgaromimage: file=boot.rom' "$T/bad/bochsrc"

run "$KVMREPRO" run --kernel "$buggy" --boot once --repro nested-state-double-set --runs 4 --jobs 2 \
	--out "$T/once"
out_is "all runs: crashed: WARNING in enter_vmx_operation" "once: the title that it has after a boot"
check "once: each trial began from the state, with bytes of its own" jq -e '
	[.trials[] | select(.began == "state" and .boot_console == "boot/console.log.gz")] |
	(map(.seed) | unique | length) == 4' "$T/once/run.json"
check "once: each console begins where the boot's ends" test \
	-z "$(zgrep -l 'Linux version' "$T"/once/trial-*/console.log.gz)" -a \
	"$(zgrep -c 'Linux version' "$T/once/boot/console.log.gz")" = 1
check "once: and is that trial's alone" test \
	"$(zgrep -c 'kvm: exiting hardware virtualization' "$T"/once/trial-*/console.log.gz | sort -u |
		grep -vc ':[01]$')" = 0

# The state is the Bochs that stands still, the leader of the group of those that are made of it.
standing_of() {
	local pid
	for pid in $(bochs_of "$1"); do
		[ "$(ps -o pgid= -p "$pid" | tr -d ' ')" != "$pid" ] || echo "$pid"
	done | grep .
}
has_state() {
	grep -q 'trials begin from its state' "$T/err"
}
: >"$T/err" # what the last run said
"$KVMREPRO" run --kernel "$buggy" --boot once --repro nested-state-double-set --runs 3 --jobs 1 \
	--out "$T/gone" >"$T/out" 2>"$T/err" </dev/null &
pid=$!
wait_for 60 has_state
standing=$(standing_of "$pid") && kill -KILL "$standing"
result $? "the Bochs that stands still is killed"
wait "$pid"
status=$?
status_is 1 "it was killed: the runs go on"
out_is "all runs: crashed: WARNING in enter_vmx_operation" "it was killed: their outcomes are the same"
err_like 'boot: the state is gone: each trial boots$' "it was killed: said"
check "it was killed: and each says how it began" jq -e '[.trials[].began] |
	.[2] == "boot" and (.[0] == "state" or .[0] == "boot")' "$T/gone/run.json"

# A Bochs into which nothing can be loaded.
if unshare -rm true 2>/dev/null; then
	cp /usr/bin/bochs-bin "$T/bochs-itself"
	printf '#!/bin/sh\nexec env -u LD_PRELOAD %q "$@"\n' "$T/bochs-itself" >"$T/bochs"
	chmod +x "$T/bochs"
	# shellcheck disable=SC2016 # for that bash
	run unshare -rm bash -ec 'mount --bind "$1" /usr/bin/bochs-bin; shift; exec "$@"' bash \
		"$T/bochs" "$KVMREPRO" run --engine bochs --kernel "$lean" --boot once --repro create-vm \
		--runs 1 --out "$T/unloaded"
	out_is "all runs: OK" "nothing can be loaded into Bochs: its trials are made"
	err_like "the VM's state cannot be kept \\(.+\\): each trial boots\$" "nothing can be loaded: said"
	check "nothing can be loaded: and each says how it began" \
		jq -e '.trials[0].began == "boot"' "$T/unloaded/run.json"
fi

run "$KVMREPRO" run --engine bochs --kernel "$lean" --runs 1 --alpha 0.5 --out "$T/good"
status_is 0 "a healthy kernel and all reproducers: exit status 0"
out_is "all runs: OK" "a healthy kernel: OK"
check "the canary ran on kvm_intel, nested" \
	test "$(jq -r '.trials[0].guest | .kvm + .nested' "$T/good/run.json")" = kvm_intelY
check "every reproducer for VMX was run, and found what it should" jq -e '[.trials[0].reproducers[]
	| select(.name | startswith("nested-state")) | .end == "exit" and .code == 0] | length > 3 and all' \
	"$T/good/run.json"

run "$KVMREPRO" run --engine bochs --kernel "$lean" --boot once --runs 2 --no-guest-sandbox \
	--repro ./tests/e2e/repro/reboot.c
out_is "all runs: crashed: unexpected kernel reboot" "a reboot: its title"
run "$KVMREPRO" run --engine bochs --kernel "$lean" --runs 1 --append reboot=t \
	--no-guest-sandbox --repro ./tests/e2e/repro/reboot.c
out_is "all runs: crashed: unexpected kernel reboot" "a triple fault: its title"

run "$KVMREPRO" run --engine bochs --kernel "$lean" --runs 1 --smp 2
status_is 129 "--smp 2: exit status 129"
err_like 'Bochs runs one vCPU' "--smp 2: said"
run "$KVMREPRO" run --engine bochs --kernel "$lean" --runs 1 --memory 2049
status_is 129 "--memory 2049: exit status 129"
err_like 'Bochs takes 2048 MiB at most' "--memory 2049: said"

"$KVMREPRO" run --engine bochs --kernel "$lean" --runs 2 --jobs 2 --repro create-vm \
	>"$T/out" 2>"$T/err" </dev/null &
pid=$!
wait_for 60 bochs_of "$pid"
result $? "killed: a Bochs is running"
# The trials are made once more: these too are killed.
ended() {
	! kill -0 "$pid" 2>/dev/null
}
ended_or_back() {
	ended || bochs_of "$pid"
}
until ended; do
	mapfile -t children < <(bochs_of "$pid")
	[ "${#children[@]}" -eq 0 ] || kill -KILL "${children[@]}" 2>/dev/null
	wait_for 60 ended_or_back || break
done
wait "$pid"
status=$?
status_is 128 "killed: exit status 128"
err_like ': infra problem: .*; it is made once more$' "killed: a trial is made once more"
# One that was killed at its start is told otherwise than one that ran.
check "a Bochs that is killed is an infra problem" test -s "$T/out" -a \
	-z "$(grep -v '^\(all runs\|run #[01]\): infra problem: ' "$T/out")"

busy() {
	if [ "$boot" = once ]; then has_state; else bochs_of "$pid"; fi
}
for how in "INT each" "INT once" "KILL once"; do
	read -r sig boot <<<"$how"
	: >"$T/err"
	setsid "$KVMREPRO" run --engine bochs --kernel "$lean" --boot "$boot" --runs 5000 \
		--repro create-vm >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	wait_for 60 busy
	result $? "$how: a Bochs is running"
	mapfile -t children < <(bochs_of "$pid")
	kill -s "$sig" "$pid"
	wait "$pid" 2>/dev/null
	wait_for 10 all_gone "${children[@]}"
	result $? "$how: no Bochs is left"
	[ "$sig" = KILL ] || check "$how: no temporary directory is left" \
		test -z "$(find "$T" -maxdepth 1 -name 'kvmrepro-??????')"
done
done_testing
