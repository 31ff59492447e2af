/* A gate that lets so many threads through at once: the VMs that may run. */
#ifndef GATE_H
#define GATE_H

#include "base/err.h"

struct gate {
	int fd;
	unsigned owed; /* places that are to go when somebody leaves */
};

int gate_open(unsigned places, struct gate *gate, struct err *err);
void gate_close(struct gate *gate);

/* Wait for a place. ERR_INTERRUPTED when a signal came or stop_fd (-1: none) became readable. */
int gate_enter(struct gate *gate, int stop_fd, struct err *err);
void gate_leave(struct gate *gate);

/* One place more, or one less, as soon as one is left. */
void gate_widen(struct gate *gate);
void gate_narrow(struct gate *gate);

#endif
