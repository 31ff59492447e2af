/*
 * Brings the kernel's detectors from minutes down to seconds. Whether a report also panics is left
 * as the kernel's configuration and command line have it.
 */
#include <stdio.h>

#include "detectors.h"
#include "guest.h"

struct detector {
	const char *path;
	int divisor; /* of the time wanted; 0: `low` is written as it is */
	int low, high;
};

static const struct detector detectors[] = {
	/* A hung task is seen at the first check after the timeout. -1: never stop reporting. */
	{ "/proc/sys/kernel/hung_task_warnings", 0, -1, 0 },
	{ "/proc/sys/kernel/hung_task_check_interval_secs", 4, 1, 3600 },
	{ "/proc/sys/kernel/hung_task_timeout_secs", 1, 1, 3600 },
	/* Soft lockups are reported after twice the threshold; kernel/watchdog.c allows 60. */
	{ "/proc/sys/kernel/watchdog_thresh", 2, 1, 60 },
	/* kernel/rcu/update.c cuts to 3..300. */
	{ "/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", 1, 3, 300 },
	{ "/sys/module/workqueue/parameters/watchdog_thresh", 1, 1, 3600 },
	/* Not a detector: an OOM kill need not list every task on a slow console. */
	{ "/proc/sys/vm/oom_dump_tasks", 0, 0, 0 },
};

void detectors_tune(int64_t after_ms)
{
	for (size_t i = 0; i < sizeof(detectors) / sizeof(*detectors); i++) {
		const struct detector *d = &detectors[i];
		int64_t value = d->low;
		char text[32];

		if (d->divisor) {
			value = after_ms / 1000 / d->divisor;
			value = value < d->low ? d->low : value > d->high ? d->high : value;
		}
		snprintf(text, sizeof(text), "%lld\n", (long long)value);
		write_file(d->path, text);
	}
}
