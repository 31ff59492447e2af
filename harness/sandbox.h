/* What may be asked of a kernel: seccomp filters. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "base/buf.h"
#include "base/err.h"

/*
 * The filter that the guest's init loads before a reproducer (kvmrepro/protocol.h), in out, which
 * must be empty: an array of struct sock_filter, for the x86-64 and i386 ABIs. docs/sandbox.md has
 * what it denies and why.
 */
int sandbox_guest_filter(struct buf *out, struct err *err);

#endif
