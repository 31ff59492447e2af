#!/usr/bin/env bash
# A host that is busy with other things makes no outcome: limits count what the VM had of it.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/build-kernel lean 2>"$T/err") || skip_all "no test kernel: $(tail -n 1 "$T/err")"
[ -r /proc/self/schedstat ] || skip_all "this kernel keeps no /proc/PID/schedstat"

# trial ARG...: one boot; its time to hello in hello_ms.
trial() {
	rm -rf "$T/run"
	run "$KVMREPRO" run --kernel "$kernel" --runs 1 --alpha 0.5 \
		--repro create-vm --out "$T/run" "$@"
	hello_ms=$(jq '.trials[0].hello_ms // 0' "$T/run/run.json")
}

# Twice what a boot takes by itself is its limit; beside six others on each CPU it takes far longer.
trial
status_is 0 "a VM with a CPU: exit status 0"
limit=$((hello_ms * 2 / 1000 + 1))
# Sessions of their own, for the scheduler shares the CPU out between sessions.
for ((i = 6 * $(nproc); i > 0; i--)); do
	setsid sh -c 'while :; do :; done' &
done
trial --boot-timeout "$limit"
{
	jobs -p | xargs -r kill -KILL
	wait
} 2>/dev/null
status_is 0 "a starved VM: exit status 0"
out_is "all runs: OK" "a starved VM is given its time"
check "though it took longer than its limit ($hello_ms ms, limit $limit s)" \
	test "$hello_ms" -gt $((limit * 1000))
done_testing
