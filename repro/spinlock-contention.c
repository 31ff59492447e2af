/*
 * Two vCPUs fight for one spinlock, with interrupts on, and one of them holds it for milliseconds:
 * a thread forks with a huge and nearly empty file table, which the kernel copies slot by slot
 * under the table's file_lock, while another thread on another CPU opens and closes in the same
 * table. In a guest of KVM the one that waits gives up its spinning after 32768 turns
 * (SPIN_THRESHOLD) and halts in kvm_wait() until it is kicked.
 *
 * Bug: syzbot "WARNING in kvm_wait", from 997acaf6b4b5 ("lockdep: report broken irq restoration"),
 * which found that kvm_wait() restored interrupts that safe_halt() had turned on; fixed by
 * f4e61f0c9add ("x86/kvm: Fix broken irq restoration in kvm_wait").
 * Needs: to be a guest of KVM that offers PV_UNHALT, with two CPUs; CONFIG_PARAVIRT_SPINLOCKS, and
 * CONFIG_DEBUG_IRQFLAGS for the warning.
 */
#include <cpuid.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kvmrepro/kvm.h"

#define ROUNDS 4
#define SLOTS  (1u << 20) /* fs.nr_open's default; some nanoseconds each */

/* CPUID of a KVM guest: Linux, Documentation/virt/kvm/x86/cpuid.rst. Where Hyper-V's leaves come
 * first, KVM's are higher up. */
#define CPUID_HYPERVISOR_FIRST 0x40000000u
#define CPUID_HYPERVISOR_LAST  0x4000ff00u
#define CPUID_HYPERVISOR_STEP  0x100u
#define KVM_PV_UNHALT          (1u << 7) /* features, eax */
#define KVM_HINT_REALTIME      (1u << 0) /* features, edx: never halts for a lock */

static int over;

static void need_pv_spinlocks(void)
{
	static const char kvm[12] = "KVMKVMKVM";
	unsigned a, name[3], d;

	for (unsigned leaf = CPUID_HYPERVISOR_FIRST; leaf <= CPUID_HYPERVISOR_LAST;
	     leaf += CPUID_HYPERVISOR_STEP) {
		__cpuid(leaf, a, name[0], name[1], name[2]);
		if (memcmp(name, kvm, sizeof(kvm)))
			continue;
		__cpuid(leaf + 1, a, name[0], name[1], d);
		if (!(a & KVM_PV_UNHALT) || d & KVM_HINT_REALTIME)
			unsupported("KVM here offers its guest no halting spinlocks (PV_UNHALT)");
		return;
	}
	unsupported("not a guest of KVM: a spinlock never halts here");
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		unsupported("needs two CPUs");
}

/* The lock is taken and released as often as it can be had. */
static void *contend(void *arg)
{
	long *count = arg;

	run_on(1);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		close(must(dup(0), "dup"));
		++*count;
	}
	return NULL;
}

/* A child that shares the memory but not the file table, and ends at once. */
static void copy_table(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	must(pid, "vfork");
	must(waitpid(pid, NULL, 0), "waitpid");
}

int main(void)
{
	const struct rlimit files = { SLOTS, SLOTS };
	pthread_t contender;
	long count = 0;

	if (syscall(SYS_futex, &over, FUTEX_WAKE, 1, NULL, NULL, 0) < 0 && errno == ENOSYS)
		unsupported("threads need futexes (CONFIG_FUTEX)");
	need_pv_spinlocks();
	run_on(0);
	must(setrlimit(RLIMIT_NOFILE, &files), "RLIMIT_NOFILE");
	must(dup2(0, SLOTS - 1), "dup2");
	errno = pthread_create(&contender, NULL, contend, &count);
	must(errno ? -1 : 0, "pthread_create");
	for (int i = 0; i < ROUNDS; i++)
		copy_table();
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	pthread_join(contender, NULL);
	printf("%d copies of a table of %u files; its lock was taken %ld times meanwhile\n", ROUNDS,
	       SLOTS, 2 * count);
	return 0;
}
