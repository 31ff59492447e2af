/* What the parts of the guest's init share: the run's context and a few small helpers. */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent.h"
#include "helper.h"
#include "plan.h"

struct task;

struct guest {
	struct agent agent;
	struct plan plan;
	struct helper helper;
	bool svm;     /* the CPU offers it, by CPUID */
	bool vmx;     /* likewise */
	bool nested;  /* KVM offers the same to its guests; known once the canary has passed */
	bool orphans; /* a task that would not die was left behind: waiting for all is in vain */
	bool groups;  /* there are memory control groups to put reproducers in */
	bool ran;     /* a reproducer has */
	struct task *ready; /* the reproducers that were made ready and have not been run */
};

/* Milliseconds since boot (CLOCK_MONOTONIC). */
int64_t now_ms(void);

/* Of a hex digit. */
int hex_value(char c);

/* Writes text to a file that exists, in one write. Returns 0 or -errno; absent files are normal. */
int write_file(const char *path, const char *text);

/* Reads at most size - 1 bytes and ends them with a NUL. Returns their number or -errno. */
int read_file(const char *path, char *buf, size_t size);

#endif
