/*
 * Loaded into Bochs, so that VMs can begin from the state of one that has booted: Bochs stands
 * still in a signal's handler, and each VM is a fork of it that returns from the handler. The
 * guest's memory, the devices and what Bochs has decoded of the guest's code are shared until
 * somebody writes to them. Bochs itself is not touched: it does not notice that it was interrupted,
 * but finds other descriptors under the numbers that it knows.
 *
 * Nothing here may take a lock or memory of libc: the handler interrupts Bochs anywhere, and a fork
 * has but the one thread of it (the display's is left behind: nobody looks at it).
 */
#include "vm/preload/bochs_fork.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FDS 256 /* Bochs has a dozen */

static int control_fd = -1;
static pid_t parent;
/* Of each of Bochs's descriptors: 0, or 1 + the enum bochs_fork_fd that it is. */
static unsigned char kinds[MAX_FDS];

static int kind_of(int fd, const struct bochs_fork_halt *halt)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	struct stat st;

	if (fstat(fd, &st))
		return 0;
	if (S_ISFIFO(st.st_mode) && st.st_ino == halt->console)
		return 1 + BOCHS_FORK_CONSOLE;
	if (S_ISFIFO(st.st_mode) && st.st_ino == halt->log)
		return 1 + BOCHS_FORK_LOG;
	if (S_ISSOCK(st.st_mode) && !getpeername(fd, (struct sockaddr *)&peer, &len) &&
	    peer.sin_family == AF_INET && ntohs(peer.sin_port) == halt->agent_port)
		return 1 + BOCHS_FORK_AGENT;
	return 0;
}

/* Find what is the trial's own, and let go of it: its other ends see their end. */
static bool let_go(const struct bochs_fork_halt *halt)
{
	bool found[1 + BOCHS_FORK_FDS] = { false };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return false;
	for (int fd = 0; fd < MAX_FDS; fd++) {
		kinds[fd] = (unsigned char)kind_of(fd, halt);
		found[kinds[fd]] = true;
	}
	for (int kind = 1; kind <= BOCHS_FORK_FDS; kind++)
		if (!found[kind])
			return false;
	for (int fd = 0; fd < MAX_FDS; fd++)
		if (kinds[fd] && dup2(null, fd) < 0)
			return false;
	return !close(null);
}

/* One packet's descriptors: 1, or 0 where the harness wants no more. */
static int receive(int fds[BOCHS_FORK_FDS])
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(BOCHS_FORK_FDS * sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n;

	do
		n = recvmsg(control_fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	struct cmsghdr *c = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(BOCHS_FORK_FDS * sizeof(int)))
		return 0;
	memcpy(fds, CMSG_DATA(c), BOCHS_FORK_FDS * sizeof(int));
	return 1;
}

/* In the new process: be the trial's Bochs. */
static void become(const int fds[BOCHS_FORK_FDS])
{
	/* A fork has no such signal set (prctl(2)), and its parent may have gone before it was. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(127);
	for (int fd = 0; fd < MAX_FDS; fd++)
		if (kinds[fd] && dup2(fds[kinds[fd] - 1], fd) < 0)
			_exit(127);
	for (int i = 0; i < BOCHS_FORK_FDS; i++)
		close(fds[i]);
	close(control_fd);
	signal(BOCHS_FORK_SIGNAL, SIG_IGN);
}

static void stand_still(int number)
{
	struct bochs_fork_halt halt;
	int fds[BOCHS_FORK_FDS], saved_errno = errno;

	(void)number;
	if (recv(control_fd, &halt, sizeof(halt), 0) != sizeof(halt) || !let_go(&halt) ||
	    send(control_fd, "h", 1, MSG_NOSIGNAL) != 1)
		_exit(127);
	while (receive(fds)) {
		/* Not fork(2) of libc, which would wait for the locks of what it interrupted. */
		pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, 0UL);

		if (!pid) {
			become(fds);
			errno = saved_errno;
			return;
		}
		if (pid < 0)
			pid = -errno;
		for (int i = 0; i < BOCHS_FORK_FDS; i++)
			close(fds[i]);
		if (send(control_fd, &pid, sizeof(pid), MSG_NOSIGNAL) != sizeof(pid))
			break;
	}
	_exit(0);
}

__attribute__((constructor)) static void begin(void)
{
	const char *number = getenv(BOCHS_FORK_VARIABLE);
	const struct sigaction action = { .sa_handler = stand_still, .sa_flags = SA_RESTART };

	if (!number)
		return;
	control_fd = atoi(number);
	parent = getppid();
	if (!fcntl(control_fd, F_SETFD, FD_CLOEXEC) && !sigaction(BOCHS_FORK_SIGNAL, &action, NULL))
		send(control_fd, "l", 1, MSG_NOSIGNAL);
}
