/* Caged readers; see cage.h. */
#include "cage.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TYPE_ERROR    UINT32_MAX /* a message: the reader's error */
#define REQUEST_BYTES (1024 * 1024)
#define STALL_S       20 /* for what is left of a message, either way */
#define WALL_FACTOR   10 /* a reader may take so much longer than its CPU time */

/* ---- the helper, and the readers before they begin ---- */

struct order {
	unsigned role;
	pid_t harness;
};

/* The answer to an order: the reader, or errno. */
struct made {
	pid_t pid;
	int error;
};

union control {
	char bytes[CMSG_SPACE(CAGE_MAX_FDS * sizeof(int))];
	struct cmsghdr align;
};

static _Noreturn void serve(const struct cage_role *role, pid_t harness, const int *fds)
{
	struct err err;
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != harness)
		_exit(1);
	prctl(PR_SET_NAME, "kvmrepro-reader");
	if (role->prepare)
		role->prepare();
	rc = confine(&role->limits, &err);
	if (!rc)
		rc = role->serve(fds[0], fds + 1, &err);
	if (rc) {
		cleanup_buf struct buf body = BUF_INIT;
		struct err ignored;

		wire_put_u64(&body, err.kind);
		wire_put_str(&body, err.msg);
		wire_send(fds[0], TYPE_ERROR, &body, &ignored);
	}
	_exit(rc ? 1 : 0);
}

/* How many descriptors came with it; 0 if they did not all. */
static size_t take_fds(struct msghdr *msg, int *fds)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (!c || c->cmsg_type != SCM_RIGHTS)
		return 0;
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	fds[n] = -1;
	while (n && (msg->msg_flags & MSG_CTRUNC))
		close(fds[--n]);
	return n;
}

/* The reader is the harness's child, not the helper's: who started it waits for it. A bare clone()
 * does what fork() does in a process with one thread. */
static struct made make_reader(const struct cage_role *role, pid_t harness, int helper_fd,
			       const int *fds, size_t n)
{
	long pid = n ? syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL) : -1;

	if (!pid) {
		close(helper_fd);
		serve(role, harness, fds);
	}
	return (struct made){ (pid_t)pid, pid < 0 ? errno : 0 };
}

static _Noreturn void help(int fd, const struct cage_role *roles)
{
	for (;;) {
		struct order order;
		union control control;
		struct iovec iov = { &order, sizeof(order) };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = &control,
				      .msg_controllen = sizeof(control) };
		int fds[CAGE_MAX_FDS + 1];
		ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(order)) {
			close(fd);
			_exit(n != 0);
		}
		errno = EMFILE;
		size_t n_fds = take_fds(&msg, fds);
		struct made made = make_reader(&roles[order.role], order.harness, fd, fds, n_fds);
		while (n_fds)
			close(fds[--n_fds]);
		if (write(fd, &made, sizeof(made)) != sizeof(made))
			_exit(1);
	}
}

/* Nothing of the harness's but the socket; signals on the terminal are the harness's affair. */
static _Noreturn void begin_help(int fd, pid_t harness, const struct cage_role *roles)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	enum {
		KEPT_FD = 3
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != harness)
		_exit(1);
	prctl(PR_SET_NAME, "kvmrepro-cage");
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	if (fd != KEPT_FD && dup2(fd, KEPT_FD) < 0)
		_exit(1);
	int null = open("/dev/null", O_RDWR);
	for (int i = 0; i < KEPT_FD; i++)
		if (dup2(null, i) < 0)
			_exit(1);
	close_range(KEPT_FD + 1, ~0U, 0);
	help(KEPT_FD, roles);
}

/* ---- the harness's side ---- */

static struct {
	int fd;
	pid_t pid; /* 0: none */
	const struct cage_role *roles;
	pthread_mutex_t lock; /* one order and its answer at a time */
} helper = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

int cage_setup(const struct cage_role *roles, struct err *err)
{
	int ends[2];

	if (getenv(CONFINE_OFF))
		log_info(CONFINE_OFF " is set: what reads untrusted bytes is not confined");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return err_errno(err, ERR_HARNESS, "socketpair");
	pid_t self = getpid(), pid = fork();
	if (!pid)
		begin_help(ends[1], self, roles);
	close(ends[1]);
	if (pid < 0) {
		err_errno(err, ERR_HARNESS, "fork");
		close(ends[0]);
		return -1;
	}
	helper.fd = ends[0];
	helper.pid = pid;
	helper.roles = roles;
	return 0;
}

int cage_renew(struct err *err)
{
	if (!helper.pid)
		return 0;
	close(helper.fd);
	helper.pid = 0;
	helper.fd = -1;
	return cage_setup(helper.roles, err);
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void cage_end(void)
{
	if (!helper.pid)
		return;
	close(helper.fd);
	wait_for(helper.pid);
	helper.fd = -1;
	helper.pid = 0;
}

static int give_order(const struct order *order, const int *fds, size_t n, struct made *made)
{
	union control control = { .align = { .cmsg_len = CMSG_LEN(n * sizeof(int)),
					     .cmsg_level = SOL_SOCKET,
					     .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)order, sizeof(*order) };
	const struct msghdr msg = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = &control,
				    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	ssize_t got;

	memcpy(CMSG_DATA(&control.align), fds, n * sizeof(int));
	if (sendmsg(helper.fd, &msg, MSG_NOSIGNAL) < 0)
		return -1;
	do
		got = read(helper.fd, made, sizeof(*made));
	while (got < 0 && errno == EINTR);
	if (got >= 0 && got != sizeof(*made))
		errno = EPIPE;
	return got == sizeof(*made) ? 0 : -1;
}

int cage_start(unsigned role, const int *fds, size_t n_fds, struct cage *out, struct err *err)
{
	static const struct timeval stall = { .tv_sec = STALL_S };
	const struct order order = { role, getpid() };
	struct made made = { 0 };
	int all[CAGE_MAX_FDS], ends[2];

	if (n_fds + 1 > CAGE_MAX_FDS)
		return err_set(err, ERR_HARNESS, "%zu descriptors for a reader", n_fds);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return err_errno(err, ERR_HARNESS, "socketpair");
	all[0] = ends[1];
	for (size_t i = 0; i < n_fds; i++)
		all[i + 1] = fds[i];
	pthread_mutex_lock(&helper.lock);
	int rc = give_order(&order, all, n_fds + 1, &made);
	errno = rc ? errno : made.error;
	rc = errno ? err_errno(err, ERR_HARNESS, "the reader of %s cannot be started",
			       helper.roles ? helper.roles[role].name : "files")
		   : 0;
	pthread_mutex_unlock(&helper.lock);
	close(ends[1]);
	if (rc) {
		close(ends[0]);
		return -1;
	}
	/* One that does not listen does not hold us. */
	setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof(stall));
	*out = (struct cage){ made.pid, ends[0], interrupt_fd(), role, false };
	return 0;
}

static void reap(struct cage *cage)
{
	close(cage->fd);
	cage->fd = -1;
	cage->pid = 0;
}

void cage_stop(struct cage *cage)
{
	if (!cage->pid)
		return;
	kill(cage->pid, SIGKILL);
	wait_for(cage->pid);
	reap(cage);
}

int cage_bad(unsigned role, struct err *err)
{
	return err_set(err, ERR_HARNESS, "the reader of %s gave an answer that makes no sense",
		       helper.roles[role].name);
}

/* The stream has ended: how the reader did. */
static int tell_end(struct cage *cage, struct err *err)
{
	const struct cage_role *role = &helper.roles[cage->role];
	const char *name = role->name;
	int status = wait_for(cage->pid);

	reap(cage);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return err_set(err, ERR_HARNESS,
			       "the reader of %s was ended for a forbidden system call", name);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return err_set(err, ERR_HARNESS,
			       "the reader of %s was ended after %u s of CPU time", name,
			       role->limits.cpu_s);
	if (WIFSIGNALED(status))
		return err_set(err, ERR_HARNESS, "the reader of %s was ended by signal %d (%s)",
			       name, WTERMSIG(status), sigdescr_np(WTERMSIG(status)));
	if (WEXITSTATUS(status) == 128)
		return err_set(err, ERR_HARNESS, "the reader of %s used up its %llu MiB of memory",
			       name, (unsigned long long)role->limits.memory_bytes >> 20);
	return err_set(err, ERR_HARNESS, "the reader of %s ended too early", name);
}

/* The error that the reader told, as far as it is one; whether the user interrupted, and what the
 * host offers, are none of its business. */
static int told_error(struct cage *cage, struct wire *in, struct err *err)
{
	enum err_kind kind = (enum err_kind)wire_u64(in, ERR_INPUT);
	cleanup_free char *msg = wire_str(in, ERR_MSG_BYTES - 1);

	cage->told = wire_ok(in);
	return cage->told ? err_set(err, kind, "%s", msg) : cage_bad(cage->role, err);
}

/* Until it has something to say, or has ended. */
static int await(const struct cage *cage, int64_t limit_ms, struct err *err)
{
	struct pollfd p[] = {
		{ .fd = cage->fd, .events = POLLIN },
		{ .fd = cage->stop_fd, .events = POLLIN },
	};
	int64_t deadline = clock_ms() + limit_ms;

	for (;;) {
		int64_t left = deadline - clock_ms();
		int n = poll(p, 2, limit_ms < 0 ? -1 : left > 0 ? (int)left : 0);

		if (n < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (n > 0 && p[1].revents)
			return err_set(err, ERR_INTERRUPTED, "interrupted");
		if (n > 0)
			return 0;
		if (!n)
			return err_set(err, ERR_HARNESS, "the reader of %s does not answer",
				       helper.roles[cage->role].name);
	}
}

bool cage_ready(const struct cage *cage)
{
	struct pollfd p = { .fd = cage->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

int cage_recv(struct cage *cage, int64_t limit_ms, size_t max_bytes, struct wire *in,
	      struct err *err)
{
	const size_t least = ERR_MSG_BYTES + 64; /* an error is always let through */

	if (await(cage, limit_ms, err))
		return -1;
	int rc = wire_recv(cage->fd, cage->stop_fd, STALL_S * 1000,
			   max_bytes > least ? max_bytes : least, in, err);
	if (!rc)
		return tell_end(cage, err);
	if (rc < 0 && err->kind == ERR_INTERRUPTED)
		return -1;
	if (rc < 0)
		return err_context(err, "the reader of %s", helper.roles[cage->role].name);
	return in->type == TYPE_ERROR ? told_error(cage, in, err) : 0;
}

void cage_send(struct cage *cage, uint32_t type, const struct buf *body)
{
	struct err err;

	wire_send(cage->fd, type, body, &err);
}

int cage_ask(unsigned role, const int *fds, size_t n_fds, const struct buf *request,
	     size_t max_bytes, struct wire *answer, struct err *err)
{
	cleanup_cage struct cage cage = { 0 };
	const int64_t cpu_ms = (int64_t)helper.roles[role].limits.cpu_s * 1000;

	if (cage_start(role, fds, n_fds, &cage, err))
		return -1;
	if (request)
		cage_send(&cage, 0, request);
	return cage_recv(&cage, cpu_ms ? WALL_FACTOR * cpu_ms : -1, max_bytes, answer, err);
}

int cage_hear(int fd, struct wire *in, struct err *err)
{
	int rc = wire_recv(fd, -1, -1, REQUEST_BYTES, in, err);

	return rc < 0 ? -1 : rc ? 0 : err_set(err, ERR_HARNESS, "the harness is gone");
}
