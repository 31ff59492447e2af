/*
 * The cage of a process that reads what nobody vouches for: after confine() it can compute,
 * read and write what is open already, and end; nothing else. docs/sandbox.md says why.
 */
#ifndef CONFINE_H
#define CONFINE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct confine_limits {
	uint64_t memory_bytes; /* of address space, what is mapped already included */
	unsigned cpu_s;        /* SIGXCPU after so much CPU time; 0: no limit */
	bool writes_file;      /* a regular file that is open may grow; else it may not */
};

/* In the environment, whatever its value: nothing is limited. For valgrind, which needs calls of
 * its own. */
#define CONFINE_OFF "KVMREPRO_UNCONFINED"

/*
 * Enter the cage, for good: resource limits, no new privileges, Landlock without any right where
 * the kernel has it, and a seccomp filter that ends the process (SIGSYS) at any system call but
 * those that confine.c lists. Executable memory is refused with EPERM, so that PCRE2 does without
 * its JIT compiler. The process has one thread.
 *
 * Under AddressSanitizer, whose run-time needs calls of its own, nothing is limited: builds with it
 * are for tests, and tests/confine is built without.
 */
int confine(const struct confine_limits *limits, struct err *err);

#endif
