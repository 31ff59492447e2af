#!/usr/bin/env bash
# kvmrepro run on a host whose KVM nests, made of QEMU's TCG: Debian's stock kernel, an initramfs
# with this kvmrepro, libvirt and QEMU in it, and kvm_amd. There it must choose KVM by itself, and
# find seed 002's bug, which only a guest of KVM has. Everything is kept in build/check-kvm.
. "$(dirname "$0")/../tap.sh"

limit_s=${CHECK_KVM_LIMIT:-2400}
runs=${CHECK_KVM_RUNS:-1} # of seed 002, and without it; to init as a variable of its environment
dir=$PWD/build/check-kvm

command -v qemu-system-x86_64 >/dev/null || skip_all "no qemu-system-x86_64"
kernel=$(images/fetch-kernel 2>"$T/err") || skip_all "no stock kernel: $(tail -n 1 "$T/err")"
mapfile -t built < <(images/build-kernel debug debug+002 lean 2>"$T/err")
[ "${#built[@]}" -eq 3 ] || skip_all "no test kernels: $(tail -n 1 "$T/err")"

# module NAME: the stock kernel's, as an argument of make-root.
module() {
	local file
	file=$(find "${kernel%/boot/*}/lib/modules" -name "$1.ko")
	[ -z "$file" ] || printf '%s=/modules/%s.ko\n' "$file" "$1"
}
mapfile -t modules < <(module irqbypass && module kvm && module kvm-amd)

rm -rf "$dir"
mkdir -p "$dir/out"
tests/kvm/make-root "$dir/root" "$KVMREPRO=/usr/bin/kvmrepro" tests/kvm/init=/init tests/kvm/job=/job \
	"${modules[@]}" "${built[0]}=/kernels/debug" "${built[1]}=/kernels/debug+002" \
	"${built[2]}=/kernels/lean" 2>"$T/err" ||
	skip_all "$(tail -n 1 "$T/err")"
truncate -s 64M "$dir/disk"

# One vCPU on one thread: with several, or with -icount, QEMU 7.2 delivers an interrupt that KVM
# injects (helper_vmrun leaves its vector in exception_index) a second time when something kicks the
# vCPU, and the inner kernel has a timer interrupt with interrupts off. Without XSAVE: TCG does not
# intercept XSETBV, so KVM never hears of its guest's, and the inner kernel warns of what CPUID says.
#
# Once a second a byte comes on ttyS1, for QEMU 7.2 loses interrupts: at VMRUN and #VMEXIT the vCPU's
# thread changes a bit of its interrupt_request without the lock under which another thread sets one
# for the local APIC. After a timer's last interrupt nothing would follow; the next one from anywhere
# makes the APIC look again at all that wait. (Seen with gdb: IRR 236 there, interrupt_request 0, the
# inner kernel spinning with interrupts on for as long as one liked; a key press set it going.)
while printf .; do
	sleep 1
done | timeout -k 10 "$limit_s" qemu-system-x86_64 -accel tcg,thread=single -smp 1 \
	-cpu max,-xsave,erms=off,fsrm=off,invtsc=on,x-force-features=on \
	-machine pc -m 3072 -nodefaults -display none -no-reboot -kernel "$kernel" \
	-initrd "$dir/root" -append "console=ttyS0,115200 ignore_loglevel panic=-1 cryptomgr.notests KVM_RUNS=$runs" \
	-serial "file:$dir/console.log" -chardev stdio,id=ticks,signal=off -serial chardev:ticks \
	-drive "if=none,id=out,file=$dir/disk,format=raw" -device nvme,drive=out,serial=out >"$T/out" 2>&1
status=$?
status_is 0 "the outer guest has powered itself off (within $limit_s s)"
tar -xf "$dir/disk" -C "$dir/out" 2>>"$T/out"
result $? "its evidence is whole"
rm -f "$dir/disk" "$dir/root"

# of NAME: what the outer guest's run of that name gave, for the checks.
of() {
	local f
	for f in out err; do
		cp "$dir/out/$1.$f" "$T/$f" 2>/dev/null || : >"$T/$f"
	done
	status=$(cat "$dir/out/$1.status" 2>/dev/null || echo 999)
}
report() {
	jq -e "$2" "$dir/out/$1/run.json"
}

of refused
status_is 125 "KVM without nesting, --accel kvm: exit status 125"
err_like 'offers guests neither SVM nor VMX' "KVM without nesting: said"

of kept
status_is 125 "a kernel that panics in KVM's canary: exit status 125"
out_is "all runs: boot failed: $(jq -r '.trials[0].title' "$dir/out/kept/run.json")" \
	"a kernel that panics in KVM's canary: its own reason"
err_like "^kvmrepro: accel: .*boot failed: kernel panic: .*the kernel's own word" \
	"the panic is not held against KVM"
check "it stays on KVM" report kept '.engine.accel == "kvm"'
check "the canary's evidence is kept" test -s "$dir/out/kept/kvm-canary/console.log.gz" -a \
	-s "$dir/out/kept/kvm-canary/domain.xml" -a -s "$dir/out/kept/kvm-canary/qemu.log" -a \
	-s "$dir/out/kept/kvm-canary/report.txt"

of bad
status_is 1 "seed 002's bug: exit status 1"
out_is "all runs: crashed: WARNING in kvm_wait" "seed 002's bug: its title"
err_like '^kvmrepro: accel: trying KVM once' "KVM is tried, as it has not been proven so far"
err_like '^kvmrepro: engine: libvirt, kvm \(KVM here offers guests SVM\)$' "auto chose KVM, and says why"
check "run.json says kvm and why" report bad \
	'.engine | .accel == "kvm" and .accel_why == "KVM here offers guests SVM"
	and .cpu == "host-passthrough" and .hypervisor != null'
check "the kernel decompressed itself" report bad '.kernel.decompressed_by == "guest"'
check "run.json has KVM's limits" report bad '.limits.detector_ms == 10000'
check "the domain is KVM's" grep -q "<domain type='kvm'" "$dir/out/bad/domain.xml"
check "the canary passed with SVM offered to its guest" report bad \
	'.trials[0].guest | .kvm == "kvm_amd" and .nested == "Y"'
check "the inner kernel knows that it is KVM's guest" grep -q 'Hypervisor detected: KVM' \
	<(zcat "$dir/out/bad/trial-000/console.log.gz")
check "a canary that passed leaves nothing" test ! -e "$dir/out/bad/kvm-canary"

of good
status_is 0 "the same kernel without the bug: exit status 0"
out_is "all runs: OK" "the same kernel without the bug: OK"
err_like '^kvmrepro: engine: libvirt, kvm ' "KVM again"
check "KVM is not tried twice" test "$(grep -c 'trying KVM once' "$T/err")" = 0
check "the reproducer ran to its end" report good \
	'.trials[0].reproducers[0] | .end == "exit" and .code == 0'

[ -e "$dir/out/good.status" ] || tail -n 40 "$dir/console.log" | sed 's/^/# console: /'
done_testing
