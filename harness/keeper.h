/*
 * The keeper: a process that outlives the harness, however that ends, and clears up after it.
 *
 * libvirt's embedded driver refuses to end domains with their creator (AUTODESTROY), and a harness
 * that is killed with SIGKILL cannot. So each run has a keeper in a session of its own. It waits
 * for the end of a pipe that only the harness holds; then it ends every VM of the run's private
 * directory and removes the directory. A harness that has cleared up itself leaves it nothing to
 * do.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "base/err.h"

#include <sys/types.h>

struct keeper {
	pid_t pid; /* 0: none */
	int life_fd;
};

/* Keep dir, a private directory in which nothing has been started yet. */
int keeper_start(const char *dir, struct keeper *keeper, struct err *err);

/* The directory is gone: the keeper too. Nothing happens where none was started. */
void keeper_stop(struct keeper *keeper);

/* The keeper's own program: main() of "kvmrepro --keeper DIR", the pipe on standard input. Returns
 * the exit status. */
#define KEEPER_ARG "--keeper"
int keeper_main(const char *dir);

#endif
