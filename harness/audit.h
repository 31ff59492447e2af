/*
 * What a policy says of the revisions of a bisection that others made (bisect_log.h), and whether
 * it kept to its path. Pure.
 */
#ifndef AUDIT_H
#define AUDIT_H

#include "base/err.h"
#include "bisect_log.h"
#include "family.h"
#include "filter.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>

/* What the log's word on a revision is worth, by the policy. */
enum audit_finding {
	AUDIT_NONE, /* nothing to compare: the log decided nothing, or shows no runs */
	AUDIT_AGREES,
	AUDIT_UNPROVEN, /* decided on too little, but nothing speaks against it */
	AUDIT_MISSED,   /* skipped, though its runs decide */
	AUDIT_ASTRAY,   /* called bad with no run that shows the target, or good though one does */
};

struct audit_revision {
	struct tally tally;
	struct decision decision;
	enum audit_finding finding;
	bool judged;   /* there were runs; else tally and decision hold nothing */
	bool off_path; /* tested after the bisection had gone astray: it was looking elsewhere */
};

struct audit {
	char *target;                     /* the crash that is looked for, in words */
	struct family family;             /* the titles that count, by all of the log */
	size_t *since;                    /* for each of them: the revision that it was learnt at */
	struct policy policy;             /* with what the first revision says of the rate */
	struct audit_revision *revisions; /* one for each of the log's */
	size_t n_revisions;
	size_t assumed_runs; /* what "all runs" was taken for where the log does not say it; 0: it
				was not needed */
	size_t astray;       /* the first revision that is AUDIT_ASTRAY; n_revisions: none */
};

/*
 * expect: what --expect names. Empty: the crash that most runs of the first revision, the one the
 * search began with, ended in. ERR_INPUT when there was none, or no run of the log shows it. policy
 * without known rate. The caller frees *out with audit_free().
 */
int audit_log(const struct bisect_log *log, const struct filter *expect,
	      const struct policy *policy, struct audit *out, struct err *err);
void audit_free(struct audit *audit);

/* "-", "agrees", "unproven", "missed", "astray". */
const char *audit_finding_name(enum audit_finding finding);

#endif
