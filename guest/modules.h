/* Loads the plan's kernel modules. */
#ifndef GUEST_MODULES_H
#define GUEST_MODULES_H

#include "guest.h"

/*
 * Loads all in order, with a "module" frame each. Returns NULL, or why loading did not come to its
 * end; a module that the kernel refuses is no such reason.
 */
const char *modules_load(struct guest *g, int64_t limit_ms);

#endif
