/* See turns.h. */
#include "vm/turns.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Four VMs at once on two CPUs, Debian's kernel and six trials: 40 s of CPU with the kernel's own
 * turns (1.4 ms), 37 s with SCHED_BATCH alone, 36 s with 20 ms, 35 s with 50 and with 100. Ten
 * trials of one boot, two at once: 18.2 s in place of 20.9, and 19.3 if only the VMs do (each a
 * median). */
#define TURN_NS 50000000

/* sched_setattr(2), the first version of it: <linux/sched/types.h> and glibc's <sched.h> define the
 * same names. */
struct attributes {
	uint32_t size, sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime, sched_deadline, sched_period;
};

void turns_lengthen(void)
{
	struct attributes attr = { .size = sizeof(attr),
				   .sched_policy = SCHED_BATCH,
				   .sched_nice = getpriority(PRIO_PROCESS, 0),
				   .sched_runtime = TURN_NS };

	int policy = sched_getscheduler(0);

	if (policy == SCHED_OTHER || policy == SCHED_BATCH)
		syscall(SYS_sched_setattr, 0, &attr, 0);
}
