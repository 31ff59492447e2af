/*
 * Signals to a descriptor: the handler notes the first signal and writes to an eventfd that is
 * never read, so that every thread that polls it sees the interruption.
 */
#include "interrupt.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int *first_signal; /* shared, as event_fd is, with what we fork */
static int event_fd = -1;

static void on_signal(int sig)
{
	const uint64_t one = 1;

	int none = 0;

	atomic_compare_exchange_strong(first_signal, &none, sig);
	if (write(event_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is readable already */
}

int interrupt_setup(struct err *err)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	first_signal = mmap(NULL, sizeof(*first_signal), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (first_signal == MAP_FAILED) {
		first_signal = NULL;
		return err_errno(err, ERR_HARNESS, "mmap");
	}
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event_fd < 0)
		return err_errno(err, ERR_HARNESS, "eventfd");
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		if (sigaction(caught[i], &sa, NULL))
			return err_errno(err, ERR_HARNESS, "sigaction");
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

int interrupt_fd(void)
{
	return event_fd;
}

int interrupt_open(const char *path, struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct pollfd p[] = {
		{ .fd = event_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_errno(err, ERR_INPUT, "%s", path);
	while (S_ISFIFO(st.st_mode) && poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
	if (p[0].revents)
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	if (fcntl(fd, F_SETFL, 0))
		return err_errno(err, ERR_INPUT, "%s", path);
	return steal_fd(fd);
}

int interrupt_signal(void)
{
	return first_signal ? *first_signal : 0;
}

void interrupt_end(void)
{
	int fd = event_fd;

	event_fd = -1; /* for a handler that runs in between */
	close(fd);
}
