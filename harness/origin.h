/* Where the trials of a kernel begin: one boot, kept when its canary has passed. */
#ifndef ORIGIN_H
#define ORIGIN_H

#include "base/err.h"
#include "trial.h"

struct origin;

/*
 * label: before what is told of it, as plan.h's. console_path: where the console of the boot that
 * is kept goes. kernel: what is booted (kept.h), where the state is to be kept for later calls
 * of the program too, and taken from earlier ones (kept.h); else NULL. All are copied.
 */
struct origin *origin_new(const struct engine *engine, const char *label, const char *console_path,
			  const char *kernel);

/* All trials have ended. */
void origin_free(struct origin *origin);

/*
 * See to it that trial number can begin: config->start is set to the kept state, which is made by
 * the first trial that asks, while others wait; or left NULL where the engine cannot keep one, or
 * the state is gone, which is told once. Returns 1 then. 0: the boot was tried and gave the outcome
 * that is in out; its console is at console_path. -1: err.
 */
int origin_begin(struct origin *origin, struct trial_config *config, unsigned number,
		 const char *console_path, struct trial_result *out, struct err *err);

/*
 * A trial with what origin_begin() gave has ended. A state of an earlier call that gave an infra
 * problem is not used again: the next trial that begins boots.
 */
void origin_end(struct origin *origin, const struct trial_config *config,
		const struct trial_result *result);

#endif
