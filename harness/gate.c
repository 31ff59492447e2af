/* A gate; see gate.h. A semaphore that can be waited for together with an interruption. */
#include "gate.h"

#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

int gate_open(unsigned places, struct gate *gate, struct err *err)
{
	gate->owed = 0;
	gate->fd = eventfd(places, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK);
	return gate->fd < 0 ? err_errno(err, ERR_HARNESS, "eventfd") : 0;
}

void gate_close(struct gate *gate)
{
	close(gate->fd);
}

int gate_enter(struct gate *gate, int stop_fd, struct err *err)
{
	struct pollfd p[] = {
		{ .fd = interrupt_fd(), .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
		{ .fd = gate->fd, .events = POLLIN },
	};
	eventfd_t one;

	for (;;) {
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (p[0].revents || p[1].revents)
			return err_set(err, ERR_INTERRUPTED, "interrupted");
		if (p[2].revents && !eventfd_read(gate->fd, &one))
			return 0;
	}
}

/* Take one off what is owed, if anything is. */
static bool pay(struct gate *gate)
{
	unsigned owed = __atomic_load_n(&gate->owed, __ATOMIC_RELAXED);

	while (owed)
		if (__atomic_compare_exchange_n(&gate->owed, &owed, owed - 1, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	return false;
}

void gate_leave(struct gate *gate)
{
	if (!pay(gate))
		eventfd_write(gate->fd, 1);
}

void gate_widen(struct gate *gate)
{
	gate_leave(gate);
}

void gate_narrow(struct gate *gate)
{
	__atomic_add_fetch(&gate->owed, 1, __ATOMIC_RELAXED);
}
