/*
 * Children of init and the end of them: wait, kill everything, and say what will not die.
 */
#ifndef GUEST_TASK_H
#define GUEST_TASK_H

#include <stdbool.h>
#include <sys/types.h>

#include "guest.h"

struct task {
	const char *name;
	int id;     /* of the reproducer; -1: init's own work */
	pid_t pid;  /* the child that all others descend from */
	bool apart; /* it is PID 1 of a namespace, with which all others end */
	int status; /* from wait(), once reaped */
	bool reaped;
	struct task *next; /* in guest.ready */
};

/*
 * Forks. Returns 0 in the child, which has the signal mask and nice value of an ordinary process;
 * in the parent a pid or -errno. `flags` are clone()'s, 0 for none.
 */
pid_t task_fork(unsigned long flags);

/* Reaps what has ended, of g->ready too. True when the task and all it left behind are gone. */
bool task_gone(struct guest *g, struct task *t);

/* Kills the task and all that descend from it: what is apart its namespace, or all but init. */
void task_kill(const struct task *t);

/*
 * Kills likewise, and a second later everything but init, and waits until the task and what
 * descends from it is gone, with a "stuck" frame a second for each that is not. False when the
 * plan's stuck_ms were over first: g->orphans is then set.
 */
bool task_end(struct guest *g, struct task *t);

/*
 * Runs work(arg, fd) in a child, for at most limit_ms, and hands each line that it writes to fd to
 * line(to, text). Returns NULL, or why the child did not end well.
 */
const char *task_run(struct guest *g, const char *name, void (*work)(const void *arg, int fd),
		     const void *arg, int64_t limit_ms, void (*line)(void *to, char *text),
		     void *to);

#endif
