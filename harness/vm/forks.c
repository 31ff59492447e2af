/* The harness's side of preload/fork.h. */
#include "vm/forks.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "embed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PROGRAMS    16    /* that a process may become one after the other, with the library */
#define QUIET_MS        20    /* without anything to do: no thread holds a lock */
#define ANSWER_LIMIT_MS 10000 /* a fork takes some milliseconds */

struct forks {
	char *path;
	int listen_fd, fd;    /* fd: the library's, once it stands still */
	pid_t pid, group;     /* likewise; else 0 */
	unsigned n_lines;     /* likewise */
	pthread_mutex_t lock; /* fd: one question at a time; gone */
	bool ended;           /* it has, and was waited for */
	bool gone; /* it has ended or refused, or an answer did not come, and the next would be its
		    */
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
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, MAX_PROGRAMS)) {
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

/* How often its threads have been given a CPU (the third number of schedstat: Linux,
 * Documentation/scheduler/sched-stats.rst); -1: one of them has or wants one now, or it has ended.
 */
static int64_t turns(pid_t pid)
{
	cleanup_free char *path = xasprintf("/proc/%d/task", (int)pid);
	cleanup_dir DIR *dir = opendir(path);
	const struct dirent *e;
	int64_t sum = 0;

	while (dir && (e = readdir(dir))) {
		cleanup_free char *stat = xasprintf("%s/%s/stat", path, e->d_name);
		cleanup_free char *sched = xasprintf("%s/%s/schedstat", path, e->d_name);
		cleanup_buf struct buf state = BUF_INIT, counts = BUF_INIT;
		long long n;
		struct err err;

		if (e->d_name[0] == '.')
			continue;
		if (fs_read(stat, 4096, &state, ERR_HARNESS, &err) ||
		    fs_read(sched, 4096, &counts, ERR_HARNESS, &err) ||
		    sscanf(counts.data, "%*s %*s %lld", &n) != 1)
			return -1;
		/* proc(5): the state is behind the name, which may have brackets in it. */
		const char *bracket = strrchr(state.data, ')');
		if (!bracket || strncmp(bracket, ") S", 3) != 0)
			return -1;
		sum += n;
	}
	return dir ? sum : -1;
}

bool forks_quiet(pid_t pid, int looks)
{
	int64_t was = -1;

	while (looks--) {
		int64_t is = turns(pid);

		if (is >= 0 && is == was)
			return true;
		was = is;
		poll(NULL, 0, QUIET_MS);
	}
	return false;
}

/* Of those who came: a script has become the program, and what it ran on its way is not it. */
static void accept_from(struct forks *f, pid_t pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd;

	while ((fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.pid != pid) {
			close(fd);
			continue;
		}
		cleanup_fd_(&f->fd);
		f->fd = fd;
	}
}

int forks_halt(struct forks *f, pid_t pid, const struct fork_halt *halt, struct err *err)
{
	char byte;

	accept_from(f, pid);
	/* Without the library the signal would be the process's end. */
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
	f->gone |= got < 0; /* no memory for one, say: there will be none for the next */
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
	pthread_mutex_lock(&f->lock);
	/* Reaped at once: libvirt waits for its own to be gone. */
	f->ended = f->ended || waitpid(f->pid, NULL, WNOHANG) != 0;
	f->gone |= f->ended;
	bool gone = f->gone;
	pthread_mutex_unlock(&f->lock);
	return !gone;
}

/* It, and a fork whose number we were not told because that took too long. */
static void end_all(const struct forks *f)
{
	pid_t whom = f->group > 1 && f->group != getpgrp() ? -f->group : f->pid;
	siginfo_t info;

	/* With no child of ours in it the number may be somebody else's by now. */
	if (f->ended &&
	    (whom > 0 || waitid(P_PGID, (id_t)f->group, &info, WEXITED | WNOHANG | WNOWAIT)))
		return;
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
