/*
 * Is it fixed? Two kernels' outcomes, one that has the bug and one that may not. Pure, as
 * verdict.h, whose arithmetic it is: the first one's runs say how often the bug shows.
 */
#ifndef COMPARE_H
#define COMPARE_H

#include "base/buf.h"
#include "verdict.h"

#include <stdbool.h>

/* Answer: good is fixed, bad is not fixed, skip cannot be told, none as in verdict.h (of either
 * kernel). final and the rest as in verdict.h. */
void compare_decide(const struct policy *policy, const struct tally *base,
		    const struct tally *kernel, struct decision *out);

/* "fixed", "not fixed", "cannot tell". */
const char *compare_word(enum verdict verdict);

/* The answer in one sentence, for people, which begins with that word. Added to out. */
void compare_sentence(const struct policy *policy, const struct tally *base,
		      const struct tally *kernel, const struct decision *decision, struct buf *out);

/* The 95 % interval of a share of which hits in runs were seen: Wilson's score interval (E. B.
 * Wilson, JASA 22, 1927). runs 0: from 0 to 1. */
void compare_interval(size_t hits, size_t runs, double *low, double *high);

#endif
