#!/usr/bin/env bash
# --boot once: trials that begin from one boot's kept state are trials like others, and their own. With
# Debian's kernel and its modules; with lean, which boots in a third of the time, what is not the kernel's.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"
test_kernels lean
lean=$(cat "$T/paths")
R=tests/e2e/repro

left() {
	pgrep -f "qemu-system-x86_64.*$T" >/dev/null
}

run "$KVMREPRO" run --kernel "$kernel" --boot once --runs 7 --repro ./$R/fresh.c \
	--repro nested-state --out "$T/ok"
status_is 0 "clean trials: exit status 0"
out_is "all runs: OK" "clean trials: the seeds' line"
check "each says how it began" jq -e \
	'[.trials[] | select(.began == "state" and .boot_console == "boot/console.log.gz")] | length == 7' \
	"$T/ok/run.json"
zcat "$T"/ok/trial-*/output-fresh.log.gz >"$T/fresh"
check "each has random bytes of its own" test "$(grep ^random "$T/fresh" | sort -u | wc -l)" = 7
check "and so from its CPU" test "$(grep ^rdrand "$T/fresh" | sort -u | wc -l)" = 7
check "none sees what another did to its kernel" test "$(grep -c 'host used' "$T/fresh")" = 0
check "the boot's console is kept once" \
	grep -q 'Linux version' <(zcat "$T/ok/boot/console.log.gz")
check "and is not in the trials'" test -z "$(zgrep -l 'Linux version' "$T"/ok/trial-*/console.log.gz)"
check "the guest's words are those of the boot" \
	jq -e '.trials[6].guest.kvm == "kvm_amd"' "$T/ok/run.json"

run "$KVMREPRO" run --engine "replay:$T/ok" --runs 7 --repro ./$R/fresh.c --repro nested-state
out_is "all runs: OK" "such a run can be replayed"

run "$KVMREPRO" run --kernel "$lean" --boot once --no-guest-sandbox --runs 14 \
	--repro ./$R/coin.c --out "$T/coin"
status_is 1 "a crash in half of the runs: bad"
cp "$T/out" "$T/lines"
check "the crash has the title that it has after a boot" grep -qx \
	'run #[0-9]: crashed: kernel panic: sysrq triggered crash' "$T/lines"
check "some runs are clean" grep -qx 'run #[0-9]: OK' "$T/lines"
# A panic may be quicker than init, which passes the word on.
disagree=$(for dir in "$T"/coin/trial-*; do
	n=$((10#${dir##*-}))
	word=$(zcat "$dir"/output-coin.log.gz 2>/dev/null)
	grep -q "^run #$n: crashed" "$T/lines" && is=heads || is=tails
	[ "${word:-heads}" = "$is" ] || echo "$n"
done)
check "the outcome is what the guest's coin says" test -z "$disagree"

run "$KVMREPRO" run --kernel "$kernel" --boot once --no-guest-sandbox --runs 2 \
	--repro ./$R/hang.c --out "$T/hang"
out_is "all runs: crashed: no output from test machine" "a hang is one"

run "$KVMREPRO" run --kernel "$lean" --boot once --runs 2 --repro create-vm \
	--append rdinit=/none --out "$T/noinit"
status_is 125 "a boot that fails: exit status 125"
out_like '^all runs: boot failed: kernel panic: No working init found' \
	"a boot that fails is tried again, and is that trial's outcome"
check "with its console" test "$(find "$T/noinit" -path '*trial*console.log.gz' | wc -l)" = 2

# The state is the QEMU that booted, which stands still; the trials are forks of it.
has_state() {
	grep -q 'trials begin from its state' "$T/err"
}
: >"$T/err" # what the last run said
"$KVMREPRO" run --kernel "$lean" --boot once --repro ./$R/nap.c --runs 3 --jobs 1 --out "$T/gone" \
	>"$T/out" 2>"$T/err" </dev/null &
pid=$!
wait_for 60 has_state
standing=$(pgrep -o -P "$pid" qemu-system) && kill -KILL "$standing"
result $? "the QEMU that stands still is killed"
wait "$pid"
out_is "all runs: OK" "it was killed: the runs go on"
err_like 'boot: the state is gone: each trial boots$' "it was killed: said"
# One that runs, and one that is made in advance, may have begun before.
check "it was killed: and each says how it began" \
	jq -e '[.trials[].began] | .[2] == "boot" and all(. == "boot" or . == "state")' "$T/gone/run.json"
check "a fork's log has the command line of what it is a fork of" \
	grep -q -e '-kernel' "$T/ok/trial-003/qemu.log"

for sig in INT KILL; do
	: >"$T/err"
	setsid "$KVMREPRO" run --kernel "$lean" --boot once --repro ./$R/nap.c --runs 99 --jobs 3 \
		>"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	wait_for 60 has_state
	forks() {
		[ "$(pgrep -c -P "$pid" qemu-system)" = 4 ]
	}
	wait_for 20 forks
	result $? "$sig: three trials run, and one QEMU stands still"
	mapfile -t children < <(pgrep -P "$pid" qemu-system)
	kill -s "$sig" "$pid"
	wait "$pid" 2>/dev/null
	wait_for 10 all_gone "${children[@]}"
	result $? "$sig: no QEMU is left"
done

left
[ $? -eq 1 ]
result $? "no QEMU is left"
# The keeper's of the one that was killed goes a moment later.
tidy() {
	test -z "$(find "$T" -maxdepth 1 -name 'kvmrepro-??????')"
}
wait_for 10 tidy
result $? "no temporary directory is left"
done_testing
