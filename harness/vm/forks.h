/*
 * VMs made of one that stands still, by a library that is loaded into its process
 * (preload/fork.c).
 */
#ifndef VM_FORKS_H
#define VM_FORKS_H

#include "base/err.h"
#include "vm/preload/fork.h"

#include <stdbool.h>
#include <sys/types.h>

/* The library, as a file without a name that other processes of this user can open by *path, which
 * the caller frees. Returns its descriptor, or -1: there can be none, and nothing can be kept. */
int forks_library(char **path);

/* One process that is to stand still, and the socket of the library in it. */
struct forks;

/* Before the process is started. path: the socket's, for FORK_VARIABLE in its environment; it is
 * removed again with the first answer, or at the end. */
struct forks *forks_new(const char *path, struct err *err);

/* Look at its threads so many times, each 20 ms after the one before, until none of them has had
 * anything to do in between, so that none holds a lock that knows its owner by number: threads have
 * other numbers in a fork. False: they always had. */
bool forks_quiet(pid_t pid, int looks);

/* Have it stand still for good; with halt->threads when it is quiet. halt->lines are those that
 * each fork gets anew; they read as ended from now on. pid: our child. */
int forks_halt(struct forks *forks, pid_t pid, const struct fork_halt *halt, struct err *err);

/* Make a process of it, with these descriptors in the order of halt->lines, which stay the
 * caller's. *pid is our child, to be waited for by the caller; killed with us. May be called from
 * several threads. */
int forks_make(struct forks *forks, const int fds[], pid_t *pid, struct err *err);

/* Whether more can be made of it. */
bool forks_lasts(struct forks *forks);

/* If it stands still, kill it and wait for it, and for any fork that we do not know of; those we
 * know have been waited for. NULL is good. */
void forks_free(struct forks *forks);

#endif
