/* Starting Bochs where nobody else can reach it. */
#ifndef VM_BOCHS_SPAWN_H
#define VM_BOCHS_SPAWN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A process that is ready to become Bochs and waits for its configuration. */
struct bochs_child {
	pid_t pid;     /* to be waited for by the caller; in its own process group; killed with the
			* spawner */
	int listen_fd; /* where Bochs's second serial line will arrive */
	unsigned port; /* of listen_fd, on 127.0.0.1 as Bochs sees it */
	int go_fd;
	bool isolated; /* in a network of its own: nobody but Bochs can come to listen_fd, and
			* nobody at all to Bochs's display */
};

/* Who forks them. What is to be killed with its parent is killed with the thread that forked it,
 * and those that make trials come and go: so it is a thread of its own. */
struct bochs_spawner;

struct bochs_spawner *bochs_spawner_new(struct err *err);

/* NULL, or all children have been waited for. */
void bochs_spawner_free(struct bochs_spawner *spawner);

/* What is to become Bochs. */
struct bochs_wish {
	const char *program, *dir;
	int console_fd, output_fd;
	const char *const *variables; /* "NAME=VALUE" for its environment besides ours, or NULL */
};

/*
 * Fork the process: it will run `program -q -f bochsrc -rc rc` in dir, output on output_fd, with
 * console_fd (same number) open. On failure nothing of it is left. May be called from several
 * threads.
 */
int bochs_prepare(struct bochs_spawner *spawner, const struct bochs_wish *wish,
		  struct bochs_child *out, struct err *err);

/* Its configuration is written: let it go on. */
int bochs_go(struct bochs_child *child, struct err *err);

/* Wait until deadline_ms (clock_ms()) for its line, which is made non-blocking; an error too if it
 * ends instead. listen_fd and go_fd are closed on success, else they stay the caller's. */
int bochs_accept(struct bochs_child *child, int64_t deadline_ms, int *fd, struct err *err);

#endif
