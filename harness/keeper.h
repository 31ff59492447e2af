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

/*
 * Start a keeper, which makes a new private directory under $TMPDIR (or /tmp): there is none
 * without it. *dir is its name, which the caller frees.
 */
int keeper_start(struct keeper *keeper, char **dir, struct err *err);

/* We are done: what is left of the directory goes, then the keeper. Nothing happens where none was
 * started. */
void keeper_stop(struct keeper *keeper);

/* The keeper's own program: main() of "kvmrepro --keeper". Standard input is the pipe, the
 * directory's name and a line's end go to standard output. Returns the exit status. */
#define KEEPER_ARG "--keeper"
int keeper_main(void);

#endif
