/*
 * A guest hypervisor (L1) with a guest of its own (L2), for reproducers of nested virtualization:
 * a few hand-written instructions each, in the vendor's way, SVM or VMX, that this host's KVM
 * offers. Both levels run in 64-bit mode on the same page tables.
 *
 * L1 enters L2 once. L2 sets rbx to NESTED_HALF, writes a byte to port NESTED_PORT, which leaves
 * to userspace as KVM_EXIT_IO with L2 active, adds the other half, and calls L1 (VMMCALL, VMCALL).
 * L1 then halts: KVM_EXIT_HLT with rbx == NESTED_SUM, if all went well on the way.
 *
 *	struct nested_vm vm;
 *	nested_create(&vm, NULL);
 *	nested_run(&vm);		to the I/O in L2
 *	nested_save(&vm, &state);
 *	nested_finish(&vm, "name");	to the hlt in L1
 */
#ifndef KVMREPRO_NESTED_H
#define KVMREPRO_NESTED_H

#include <stdbool.h>

#include "kvmrepro/kvm.h"

#define NESTED_PORT 0x42
#define NESTED_HALF 20
#define NESTED_SUM  42

/* Guest-physical addresses, each with a page of its own. */
#define NESTED_PML4      0x1000
#define NESTED_PDPT      0x2000
#define NESTED_PD        0x3000
#define NESTED_GDT       0x4000
#define NESTED_TSS       0x5000
#define NESTED_L1_CODE   0x6000
#define NESTED_L2_CODE   0x7000
#define NESTED_CONTROL   0x8000 /* the VMCB, or the VMCS */
#define NESTED_HOST      0x9000 /* the host save area, or the VMXON region */
#define NESTED_TABLE     0xa000 /* VMX: pointers, then what L1 writes into its VMCS */
#define NESTED_L1_STACK  0xc000
#define NESTED_L2_STACK  0xe000
#define NESTED_MEM_BYTES 0x10000

#define NESTED_MSR_FEATURE_CONTROL 0x3a
#define NESTED_MSR_HSAVE_PA        0xc0010117
#define NESTED_MSR_VMX_BASIC       0x480 /* then pin, processor, exit, entry controls */

#define NESTED_CR0  0x80000031ul /* PG, NE, ET, PE */
#define NESTED_PAE  0x20ul
#define NESTED_VMXE 0x2000ul
#define NESTED_EFER 0x500ul /* LMA, LME */
#define NESTED_SVME 0x1000ul

struct nested_vm {
	int kvm, vm, vcpu;
	bool vmx;
	unsigned char *mem;
	struct kvm_run *run;
};

/* What one vCPU needs to become another. */
struct nested_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	union {
		struct kvm_nested_state nested;
		unsigned char bytes[1 << 14];
	};
};

static inline uint64_t nested_get_msr(int fd, uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry.index = index };

	must(ioctl(fd, KVM_GET_MSRS, &msrs) == 1 ? 0 : -1, "KVM_GET_MSRS");
	return msrs.entry.data;
}

static inline void nested_set_msr(int vcpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	must(ioctl(vcpu, KVM_SET_MSRS, &msrs) == 1 ? 0 : -1, "KVM_SET_MSRS");
}

/* Gives the vCPU all that KVM supports. Returns the vendor: 's', 'v', or 0 for no nesting. */
static inline char nested_set_cpuid(int kvm, int vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid;
	char vendor = 0;

	cpuid.head.nent = 256;
	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
	for (unsigned int i = 0; i < cpuid.head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid.entries[i];

		if (e->function == 1 && e->ecx & 1u << 5)
			vendor = 'v';
		if (e->function == 0x80000001 && e->ecx & 1u << 2)
			vendor = 's';
	}
	return vendor;
}

static inline void nested_put(struct nested_vm *n, size_t at, uint64_t value, size_t bytes)
{
	memcpy(n->mem + at, &value, bytes);
}

/* clang-format off */
static inline void nested_fill_code(struct nested_vm *n)
{
	static const unsigned char svm_l1[] = {
		0xb8, 0x00, 0x80, 0x00, 0x00, /* mov $NESTED_CONTROL, %eax */
		0x0f, 0x01, 0xd8,	      /* vmrun %rax */
		0xf4,			      /* hlt */
	};
	/* rdi: NESTED_TABLE, rsi: the fields behind the pointers there */
	static const unsigned char vmx_l1[] = {
		0xf3, 0x0f, 0xc7, 0x37,	      /* vmxon (%rdi) */
		0x66, 0x0f, 0xc7, 0x77, 0x08, /* vmclear 8(%rdi) */
		0x0f, 0xc7, 0x77, 0x08,	      /* vmptrld 8(%rdi) */
		0x48, 0x8b, 0x06,	      /* 1: mov (%rsi), %rax */
		0x48, 0x8b, 0x4e, 0x08,	      /* mov 8(%rsi), %rcx */
		0x48, 0x85, 0xc0,	      /* test %rax, %rax */
		0x74, 0x09,		      /* je 2f */
		0x0f, 0x79, 0xc1,	      /* vmwrite %rcx, %rax */
		0x48, 0x83, 0xc6, 0x10,	      /* add $16, %rsi */
		0xeb, 0xeb,		      /* jmp 1b */
		0x0f, 0x01, 0xc2,	      /* 2: vmlaunch */
		0xb8, 0x02, 0x44, 0x00, 0x00, /* NESTED_VMX_EXIT: mov $EXIT_REASON, %eax */
		0x0f, 0x78, 0xc1,	      /* vmread %rax, %rcx */
		0xb8, 0x00, 0x44, 0x00, 0x00, /* mov $VM_INSTRUCTION_ERROR, %eax */
		0x0f, 0x78, 0xc2,	      /* vmread %rax, %rdx */
		0xf4,			      /* hlt */
	};
	const unsigned char l2[] = {
		0xbb, NESTED_HALF, 0x00, 0x00, 0x00,	     /* mov $NESTED_HALF, %ebx */
		0xe6, NESTED_PORT,			     /* out %al, $NESTED_PORT */
		0x83, 0xc3, NESTED_SUM - NESTED_HALF,	     /* add $.., %ebx */
		0x0f, 0x01, (unsigned char)(n->vmx ? 0xc1 : 0xd9), /* vmcall, vmmcall */
		0xf4,					     /* hlt: not reached */
	};

	if (n->vmx)
		memcpy(n->mem + NESTED_L1_CODE, vmx_l1, sizeof(vmx_l1));
	else
		memcpy(n->mem + NESTED_L1_CODE, svm_l1, sizeof(svm_l1));
	memcpy(n->mem + NESTED_L2_CODE, l2, sizeof(l2));
}

/* clang-format on */

#define NESTED_VMX_EXIT (NESTED_L1_CODE + 37)

/* The VMCB, by the AMD64 manual, volume 2, appendix B. L2 has L1's own page tables. */
static inline void nested_fill_vmcb(struct nested_vm *n)
{
	const size_t vmcb = NESTED_CONTROL, save = vmcb + 0x400;

	nested_put(n, vmcb + 0x00c, 1u << 24, 4);          /* intercept HLT */
	nested_put(n, vmcb + 0x010, 1u << 0 | 1u << 1, 4); /* VMRUN, VMMCALL */
	nested_put(n, vmcb + 0x058, 1, 4);                 /* ASID */
	for (int i = 0; i < 6; i++) {                      /* ES CS SS DS FS GS */
		nested_put(n, save + (size_t)i * 16, i == 1 ? 8 : 16, 2);
		nested_put(n, save + (size_t)i * 16 + 2, i == 1 ? 0xa9b : 0xc93, 2);
		nested_put(n, save + (size_t)i * 16 + 4, 0xffffffff, 4);
	}
	nested_put(n, save + 0x064, 0xffff, 4); /* GDTR */
	nested_put(n, save + 0x068, NESTED_GDT, 8);
	nested_put(n, save + 0x084, 0xffff, 4); /* IDTR */
	nested_put(n, save + 0x090, 24, 2);     /* TR */
	nested_put(n, save + 0x092, 0x8b, 2);
	nested_put(n, save + 0x094, 0x67, 4);
	nested_put(n, save + 0x098, NESTED_TSS, 8);
	nested_put(n, save + 0x0d0, NESTED_EFER | NESTED_SVME, 8);
	nested_put(n, save + 0x148, NESTED_PAE, 8); /* CR4 */
	nested_put(n, save + 0x150, NESTED_PML4, 8);
	nested_put(n, save + 0x158, NESTED_CR0, 8);
	nested_put(n, save + 0x160, 0x400, 8); /* DR7 */
	nested_put(n, save + 0x168, 0xffff0ff0, 8);
	nested_put(n, save + 0x170, 2, 8); /* RFLAGS */
	nested_put(n, save + 0x178, NESTED_L2_CODE, 8);
	nested_put(n, save + 0x1d8, NESTED_L2_STACK, 8);
	nested_put(n, save + 0x268, 0x0007040600070406, 8); /* PAT */
}

/* What L1 is to write into its VMCS; the rest stays 0. Encodings: Intel's SDM, volume 3, B. */
static inline void nested_fill_vmcs(struct nested_vm *n)
{
	const uint64_t cr4 = NESTED_PAE | NESTED_VMXE;
	/* The lower half of a capability is what must be 1. */
	const uint64_t pin = (uint32_t)nested_get_msr(n->kvm, NESTED_MSR_VMX_BASIC + 1);
	const uint64_t cpu = (uint32_t)nested_get_msr(n->kvm, NESTED_MSR_VMX_BASIC + 2);
	const uint64_t exit = (uint32_t)nested_get_msr(n->kvm, NESTED_MSR_VMX_BASIC + 3);
	const uint64_t entry = (uint32_t)nested_get_msr(n->kvm, NESTED_MSR_VMX_BASIC + 4);
	/* clang-format off */
	const uint64_t fields[][2] = {
		{ 0x4000, pin }, { 0x4002, cpu },
		{ 0x400c, exit | 1 << 9 }, { 0x4012, entry | 1 << 9 }, /* both sides 64-bit */
		{ 0x2800, ~0ull },				       /* VMCS link */
		/* L2: selectors, limits, access rights of ES CS SS DS FS GS LDTR TR */
		{ 0x800, 16 }, { 0x802, 8 }, { 0x804, 16 }, { 0x806, 16 }, { 0x808, 16 },
		{ 0x80a, 16 }, { 0x80e, 24 },
		{ 0x4800, ~0u }, { 0x4802, ~0u }, { 0x4804, ~0u }, { 0x4806, ~0u },
		{ 0x4808, ~0u }, { 0x480a, ~0u }, { 0x480e, 0x67 },
		{ 0x4810, 0xffff }, { 0x4812, 0xffff }, /* GDTR, IDTR */
		{ 0x4814, 0xc093 }, { 0x4816, 0xa09b }, { 0x4818, 0xc093 }, { 0x481a, 0xc093 },
		{ 0x481c, 0xc093 }, { 0x481e, 0xc093 }, { 0x4820, 0x10000 }, { 0x4822, 0x8b },
		{ 0x6800, NESTED_CR0 }, { 0x6802, NESTED_PML4 }, { 0x6804, cr4 },
		{ 0x6814, NESTED_TSS }, { 0x6816, NESTED_GDT }, { 0x681a, 0x400 },
		{ 0x681c, NESTED_L2_STACK }, { 0x681e, NESTED_L2_CODE }, { 0x6820, 2 },
		/* L1 when L2 leaves */
		{ 0xc00, 16 }, { 0xc02, 8 }, { 0xc04, 16 }, { 0xc06, 16 }, { 0xc08, 16 },
		{ 0xc0a, 16 }, { 0xc0c, 24 },
		{ 0x6c00, NESTED_CR0 }, { 0x6c02, NESTED_PML4 }, { 0x6c04, cr4 },
		{ 0x6c0a, NESTED_TSS }, { 0x6c0c, NESTED_GDT }, { 0x6c14, NESTED_L1_STACK },
		{ 0x6c16, NESTED_VMX_EXIT },
	};
	/* clang-format on */
	const uint32_t revision = (uint32_t)nested_get_msr(n->kvm, NESTED_MSR_VMX_BASIC);

	nested_put(n, NESTED_HOST, revision & 0x7fffffff, 4);
	nested_put(n, NESTED_CONTROL, revision & 0x7fffffff, 4);
	nested_put(n, NESTED_TABLE, NESTED_HOST, 8);
	nested_put(n, NESTED_TABLE + 8, NESTED_CONTROL, 8);
	memcpy(n->mem + NESTED_TABLE + 16, fields, sizeof(fields));
}

/* The vCPU as L1 begins: 64-bit mode, flat segments, no interrupts. */
static inline void nested_reset(struct nested_vm *n)
{
	const struct kvm_segment data = { .limit = 0xffffffff,
					  .selector = 16,
					  .type = 3,
					  .present = 1,
					  .db = 1,
					  .s = 1,
					  .g = 1 };
	struct kvm_regs regs = { .rip = NESTED_L1_CODE,
				 .rsp = NESTED_L1_STACK,
				 .rflags = 2,
				 .rdi = NESTED_TABLE,
				 .rsi = NESTED_TABLE + 16 };
	struct kvm_sregs s;

	must(ioctl(n->vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cs = (struct kvm_segment){
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .l = 1, .s = 1, .g = 1
	};
	s.tr = (struct kvm_segment){
		.base = NESTED_TSS, .limit = 0x67, .selector = 24, .type = 11, .present = 1
	};
	s.gdt.base = NESTED_GDT;
	s.gdt.limit = 0xffff;
	s.cr0 = NESTED_CR0;
	s.cr3 = NESTED_PML4;
	s.cr4 = NESTED_PAE | (n->vmx ? NESTED_VMXE : 0);
	s.efer = NESTED_EFER | (n->vmx ? 0 : NESTED_SVME);
	must(ioctl(n->vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
	must(ioctl(n->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	if (n->vmx)
		nested_set_msr(n->vcpu, NESTED_MSR_FEATURE_CONTROL, 5); /* locked, VMXON allowed */
	else
		nested_set_msr(n->vcpu, NESTED_MSR_HSAVE_PA, NESTED_HOST);
}

/*
 * Makes a VM with one vCPU about to run L1; in the memory of another such VM where `from` is
 * given, else in its own, filled. Ends the program where KVM offers no nesting.
 */
static inline void nested_create(struct nested_vm *n, const struct nested_vm *from)
{
	struct kvm_userspace_memory_region slot = { .memory_size = NESTED_MEM_BYTES };
	char vendor;
	int size;

	n->kvm = from ? from->kvm : open_kvm();
	if (ioctl(n->kvm, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE) <= 0)
		unsupported("no KVM_CAP_NESTED_STATE");
	n->vm = create_vm(n->kvm);
	ioctl(n->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	n->vcpu = create_vcpu(n->vm, 0);
	vendor = nested_set_cpuid(n->kvm, n->vcpu);
	if (!vendor)
		unsupported("KVM offers neither SVM nor VMX to its guests");
	n->vmx = vendor == 'v';
	size = must(ioctl(n->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	n->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, n->vcpu, 0);
	must(n->run == MAP_FAILED ? -1 : 0, "mmap of the vCPU");
	n->mem = from ? from->mem
		      : mmap(NULL, NESTED_MEM_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must((void *)n->mem == MAP_FAILED ? -1 : 0, "mmap");
	slot.userspace_addr = (uintptr_t)n->mem;
	must(ioctl(n->vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	if (!from) {
		nested_put(n, NESTED_PML4, NESTED_PDPT | 3, 8);
		nested_put(n, NESTED_PDPT, NESTED_PD | 3, 8);
		nested_put(n, NESTED_PD, 0x83, 8); /* 2 MB at 0 */
		nested_fill_code(n);
		if (n->vmx)
			nested_fill_vmcs(n);
		else
			nested_fill_vmcb(n);
	}
	nested_reset(n);
}

/*
 * Runs from the start to the I/O in L2, and completes that, so that the state is whole. Ends the
 * program with what was seen instead if L2 was not reached.
 */
static inline void nested_run(struct nested_vm *n)
{
	struct kvm_regs regs;

	must(ioctl(n->vcpu, KVM_RUN, 0), "KVM_RUN");
	if (n->run->exit_reason != KVM_EXIT_IO || n->run->io.port != NESTED_PORT) {
		must(ioctl(n->vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
		printf("L2 not reached: exit reason %u, L1 at %#llx with rcx %#llx and rdx %#llx\n",
		       n->run->exit_reason, (unsigned long long)regs.rip,
		       (unsigned long long)regs.rcx, (unsigned long long)regs.rdx);
		exit(1);
	}
	n->run->immediate_exit = 1;
	must(ioctl(n->vcpu, KVM_RUN, 0) < 0 && errno == EINTR ? 0 : -1, "KVM_RUN to complete I/O");
	n->run->immediate_exit = 0;
}

static inline void nested_save(struct nested_vm *n, struct nested_state *s)
{
	s->nested.size = sizeof(s->bytes);
	must(ioctl(n->vcpu, KVM_GET_NESTED_STATE, &s->nested), "KVM_GET_NESTED_STATE");
	must(ioctl(n->vcpu, KVM_GET_VCPU_EVENTS, &s->events), "KVM_GET_VCPU_EVENTS");
	must(ioctl(n->vcpu, KVM_GET_SREGS, &s->sregs), "KVM_GET_SREGS");
	must(ioctl(n->vcpu, KVM_GET_REGS, &s->regs), "KVM_GET_REGS");
}

/* In the order that KVM wants: EFER before the nested state, the rest after it. */
static inline void nested_restore(struct nested_vm *n, struct nested_state *s)
{
	must(ioctl(n->vcpu, KVM_SET_SREGS, &s->sregs), "KVM_SET_SREGS");
	must(ioctl(n->vcpu, KVM_SET_NESTED_STATE, &s->nested), "KVM_SET_NESTED_STATE");
	must(ioctl(n->vcpu, KVM_SET_REGS, &s->regs), "KVM_SET_REGS");
	must(ioctl(n->vcpu, KVM_SET_VCPU_EVENTS, &s->events), "KVM_SET_VCPU_EVENTS");
}

/* Runs on to the hlt in L1 and says how that went. True when the sum is right. */
static inline bool nested_finish(struct nested_vm *n, const char *name)
{
	struct kvm_regs regs;
	int rc = ioctl(n->vcpu, KVM_RUN, 0);
	bool ok;

	must(ioctl(n->vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	ok = !rc && n->run->exit_reason == KVM_EXIT_HLT && regs.rbx == NESTED_SUM;
	printf("%s: %s, exit reason %u, rip %#llx, rbx %llu: %s\n", name, result(rc),
	       n->run->exit_reason, (unsigned long long)regs.rip, (unsigned long long)regs.rbx,
	       ok ? "right" : "wrong");
	return ok;
}

#endif
