/* An interruption reaches what works aside, with the signal's number, though the parent alone got
 * the signal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aside.h"
#include "interrupt.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* In the child: tell the parent that it may be interrupted, and say what was heard of it. */
static int work(void *opaque, struct err *err)
{
	const int *ready_fd = opaque;
	struct pollfd stop = { .fd = interrupt_fd(), .events = POLLIN };

	eventfd_write(*ready_fd, 1);
	if (poll(&stop, 1, 10000) != 1)
		return err_set(err, ERR_HARNESS, "no interruption");
	return err_set(err, ERR_INTERRUPTED, "signal %d", interrupt_signal());
}

/* The signal comes to the test's process alone, once the child is at work. */
static void send_when_ready(int ready_fd)
{
	pid_t parent = getpid();
	eventfd_t value;

	if (fork())
		return;
	eventfd_read(ready_fd, &value);
	kill(parent, SIGTERM);
	_exit(0);
}

static void test_aside(void **state)
{
	int ready_fd = eventfd(0, EFD_CLOEXEC);
	struct err err;

	(void)state;
	assert_int_equal(interrupt_setup(&err), 0);
	assert_int_equal(interrupt_signal(), 0);
	send_when_ready(ready_fd);
	assert_int_equal(aside_run(work, &ready_fd, &err), -1);
	assert_int_equal(err.kind, ERR_INTERRUPTED);
	assert_string_equal(err.msg, "signal 15");
	assert_int_equal(interrupt_signal(), SIGTERM);
	close(ready_fd);
	close(interrupt_fd());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
