/* The time stamp counter's frequency: the same each time, and the counter's own. */
#include "vm/tsc.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>
#include <cmocka.h>

static void test_khz(void **state)
{
	const struct timespec time = { .tv_nsec = 50000000 };
	struct timespec from, to;
	unsigned khz = tsc_khz();

	(void)state;
	assert_int_not_equal(khz, 0);
	assert_int_equal(khz % 1000, 0);
	assert_true(abs((int)(tsc_khz() - khz)) <= 1000);

	/* Over a time so long that what comes between two clocks does not count. */
	clock_gettime(CLOCK_MONOTONIC_RAW, &from);
	uint64_t ticks = __rdtsc();
	nanosleep(&time, NULL);
	clock_gettime(CLOCK_MONOTONIC_RAW, &to);
	ticks = __rdtsc() - ticks;
	double ms =
		(double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
	assert_true(abs((int)((double)ticks / ms) - (int)khz) < (int)khz / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_khz) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
