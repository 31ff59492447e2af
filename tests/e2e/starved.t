#!/usr/bin/env bash
# A host that is busy with other things makes no outcome: limits count what the VM had of it.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"
[ -r /proc/self/schedstat ] || skip_all "this kernel keeps no /proc/PID/schedstat"
cpu=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')

# Sessions of their own, for the scheduler shares the CPU out between sessions.
for i in 1 2 3 4 5 6; do
	setsid taskset -c "$cpu" sh -c 'while :; do :; done' &
done
run taskset -c "$cpu" "$KVMREPRO" run --kernel "$kernel" --runs 1 --alpha 0.5 --repro create-vm \
	--boot-timeout 12 --out "$T/run"
jobs -p | xargs -r kill -KILL
wait 2>/dev/null
status_is 0 "a starved VM: exit status 0"
out_is "all runs: OK" "a starved VM is given its time"
check "though it took longer than its limit" jq -e '.trials[0].hello_ms > 12000' "$T/run/run.json"
done_testing
