/* Which accelerator really gives a guest nested virtualization on this host. */
#ifndef VM_ACCEL_H
#define VM_ACCEL_H

#include "base/err.h"
#include "vm/engine.h"

#include <stdbool.h>

struct accel {
	enum vm_accel accel;
	bool svm, vmx; /* what a guest's CPU offers with it */
	char why[256]; /* one line for the user: why this one */
};

/* "kvm", "tcg", or "none" for an engine that has no choice. */
const char *accel_name(enum vm_accel accel);

/*
 * What the host's KVM offers to guests: SVM and VMX in KVM's own list of supported CPUID bits
 * (KVM_GET_SUPPORTED_CPUID; Linux, Documentation/virt/kvm/api.rst 4.46). Returns 0, or -1 with the
 * reason in why when there is no usable KVM at all.
 */
int accel_kvm_offers(bool *svm, bool *vmx, char *why, size_t why_bytes);

/*
 * Choose for an engine that has been opened. wanted: "auto", "kvm" or "tcg". With "auto", KVM is
 * taken where it offers SVM or VMX and the engine can use it; the mere presence of /dev/kvm says
 * nothing. ERR_UNSUPPORTED when "kvm" was asked for and cannot be had.
 */
int accel_choose(const struct engine *engine, struct engine_state *state, const char *wanted,
		 struct accel *out, struct err *err);

/*
 * A boot to the canary proves KVM once; that it did is remembered under $XDG_CACHE_HOME/kvmrepro
 * until the host boots again or its QEMU or libvirt changes. Trouble with the file means that
 * nothing is remembered.
 */
bool accel_is_proven(const struct engine_facts *facts);
void accel_set_proven(const struct engine_facts *facts);

#endif
