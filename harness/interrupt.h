/* SIGINT, SIGTERM and SIGHUP as something that poll() sees, in every thread at once. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "base/err.h"

/* Catch the signals from now on; SIGPIPE is ignored. Once, before any thread starts. */
int interrupt_setup(struct err *err);

/* The program ends: nothing looks for signals any more. */
void interrupt_end(void);

/* A descriptor that becomes readable with the first signal and stays so; never read it. */
int interrupt_fd(void);

/* A descriptor to read a file by, or a pipe, whose writer is waited for: until the first signal. */
int interrupt_open(const char *path, struct err *err);

/* The first signal that came, or 0; to us, or to what shares the descriptor with us by fork(). */
int interrupt_signal(void);

#endif
