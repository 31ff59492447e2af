/* Crash reports in a trial: which one counts, and what of it goes into the result. */
#ifndef TRIAL_REPORT_H
#define TRIAL_REPORT_H

#include "trial_frames.h"

#include <stdbool.h>

/* Note the begin of a report, and that one which was open does not count after all. */
void trial_watch_report(struct trial *t);

/* The console has been quiet: take an open report as it stands. t->crash_ms is 0 afterwards if
 * there is no crash. Errors: as trial_catch_up(). */
int trial_close_report(struct trial *t, struct err *err);

/* The trial is over: let the report, if there is one that counts, be its outcome, and tell whether
 * the outcome is the crash that is looked for. */
int trial_take_report(struct trial *t, struct err *err);

/* What a failure of the kernel is called in the phase that the trial is in. */
enum outcome_kind trial_failure_kind(const struct trial *t);

#endif
