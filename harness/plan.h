/* Many trials: repeat, fan out over jobs, hand each result on as it comes. */
#ifndef PLAN_H
#define PLAN_H

#include "base/err.h"
#include "origin.h"
#include "report/store.h"
#include "trial.h"

#include <stdbool.h>

struct plan_kernel {
	const struct trial_config *trial;
	const char *label;         /* before what is told of it: "base: ", or "" */
	const struct store *store; /* where consoles go while they are read */
	struct origin *origin;     /* where its trials begin; NULL: each boots */
	const bool *made;          /* by number: not to be made any more; read before plan_run()
				      begins any */
};

struct plan {
	const struct plan_kernel *kernels; /* taken in turn: run 0 of each, then run 1 of each */
	size_t n_kernels;
	unsigned runs; /* of each kernel */
	unsigned jobs; /* at once, over all kernels: to begin with */
	/* So many at most: a VM more runs while the host's CPUs are idle and none waits for
	 * anything else, and one less, down to jobs, when they are all busy. */
	unsigned jobs_max;
	/*
	 * Called for each trial that ended, in the order of their ends (with one job: of their
	 * numbers) and never two at once, from any thread; kernel is the index of its kernel, and
	 * the result is the callee's to free. A failure ends the plan. *enough, which is false, set
	 * to true: no further trial begins, and those under way are ended at once and dropped; it
	 * is not called again.
	 */
	int (*finished)(void *opaque, size_t kernel, struct trial_result *result, bool *enough,
			struct err *err);
	void *opaque;
};

/*
 * Make all runs. They begin in the order of their numbers. When one fails (interrupted, evidence
 * cannot be kept) no further one begins; those under way are ended or come to their end first. The
 * first error is returned. *most: how many VMs there were places for at once, at most.
 */
int plan_run(const struct plan *plan, unsigned *most, struct err *err);

#endif
