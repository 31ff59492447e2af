/* Looks for the tasks that do not die, and tells the harness where in the kernel they are. */
#ifndef GUEST_STUCK_H
#define GUEST_STUCK_H

#include "guest.h"

struct task;

/* One scan: a child that looks, and the pipe through which it tells. fd is -1 without one. */
struct stuck {
	int fd;
	size_t used;
	char text[2048];
};

void stuck_open(struct stuck *s);

/* Takes what the scan wrote so far and sends a "stuck" frame for each task that it tells of. */
void stuck_read(struct stuck *s, struct agent *a, const struct task *t);

/* Forgets the scan; its child is the caller's to kill and to reap. */
void stuck_close(struct stuck *s);

#endif
