#!/usr/bin/env bash
# A run that is ended in its middle: SIGINT gives 130, SIGTERM 143, SIGHUP 129; no QEMU and no directory is left,
# not even after SIGKILL; the evidence so far is kept.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/build-kernel lean 2>"$T/err") || skip_all "no test kernel: $(tail -n 1 "$T/err")"

interrupted() {
	local sig=$1 want=$2 out=$T/$1

	: >"$T/err" # what an earlier run said is not this one's
	setsid "$KVMREPRO" run --kernel "$kernel" --runs 500 --repro create-vm --out "$out" \
		>"$T/out" 2>"$T/err" </dev/null &
	local pid=$!
	wait_for 300 grep -q 'run #0: OK' "$T/err"
	result $? "$sig: the first trial ends"
	wait_for 60 pgrep -f "qemu-system-x86_64.*guest=kvmrepro-$pid-"
	result $? "$sig: a QEMU is running"
	local began=$SECONDS
	kill -s "$sig" "$pid"
	wait "$pid"
	status=$?
	status_is "$want" "$sig: exit status $want"
	check "$sig: ends within 5 s" test $((SECONDS - began)) -le 5
	pgrep -f "qemu-system-x86_64.*guest=kvmrepro-$pid-" >"$T/left"
	check "$sig: no QEMU is left" test ! -s "$T/left"
	check "$sig: no temporary directory is left" \
		test -z "$(find "$T" -maxdepth 1 -name 'kvmrepro-??????')"
	out_like '^run #0: OK$' "$sig: the outcomes so far are printed"
	check "$sig: run.json says so and holds the finished trials" jq -e \
		".exit_status == $want and .verdict == null and (.trials | length) >= 1" \
		"$out/run.json"
	check "$sig: the finished trial's console is whole" gzip -t "$out/trial-000/console.log.gz"
	check "$sig: nothing half-written is left" test -z "$(find "$out" -name '*.tmp')"
}

is_left() {
	pgrep -f "qemu-system-x86_64.*guest=kvmrepro-$1-" ||
		find "$T" -maxdepth 1 -name 'kvmrepro-??????' | grep . || keepers | grep .
}

# Another run at the same time is not touched.
killed() {
	setsid "$KVMREPRO" run --kernel "$kernel" --runs 3 --alpha 0.5 --repro create-vm --jobs 1 \
		>"$T/other" 2>&1 </dev/null &
	local other=$!
	: >"$T/err" # what an earlier run said is not this one's
	setsid "$KVMREPRO" run --kernel "$kernel" --runs 500 --repro create-vm --boot "$1" \
		--out "$T/KILL-$1" >"$T/out" 2>"$T/err" </dev/null &
	local pid=$!
	wait_for 300 grep -q 'run #0: OK' "$T/err"
	result $? "KILL, --boot $1: the first trial ends"
	wait_for 60 pgrep -f "qemu-system-x86_64.*guest=kvmrepro-$pid-"
	result $? "KILL: a QEMU is running"
	kill -s KILL "$pid"
	wait "$pid" 2>/dev/null
	wait "$other"
	result $? "KILL: another run at the same time ends as ever"
	wait_for 2 eval "! is_left $pid"
	result $? "KILL: within 2 s no QEMU, no directory, no keeper is left"
	check "KILL: the finished trial's console is whole" gzip -t "$T/KILL-$1/trial-000/console.log.gz"
	check "KILL: run.json holds it" jq -e '.trials | length >= 1' "$T/KILL-$1/run.json"
}

interrupted INT 130
killed each
killed once
interrupted TERM 143
interrupted HUP 129
done_testing
