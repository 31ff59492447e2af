#!/usr/bin/env bash
# The seeds' bugs, alive: each buggy kernel shows the title of its seed in every run, and the same
# config without the bug shows nothing. (Seed 002 takes a guest of KVM: tests/kvm.) A kernel boots once
# for its runs, which is most of what they take, but for the quickest, which boots each time.
. "$(dirname "$0")/../tap.sh"

[ -x /usr/bin/bochs-bin ] || skip_all "no Bochs: apt-get install bochs"
kernels=(lean lean+003 lean+004 debug debug+000 debug+001)
test_kernels "${kernels[@]}"

# path_of KERNEL: its bzImage.
path_of() {
	local i
	for i in "${!kernels[@]}"; do
		[ "${kernels[i]}" != "$1" ] || sed -n "$((i + 1))p" "$T/paths"
	done
}

# boot_of KERNEL
boot_of() {
	[ "$1" = lean+004 ] && echo each || echo once
}

# shows KERNEL REPRO TITLE SEED: three runs, all of them crashed with TITLE; and SEED, which is what the
# seed's log calls it, is a name for it that makes the kernel bad.
shows() {
	run "$KVMREPRO" run --kernel "$(path_of "$1")" --repro "$2" --runs 3 --expect "$4" \
		--boot "$(boot_of "$1")"
	out_is "all runs: crashed: $3" "$1, $2: $3"
	status_is 1 "$1, $2: bad, by the name of '$4'"
}

# healthy KERNEL REPRO...: three runs with all of them, and nothing shows.
healthy() {
	local kernel=$1 args=() repro
	shift
	for repro; do
		args+=(--repro "$repro")
	done
	run "$KVMREPRO" run --kernel "$(path_of "$kernel")" "${args[@]}" --runs 3 \
		--boot "$(boot_of "$kernel")"
	out_is "all runs: OK" "$kernel, $*: OK"
}

shows debug+000 create-vm-bad-type "WARNING: suspicious RCU usage in kvm_dev_ioctl" \
	"WARNING: suspicious RCU usage in kvm_dev_ioctl"
shows debug+001 create-vm-fault "general protection fault in kvm_coalesced_mmio_init" \
	"general protection fault in kvm_coalesced_mmio_init"
shows debug+001 create-vm-bad-type "INFO: task hung in synchronize_rcu" \
	"INFO: task hung in synchronize_rcu"
shows lean+003 nested-state-double-set "WARNING in enter_vmx_operation" \
	"WARNING in enter_vmx_operation"
shows lean+003 nested-state-smm "WARNING in free_loaded_vmcs" "WARNING in free_loaded_vmcs"
shows lean+004 memslot-misaligned "kernel BUG in kvm_mmu_hugepage_adjust" \
	"kernel BUG at arch/x86/kvm/mmu.c:LINE!"

healthy debug create-vm-bad-type create-vm-fault
healthy lean memslot-misaligned
healthy lean nested-state-double-set nested-state-smm nested-state-running
done_testing
