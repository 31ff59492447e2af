/* Unix sockets on which QEMU's serial ports arrive. */
#ifndef VM_LISTENER_H
#define VM_LISTENER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Listen on path; open_to_all lets another user's QEMU connect (the directory must let it in).
 * *fd is the listening socket. */
int listener_open(const char *path, bool open_to_all, int *fd, struct err *err);

/* Wait until deadline_ms (clock_ms()), or until end_fd, which is not read, says that the VM has
 * ended, for the one connection and make it non-blocking; the path is removed, so that nobody else
 * can come. The listening socket stays the caller's. */
int listener_accept(int listen_fd, const char *path, int end_fd, int64_t deadline_ms, int *fd,
		    struct err *err);

#endif
