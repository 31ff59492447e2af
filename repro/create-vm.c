/*
 * Creates a VM and a vCPU, runs the vCPU up to a hlt, and closes everything.
 *
 * Bug: none; a smoke test of the commonest path through KVM, and the body of many bisections whose
 * crash comes from any use of KVM at all.
 * Needs: nothing but /dev/kvm.
 */
#include "kvmrepro/kvm.h"

#define CODE_ADDR 0x1000

int main(void)
{
	static const unsigned char code[] = { 0x00, 0xd8, /* add %bl, %al */ 0xf4 /* hlt */ };
	struct kvm_userspace_memory_region slot = { .guest_phys_addr = CODE_ADDR,
						    .memory_size = 0x1000 };
	struct kvm_regs regs = { .rip = CODE_ADDR, .rax = 40, .rbx = 2, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int kvm = open_kvm();
	int vm = create_vm(kvm);
	int vcpu, size;
	void *mem;

	ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	vcpu = create_vcpu(vm, 0);
	mem = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memcpy(mem, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)mem;
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	must(run == MAP_FAILED ? -1 : 0, "mmap of the vCPU");
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	must(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
	must(ioctl(vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	printf("vCPU ran: exit reason %u, 40 + 2 = %llu\n", run->exit_reason,
	       (unsigned long long)regs.rax);
	close(vcpu);
	close(vm);
	close(kvm);
	return !(run->exit_reason == KVM_EXIT_HLT && regs.rax == 42);
}
