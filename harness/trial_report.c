/*
 * Crash reports in a trial; see trial_report.h. Out of memory and the like (suppressed) and what
 * the user ignores are no crashes: the trial goes on, and a later report may still count.
 */
#include "trial_report.h"

#include "base/clock.h"
#include "oops/report.h"

#include <stdlib.h>

#define SETTLE_MS 300

enum outcome_kind trial_failure_kind(const struct trial *t)
{
	switch (t->phase) {
	case PHASE_BOOT:
		return OUTCOME_BOOT_FAILED;
	case PHASE_CANARY:
		return OUTCOME_TESTING_FAILED;
	default:
		return OUTCOME_CRASHED;
	}
}

static bool counts(const struct trial *t, const struct oops_report *report)
{
	return !report->suppressed && !filter_ignores(t->config->filter, report);
}

/* Note and forget the first reports, but for the last keep, as far as they do not count: so there
 * is room for those that do. */
static void drop_idle(struct trial *t, size_t keep)
{
	struct read_trial *reader = &t->reader;
	struct trial_result *r = t->result;
	size_t n = 0;

	while (n + keep < reader->n_reports && !counts(t, &reader->reports[n])) {
		const char *title = reader->reports[n++].title;

		if (r->n_ignored < TRIAL_MAX_IGNORED)
			r->ignored[r->n_ignored++] = xstrdup(title);
	}
	read_trial_drop(reader, n);
}

/* Its number; n_reports: none does. */
static size_t first_that_counts(const struct trial *t)
{
	size_t i = 0;

	while (i < t->reader.n_reports && !counts(t, &t->reader.reports[i]))
		i++;
	return i;
}

static bool any_counts(const struct trial *t)
{
	return first_that_counts(t) < t->reader.n_reports;
}

/* After a panic nothing more comes, whoever ignores it: the trial ends with its title. */
static void end_ignored_panic(struct trial *t)
{
	const struct oops_report *r = t->reader.n_reports ? &t->reader.reports[0] : NULL;

	if (r && r->panicked && !counts(t, r))
		trial_pend(t, trial_failure_kind(t), r->title, SETTLE_MS);
}

void trial_watch_report(struct trial *t)
{
	enum oops_state state = t->reader.state;

	if (state == OOPS_NONE)
		return;
	drop_idle(t, 1); /* the last one may still get its tail */
	end_ignored_panic(t);
	if (state == OOPS_COMPLETE && !any_counts(t)) {
		t->crash_ms = 0;
	} else if (!t->crash_ms) {
		t->crash_ms = clock_ms();
		t->crash_kind = trial_failure_kind(t);
	}
}

int trial_close_report(struct trial *t, struct err *err)
{
	if (trial_catch_up(t, READ_TRIAL_FINISH, err))
		return -1;
	if (!any_counts(t))
		t->crash_ms = 0;
	return 0;
}

static void copy_report(struct trial_result *r, const struct oops_report *report)
{
	r->crash = true;
	r->report = xstrdup(report->text);
	r->type = report->type;
	r->frame = report->frame ? xstrdup(report->frame) : NULL;
	r->executor = report->executor ? xstrdup(report->executor) : NULL;
	r->corrupted_why = report->corrupted ? xstrdup(report->corrupted_why) : NULL;
	r->panicked = report->panicked;
	r->n_alt = report->n_alt;
	r->alt = xcalloc(r->n_alt, sizeof(*r->alt));
	for (size_t i = 0; i < r->n_alt; i++)
		r->alt[i] = xstrdup(report->alt[i]);
}

static int take_report(struct trial *t, size_t i, struct err *err)
{
	struct trial_result *r = t->result;
	struct oops_report report;

	if (read_trial_report(&t->reader, i, &report, err))
		return -1;
	if (!t->crash_ms) /* closed only by the end of the console */
		t->crash_kind = trial_failure_kind(t);
	free(r->outcome.title);
	r->outcome.kind = t->crash_kind;
	r->outcome.title = xstrdup(report.title);
	r->hit = filter_hits(t->config->filter, &r->outcome, &report);
	copy_report(r, &report);
	oops_report_clear(&report);
	return 0;
}

int trial_take_report(struct trial *t, struct err *err)
{
	struct trial_result *r = t->result;
	struct err why;

	if (trial_catch_up(t, READ_TRIAL_FINISH, err))
		return -1;
	if (t->lost)
		return 0;
	drop_idle(t, 0);
	if (any_counts(t))
		return take_report(t, first_that_counts(t), &why) ? trial_lose(t, &why, err) : 0;
	/* What follows a report that does not count may be its doing. */
	r->hit = !r->n_ignored && filter_hits_title(t->config->filter, &r->outcome);
	return 0;
}
