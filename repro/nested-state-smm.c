/*
 * Gives a vCPU that is not in system management mode a nested state that says it went there out of
 * VMX operation (KVM_STATE_NESTED_SMM_VMXON), which KVM must refuse, and closes the vCPU.
 *
 * Bug: syzbot "WARNING in free_loaded_vmcs", from 8fcc4b5923af ("kvm: nVMX: Introduce
 * KVM_CAP_NESTED_STATE"): the vCPU was in VMX operation by its SMM flags alone, and freeing it left
 * its nested VMCS loaded. Shows where KVM uses VMCS shadowing.
 * Needs: VMX offered to guests (kvm_intel with nested=1).
 */
#include "kvmrepro/nested.h"

int main(void)
{
	static struct nested_state state;
	struct nested_vm n;
	int rc;

	nested_create(&n, NULL);
	if (!n.vmx)
		unsupported("KVM offers SVM, not VMX");
	state.nested = (struct kvm_nested_state){
		.format = KVM_STATE_NESTED_FORMAT_VMX,
		.size = sizeof(state.nested) + KVM_STATE_NESTED_VMX_VMCS_SIZE,
		.hdr.vmx = { .vmxon_pa = NESTED_HOST,
			     .vmcs12_pa = NESTED_CONTROL,
			     .smm.flags = KVM_STATE_NESTED_SMM_VMXON },
	};
	/* A VMCS of all zeros but for its revision, which is KVM's own. */
	memcpy(state.bytes + sizeof(state.nested), n.mem + NESTED_CONTROL, 4);
	rc = ioctl(n.vcpu, KVM_SET_NESTED_STATE, &state.nested);
	printf("VMX operation below SMM: %s\n", result(rc));
	munmap(n.run, 0x1000);
	close(n.vcpu);
	close(n.vm);
	printf("closed\n");
	return 0;
}
