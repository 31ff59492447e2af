/* Which crashes count; see filter.h. */
#include "filter.h"

#include "base/buf.h"

#include <stdlib.h>

static int compile(const char *const *texts, size_t n, struct oops_matcher ***out, size_t *n_out,
		   struct err *err)
{
	*out = xcalloc(n, sizeof(**out));
	for (*n_out = 0; *n_out < n; ++*n_out)
		if (oops_matcher_new(texts[*n_out], &(*out)[*n_out], err))
			return -1;
	return 0;
}

int filter_init(const char *const *expect, size_t n_expect, const char *const *ignore,
		size_t n_ignore, struct filter *filter, struct err *err)
{
	*filter = (struct filter){ 0 };
	if (compile(expect, n_expect, &filter->expect, &filter->n_expect, err))
		return -1;
	return compile(ignore, n_ignore, &filter->ignore, &filter->n_ignore, err);
}

static void release(struct oops_matcher **m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		oops_matcher_free(m[i]);
	free(m);
}

void filter_free(struct filter *filter)
{
	release(filter->expect, filter->n_expect);
	release(filter->ignore, filter->n_ignore);
	*filter = (struct filter){ 0 };
}

static bool any(struct oops_matcher *const *m, size_t n, const struct oops_report *report)
{
	for (size_t i = 0; i < n; i++)
		if (oops_matcher_test(m[i], report))
			return true;
	return false;
}

bool filter_expects(const struct filter *filter, const struct oops_report *report)
{
	return any(filter->expect, filter->n_expect, report);
}

bool filter_ignores(const struct filter *filter, const struct oops_report *report)
{
	return any(filter->ignore, filter->n_ignore, report);
}

bool filter_hits(const struct filter *filter, const struct outcome *outcome,
		 const struct oops_report *report)
{
	return filter->n_expect ? filter_expects(filter, report) : outcome->kind == OUTCOME_CRASHED;
}

static bool any_title(struct oops_matcher *const *m, size_t n, const char *title)
{
	for (size_t i = 0; i < n; i++)
		if (oops_matcher_test_title(m[i], title))
			return true;
	return false;
}

bool filter_hits_title(const struct filter *filter, const struct outcome *outcome)
{
	if (outcome->kind == OUTCOME_OK || outcome->kind == OUTCOME_INFRA)
		return false;
	if (any_title(filter->ignore, filter->n_ignore, outcome->title))
		return false;
	if (filter->n_expect)
		return any_title(filter->expect, filter->n_expect, outcome->title);
	return outcome->kind == OUTCOME_CRASHED;
}
