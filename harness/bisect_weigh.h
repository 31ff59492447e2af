/* The end of a bisection: what trials of the culprit and its parents, side by side, say. Pure. */
#ifndef BISECT_WEIGH_H
#define BISECT_WEIGH_H

#include "judge.h"

#include <stdbool.h>
#include <stddef.h>

/* What the runs of a culprit, side 0, and its parents say; in a search for a fix the parents are
 * the bad ones. */
enum bisect_end {
	BISECT_CONFIRMED,
	BISECT_UNCONFIRMED,
	BISECT_REFUTED, /* *side was taken for good, and shows the crash */
	BISECT_NOTHING, /* *side had nothing but infra problems: nothing can be said */
};

/* *doubt: the chance that the bug hid where it should not be. */
enum bisect_end bisect_weigh(bool fix, const struct judgement *jm, size_t n, size_t *side,
			     double *doubt);

/* Whether side i must show the crash. */
bool bisect_should_be_bad(bool fix, size_t i);

#endif
