/* The harness's side of preload/fork.h. */
#include "vm/forks.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "embed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_LIMIT_MS 10000 /* a fork takes some milliseconds */

struct forks {
	char *path;
	int listen_fd, fd;    /* fd: the library's, once it stands still */
	pid_t pid, group;     /* likewise; else 0 */
	unsigned n_lines;     /* likewise */
	pthread_mutex_t lock; /* fd: one question at a time; gone */
	bool gone; /* an answer did not come, and the next would be its; or it has ended */
};

int forks_library(char **path)
{
	const struct embed library = embed_fork();
	cleanup_fd int fd = memfd_create("kvmrepro-fork.so", MFD_CLOEXEC);

	if (fd < 0 || write(fd, library.data, library.size) != (ssize_t)library.size) {
		log_verbose("no library can be made for VMs: %s", strerror(errno));
		return -1;
	}
	*path = xasprintf("/proc/%d/fd/%d", (int)getpid(), fd);
	return steal_fd(fd);
}

struct forks *forks_new(const char *path, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(addr.sun_path)) {
		err_set(err, ERR_HARNESS, "%s: longer than a socket's name may be", path);
		return NULL;
	}
	strcpy(addr.sun_path, path);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1)) {
		err_errno(err, ERR_HARNESS, "%s", path);
		return NULL;
	}
	struct forks *f = xcalloc(1, sizeof(*f));
	f->path = xstrdup(path);
	f->listen_fd = steal_fd(fd);
	f->fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

/* Wait for the library's answer, of that many bytes; also when we are to end, for it may be the
 * number of a process that we must wait for. */
static int answer(int fd, void *out, size_t bytes, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t deadline = clock_ms() + ANSWER_LIMIT_MS;

	for (;;) {
		int64_t left = deadline - clock_ms();

		if (left <= 0)
			return err_set(err, ERR_HARNESS, "the VM that was kept says nothing");
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (p.revents && recv(fd, out, bytes, 0) == (ssize_t)bytes)
			return 0;
		if (p.revents)
			return err_set(err, ERR_HARNESS, "the VM that was kept has ended");
	}
}

int forks_halt(struct forks *f, pid_t pid, const struct fork_halt *halt, struct err *err)
{
	char byte;

	/* Without the library the signal would be the process's end. */
	f->fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (f->fd < 0 || !pid)
		return err_set(err, ERR_HARNESS, "no library can be loaded into its process");
	if (send(f->fd, halt, sizeof(*halt), MSG_NOSIGNAL) != sizeof(*halt) ||
	    tgkill(pid, pid, FORK_SIGNAL))
		return err_errno(err, ERR_HARNESS, "the library in its process");
	if (answer(f->fd, &byte, 1, err))
		return -1;
	f->pid = pid;
	f->group = getpgid(pid);
	f->n_lines = halt->n_lines;
	unlink(f->path);
	return 0;
}

static int ask(int to, const int fds[], unsigned n, struct err *err)
{
	char byte = 'f';
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(FORK_MAX_LINES * sizeof(int))];
	} control = { .space = { 0 } };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	if (sendmsg(to, &msg, MSG_NOSIGNAL) != 1)
		return err_errno(err, ERR_HARNESS, "the VM that was kept");
	return 0;
}

int forks_make(struct forks *f, const int fds[], pid_t *pid, struct err *err)
{
	pid_t got = 0;
	int rc;

	pthread_mutex_lock(&f->lock);
	if (f->gone)
		rc = err_set(err, ERR_HARNESS, "the VM that was kept is gone");
	else if ((rc = ask(f->fd, fds, f->n_lines, err)) ||
		 (rc = answer(f->fd, &got, sizeof(got), err)))
		f->gone = true;
	pthread_mutex_unlock(&f->lock);
	if (rc)
		return rc;
	if (got < 0) {
		errno = -got;
		return err_errno(err, ERR_HARNESS, "a fork of the VM that was kept");
	}
	*pid = got;
	return 0;
}

bool forks_lasts(struct forks *f)
{
	siginfo_t info = { 0 };

	pthread_mutex_lock(&f->lock);
	f->gone |= waitid(P_PID, (id_t)f->pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
	bool gone = f->gone;
	pthread_mutex_unlock(&f->lock);
	return !gone;
}

/* It, and a fork whose number we were not told because that took too long. */
static void end_all(const struct forks *f)
{
	pid_t whom = f->group > 1 && f->group != getpgrp() ? -f->group : f->pid;

	kill(whom, SIGKILL);
	while (waitpid(whom, NULL, 0) > 0 || errno == EINTR)
		;
}

void forks_free(struct forks *f)
{
	if (!f)
		return;
	if (f->pid)
		end_all(f);
	cleanup_fd_(&f->fd);
	cleanup_fd_(&f->listen_fd);
	unlink(f->path);
	pthread_mutex_destroy(&f->lock);
	free(f->path);
	free(f);
}
