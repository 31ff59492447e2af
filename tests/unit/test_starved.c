/* Time without a CPU: two processes that share one have it, and one alone does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "vm/starved.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 60000

/* A process that computes for ever, on the first CPU that this one may use. */
static pid_t compute(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	cpu_set_t all, one;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &one);
			break;
		}
	sched_setaffinity(0, sizeof(one), &one);
	for (volatile unsigned i = 0;; i++)
		;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_shared(void **state)
{
	pid_t a = compute(), b = compute();
	int64_t until = clock_ms() + LIMIT_MS;

	(void)state;
	while ((starved_ms(a) < 200 || starved_ms(b) < 200) && clock_ms() < until)
		sched_yield();
	int64_t ms_a = starved_ms(a), ms_b = starved_ms(b);
	end(a);
	end(b);
	assert_true(ms_a >= 200 && ms_b >= 200);
}

static void test_idle(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (!pid) {
		char byte;

		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 1);
	}
	/* One that sleeps lacks nothing, however long. */
	int64_t until = clock_ms() + 300, most = 0;
	while (clock_ms() < until) {
		int64_t ms = starved_ms(pid);
		most = ms > most ? ms : most;
		sched_yield();
	}
	end(pid);
	close(ends[0]);
	close(ends[1]);
	assert_true(most < 250);
	assert_int_equal(starved_ms(pid), 0); /* no such process */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
