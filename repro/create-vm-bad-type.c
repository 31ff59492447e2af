/*
 * KVM_CREATE_VM with types that the kernel refuses (and a few that newer ones take).
 *
 * Bug: syzbot "WARNING: suspicious RCU usage in kvm_dev_ioctl", from a97b0e773e49 ("kvm: call
 * kvm_arch_destroy_vm if vm creation fails"): the error path of kvm_create_vm() read the buses as
 * their last user would while users_count still was 1. Shows with CONFIG_PROVE_RCU.
 * Needs: nothing but /dev/kvm.
 */
#include "kvmrepro/kvm.h"

int main(void)
{
	static const unsigned long types[] = {
		1, 2, 7, 0x80, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ul,
	};
	int kvm = open_kvm();

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		int vm = ioctl(kvm, KVM_CREATE_VM, types[i]);

		printf("KVM_CREATE_VM type %#lx: %s\n", types[i], result(vm));
		if (vm >= 0)
			close(vm);
	}
	close(create_vm(kvm));
	printf("and one of type 0: ok\n");
	return 0;
}
