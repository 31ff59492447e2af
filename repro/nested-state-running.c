/*
 * Takes the nested state of a vCPU while its L2 guest is active, as a live migration does, restores
 * it in the vCPU of another VM (with the same memory), in the same vCPU once more, and in the first
 * one again, and lets each run on: L2 must find its registers, return to L1, and L1 halt. Last, a
 * vCPU is closed with L2 active.
 *
 * Bug: none in particular; KVM_SET_NESTED_STATE with L2 active is where most of KVM's nested-state
 * crashes were (svm_set_nested_state(), vmx_set_nested_state(), and the lazy mapping of the L1's
 * pages at the next KVM_RUN).
 * Needs: SVM or VMX offered to guests (nested=1); the CPU decides which of them is tested.
 */
#include "kvmrepro/nested.h"

int main(void)
{
	static struct nested_state state;
	struct nested_vm first, second;
	bool ok;

	nested_create(&first, NULL);
	nested_run(&first);
	nested_save(&first, &state);
	printf("%s: L2 active, flags %#x, %u bytes of state\n", first.vmx ? "VMX" : "SVM",
	       state.nested.flags, state.nested.size);
	ok = state.nested.flags & KVM_STATE_NESTED_GUEST_MODE;

	nested_create(&second, &first);
	nested_restore(&second, &state);
	ok &= nested_finish(&second, "another VM");
	nested_restore(&second, &state);
	nested_restore(&second, &state);
	ok &= nested_finish(&second, "again, restored twice");
	nested_restore(&first, &state);
	ok &= nested_finish(&first, "the first VM");

	nested_restore(&first, &state);
	close(first.vcpu);
	close(first.vm);
	munmap(first.run, 0x1000);
	printf("closed with L2 active\n");
	return !ok;
}
