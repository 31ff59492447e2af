/*
 * A Bochs's state, kept and begun from: the Bochs that booted stands still, and those that begin
 * from it are its forks (preload/bochs_fork.c), made when they are to run.
 */
#include "vm/bochs_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "embed.h"
#include "vm/preload/bochs_fork.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ANSWER_LIMIT_MS 10000 /* a fork of Bochs takes some milliseconds */

struct vm_kept {
	struct bochs_child child;
	char *definition;
	pthread_mutex_t lock; /* the socket: one question at a time */
	bool gone;            /* with lock: an answer did not come, and the next would be its */
};

int bochs_library_open(void)
{
	const struct embed library = embed_bochs_fork();
	cleanup_fd int fd = memfd_create("kvmrepro-bochs-fork.so", MFD_CLOEXEC);

	if (fd < 0 || write(fd, library.data, library.size) != (ssize_t)library.size) {
		log_verbose("bochs: no library can be made for it: %s", strerror(errno));
		return -1;
	}
	return steal_fd(fd);
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
			return err_set(err, ERR_HARNESS, "the Bochs that was kept says nothing");
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (p.revents && recv(fd, out, bytes, 0) == (ssize_t)bytes)
			return 0;
		if (p.revents)
			return err_set(err, ERR_HARNESS, "the Bochs that was kept has ended");
	}
}

static int inode_of(int fd, ino_t *out, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_errno(err, ERR_HARNESS, "fstat");
	*out = st.st_ino;
	return 0;
}

/* What Bochs knows these ends of ours as. */
static int name_descriptors(const struct bochs_vm *v, struct bochs_fork_halt *out, struct err *err)
{
	struct sockaddr_in self;
	socklen_t len = sizeof(self);

	if (inode_of(v->vm.console_fd, &out->console, err) || inode_of(v->log_fd, &out->log, err))
		return -1;
	if (getsockname(v->vm.agent_fd, (struct sockaddr *)&self, &len))
		return err_errno(err, ERR_HARNESS, "getsockname");
	out->agent_port = ntohs(self.sin_port);
	return 0;
}

static int stand_still(const struct bochs_vm *v, struct err *err)
{
	struct bochs_fork_halt halt = { 0 };
	char byte;

	/* Without the library the signal would be Bochs's end. */
	if (v->child.control_fd < 0 || recv(v->child.control_fd, &byte, 1, MSG_DONTWAIT) != 1)
		return err_set(err, ERR_HARNESS, "no library can be loaded into Bochs");
	if (name_descriptors(v, &halt, err))
		return -1;
	if (send(v->child.control_fd, &halt, sizeof(halt), MSG_NOSIGNAL) != sizeof(halt) ||
	    tgkill(v->child.pid, v->child.pid, BOCHS_FORK_SIGNAL))
		return err_errno(err, ERR_HARNESS, "Bochs");
	return answer(v->child.control_fd, &byte, 1, err);
}

int bochs_keep(struct vm *vm, struct vm_kept **out, struct err *err)
{
	struct bochs_vm *v = (struct bochs_vm *)vm;

	/* First: when it lets go of its log, that is not its end. */
	__atomic_store_n(&v->given_away, true, __ATOMIC_RELEASE);
	if (stand_still(v, err))
		return -1;
	*out = xcalloc(1, sizeof(**out));
	(*out)->child = v->child;
	(*out)->definition = xstrdup(v->definition);
	pthread_mutex_init(&(*out)->lock, NULL);
	v->child = (struct bochs_child){ .listen_fd = -1, .go_fd = -1, .control_fd = -1 };
	return 0;
}

void bochs_forget(struct vm_kept *kept)
{
	close(kept->child.control_fd);
	/* Its group, for a fork whose number we were not told. The trials' own have all ended. */
	kill(-kept->child.pid, SIGKILL);
	while (waitpid(-kept->child.pid, NULL, 0) > 0 || errno == EINTR)
		;
	pthread_mutex_destroy(&kept->lock);
	free(kept->definition);
	free(kept);
}

bool bochs_lasts(struct vm_kept *kept)
{
	siginfo_t info = { 0 };

	pthread_mutex_lock(&kept->lock);
	kept->gone |= waitid(P_PID, (id_t)kept->child.pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
		      info.si_pid;
	bool gone = kept->gone;
	pthread_mutex_unlock(&kept->lock);
	return !gone;
}

const char *bochs_kept_definition(const struct vm_kept *kept)
{
	return kept->definition;
}

static int ask(int to, const int fds[BOCHS_FORK_FDS], struct err *err)
{
	char byte = 'f';
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(BOCHS_FORK_FDS * sizeof(int))];
	} control = { .space = { 0 } };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(BOCHS_FORK_FDS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, BOCHS_FORK_FDS * sizeof(int));
	if (sendmsg(to, &msg, MSG_NOSIGNAL) != 1)
		return err_errno(err, ERR_HARNESS, "the Bochs that was kept");
	return 0;
}

int bochs_fork(struct vm_kept *kept, const int fds[BOCHS_FORK_FDS], pid_t *pid, struct err *err)
{
	pid_t got = 0;
	int rc;

	pthread_mutex_lock(&kept->lock);
	if (kept->gone)
		rc = err_set(err, ERR_HARNESS, "the Bochs that was kept is gone");
	else if ((rc = ask(kept->child.control_fd, fds, err)) ||
		 (rc = answer(kept->child.control_fd, &got, sizeof(got), err)))
		kept->gone = true;
	pthread_mutex_unlock(&kept->lock);
	if (rc)
		return rc;
	if (got < 0) {
		errno = -got;
		return err_errno(err, ERR_HARNESS, "a fork of Bochs");
	}
	*pid = got;
	return 0;
}
