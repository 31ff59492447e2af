/*
 * A thread of init's for what may block in the kernel and needs no process of its own. It stands
 * ready, so that its start costs a trial nothing; wait() and kill(-1) do not see it.
 */
#ifndef GUEST_HELPER_H
#define GUEST_HELPER_H

#include <stdbool.h>
#include <stdint.h>

struct guest;

struct helper {
	void (*job)(void);
	int ask[2], told[2];
	bool there, idle;
};

/* Once. Where the kernel has no thread to give, helper_run() runs nothing. */
void helper_start(struct helper *h);

/*
 * Runs job() in the thread, which must leave malloc() alone, and waits for it, at most limit_ms,
 * with heartbeats. False where it was not run to its end; until it comes to it no other is.
 */
bool helper_run(struct guest *g, void (*job)(void), int64_t limit_ms);

#endif
