/* The audit of a bisection; see audit.h. */
#include "audit.h"

#include "base/cleanup.h"

#include <string.h>

/* What syzkaller ran at least: pkg/bisect, NumTests. */
#define SYZBOT_RUNS 10

/* The title that most runs of a revision crashed with, or NULL. */
static const char *most_frequent(const struct bisect_revision *r)
{
	cleanup_free struct outcome *counted = xcalloc(r->n_runs, sizeof(*counted));
	size_t n = 0;

	for (size_t i = 0; i < r->n_runs; i++)
		if (!r->runs[i].ignored)
			counted[n++] = r->runs[i].outcome;
	return outcomes_dominant(counted, n);
}

/* "all runs" of a log that does not say how many: the fewest that another revision shows. */
static size_t assume_runs(const struct bisect_log *log)
{
	size_t least = 0;

	for (size_t i = 1; i < log->n_revisions; i++) {
		const struct bisect_revision *r = &log->revisions[i];

		if (!r->all && r->n_runs && (!least || r->n_runs < least))
			least = r->n_runs;
	}
	return least ? least : SYZBOT_RUNS;
}

static size_t runs_of(const struct bisect_revision *r, size_t assumed)
{
	if (!r->all)
		return r->n_runs;
	return r->made ? r->made : assumed;
}

/* The revision whose runs speak for this one: itself, or the one that has the same kernel. */
static const struct bisect_revision *speaker(const struct bisect_log *log, size_t i)
{
	const struct bisect_revision *r = &log->revisions[i];

	return !r->n_runs && r->same_as ? &log->revisions[r->same_as - 1] : r;
}

/* The runs of one revision as the family sees them. */
struct meeting {
	struct family family;
	size_t *members; /* by run; FAMILY_NONE */
	bool *expected;
	size_t runs;
};

static const struct bisect_run *run_at(const struct bisect_revision *r, size_t i)
{
	return &r->runs[r->all ? 0 : i];
}

/* What is known beforehand is in it, too. */
static void meet(const struct bisect_revision *r, const struct filter *expect,
		 const struct audit *audit, struct meeting *out)
{
	*out = (struct meeting){ .runs = runs_of(r, audit->assumed_runs) };
	out->members = xcalloc(out->runs, sizeof(*out->members));
	out->expected = xcalloc(out->runs, sizeof(*out->expected));
	family_know_all(&out->family, &audit->family);
	for (size_t i = 0; i < out->runs; i++) {
		const struct bisect_run *run = run_at(r, i);
		const struct family_run told = {
			.outcome = &run->outcome,
			.expected = filter_hits_title(expect, &run->outcome),
		};

		out->expected[i] = told.expected;
		out->members[i] = run->ignored ? FAMILY_NONE : family_add(&out->family, &told);
	}
}

static void meeting_free(struct meeting *m)
{
	family_free(&m->family);
	free(m->members);
	free(m->expected);
}

static void count_runs(const struct bisect_revision *r, const struct meeting *m,
		       struct tally *tally)
{
	/* A crash that was not counted is no clean run, and no crash either. */
	static const struct outcome ignored = { .kind = OUTCOME_TESTING_FAILED };

	tally->left = m->runs;
	for (size_t i = 0; i < m->runs; i++) {
		const struct bisect_run *run = run_at(r, i);

		if (run->ignored)
			tally_add(tally, &ignored, MATCH_NONE);
		else
			tally_add(tally, &run->outcome,
				  family_match(&m->family, m->members[i], m->expected[i]));
	}
}

static enum audit_finding find(const struct bisect_revision *r, const struct audit_revision *a)
{
	static const enum verdict as_verdict[] = {
		[BISECT_GOOD] = VERDICT_GOOD,
		[BISECT_BAD] = VERDICT_BAD,
		[BISECT_SKIP] = VERDICT_SKIP,
	};
	enum verdict verdict = a->decision.verdict;

	if (r->word == BISECT_UNSAID)
		return AUDIT_NONE;
	if (!a->judged)
		return r->word == BISECT_SKIP ? AUDIT_AGREES : AUDIT_NONE;
	if (as_verdict[r->word] == verdict)
		return AUDIT_AGREES;
	switch (r->word) {
	case BISECT_BAD:
		return a->tally.hits ? AUDIT_UNPROVEN : AUDIT_ASTRAY;
	case BISECT_GOOD:
		return a->tally.hits ? AUDIT_ASTRAY : AUDIT_UNPROVEN;
	case BISECT_SKIP:
		return verdict == VERDICT_NONE ? AUDIT_AGREES : AUDIT_MISSED;
	case BISECT_UNSAID:
		break;
	}
	return AUDIT_NONE;
}

/* Which titles count, by all revisions together: an alias that shows itself late is one from the
 * start. */
static void learn(const struct bisect_log *log, const struct filter *expect, struct audit *audit)
{
	for (size_t i = 0; i < log->n_revisions; i++) {
		size_t known = audit->family.n;
		struct meeting m;

		meet(&log->revisions[i], expect, audit, &m);
		family_know_all(&audit->family, &m.family);
		meeting_free(&m);
		audit->since =
			xrealloc(audit->since, (audit->family.n + 1) * sizeof(*audit->since));
		while (known < audit->family.n)
			audit->since[known++] = i;
	}
}

static void judge(const struct bisect_log *log, size_t i, const struct filter *expect,
		  struct audit *audit)
{
	const struct bisect_revision *r = speaker(log, i);
	struct audit_revision *a = &audit->revisions[i];
	struct meeting m;

	a->judged = r->n_runs > 0;
	if (!a->judged)
		return;
	meet(r, expect, audit, &m);
	count_runs(r, &m, &a->tally);
	meeting_free(&m);
}

/* The share of the first revision's runs that show the target is that of a known-bad kernel. */
static void judge_all(const struct bisect_log *log, const struct filter *expect,
		      struct audit *audit)
{
	const struct tally *first = &audit->revisions[0].tally;

	for (size_t i = 0; i < log->n_revisions; i++)
		judge(log, i, expect, audit);
	if (first->hits) {
		audit->policy.known_hits = first->hits;
		audit->policy.known_runs = first->hits + first->clean;
	}
	audit->astray = log->n_revisions;
	for (size_t i = 0; i < log->n_revisions; i++) {
		struct audit_revision *a = &audit->revisions[i];

		if (a->judged)
			verdict_decide(&audit->policy, &a->tally, &a->decision);
		a->finding = find(&log->revisions[i], a);
		a->off_path = audit->astray < i;
		if (a->finding == AUDIT_ASTRAY && !a->off_path)
			audit->astray = i;
	}
}

/* Whether any run of the log is, or may be, what is looked for. */
static bool shows_target(const struct audit *audit)
{
	for (size_t i = 0; i < audit->n_revisions; i++)
		if (audit->revisions[i].tally.hits || audit->revisions[i].tally.possible)
			return true;
	return false;
}

static bool needs_assumption(const struct bisect_log *log)
{
	for (size_t i = 0; i < log->n_revisions; i++)
		if (log->revisions[i].all && !log->revisions[i].made)
			return true;
	return false;
}

int audit_log(const struct bisect_log *log, const struct filter *expect,
	      const struct policy *policy, struct audit *out, struct err *err)
{
	const char *title = most_frequent(&log->revisions[0]);
	struct audit audit = { .policy = *policy, .n_revisions = log->n_revisions };
	struct filter own = { 0 };

	if (!expect->n_expect && !title)
		return err_set(err, ERR_INPUT,
			       "no run of the first revision, %.12s, crashed: name the crash that "
			       "is looked for with --expect",
			       log->revisions[0].hash);
	if (!expect->n_expect && filter_init(&title, 1, NULL, 0, &own, err)) {
		filter_free(&own);
		return -1;
	}
	const struct filter *wanted = expect->n_expect ? expect : &own;
	audit.target = expect->n_expect ? NULL : xstrdup(title);
	audit.assumed_runs = needs_assumption(log) ? assume_runs(log) : 0;
	audit.revisions = xcalloc(log->n_revisions, sizeof(*audit.revisions));
	learn(log, wanted, &audit);
	judge_all(log, wanted, &audit);
	filter_free(&own);
	if (!shows_target(&audit)) {
		audit_free(&audit);
		return err_set(
			err, ERR_INPUT, "no run of the log crashed in what --expect names%s%s",
			title ? "; the first revision did mostly in: " : "", title ? title : "");
	}
	*out = audit;
	return 0;
}

void audit_free(struct audit *audit)
{
	family_free(&audit->family);
	free(audit->since);
	free(audit->target);
	free(audit->revisions);
	*audit = (struct audit){ 0 };
}

const char *audit_finding_name(enum audit_finding finding)
{
	static const char *const text[] = {
		[AUDIT_NONE] = "-",        [AUDIT_AGREES] = "agrees", [AUDIT_UNPROVEN] = "unproven",
		[AUDIT_MISSED] = "missed", [AUDIT_ASTRAY] = "astray",
	};

	return text[finding];
}
