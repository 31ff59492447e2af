#!/usr/bin/env bash
# SIGINT and SIGTERM in the middle of a run: 130 and 143, no QEMU left, the evidence so far kept.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$until" ] || return 1
		read -r -t 0.1 <> <(:) || true
	done
}

interrupted() {
	local sig=$1 want=$2 out=$T/$1

	setsid "$KVMREPRO" run --kernel "$kernel" --runs 50 --repro create-vm --out "$out" \
		>"$T/out" 2>"$T/err" </dev/null &
	local pid=$!
	wait_for 120 grep -q 'run #0: OK' "$T/err"
	result $? "$sig: the first trial ends"
	check "$sig: a QEMU is running" pgrep -f "qemu-system-x86_64.*guest=kvmrepro-$pid-"
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

interrupted INT 130
interrupted TERM 143
done_testing
