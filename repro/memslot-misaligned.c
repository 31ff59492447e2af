/*
 * Runs a guest in a memory slot whose guest and host addresses differ by a page within a huge page,
 * while transparent huge pages lie under it. KVM must map it by small pages.
 *
 * Bug: stands for syzbot's "kernel BUG at arch/x86/kvm/mmu.c:LINE!": a kernel that does not look at
 * the alignment when it makes the slot stops at its BUG_ON in kvm_mmu_hugepage_adjust(). Syzbot
 * names such a crash by the function today.
 * Needs: CONFIG_TRANSPARENT_HUGEPAGE.
 */
#include "kvmrepro/kvm.h"

#define PAGE      0x1000ul
#define HUGE      (2ul << 20)
#define SLOT      (2 * HUGE)
#define CODE_ADDR 0x1000
#define HLT       0xf4

/* The kernel turns huge pages off by itself where there is less than 512 MB. */
static void allow_huge_pages(void)
{
	static const char how[] = "madvise";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		unsupported("no transparent huge pages (CONFIG_TRANSPARENT_HUGEPAGE)");
	must((int)write(fd, how, strlen(how)), "transparent_hugepage/enabled");
	close(fd);
}

/* Memory for the slot, full of HLT, that begins at a huge page. */
static char *huge_memory(void)
{
	const size_t bytes = SLOT + HUGE;
	char *mem = mmap(NULL, bytes + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	must(mem == MAP_FAILED ? -1 : 0, "mmap");
	mem += -(uintptr_t)mem % HUGE;
	must(madvise(mem, bytes, MADV_HUGEPAGE), "madvise");
	memset(mem, HLT, bytes);
	return mem;
}

int main(void)
{
	struct kvm_userspace_memory_region slot = { .memory_size = SLOT };
	struct kvm_regs regs = { .rip = CODE_ADDR, .rflags = 2 };
	struct kvm_sregs sregs;
	int kvm = open_kvm(), vm, vcpu;

	allow_huge_pages();
	vm = create_vm(kvm);
	ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	vcpu = create_vcpu(vm, 0);
	slot.userspace_addr = (uintptr_t)huge_memory() + PAGE;
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	printf("KVM_RUN: %s\n", result(ioctl(vcpu, KVM_RUN, 0)));
	return 0;
}
