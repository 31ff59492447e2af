/*
 * KVM_SET_NESTED_STATE again and again on a vCPU whose nested state is active already: first with
 * nothing but VMX operation on (a VMXON region), then with a VMCS besides, then with L2 active.
 *
 * Bug: syzbot "WARNING in enter_vmx_operation" (and "WARNING in free_loaded_vmcs"), from
 * 8fcc4b5923af ("kvm: nVMX: Introduce KVM_CAP_NESTED_STATE"): vmx_set_nested_state() did not leave
 * the nested state that was there (vmx_leave_nested()) before it entered the new one, and allocated
 * everything twice. Shows where KVM uses VMCS shadowing.
 * Needs: VMX offered to guests (kvm_intel with nested=1).
 */
#include "kvmrepro/nested.h"

#define TIMES 3

static void set_times(struct nested_vm *n, struct kvm_nested_state *state, const char *what)
{
	for (int i = 0; i < TIMES; i++) {
		int rc = ioctl(n->vcpu, KVM_SET_NESTED_STATE, state);

		printf("%s, %d: %s\n", what, i + 1, result(rc));
	}
}

int main(void)
{
	static struct nested_state state;
	struct nested_vm n, runner;

	nested_create(&n, NULL);
	if (!n.vmx)
		unsupported("KVM offers SVM, not VMX");

	state.nested = (struct kvm_nested_state){
		.format = KVM_STATE_NESTED_FORMAT_VMX,
		.size = sizeof(state.nested),
		.hdr.vmx = { .vmxon_pa = NESTED_HOST, .vmcs12_pa = ~0ull },
	};
	set_times(&n, &state.nested, "VMX operation");

	/* A VMCS of all zeros but for its revision, which is KVM's own. */
	state.nested.size = sizeof(state.nested) + KVM_STATE_NESTED_VMX_VMCS_SIZE;
	state.nested.hdr.vmx.vmcs12_pa = NESTED_CONTROL;
	memcpy(state.bytes + sizeof(state.nested), n.mem + NESTED_CONTROL, 4);
	set_times(&n, &state.nested, "VMX operation with a VMCS");

	nested_create(&runner, &n);
	nested_run(&runner);
	nested_save(&runner, &state);
	must(ioctl(n.vcpu, KVM_SET_SREGS, &state.sregs), "KVM_SET_SREGS");
	set_times(&n, &state.nested, "L2 active");
	must(ioctl(n.vcpu, KVM_SET_REGS, &state.regs), "KVM_SET_REGS");
	nested_finish(&n, "and on");
	return 0;
}
