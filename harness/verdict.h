/*
 * From outcomes to a verdict, by a policy. Pure: numbers in, a word out. docs/policies.md has the
 * arithmetic and what it was measured to be worth.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "outcome.h"

#include <stddef.h>

enum verdict {
	VERDICT_GOOD,
	VERDICT_BAD,
	VERDICT_SKIP,
	VERDICT_NONE, /* the harness itself failed every time: nothing can be said */
};

/* What an outcome is to the search (family.h says which crash is which). */
enum match {
	MATCH_NONE,     /* no crash, or another one */
	MATCH_POSSIBLE, /* a crash that may be the target: no more is known */
	MATCH_TARGET,
};

/* One kernel's outcomes, counted. Every run is in exactly one of the six counts. */
struct tally {
	size_t runs;     /* that have ended */
	size_t clean;    /* OUTCOME_OK */
	size_t hits;     /* MATCH_TARGET, in whatever phase */
	size_t others;   /* another crash */
	size_t possible; /* MATCH_POSSIBLE */
	size_t boot;     /* boot failed, basic kernel testing failed */
	size_t infra;
	size_t left; /* runs that may still be made */
};

enum policy_kind {
	POLICY_BAYES,
	POLICY_SYZBOT,
};

#define POLICY_ALPHA    0.01
#define POLICY_RATE     0.5
#define POLICY_MIN_HITS 1

struct policy {
	enum policy_kind kind;
	double alpha;    /* bayes: good when the bug hid with no greater chance; 0 < alpha < 1 */
	double rate;     /* assumed share of runs that show the bug, where it is there; 0 to 1 */
	size_t min_hits; /* bayes: so many hits make a kernel bad; at least 1 */
	/* What is known of the rate: hits among the conclusive runs (clean or hit) of kernels that
	 * have the bug. known_runs 0: nothing is, and the assumed rate is taken. */
	size_t known_hits, known_runs;
};

struct decision {
	enum verdict verdict;
	/*
	 * The chance that a kernel with the bug would have given these clean runs and no hit: for
	 * good, the bound of its error. 0 when there was a hit, 1 when no run was clean. bayes's
	 * arithmetic, whatever the policy.
	 */
	double hidden;
	bool final;        /* the verdict stands: see verdict_decide() */
	size_t more_clean; /* so many more clean runs would make it good; 0: it is decided, or no
			      number would */
};

/* The names of the policies, in the order of enum policy_kind; NULL-terminated. */
extern const char *const policy_names[];

/* The kind with that name, which must be one of policy_names. */
enum policy_kind policy_kind_of(const char *name);

/*
 * How many runs to plan for one kernel of a bisection. bayes: three times what good takes if all
 * are clean, for some will crash otherwise (10 for the first kernel, whose rate is not known).
 * syzbot: 10, and 20 for the first kernel and once the crash is flaky.
 */
size_t policy_runs(const struct policy *policy, bool first);

/*
 * Whether these runs tell the rate of the bug well enough to judge other kernels by it: at least 10
 * conclusive ones, and 5 hits. RATE_RUNS_MAX: more are not worth making for it.
 */
#define RATE_RUNS_MAX 60
bool tally_shows_rate(const struct tally *tally);

/* How many clean runs make a kernel good if nothing else happens. */
size_t policy_clean_needed(const struct policy *policy);

/* Add one outcome; one run less is left. */
void tally_add(struct tally *tally, const struct outcome *outcome, enum match match);

/*
 * The verdict on tally; runs that are left count as not made (syzbot: as not conclusive). none:
 * there was a run and every one was an infra problem.
 *
 * final: no run that is left is worth making. A verdict of bad is final. bayes: so is good, though
 * a further run could show the bug yet, with a chance that alpha bounds; skip is never final before
 * the last run unless the runs left can make it neither good nor bad. syzbot: whatever the runs
 * left give, the verdict is the same. With no run left any verdict is final.
 */
void verdict_decide(const struct policy *policy, const struct tally *tally, struct decision *out);

/* "good", "bad", "skip", "none"; and the exit status that git bisect run understands. */
const char *verdict_name(enum verdict verdict);
int verdict_exit_status(enum verdict verdict);

/* The numbers behind a decision, for people, one line: counts, the chance that the bug hid, and for
 * skip what would decide. Added to out. */
void verdict_reason(const struct policy *policy, const struct tally *tally,
		    const struct decision *decision, struct buf *out);

#endif
