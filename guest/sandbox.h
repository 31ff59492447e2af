/* What keeps a reproducer from forging an outcome; docs/sandbox.md says what and why. */
#ifndef GUEST_SANDBOX_H
#define GUEST_SANDBOX_H

#include <sys/types.h>

#include "guest.h"

/* Once, when init needs none of it any more: all that holds for the guest as a whole. Returns
 * "full", or what this kernel has no means for; *groups: whether it has memory control groups. */
const char *sandbox_raise(bool *groups);

/*
 * This process, its child and all that they start get no more memory than is free now but for an
 * eighth of all, where the kernel has memory control groups: what is asked for beyond that kills
 * one of theirs, and is never the kernel's trouble. Returns 0 or -errno.
 */
int sandbox_limit_memory(pid_t child);

/* Loads the filter of the plan for this process and all that it starts. Returns 0 or -errno. */
int sandbox_load(const char *path);

#endif
