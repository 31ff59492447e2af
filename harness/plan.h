/* Many trials: repeat, fan out over jobs, hand each result on as it comes. */
#ifndef PLAN_H
#define PLAN_H

#include "base/err.h"
#include "report/store.h"
#include "trial.h"

struct plan {
	const struct trial_config *trial;
	const struct store *store; /* where consoles go while they are read */
	unsigned runs, jobs;
	/* Called for each trial that ended, in the order of their ends and never two at once, from
	 * any thread; the result is the callee's to free. A failure ends the plan. */
	int (*finished)(void *opaque, struct trial_result *result, struct err *err);
	void *opaque;
};

/*
 * Make all runs. When one fails (interrupted, evidence cannot be kept) no further one begins; those
 * under way are ended or come to their end first. The first error is returned.
 */
int plan_run(const struct plan *plan, struct err *err);

#endif
