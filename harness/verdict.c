/* Verdicts; see verdict.h. */
#include "verdict.h"

#include <string.h>

/* More clean runs than this are not asked for: nobody makes them. */
#define CLEAN_MAX 1000000

/* syzkaller, pkg/bisect: MaxNumTests and bisectionDecision(). */
#define SYZBOT_RUNS     10
#define SYZBOT_BAD_HITS 2

/* docs/policies.md: fewer runs of the first kernel cost more of the others. */
#define RATE_RUNS        10
#define RATE_HITS        5
#define BAYES_FIRST_RUNS 10

static const struct {
	const char *name;
	int exit_status; /* git-bisect(1), "Bisect run"; 128 and above stop the bisection */
} verdicts[] = {
	[VERDICT_GOOD] = { "good", 0 },
	[VERDICT_BAD] = { "bad", 1 },
	[VERDICT_SKIP] = { "skip", 125 },
	[VERDICT_NONE] = { "none", 128 },
};

void tally_add(struct tally *tally, const struct outcome *outcome, enum match match)
{
	tally->runs++;
	if (tally->left)
		tally->left--;
	if (match != MATCH_NONE) {
		*(match == MATCH_TARGET ? &tally->hits : &tally->possible) += 1;
		return;
	}
	switch (outcome->kind) {
	case OUTCOME_OK:
		tally->clean++;
		break;
	case OUTCOME_CRASHED:
		tally->others++;
		break;
	case OUTCOME_BOOT_FAILED:
	case OUTCOME_TESTING_FAILED:
		tally->boot++;
		break;
	case OUTCOME_INFRA:
		tally->infra++;
		break;
	}
}

bool tally_shows_rate(const struct tally *tally)
{
	return tally->clean + tally->hits >= RATE_RUNS && tally->hits >= RATE_HITS;
}

/* ---- the chance that the bug hid ---- */

/*
 * By what the chance to hide shrinks with clean run number j + 1. With h hits in n runs and no
 * opinion before them the rate has the distribution Beta(h + 1, n - h + 1); after j clean runs it
 * is Beta(h + 1, n - h + 1 + j), and one more is clean with the mean of one minus that.
 */
static double hide_factor(const struct policy *p, size_t j)
{
	if (!p->known_runs)
		return 1 - p->rate;
	return (double)(p->known_runs - p->known_hits + 1 + j) / (double)(p->known_runs + 2 + j);
}

static double chance_hidden(const struct policy *p, size_t clean)
{
	double chance = 1;

	for (size_t j = 0; j < clean && chance > 0; j++)
		chance *= hide_factor(p, j);
	return chance;
}

/* How many more clean runs bring the chance from its value after clean runs down to alpha. */
static size_t clean_missing(const struct policy *p, size_t clean, double chance)
{
	size_t more = 0;

	while (chance > p->alpha && more < CLEAN_MAX)
		chance *= hide_factor(p, clean + more++);
	return more;
}

size_t policy_clean_needed(const struct policy *policy)
{
	return clean_missing(policy, 0, 1);
}

/* ---- bayes ---- */

static void bayes_decide(const struct policy *p, const struct tally *t, struct decision *d)
{
	bool may_be_good = !t->hits && !t->possible;
	size_t missing = clean_missing(p, t->clean, d->hidden);

	if (t->hits >= p->min_hits) {
		d->verdict = VERDICT_BAD;
	} else if (may_be_good && !missing) {
		d->verdict = VERDICT_GOOD;
	} else {
		d->more_clean = may_be_good ? missing : 0;
		d->final = t->hits + t->left < p->min_hits && (!may_be_good || missing > t->left);
		return;
	}
	d->final = true;
}

static size_t bayes_runs(const struct policy *p, bool first)
{
	return first ? BAYES_FIRST_RUNS : 3 * policy_clean_needed(p);
}

/* ---- syzbot ---- */

static bool is_flaky(const struct policy *p)
{
	return p->known_runs && 2 * p->known_hits < p->known_runs;
}

/* Clean runs that good takes, of so many in all: half, three quarters once flaky. */
static size_t syzbot_want_clean(const struct policy *p, size_t total)
{
	return is_flaky(p) ? (3 * total + 3) / 4 : (total + 1) / 2;
}

static bool syzbot_is_bad(const struct tally *t, size_t total)
{
	size_t sixth = (total - t->infra) / 6;
	size_t want = sixth > SYZBOT_BAD_HITS ? sixth : SYZBOT_BAD_HITS;

	return t->hits >= want && 2 * (t->clean + t->hits) >= total;
}

static void syzbot_decide(const struct policy *p, const struct tally *t, struct decision *d)
{
	size_t total = t->runs + t->left;
	size_t want = syzbot_want_clean(p, total);
	bool may_be_good = !t->hits && !t->possible;
	struct tally hopeful = *t;

	hopeful.hits += t->left;
	if (syzbot_is_bad(t, total)) {
		d->verdict = VERDICT_BAD;
		d->final = true;
	} else if (may_be_good && t->clean >= want) {
		d->verdict = VERDICT_GOOD; /* until a run that is left shows the crash */
	} else {
		d->more_clean = may_be_good && want > t->clean ? want - t->clean : 0;
		d->final = !syzbot_is_bad(&hopeful, total) &&
			   (!may_be_good || t->clean + t->left < want);
	}
}

static size_t syzbot_runs(const struct policy *p, bool first)
{
	return first || is_flaky(p) ? 2 * SYZBOT_RUNS : SYZBOT_RUNS;
}

/* ---- both ---- */

static const struct policy_row {
	void (*decide)(const struct policy *p, const struct tally *t, struct decision *d);
	size_t (*runs)(const struct policy *p, bool first);
} rows[] = {
	[POLICY_BAYES] = { bayes_decide, bayes_runs },
	[POLICY_SYZBOT] = { syzbot_decide, syzbot_runs },
};

const char *const policy_names[] = {
	[POLICY_BAYES] = "bayes",
	[POLICY_SYZBOT] = "syzbot",
	NULL,
};

enum policy_kind policy_kind_of(const char *name)
{
	enum policy_kind kind = POLICY_BAYES;

	while (policy_names[kind + 1] && strcmp(policy_names[kind], name))
		kind++;
	return kind;
}

size_t policy_runs(const struct policy *policy, bool first)
{
	return rows[policy->kind].runs(policy, first);
}

void verdict_decide(const struct policy *policy, const struct tally *tally, struct decision *out)
{
	*out = (struct decision){ .verdict = VERDICT_SKIP };
	out->hidden = tally->hits ? 0 : chance_hidden(policy, tally->clean);
	rows[policy->kind].decide(policy, tally, out);
	if (tally->runs && tally->infra == tally->runs && out->verdict == VERDICT_SKIP) {
		out->verdict = VERDICT_NONE;
		out->final = false;
	}
	if (!tally->left)
		out->final = true;
}

const char *verdict_name(enum verdict verdict)
{
	return verdicts[verdict].name;
}

int verdict_exit_status(enum verdict verdict)
{
	return verdicts[verdict].exit_status;
}

/* ---- words ---- */

/* "1 run", "2 runs" */
static void add_runs(struct buf *out, size_t n, const char *what)
{
	buf_addf(out, "%zu %srun%s", n, what, n == 1 ? "" : "s");
}

static void add_counts(const struct tally *t, enum verdict verdict, struct buf *out)
{
	if (verdict == VERDICT_BAD)
		buf_addf(out, "the crash was seen in %zu of ", t->hits);
	else
		buf_addf(out, "%zu of ", t->clean);
	add_runs(out, t->runs, "");
	if (verdict != VERDICT_BAD)
		buf_adds(out, t->clean == 1 || t->runs == 1 ? " was clean" : " were clean");
	if (verdict != VERDICT_BAD && t->hits)
		buf_addf(out, ", %zu showed the crash", t->hits);
	if (t->possible)
		buf_addf(out, ", %zu crashed in a way that may be the same", t->possible);
	if (t->others)
		buf_addf(out, ", %zu crashed otherwise", t->others);
	if (t->boot)
		buf_addf(out, ", %zu did not boot or pass the canary", t->boot);
	if (t->infra)
		buf_addf(out, ", %zu had an infra problem", t->infra);
}

/* What the chance to hide rests on. */
static void add_chance(const struct policy *p, double hidden, struct buf *out)
{
	if (p->known_runs)
		buf_addf(out,
			 "; a crash that is known from %zu of %zu runs would hide in them with a "
			 "chance of %.2g",
			 p->known_hits, p->known_runs, hidden);
	else
		buf_addf(out,
			 "; a crash that shows in %g of the runs would hide in them with a chance "
			 "of %.2g",
			 p->rate, hidden);
}

static void add_wants(const struct policy *p, const struct tally *t, const struct decision *d,
		      struct buf *out)
{
	/* Not one run was clean, or showed the crash: it is not that there were too few. */
	if (!t->clean && !t->hits && !t->possible)
		return;
	if (d->more_clean >= CLEAN_MAX) {
		buf_adds(out, "; no number of runs that can be made would decide");
	} else if (d->more_clean) {
		buf_adds(out, "; ");
		add_runs(out, d->more_clean, "more clean ");
		buf_adds(out, " would make it good");
	} else if (t->hits && p->kind == POLICY_BAYES) {
		buf_adds(out, "; ");
		add_runs(out, p->min_hits - t->hits, "more such ");
		buf_adds(out, " would make it bad");
	} else if (t->possible) {
		buf_adds(out, "; what may be the crash can make it neither good nor bad");
	}
}

void verdict_reason(const struct policy *policy, const struct tally *tally,
		    const struct decision *decision, struct buf *out)
{
	add_counts(tally, decision->verdict, out);
	if (decision->verdict != VERDICT_BAD && !tally->hits && tally->clean)
		add_chance(policy, decision->hidden, out);
	if (decision->verdict == VERDICT_SKIP)
		add_wants(policy, tally, decision, out);
}
