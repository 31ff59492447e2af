#!/usr/bin/env bash
# kvmrepro run on Debian's stock kernel under TCG: the outcomes, verdicts and exit statuses.
. "$(dirname "$0")/../tap.sh"

kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"
R=tests/e2e/repro

left() {
	pgrep -f "qemu-system-x86_64.*$T" >/dev/null
}

# The first lines of a console, but for what is measured of the TSC: how the kernel was entered, and
# what with. Without what the size of the initramfs makes differ.
start_of() {
	sed -n '/SLUB:/q; s/^\[ *[0-9.]*\] //; /0x\|tsc:/!p' | tr -d '0-9'
}

# So that it is made by this program, not remembered of another run of it.
rm -rf "${XDG_CACHE_HOME:?}/kvmrepro/unpacked"
run "$KVMREPRO" run --kernel "$kernel" --runs 10 --out "$T/ten"
status_is 0 "ten runs of all reproducers: exit status 0"
out_is "all runs: OK" "ten runs: the seeds' line"
err_like '^kvmrepro: engine: libvirt, tcg \(.+\)$' "what runs the VM and why, in one line"
err_like '^kvmrepro: verdict: good' "the verdict"
check "run.json holds ten trials" test "$(jq '.trials | length' "$T/ten/run.json")" = 10
check "every trial's console is kept" test "$(find "$T/ten" -name console.log.gz | wc -l)" = 10
check "the canary ran on kvm_amd, nested" \
	test "$(jq -r '.trials[9].guest | .kvm + .nested' "$T/ten/run.json")" = kvm_amdY
check "what needs VMX was skipped, the rest was run" jq -e \
	'([.reproducers[] | select(.needs != "vmx") | .name] | sort)
	== ([.trials[0].reproducers[] | select(.end == "exit" or .end == "unsupported") | .name] | sort)' \
	"$T/ten/run.json"
check "the domain's definition is kept" grep -q "<cpu mode='maximum'" "$T/ten/domain.xml"

run "$KVMREPRO" run --kernel "$kernel" --no-guest-sandbox --runs 2 --repro create-vm \
	--repro ./$R/panic.c --out "$T/panic"
status_is 1 "a panic: exit status 1"
out_is "all runs: crashed: kernel panic: sysrq triggered crash" "a panic: its title"
check "the report is kept" grep -q "sysrq triggered crash" "$T/panic/trial-001/report.txt"
check "the trial ended within 2 s of the last line" \
	jq -e '[.trials[].crash_end_ms] | max <= 2000' "$T/panic/run.json"
check "the reproducer before it is told" \
	jq -e '.trials[0].reproducers[0].end == "exit"' "$T/panic/run.json"

run "$KVMREPRO" run --kernel "$kernel" --no-guest-sandbox --runs 1 --repro ./$R/reboot.c \
	--out "$T/reboot"
status_is 1 "a reboot: exit status 1"
out_is "all runs: crashed: unexpected kernel reboot" "a reboot: its title"

run "$KVMREPRO" run --kernel "$kernel" --no-guest-sandbox --runs 1 --repro ./$R/hang.c \
	--out "$T/hang"
status_is 1 "a hang with interrupts off: exit status 1"
out_is "all runs: crashed: no output from test machine" "a hang: its title"

run "$KVMREPRO" run --kernel "$kernel" --runs 1 --alpha 0.5 --repro ./$R/nuisance.c \
	--repro create-vm --duration 3 --out "$T/nuisance"
status_is 0 "a nuisance: exit status 0"
out_is "all runs: OK" "a nuisance is killed when its time is over, and is no crash"
check "a nuisance: stopped after its duration" \
	jq -e '.trials[0].reproducers[0] | .end == "timeout" and .ms < 6000' "$T/nuisance/run.json"
check "a nuisance: what it printed past the limit is counted, not kept" \
	jq -e '.trials[0].reproducers[0] | .output_bytes == 65536 and .dropped_bytes > 0' \
	"$T/nuisance/run.json"
check "a nuisance: the next reproducer runs as ever" \
	jq -e '.trials[0].reproducers[1] | .end == "exit" and .code == 0' "$T/nuisance/run.json"

run "$KVMREPRO" run --kernel "$kernel" --runs 1 --repro create-vm --append rdinit=/none \
	--out "$T/noinit"
status_is 125 "no init: exit status 125"
out_like '^all runs: boot failed: kernel panic: VFS: Unable to mount root fs' \
	"no init: the kernel's own reason"
check "the host decompressed the kernel" \
	test "$(jq -r .kernel.decompressed_by "$T/noinit/run.json")" = host
run "$KVMREPRO" run --kernel "$kernel" --runs 1 --repro ./$R/levels.c --alpha 0.5 --decompress guest \
	--out "$T/packed"
status_is 0 "--decompress guest: exit status 0"
check "--decompress guest: in run.json" \
	test "$(jq -r .kernel.decompressed_by "$T/packed/run.json")" = guest
zcat "$T/ten/trial-000/console.log.gz" | start_of >"$T/start-host"
zcat "$T/packed/trial-000/console.log.gz" | start_of >"$T/start-guest"
check "the kernel's first words" test "$(wc -l <"$T/start-host")" -gt 40
check "and they are the same whoever decompressed it" cmp "$T/start-host" "$T/start-guest"

check "QEMU has the decompressed kernel in its memory" \
	test "$(grep -c 'kernel-head<\|loader,file=' "$T/ten/domain.xml")" = 2
check "--decompress guest: and there not" \
	test "$(grep -c 'kernel-head<\|loader,file=' "$T/packed/domain.xml")" = 0

release=$(jq -r .kernel.release "$T/packed/run.json")
if [ -e "/lib/modules/$release" ]; then
	result 0 "a kernel without its modules # SKIP this host has some for it"
else
	cp "$kernel" "$T/copied"
	run "$KVMREPRO" run --kernel "$T/copied" --runs 1 --repro create-vm
	status_is 125 "a kernel without its modules: exit status 125"
	out_like '^all runs: basic kernel testing failed: .*/dev/kvm' "a kernel without its modules: no KVM"
	err_like "^kvmrepro: no modules of $release were found: .* --modules DIR " "and what to do is said"
fi

cp "$kernel" "$T/damaged"
dd if=/dev/zero of="$T/damaged" bs=1 seek=3500000 count=64 conv=notrunc status=none
run "$KVMREPRO" run --kernel "$T/damaged" --runs 1 --repro create-vm --out "$T/none"
status_is 129 "a damaged payload: exit status 129"
err_like "^kvmrepro: $T/damaged: damaged: its .*; --decompress guest boots it as it is$" \
	"a damaged payload: said of the file"

# What is not the kernel's is asked of one that boots in a third of the time.
test_kernels lean
lean=$(cat "$T/paths")
run "$KVMREPRO" run --kernel "$lean" --engine libvirt --runs 1 --repro nested-state-double-set
status_is 125 "VMX under TCG: exit status 125"
out_is "" "VMX under TCG: no outcome is made up"
err_like 'nested-state-double-set needs a guest with vmx' "VMX under TCG: said"

run "$KVMREPRO" run --kernel "$lean" --engine libvirt --accel tcg --runs 1 --repro spinlock-contention
status_is 125 "a reproducer that says itself that it cannot run: exit status 125"
out_like 'basic kernel testing failed: .*; spinlock-contention: not a guest of KVM' "and its own reason"

mkdir "$T/a, b:c"
run env TMPDIR="$T/a, b:c" "$KVMREPRO" run --kernel "$lean" --runs 1 --repro create-vm --format json --cpu EPYC \
	--out "$T/json"
status_is 125 "--format json: one clean run is too few for good: exit status 125"
err_like '6 more clean runs would make it good' "and how many more it takes is said"
check "--format json prints run.json" cmp "$T/out" "$T/json/run.json"
check "--cpu: in run.json and in the domain" test "$(jq -r .engine.cpu "$T/json/run.json")" = EPYC -a \
	"$(grep -c "<cpu mode='custom'.*>EPYC<" "$T/json/domain.xml")" = 1
run "$KVMREPRO" run --kernel "$lean" --runs 1 --repro create-vm --alpha 0.5 --append nokaslr \
	--decompress host --out "$T/nokaslr"
err_like '^kvmrepro: --decompress host: the kernel decompresses itself all the same' \
	"nokaslr is the decompressor's to obey"
check "nokaslr: in run.json" \
	test "$(jq -r .kernel.decompressed_by "$T/nokaslr/run.json")" = guest
run "$KVMREPRO" run --kernel "$lean" --repro create-vm --cpu 486sx
status_is 129 "--cpu: one that libvirt does not know: exit status 129"
err_like "knows no CPU '486sx'" "--cpu: one that libvirt does not know: said"

printf 'int main(void) { __builtin_trap(); }\n' >"$T/trap.c"
printf 'int main(void) { return 3; }\n' >"$T/fails.c"
run "$KVMREPRO" run --kernel "$lean" --runs 1 --repro "$T/trap.c" --repro "$T/fails.c" --alpha 0.5
status_is 0 "a reproducer that a signal ends: exit status 0"
err_like '^kvmrepro: run #0: trap was ended by signal 4$' "a reproducer that a signal ends: said"
err_like '^kvmrepro: run #0: fails ended with exit status 3$' "an exit status that is not 0: said"

for i in 1 2; do
	run "$KVMREPRO" run --kernel "$kernel" --runs 1 --repro ./$R/levels.c --alpha 0.5 \
		--state "$T/state.json" --out "$T/state-$i"
done
status_is 0 "--state, the second time: exit status 0"
out_is "all runs: OK" "--state, the second time: the line of the first"
err_like "not run again \(evidence of then: $T/state-1\)" "--state, the second time: no VM is started"
check "--state: the kernel's signature and that of its modules" grep -Eq \
	"\"$(jq -r .kernel.signature "$T/state-1/run.json")\+[0-9a-f]{64}\":" "$T/state.json"

for who in packed state-1; do
	check "five levels of page tables ($who)" \
		grep -qx 'levels: 5' <(zcat "$T/$who/trial-000/output-levels.log.gz")
done

left
[ $? -eq 1 ]
result $? "no QEMU is left"
check "no temporary directory is left" test -z "$(find "$T" -maxdepth 1 -name 'kvmrepro-??????')"
done_testing
