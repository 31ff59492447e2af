/*
 * Creates a VM with one vCPU, lets it add two numbers in real mode, and takes and gives back its
 * nested state. It writes "at STEP" before each step that could hang, and last "ok MODULE NESTED"
 * or "why REASON".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "canary.h"
#include "task.h"

#define CODE_ADDR  0x1000
#define CODE_BYTES 0x1000
#define CPUID_SVM  (1u << 2) /* leaf 0x80000001, ecx */
#define CPUID_VMX  (1u << 5) /* leaf 1, ecx */
#define MAX_CPUID  256

struct canary {
	int out;
	int kvm, vm, vcpu;
	const struct guest *g;
	bool nested;
};

static bool fail(const struct canary *c, const char *what)
{
	dprintf(c->out, "why %s: %s\n", what, strerror(errno));
	return false;
}

static void at(const struct canary *c, const char *step)
{
	dprintf(c->out, "at %s\n", step);
}

static bool create(struct canary *c)
{
	c->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (c->kvm < 0)
		return fail(c, "open /dev/kvm");
	if (ioctl(c->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return fail(c, "KVM_GET_API_VERSION");
	at(c, "KVM_CREATE_VM");
	c->vm = ioctl(c->kvm, KVM_CREATE_VM, 0);
	if (c->vm < 0)
		return fail(c, "KVM_CREATE_VM");
	/* Without "unrestricted guest" an Intel CPU runs real mode with the help of these. */
	if (c->g->vmx && ioctl(c->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul))
		return fail(c, "KVM_SET_TSS_ADDR");
	at(c, "KVM_CREATE_VCPU");
	c->vcpu = ioctl(c->vm, KVM_CREATE_VCPU, 0);
	return c->vcpu >= 0 || fail(c, "KVM_CREATE_VCPU");
}

static bool run(struct canary *c)
{
	static const unsigned char code[] = { 0x00, 0xd8, /* add %bl, %al */ 0xf4 /* hlt */ };
	struct kvm_regs regs = { .rip = CODE_ADDR, .rax = 40, .rbx = 2, .rflags = 2 };
	struct kvm_userspace_memory_region slot = { .guest_phys_addr = CODE_ADDR,
						    .memory_size = CODE_BYTES };
	int size = ioctl(c->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_sregs sregs;
	struct kvm_run *state;
	void *mem =
		mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED || size < (int)sizeof(*state))
		return fail(c, "memory");
	state = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, c->vcpu, 0);
	if (state == MAP_FAILED)
		return fail(c, "mmap of the vCPU");
	memcpy(mem, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)mem;
	if (ioctl(c->vm, KVM_SET_USER_MEMORY_REGION, &slot))
		return fail(c, "KVM_SET_USER_MEMORY_REGION");
	if (ioctl(c->vcpu, KVM_GET_SREGS, &sregs))
		return fail(c, "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(c->vcpu, KVM_SET_SREGS, &sregs) || ioctl(c->vcpu, KVM_SET_REGS, &regs))
		return fail(c, "KVM_SET_REGS");
	at(c, "KVM_RUN");
	if (ioctl(c->vcpu, KVM_RUN, 0) || ioctl(c->vcpu, KVM_GET_REGS, &regs))
		return fail(c, "KVM_RUN");
	if (state->exit_reason != KVM_EXIT_HLT || regs.rax != 42) {
		dprintf(c->out, "why KVM_RUN: exit reason %u and rax %llu, not a hlt with 42\n",
			state->exit_reason, (unsigned long long)regs.rax);
		return false;
	}
	return true;
}

/* What KVM would offer to this VM's guest, which it only does with the module's nested=1. */
static bool offers_nested(struct canary *c)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[MAX_CPUID];
	} cpuid = { .head.nent = MAX_CPUID };

	if (ioctl(c->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid))
		return false;
	for (unsigned int i = 0; i < cpuid.head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid.entries[i];

		if ((e->function == 1 && e->ecx & CPUID_VMX) ||
		    (e->function == 0x80000001 && e->ecx & CPUID_SVM))
			return true;
	}
	return false;
}

static bool nested_state(struct canary *c)
{
	static union {
		struct kvm_nested_state state;
		char bytes[1 << 14];
	} u;
	int size = ioctl(c->kvm, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE);

	c->nested = offers_nested(c);
	if (size <= 0 || !c->nested)
		return true;
	at(c, "KVM_SET_NESTED_STATE");
	u.state.size = sizeof(u);
	if (ioctl(c->vcpu, KVM_GET_NESTED_STATE, &u))
		return fail(c, "KVM_GET_NESTED_STATE");
	if (ioctl(c->vcpu, KVM_SET_NESTED_STATE, &u))
		return fail(c, "KVM_SET_NESTED_STATE");
	return true;
}

static void sing(const void *arg, int out)
{
	struct canary c = { .out = out, .g = arg };

	if (create(&c) && run(&c) && nested_state(&c))
		dprintf(out, "ok %s %c\n", c.g->svm ? "kvm_amd" : "kvm_intel",
			c.nested ? 'Y' : 'N');
}

static void heard(void *to, char *text)
{
	snprintf(to, 256, "%s", text);
}

bool canary_run(struct guest *g, int64_t limit_ms)
{
	char said[256] = "", reason[512], module[16] = "", nested[2] = "";
	const char *why = task_run(g, "canary", sing, g, limit_ms, heard, said);
	struct frame f;
	bool ok = !why && sscanf(said, "ok %15s %1s", module, nested) == 2;

	g->nested = ok && nested[0] == 'Y';
	frame_begin(&f, &g->agent, "canary");
	frame_num(&f, "ok", ok);
	if (ok) {
		frame_str(&f, "kvm", module);
		frame_str(&f, "nested", nested);
	} else if (!strncmp(said, "why ", 4)) {
		frame_str(&f, "why", said + 4);
	} else {
		snprintf(reason, sizeof(reason), "%s (%s)", why ? why : "it ended without a word",
			 said);
		frame_str(&f, "why", reason);
	}
	agent_send(&g->agent, &f);
	return ok;
}
