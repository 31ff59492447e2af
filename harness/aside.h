/*
 * Work in a process aside: what it leaves behind in libraries and in memory ends with it (libvirt's
 * embedded driver can be opened at one place only in the life of a process), and it is ended when
 * we are, even by SIGKILL.
 */
#ifndef ASIDE_H
#define ASIDE_H

#include "base/err.h"

/*
 * Run work(opaque) in a child and wait for it: 0, or -1 with its error; what it changes in memory
 * is lost. We must have no other thread. A signal that asks us to stop is seen by the child as well
 * (interrupt.h), which ends by itself; SIGTERM is what it gets when we die.
 */
int aside_run(int (*work)(void *opaque, struct err *err), void *opaque, struct err *err);

#endif
