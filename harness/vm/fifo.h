/* A FIFO that QEMU's console writes to. */
#ifndef VM_FIFO_H
#define VM_FIFO_H

#include "base/err.h"

#include <stdbool.h>

/* What it takes while nobody reads: more than the longest report, and a 256th of what an ordinary
 * user's pipes may have in all (/proc/sys/fs/pipe-user-pages-soft). With more VMs than that at once
 * the kernel gives the others a page or two. */
#define FIFO_BYTES (256 * 1024)

/*
 * Make the two FIFOs of QEMU's "pipe" character device, path.in and path.out, and open the latter
 * for reading, non-blocking. Until QEMU has opened it reading says end of file; from then on that
 * means that QEMU is gone. open_to_all lets another user's QEMU open them (the directory must let
 * it in).
 */
int fifo_open(const char *path, bool open_to_all, int *fd, struct err *err);

/* QEMU has opened them: nobody else shall. */
void fifo_unlink(const char *path);

#endif
