/* How long a VM was kept from running by other things on the host. */
#ifndef VM_STARVED_H
#define VM_STARVED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Milliseconds for which that thread of the process which waited longest was ready to run and had
 * no CPU, since the process began; 0 where the kernel does not say. Source: the second number of
 * /proc/PID/task/TID/schedstat, nanoseconds (Documentation/scheduler/sched-stats.rst of Linux).
 */
int64_t starved_ms(pid_t pid);

/* Whether pid, a child of ours, is stopped by a signal; its state can still be waited for. */
bool starved_by_stop(pid_t pid);

#endif
