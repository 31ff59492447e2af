/* The canary: a harmless KVM program that must pass before any reproducer may run. */
#ifndef GUEST_CANARY_H
#define GUEST_CANARY_H

#include "guest.h"

/* Runs it and sends its "canary" frame. True when it passed; g->nested is then known. */
bool canary_run(struct guest *g, int64_t limit_ms);

#endif
