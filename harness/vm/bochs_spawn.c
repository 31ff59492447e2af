/*
 * Starting Bochs; see bochs_spawn.h.
 *
 * Bochs knows TCP only for a serial line in both directions (a pty would lose what nobody reads in
 * time), and Debian's has no display but a VNC server, on all addresses, at the first free port
 * from 5900 to 5949. So it gets a network namespace of its own, of which nothing but the listening
 * socket comes out. Where the kernel does not give one (a container, say), the line's other end is
 * checked to be a process of the same user.
 *
 * Between fork and exec nothing may be called that takes a lock: other threads are running.
 */
#include "vm/bochs_spawn.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "interrupt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROC_TCP_BYTES (64 * 1024 * 1024)

/* ---- in the child ---- */

/* A new network namespace has its loopback interface down. */
static int raise_loopback(int s)
{
	struct ifreq r = { .ifr_name = "lo" };

	if (ioctl(s, SIOCGIFFLAGS, &r))
		return -1;
	r.ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, &r);
}

static int listen_here(bool isolated)
{
	const struct sockaddr_in addr = { .sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || (isolated && raise_loopback(s)) ||
	    bind(s, (const struct sockaddr *)&addr, sizeof(addr)) || listen(s, 1))
		return -1;
	return s;
}

/* Send fd with one byte that says whether it is isolated. */
static int send_fd(int to, int fd, bool isolated)
{
	char byte = isolated ? 'i' : 's';
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(to, &msg, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

struct plan {
	const struct bochs_wish *wish;
	char *const *environment;
	int go_fd;
	pid_t parent;
};

static void complain(int fd, const char *what)
{
	const char *parts[] = { "cannot start Bochs: ", what, ": ", strerrordesc_np(errno), "\n" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (parts[i] && write(fd, parts[i], strlen(parts[i])) < 0)
			return;
}

/* Close all descriptors but standard ones and those of the plan. */
static int keep_own_fds(const struct plan *plan)
{
	const int own[] = { plan->wish->console_fd, plan->wish->output_fd, plan->go_fd };
	unsigned from = STDERR_FILENO + 1;

	for (;;) {
		unsigned next = ~0U; /* the lowest of our own that is not below from */

		for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
			if (own[i] >= 0 && (unsigned)own[i] >= from && (unsigned)own[i] < next)
				next = (unsigned)own[i];
		if (next > from && close_range(from, next == ~0U ? next : next - 1, 0))
			return -1;
		if (next == ~0U)
			return 0;
		from = next + 1;
	}
}

static const char *become(const struct plan *plan)
{
	const struct bochs_wish *wish = plan->wish;
	char *const argv[] = { (char *)wish->program, "-q", "-f", "bochsrc", "-rc", "rc", NULL };
	char byte;

	/* Other VMs are being made at the same time: what is theirs would be held open here, and
	 * the end of their harness hidden from them. */
	if (keep_own_fds(plan))
		return "its descriptors";
	setpgid(0, 0);
	bool isolated = !unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET);
	/* Not before: a change of credentials clears it (prctl(2)). */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != plan->parent)
		return "the harness is gone";
	int s = listen_here(isolated);
	if (s < 0 || send_fd(plan->go_fd, s, isolated))
		return "no line for the agent";
	close(s);
	if (read(plan->go_fd, &byte, 1) != 1)
		return "not wanted any more";
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || chdir(wish->dir) || dup2(null, 0) < 0 || dup2(wish->output_fd, 1) < 0 ||
	    dup2(wish->output_fd, 2) < 0 || fcntl(wish->console_fd, F_SETFD, 0))
		return wish->dir;
	execve(wish->program, argv, plan->environment);
	return wish->program;
}

/* ---- in the harness ---- */

static int receive_fd(int from, int *fd, bool *isolated, struct err *err)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n;

	do
		n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	struct cmsghdr *c = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return err_set(err, ERR_HARNESS, "no network for Bochs could be made");
	memcpy(fd, CMSG_DATA(c), sizeof(int));
	*isolated = byte == 'i';
	return 0;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Our environment, with these besides; one allocation for the list. */
static char **environment_with(const char *const *more)
{
	size_t n = 0, n_more = 0;

	while (environ[n])
		n++;
	while (more[n_more])
		n_more++;
	char **list = xcalloc(n + n_more + 1, sizeof(*list));
	memcpy(list, environ, n * sizeof(*list));
	/* Of two with one name the dynamic loader takes the last. */
	memcpy(list + n, more, n_more * sizeof(*list));
	return list;
}

static int spawn(const struct bochs_wish *wish, struct bochs_child *out, struct err *err)
{
	int ends[2], listen_fd = -1;
	bool isolated = false;
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	cleanup_free char **list = wish->variables ? environment_with(wish->variables) : NULL;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return err_errno(err, ERR_HARNESS, "socketpair");
	cleanup_fd int ours = ends[0], its = ends[1];
	const struct plan plan = { wish, list ? list : environ, its, getpid() };
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(err, ERR_HARNESS, "fork");
	if (!pid) {
		complain(wish->output_fd, become(&plan));
		_exit(127);
	}
	close(steal_fd(its));
	if (receive_fd(ours, &listen_fd, &isolated, err)) {
		end_child(pid);
		return -1;
	}
	if (getsockname(listen_fd, (struct sockaddr *)&addr, &len)) {
		err_errno(err, ERR_HARNESS, "getsockname");
		close(listen_fd);
		end_child(pid);
		return -1;
	}
	*out = (struct bochs_child){
		pid, listen_fd, ntohs(addr.sin_port), steal_fd(ours), isolated,
	};
	return 0;
}

/* ---- the thread that forks ---- */

struct bochs_spawner {
	pthread_t thread;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	const struct bochs_wish *wish; /* NULL: there is none, or its answer is there */
	struct bochs_child *out;
	struct err *err;
	int rc;
	bool answered; /* and not yet taken */
	bool busy;     /* somebody has a wish */
	bool end;
};

static void *spawn_for_all(void *opaque)
{
	struct bochs_spawner *s = opaque;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->wish && !s->end)
			pthread_cond_wait(&s->changed, &s->lock);
		if (!s->wish)
			break;
		s->rc = spawn(s->wish, s->out, s->err);
		s->wish = NULL;
		s->answered = true;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct bochs_spawner *bochs_spawner_new(struct err *err)
{
	struct bochs_spawner *s = xcalloc(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	errno = pthread_create(&s->thread, NULL, spawn_for_all, s);
	if (errno) {
		err_errno(err, ERR_HARNESS, "pthread_create");
		free(s);
		return NULL;
	}
	return s;
}

void bochs_spawner_free(struct bochs_spawner *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->end = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int bochs_prepare(struct bochs_spawner *s, const struct bochs_wish *wish, struct bochs_child *out,
		  struct err *err)
{
	pthread_mutex_lock(&s->lock);
	while (s->busy)
		pthread_cond_wait(&s->changed, &s->lock);
	s->busy = true;
	s->wish = wish;
	s->out = out;
	s->err = err;
	pthread_cond_broadcast(&s->changed);
	while (!s->answered)
		pthread_cond_wait(&s->changed, &s->lock);
	int rc = s->rc;
	s->answered = s->busy = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int bochs_go(struct bochs_child *child, struct err *err)
{
	if (send(child->go_fd, "g", 1, MSG_NOSIGNAL) != 1)
		return err_errno(err, ERR_HARNESS, "Bochs");
	close(steal_fd(child->go_fd));
	return 0;
}

/* Whether the other end of fd belongs to this user, by the kernel's list of connections
 * (proc(5), /proc/net/tcp: addresses in hex, the eighth field is the user). */
static bool peer_is_ours(int fd)
{
	struct sockaddr_in peer, self;
	socklen_t peer_len = sizeof(peer), self_len = sizeof(self);
	cleanup_buf struct buf list = BUF_INIT;
	unsigned uid;
	struct err err;

	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) ||
	    getsockname(fd, (struct sockaddr *)&self, &self_len) ||
	    fs_read("/proc/net/tcp", PROC_TCP_BYTES, &list, ERR_HARNESS, &err))
		return false;
	cleanup_free char *want =
		xasprintf(" %08X:%04X %08X:%04X ", peer.sin_addr.s_addr, ntohs(peer.sin_port),
			  self.sin_addr.s_addr, ntohs(self.sin_port));
	const char *line = strstr(list.data, want);
	return line && sscanf(line + strlen(want), "%*s %*s %*s %*s %u", &uid) == 1 &&
	       uid == geteuid();
}

int bochs_accept(struct bochs_child *child, int64_t deadline_ms, int *fd, struct err *err)
{
	cleanup_fd int pid_fd = pidfd_open(child->pid, 0);
	const int one = 1;
	struct pollfd p[] = {
		{ .fd = child->listen_fd, .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN },
		{ .fd = pid_fd, .events = POLLIN },
	};

	for (;;) {
		int64_t left = deadline_ms - clock_ms();

		if (left <= 0)
			return err_set(err, ERR_HARNESS, "Bochs did not connect its serial line");
		if (poll(p, 3, (int)left) < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (p[1].revents)
			return err_set(err, ERR_INTERRUPTED, "interrupted");
		if (p[0].revents) {
			cleanup_fd int got =
				accept4(child->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

			if (got < 0 || (!child->isolated && !peer_is_ours(got)))
				continue;
			setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			close(steal_fd(child->listen_fd));
			*fd = steal_fd(got);
			return 0;
		}
		if (p[2].revents)
			return err_set(err, ERR_HARNESS, "Bochs ended at its start");
	}
}
