/*
 * What this host has for VMs: CPUs and memory, within the limits of the control groups that the
 * program is in (version 2: Documentation/admin-guide/cgroup-v2.rst of Linux; version 1:
 * cgroup-v1/memory.rst, scheduler/sched-bwc.rst).
 *
 * root: "" for this host; another directory in place of / for tests.
 */
#ifndef HOST_H
#define HOST_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct host {
	unsigned cpus;        /* at least 1 */
	bool rationed;        /* a group gets less time than that of all CPUs it may run on */
	int64_t memory_bytes; /* that can be had without taking it from others; -1: not known */
	int64_t all_bytes;    /* of memory and swap, whoever has it; -1: not known */
};

void host_look(const char *root, struct host *out);

/* For how many milliseconds the CPUs that the program may run on have been idle in all since the
 * host's boot; -1: not known. */
int64_t host_idle_ms(const char *root);

/*
 * See to it that so many VMs at once have the descriptors they need in this process, raising its
 * own limit (getrlimit(2), RLIMIT_NOFILE) as far as it may: without them GLib, below libvirt, ends
 * the process. Error (ERR_HARNESS): it may not.
 */
int host_allow_files(unsigned vms, struct err *err);

#endif
