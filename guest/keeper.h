/*
 * A reproducer's keeper: PID 1 of its PID namespace (where the kernel has them), in a process of
 * init's program that init starts as
 *
 *	/init KEEPER NAME PATH OUTPUT_FD REPORT_FD GO_FD SANDBOX
 *
 * SANDBOX: the path of the filter, or empty. It brings the reproducer to its first instruction,
 * where it waits for one of the words below on GO_FD, and is there until the reproducer and all
 * that it left behind is gone.
 */
#ifndef GUEST_KEEPER_H
#define GUEST_KEEPER_H

#include <stdbool.h>

#define KEEPER      "--keeper"
#define KEEPER_ARGC 8

#define KEEPER_GO         "g"
#define KEEPER_GO_GROUPED "m" /* go, but into a memory group of its own first */

/* What is said on REPORT_FD: each once, in this order; the end also where it comes earlier. */
enum keeper_event {
	KEEPER_READY,   /* it stands before its first instruction */
	KEEPER_STARTED, /* it was let go */
	KEEPER_ENDED    /* with what follows */
};

struct keeper_report {
	enum keeper_event event;
	int error;    /* why it could not be started, or 0 */
	int status;   /* from wait() */
	bool uncaged; /* error is the sandbox's */
};

/* Returns when all of the reproducer is gone. */
void keeper_main(char **argv);

#endif
