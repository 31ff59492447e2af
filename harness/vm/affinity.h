/* For a while on one CPU. */
#ifndef VM_AFFINITY_H
#define VM_AFFINITY_H

#include <sched.h>
#include <stdbool.h>

/* The CPUs that the calling thread may run on (sched_setaffinity(2)), to be restored. */
struct affinity {
	bool known;
	cpu_set_t cpus;
};

/* Let the calling thread, and all threads that it starts, run only on the first CPU that its
 * control group allows, taskset(1) or not: it is the same one in each call. Where that cannot be
 * (hosts of more than 1024 CPUs), nothing changes. */
void affinity_narrow(struct affinity *was);

/* Let all threads of the process run again where the calling one could; processes that were
 * started meanwhile stay where they are. */
void affinity_restore(const struct affinity *was);

#endif
