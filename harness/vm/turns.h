/* How long VMs keep a CPU that others want too. */
#ifndef VM_TURNS_H
#define VM_TURNS_H

/* Have the calling thread, and all threads and processes that it will start, take long turns on a
 * CPU, and wait for one when they wake up: SCHED_BATCH of sched(7), and 50 ms as sched_runtime
 * (sched_setattr(2); a turn's length from Linux 6.12 on). An emulator works on megabytes, which the
 * turns of others drive out of the CPU's caches, and it writes its lines byte by byte: whoever
 * reads them shall not wake up for each. Where it is forbidden, or the user has chosen another
 * policy (chrt(1)), nothing changes. */
void turns_lengthen(void);

#endif
