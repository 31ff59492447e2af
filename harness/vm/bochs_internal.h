/* What the files of the Bochs engine share. */
#ifndef VM_BOCHS_INTERNAL_H
#define VM_BOCHS_INTERNAL_H

#include "base/buf.h"
#include "vm/bochs_spawn.h"
#include "vm/engine.h"

#include <pthread.h>

#define BOCHS_LINE_BYTES 1024

struct bochs_vm {
	struct vm vm;
	struct vm_kept *kept;     /* what it begins from, or NULL */
	char *dir;                /* NULL with kept: its Bochs lives in that of the boot */
	char *definition;         /* its bochsrc */
	struct bochs_child child; /* pid 0: there is none */
	bool killed;              /* atomic: by stop() */
	bool given_away;          /* atomic: its Bochs stands still, and is keep()'s */
	bool reading;             /* the thread is there */
	pthread_t reader;
	int log_fd, event_write_fd; /* the thread's, while it is there */
	/* With kept, until start(): what the new Bochs gets, by enum bochs_fork_fd. */
	int its_fds[3];
	struct buf log;
	unsigned resets;
	bool powered_off;
	char panic[BOCHS_LINE_BYTES]; /* why Bochs gave up, or "" */
};

/* The library that makes forks of a Bochs, as a file without a name; -1: there can be none, and
 * each trial boots. */
int bochs_library_open(void);

/* As of struct engine. */
int bochs_keep(struct vm *vm, struct vm_kept **out, struct err *err);
void bochs_forget(struct vm_kept *kept);
bool bochs_lasts(struct vm_kept *kept);

/* The text that defined the VM of that state. */
const char *bochs_kept_definition(const struct vm_kept *kept);

/* Make a Bochs from the state, with these descriptors, by enum bochs_fork_fd. *pid is our child, to
 * be waited for by the caller; killed with the spawner. */
int bochs_fork(struct vm_kept *kept, const int fds[3], pid_t *pid, struct err *err);

#endif
