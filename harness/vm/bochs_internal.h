/* What the files of the Bochs engine share. */
#ifndef VM_BOCHS_INTERNAL_H
#define VM_BOCHS_INTERNAL_H

#include "base/buf.h"
#include "vm/bochs_spawn.h"
#include "vm/engine.h"
#include "vm/forks.h"

#include <pthread.h>

#define BOCHS_LINE_BYTES 1024

/* What each fork of a Bochs gets anew. */
enum bochs_line {
	BOCHS_CONSOLE,
	BOCHS_LOG,
	BOCHS_AGENT,
	BOCHS_LINES
};

struct bochs_vm {
	struct vm vm;
	struct vm_kept *kept;     /* what it begins from, or NULL */
	char *dir;                /* NULL with kept */
	char *definition;         /* its bochsrc */
	struct bochs_child child; /* pid 0: there is none */
	struct forks *forks;      /* if it is to be kept, or NULL */
	bool killed;              /* atomic: by stop() */
	bool given_away;          /* atomic: its Bochs stands still, and is keep()'s */
	bool reading;             /* the thread is there */
	pthread_t reader;
	int log_fd, event_write_fd; /* the thread's, while it is there */
	int its_fds[BOCHS_LINES];   /* with kept, until start(): what the new Bochs gets; else -1 */
	struct buf log;
	unsigned resets;
	bool powered_off;
	char panic[BOCHS_LINE_BYTES]; /* why Bochs gave up, or "" */
};

/* As of struct engine. */
int bochs_keep(struct vm *vm, struct vm_kept **out, struct err *err);
void bochs_forget(struct vm_kept *kept);
bool bochs_lasts(struct vm_kept *kept);

/* The text that defined the VM of that state. */
const char *bochs_kept_definition(const struct vm_kept *kept);

/* Make a Bochs from the state, with what is in v->its_fds. */
int bochs_fork(struct bochs_vm *v, struct err *err);

#endif
