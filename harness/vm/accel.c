/* Accelerators; see accel.h. */
#include "vm/accel.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

/* CPUID: Fn0000_0001 ECX bit 5 (Intel SDM vol. 2A, CPUID), Fn8000_0001 ECX bit 2 (AMD APM vol. 3,
 * appendix E.4.2). */
#define CPUID_VMX_LEAF 0x00000001u
#define CPUID_VMX_BIT  (1u << 5)
#define CPUID_SVM_LEAF 0x80000001u
#define CPUID_SVM_BIT  (1u << 2)

#define CPUID_ENTRIES                                                                              \
	256 /* KVM_MAX_CPUID_ENTRIES of the kernel's arch/x86/include/asm/kvm_host.h */

const char *accel_name(enum vm_accel accel)
{
	return accel == ACCEL_KVM ? "kvm" : accel == ACCEL_TCG ? "tcg" : "none";
}

int accel_kvm_offers(bool *svm, bool *vmx, char *why, size_t why_bytes)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		snprintf(why, why_bytes, "/dev/kvm: %s", strerrordesc_np(errno));
		return -1;
	}
	cleanup_free struct kvm_cpuid2 *ids =
		xcalloc(1, sizeof(*ids) + CPUID_ENTRIES * sizeof(ids->entries[0]));
	ids->nent = CPUID_ENTRIES;
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION ||
	    ioctl(kvm, KVM_GET_SUPPORTED_CPUID, ids)) {
		snprintf(why, why_bytes, "/dev/kvm does not answer as KVM should");
		return -1;
	}
	*svm = *vmx = false;
	for (unsigned i = 0; i < ids->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &ids->entries[i];

		*vmx |= e->function == CPUID_VMX_LEAF && (e->ecx & CPUID_VMX_BIT);
		*svm |= e->function == CPUID_SVM_LEAF && (e->ecx & CPUID_SVM_BIT);
	}
	return 0;
}

bool accel_kvm_nests(bool *svm, bool *vmx, char *why, size_t why_bytes)
{
	if (accel_kvm_offers(svm, vmx, why, why_bytes))
		return false;
	if (!*svm && !*vmx)
		snprintf(why, why_bytes,
			 "/dev/kvm is there, but offers guests neither SVM nor VMX");
	return *svm || *vmx;
}

void accel_look(const struct engine *engine, struct engine_state *state, struct accel_host *out)
{
	*out = (struct accel_host){ .choice = engine->kvm_usable };
	if (out->choice && accel_kvm_nests(&out->svm, &out->vmx, out->why, sizeof(out->why)))
		out->kvm = engine->kvm_usable(state, out->why, sizeof(out->why));
}

void accel_take_tcg(struct accel *out)
{
	out->accel = ACCEL_TCG;
	out->svm = true; /* QEMU's TCG emulates SVM, and no VMX */
	out->vmx = false;
}

int accel_choose(const struct accel_host *host, const char *wanted, const struct accel_wish *wish,
		 struct accel *out, struct err *err)
{
	bool any = !strcmp(wanted, "auto");
	const char *offered = host->svm ? "SVM" : "VMX";

	*out = (struct accel){ .accel = ACCEL_NONE, .svm = true, .vmx = true };
	if (!host->choice)
		return 0;
	if (!strcmp(wanted, "kvm") && !host->kvm)
		return err_set(err, ERR_UNSUPPORTED, "--accel kvm: %s", host->why);
	accel_take_tcg(out);
	if (!strcmp(wanted, "tcg")) {
		snprintf(out->why, sizeof(out->why), "asked for");
	} else if (!host->kvm) {
		snprintf(out->why, sizeof(out->why), "%s", host->why);
	} else if (any && wish->svm && !wish->vmx && !host->svm) {
		snprintf(out->why, sizeof(out->why), "%.60s needs SVM; KVM here offers guests %s",
			 wish->svm, offered);
	} else {
		out->accel = ACCEL_KVM;
		out->svm = host->svm;
		out->vmx = host->vmx;
		snprintf(out->why, sizeof(out->why), "KVM here offers guests %s", offered);
	}
	return 0;
}

/* What must not have changed since KVM was proven; NULL when it cannot be told. */
static char *proof(const struct engine_facts *facts)
{
	cleanup_buf struct buf boot = BUF_INIT;
	struct err err;

	if (fs_read("/proc/sys/kernel/random/boot_id", 128, &boot, ERR_HARNESS, &err))
		return NULL;
	return xasprintf("%s%s\n%s\n%s\n%s\n", boot.data, facts->hypervisor, facts->library,
			 facts->cpu,
			 facts->uri && strstr(facts->uri, "/embed") ? "embed" : facts->uri);
}

static char *proof_path(void)
{
	char *base = NULL;
	struct err err;

	if (fs_xdg("XDG_CACHE_HOME", ".cache", &base, &err))
		return NULL;
	char *path = xasprintf("%s/kvm-proven", base);
	free(base);
	return path;
}

bool accel_is_proven(const struct engine_facts *facts)
{
	cleanup_free char *want = proof(facts), *path = proof_path();
	cleanup_buf struct buf have = BUF_INIT;
	struct err err;

	return want && path && !fs_read(path, 4096, &have, ERR_HARNESS, &err) &&
	       !strcmp(have.data, want);
}

void accel_set_proven(const struct engine_facts *facts)
{
	cleanup_free char *text = proof(facts), *path = proof_path();
	struct err err;

	if (!text || !path)
		return;
	cleanup_free char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	if (!fs_mkdirs(dir, &err))
		fs_write(path, text, strlen(text), &err);
}
