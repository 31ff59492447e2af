/*
 * The console's FIFO; see fifo.h.
 *
 * A socket would lose what the kernel prints: each character is a write of its own, a socket holds
 * 280 of those (each costs 768 of its 212,992 bytes), and QEMU's serial port, which has to wait
 * then, gives up after a while, as does the kernel (drivers/tty/serial/8250: 10 ms a character). A
 * pipe puts characters that are written one by one into one page.
 */
#include "vm/fifo.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make(const char *path, bool open_to_all, struct err *err)
{
	if (mkfifo(path, 0600) || (open_to_all && chmod(path, 0666)))
		return err_errno(err, ERR_HARNESS, "%s", path);
	return 0;
}

int fifo_open(const char *path, bool open_to_all, int *fd, struct err *err)
{
	cleanup_free char *in = xasprintf("%s.in", path), *out = xasprintf("%s.out", path);

	if (make(in, open_to_all, err) || make(out, open_to_all, err))
		return -1;
	cleanup_fd int f = open(out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (f < 0)
		return err_errno(err, ERR_HARNESS, "%s", out);
	if (fcntl(f, F_SETPIPE_SZ, FIFO_BYTES) < 0)
		log_verbose("%s: no pipe of %d KiB: %s", out, FIFO_BYTES / 1024, strerror(errno));
	*fd = steal_fd(f);
	return 0;
}

void fifo_unlink(const char *path)
{
	cleanup_free char *in = xasprintf("%s.in", path), *out = xasprintf("%s.out", path);

	unlink(in);
	unlink(out);
}
