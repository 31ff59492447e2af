/* run.json: a run as one JSON object; docs/run-json.md lists its members. */
#ifndef REPORT_RUN_JSON_H
#define REPORT_RUN_JSON_H

#include "family.h"
#include "session.h"
#include "state.h"
#include "trial.h"
#include "verdict.h"

#include <jansson.h>

/* The object without trials and verdict; the caller owns it. */
json_t *run_json_new(const struct session *session, unsigned runs);

/* How many VMs there may be at once; of --jobs auto the most there might have been so far. */
void run_json_set_jobs(json_t *run, unsigned jobs);

/* The time that was spent on the run so far. */
void run_json_set_spent(json_t *run, int64_t ms);

/* Add a trial; they may come in any order and are kept in that of their numbers. */
void run_json_add_trial(json_t *run, const struct trial_result *result,
			const struct reproducers *repros);

/*
 * Go on with the run in dir, over or not: its trials are added to run, and each is called
 * for each of them, in the order of their numbers and once for a number below runs. result has what
 * outcomes are compared by; its outcome's title is the callee's, what else it points to is run's.
 * boot: where the evidence of the boot that they began from is now. *spent_ms: the time that was
 * spent on it. ERR_INPUT if run.json is damaged, or that of another kernel or other reproducers.
 */
int run_json_resume(json_t *run, const char *dir, const char *boot, unsigned runs,
		    void (*each)(void *opaque, struct trial_result *result), void *opaque,
		    int64_t *spent_ms, struct err *err);

/* A tally as in the verdict: "runs", "clean", ... */
json_t *run_json_tally(const struct tally *tally);

/* What each trial is to the search, by number, and which title is which. */
void run_json_set_families(json_t *run, const struct family *family, const enum match *matches);

/* No run was made: the runs of an earlier time stand for them. */
void run_json_set_recalled(json_t *run, const struct state_kernel *then);

/* Add the end: interrupted, or a verdict. */
void run_json_set_verdict(json_t *run, const struct policy *policy, const struct tally *tally,
			  const struct decision *decision);
void run_json_set_interrupted(json_t *run, int signal_number);

#endif
