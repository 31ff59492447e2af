#!/usr/bin/env bash
# Nobody fooled: reproducers that try to forge a crash, speak as the agent, end the trial and
# disturb what runs after them. Each attempt must fail in the guest's sandbox; without the sandbox
# those that can be seen must be seen, so that this is no test of a program that does nothing.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"
R=tests/e2e/repro
cp "$R/forge-next.c" "$T/forge-again.c"
cp "$R/forge.h" "$T"

# said TRIAL REPRODUCER: what it printed there.
said() {
	zcat "$T/$1/output-$2.log.gz"
}

forge() {
	local out=$1
	shift
	run "$KVMREPRO" run --kernel "$kernel" --engine libvirt --accel tcg --out "$T/$out" "$@"
}

for boot in each once; do
	[ "$boot" = each ] && trials=1 || trials=2
	forge "$boot" --boot "$boot" --runs "$trials" --jobs "$trials" --alpha 0.5 --duration 40 \
		--repro "./$R/forge-console.c" --repro "./$R/forge-agent.c" --repro "./$R/forge-next.c" \
		--repro "$T/forge-again.c" --repro "./$R/forge-end.c" --repro create-vm
	out_is "all runs: OK" "$boot: no attempt makes a crash, or keeps a trial from its end"
	check "$boot: the sandbox is whole" jq -e \
		'.guest_sandbox and all(.trials[]; .guest.sandbox == "full")' "$T/$boot/run.json"
	for ((i = 0; i < trials; i++)); do
		at=$boot/trial-00$i
		said "$at" forge-console >"$T/console"
		said "$at" forge-agent >"$T/agent"
		cat "$T/console" "$T/agent" <(said "$at" forge-end) <(said "$at" forge-next) \
			<(said "$at" forge-again) >"$T/all"
		check "$boot, trial $i: the attempts were made" test "$(grep -c ': denied' "$T/all")" -gt 80
		grep ': done$' "$T/all" >"$T/done"
		check "$boot, trial $i: none was done but a procfs of its own" \
			test "$(cat "$T/done")" = "own procfs: done"
		[ "$(cat "$T/done")" = "own procfs: done" ] || sed 's/^/# /' "$T/done"
		check "$boot, trial $i: the console has nothing of it" \
			test -z "$(zgrep -l 'forged' "$T/$at/console.log.gz")"
		check "$boot, trial $i: what a reproducer leaves behind is not the next one's" \
			grep -qx '/dev/kvm: there' <(said "$at" forge-again)
		check "$boot, trial $i: the one that tries to end it comes to its own end" \
			grep -qx 'end: reached' <(said "$at" forge-end)
	done
	check "$boot: nothing but frames came on the agent line" \
		jq -e 'all(.trials[]; .agent_noise_lines == 0)' "$T/$boot/run.json"
	check "$boot: the last reproducer finds KVM as ever" jq -e \
		'all(.trials[].reproducers[-1]; .end == "exit" and .code == 0)' "$T/$boot/run.json"
done

# Nor does one that takes all there is, of each kind: the kernel kills its processes, or it is told
# that there is no more. With memory control groups (stock) and without (lean).
test_kernels lean
lean=$(tail -n 1 "$T/paths")
for k in stock lean; do
	[ "$k" = stock ] || kernel=$lean
	forge "fill-$k" --runs 1 --alpha 0.5 --duration 240 --repro "./$R/forge-fill.c" --repro create-vm
	out_is "all runs: OK" "$k: what takes all there is makes no crash"
	check "$k: it began" grep -qx '/dev: taken' <(said "fill-$k/trial-000" forge-fill)
	check "$k: what it took is there for the next one" jq -e \
		'.trials[0].reproducers[-1] | .end == "exit" and .code == 0' "$T/fill-$k/run.json"
	check "$k: it is told how it ended" jq -e \
		'.trials[0].reproducers[0].end | . == "exit" or . == "signal" or . == "timeout"' "$T/fill-$k/run.json"
done
check "stock: it came to its own end" grep -qx 'end: reached' <(said fill-stock/trial-000 forge-fill)
check "stock: its control group had no more" \
	zgrep -q 'Memory cgroup out of memory' "$T/fill-stock/trial-000/console.log.gz"
check "stock: the kernel always had some" \
	test -z "$(zgrep -l 'Out of memory: Killed' "$T/fill-stock/trial-000/console.log.gz")"
kernel=$(images/fetch-kernel)

# The same without: what it looks like when an attempt is not stopped.
forge free-console --no-guest-sandbox --runs 1 --repro "./$R/forge-console.c"
out_is "all runs: crashed: kernel panic: forged" "without: a crash is forged"
err_like '^kvmrepro: guest sandbox: off' "without: standard error says so"
check "without: run.json says so" jq -e \
	'.guest_sandbox == false and .trials[0].guest.sandbox != "full"' "$T/free-console/run.json"

forge free-rest --no-guest-sandbox --runs 1 --repro "./$R/forge-agent.c" \
	--repro "./$R/forge-end.c"
out_is "all runs: crashed: reproducer cannot be killed" "without: a frozen task is forged into a crash"
check "without: lines come on the agent line, and without the token they are noise" \
	jq -e '.trials[0].agent_noise_lines > 0' "$T/free-rest/run.json"
check "without: reboot(2) ends the reproducer" test -z "$(said free-rest/trial-000 forge-end |
	grep 'end: reached')"
check "without: modules can be taken away" \
	grep -qx 'delete_module kvm_amd: done' <(said free-rest/trial-000 forge-end)
done_testing
