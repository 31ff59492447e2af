/* How fast the time stamp counter runs; see tsc.h. */
#include "vm/tsc.h"

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>

#define MEASURE_MS  5
#define TRIES       16
#define MAX_TICK_NS 1000

struct sample {
	uint64_t tsc;
	int64_t ns;
};

/* Of several the one in which the least can have come between the two clocks. */
static struct sample take(void)
{
	struct sample best = { 0 };
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		struct timespec now;
		uint64_t before = __rdtsc();

		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		uint64_t width = __rdtsc() - before;
		if (width >= least)
			continue;
		least = width;
		best.tsc = before + width / 2;
		best.ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
	}
	return best;
}

unsigned tsc_khz(void)
{
	const struct timespec time = { .tv_nsec = MEASURE_MS * 1000000l };
	struct timespec tick;

	/* A jiffy, where the clock is coarse. */
	if (clock_getres(CLOCK_MONOTONIC, &tick) || tick.tv_sec || tick.tv_nsec > MAX_TICK_NS)
		return 0;
	const struct sample first = take();

	nanosleep(&time, NULL);
	const struct sample last = take();
	if (last.ns <= first.ns || last.tsc <= first.tsc)
		return 0;
	double mhz = (double)(last.tsc - first.tsc) * 1000.0 / (double)(last.ns - first.ns);
	return (unsigned)(mhz + 0.5) * 1000;
}
#else
unsigned tsc_khz(void)
{
	return 0;
}
#endif
