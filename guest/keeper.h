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

/* What is said on REPORT_FD: first that all is ready, unless it cannot be, then the end. */
struct keeper_report {
	bool ready;
	int error;    /* of exec(), or 0 */
	int status;   /* from wait() */
	bool uncaged; /* error is the sandbox's: nothing was run */
};

/* Returns when all of the reproducer is gone. */
void keeper_main(char **argv);

#endif
