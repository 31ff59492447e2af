/* Which crashes count: what --expect and --ignore name. */
#ifndef FILTER_H
#define FILTER_H

#include "base/err.h"
#include "oops/match.h"
#include "outcome.h"

#include <stdbool.h>
#include <stddef.h>

struct filter {
	struct oops_matcher **expect, **ignore;
	size_t n_expect, n_ignore;
};

/* Titles or /PCRE/s (oops/match.h). ERR_INPUT when one is no good. The filter is to be freed in any
 * case. */
int filter_init(const char *const *expect, size_t n_expect, const char *const *ignore,
		size_t n_ignore, struct filter *filter, struct err *err);
void filter_free(struct filter *filter);

/* Whether the report is one that --expect, or --ignore, names. */
bool filter_expects(const struct filter *filter, const struct oops_report *report);
bool filter_ignores(const struct filter *filter, const struct oops_report *report);

/*
 * Whether an outcome is the crash that is looked for: with --expect one that it names, in whatever
 * phase of the trial; without it any crash while the reproducers ran. The second is for outcomes
 * that have a title and no report (a reboot, silence).
 */
bool filter_hits(const struct filter *filter, const struct outcome *outcome,
		 const struct oops_report *report);
bool filter_hits_title(const struct filter *filter, const struct outcome *outcome);

#endif
