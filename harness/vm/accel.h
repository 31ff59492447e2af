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

/* Whether that is SVM or VMX; if not, why says so. Without a usable KVM the others are not set. */
bool accel_kvm_nests(bool *svm, bool *vmx, char *why, size_t why_bytes);

/* What a host has to offer through one of its engines. */
struct accel_host {
	bool choice;   /* whether the engine has accelerators to choose from at all */
	bool kvm;      /* KVM offers guests SVM or VMX, and the engine can use it */
	bool svm, vmx; /* which; if kvm */
	char why[256]; /* why not, if not kvm */
};

/* Ask KVM, and the engine that has been opened. */
void accel_look(const struct engine *engine, struct engine_state *state, struct accel_host *out);

/* Names of reproducers that were asked for, one that needs SVM and one that needs VMX; or NULL. */
struct accel_wish {
	const char *svm, *vmx;
};

/*
 * Choose; nothing is asked or done here. wanted: "auto", "kvm" or "tcg". With "auto", KVM is taken
 * where it can be had (the mere presence of /dev/kvm says nothing), but for a wish that TCG grants
 * and KVM does not. ERR_UNSUPPORTED when "kvm" was asked for and cannot be had.
 */
int accel_choose(const struct accel_host *host, const char *wanted, const struct accel_wish *wish,
		 struct accel *out, struct err *err);

/* TCG after all; out->why is to be set. */
void accel_take_tcg(struct accel *out);

/*
 * A boot to the canary proves KVM once; that it did is remembered under $XDG_CACHE_HOME/kvmrepro
 * until the host boots again or its QEMU or libvirt changes. Trouble with the file means that
 * nothing is remembered.
 */
bool accel_is_proven(const struct engine_facts *facts);
void accel_set_proven(const struct engine_facts *facts);

#endif
