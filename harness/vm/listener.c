/* One-connection listening sockets; see listener.h. */
#include "vm/listener.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int listener_open(const char *path, bool open_to_all, int *fd, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ERR_HARNESS,
			       "%s: longer than a socket's name may be (%zu); set TMPDIR to a "
			       "shorter directory",
			       path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	cleanup_fd int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&addr, sizeof(addr)) || listen(s, 1))
		return err_errno(err, ERR_HARNESS, "%s", path);
	if (open_to_all && chmod(path, 0666))
		return err_errno(err, ERR_HARNESS, "%s", path);
	*fd = steal_fd(s);
	return 0;
}

int listener_accept(int listen_fd, const char *path, int end_fd, int64_t deadline_ms, int *fd,
		    struct err *err)
{
	struct pollfd p[] = {
		{ .fd = listen_fd, .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN },
		{ .fd = end_fd, .events = POLLIN },
	};

	for (;;) {
		int64_t left = deadline_ms - clock_ms();

		if (left <= 0)
			return err_set(err, ERR_HARNESS, "%s: QEMU did not connect", path);
		if (poll(p, 3, (int)left) < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (p[1].revents)
			return err_set(err, ERR_INTERRUPTED, "interrupted");
		if (p[0].revents)
			break;
		if (p[2].revents)
			return err_set(err, ERR_HARNESS, "QEMU ended at its start");
	}
	int got = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (got < 0)
		return err_errno(err, ERR_HARNESS, "%s", path);
	unlink(path);
	*fd = got;
	return 0;
}
