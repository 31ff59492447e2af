/*
 * Bisections by simulation: revisions with a bug from the culprit on, with crashes of others, with
 * boots that fail; a policy that judges each; a search that believes it. For the unit test and for
 * docs/policies.md's table.
 */
#ifndef SIM_BISECTION_H
#define SIM_BISECTION_H

#include "verdict.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SIM_STEPS     16
#define SIM_REVISIONS (1u << SIM_STEPS) /* 1 has not the bug, SIM_REVISIONS has it */

/* How the revisions behave. */
struct sim_world {
	double rate;     /* share of runs that show the bug where it is */
	double carriers; /* share of revisions with a crash of another bug, in a share of their runs
			    that is drawn evenly from 0 to 1 */
	double boot;     /* share of runs in which the boot fails */
	double dead;     /* share of revisions that never boot */
};

/* How they are judged. */
struct sim_method {
	const char *name;
	enum policy_kind kind;
	bool any_crash; /* whoever's crash is a hit */
	bool measure;   /* the first kernel's rate is measured and used */
	bool pool;      /* and what later bad kernels say of it is added */
	bool per_step;  /* alpha is divided by the number of steps for each verdict */
	bool confirm; /* culprit and parent are tested again; if the parent has the bug: go back */
};

struct sim_result {
	unsigned long right, wrong, undecided, trials;
};

struct sim {
	const struct sim_world *world;
	const struct sim_method *method;
	struct policy policy;
	double alpha; /* of the whole */
	uint64_t seed, state;
	unsigned culprit, trials;
	unsigned goods[2 * SIM_STEPS + 2], n_goods; /* rising; the last is the present good */
	size_t clean[2 * SIM_STEPS + 2];            /* runs, of each of them */
	unsigned skipped[256], n_skipped;
};

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static inline uint64_t sim_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline double sim_share(uint64_t bits)
{
	return (double)(bits >> 11) * 0x1p-53;
}

static inline double sim_random(struct sim *s)
{
	return sim_share(sim_mix(s->state += 0x9e3779b97f4a7c15u));
}

/* A property of a revision, the same whenever it is asked for. */
static inline double sim_property(const struct sim *s, unsigned revision, unsigned which)
{
	return sim_share(sim_mix(s->seed ^ sim_mix(4 * (uint64_t)revision + which)));
}

static inline void sim_trial(struct sim *s, unsigned revision, struct tally *t)
{
	const struct sim_world *w = s->world;
	bool carrier = sim_property(s, revision, 0) < w->carriers;
	double other = carrier ? sim_property(s, revision, 1) : 0;
	bool dead = sim_property(s, revision, 2) < w->dead;
	struct outcome o = { OUTCOME_OK, NULL };
	enum match match = MATCH_NONE;

	s->trials++;
	if (sim_random(s) < w->boot || dead) {
		o.kind = OUTCOME_BOOT_FAILED;
	} else if (sim_random(s) < other) {
		o.kind = OUTCOME_CRASHED;
		match = s->method->any_crash ? MATCH_TARGET : MATCH_NONE;
	} else if (revision >= s->culprit && sim_random(s) < w->rate) {
		o.kind = OUTCOME_CRASHED;
		match = MATCH_TARGET;
	}
	tally_add(t, &o, match);
}

/* Run until the verdict is final, as --stop-early does; syzbot makes all of its runs. */
static inline enum verdict sim_judge(struct sim *s, unsigned revision, struct tally *t)
{
	struct decision d;

	*t = (struct tally){ .left = policy_runs(&s->policy, false) };
	do {
		sim_trial(s, revision, t);
		verdict_decide(&s->policy, t, &d);
	} while (s->method->kind == POLICY_SYZBOT ? t->left : !d.final);
	if (s->method->pool && d.verdict == VERDICT_BAD) {
		s->policy.known_hits += t->hits;
		s->policy.known_runs += t->hits + t->clean;
	}
	return d.verdict;
}

/* The first kernel: has it the bug at all, and how often does it show? */
static inline bool sim_first(struct sim *s)
{
	bool bayes = s->method->kind == POLICY_BAYES;
	struct tally t = { .left = bayes ? RATE_RUNS_MAX : policy_runs(&s->policy, true) };
	struct decision d;

	while (t.left &&
	       !(bayes && (tally_shows_rate(&t) || (!t.hits && t.clean >= RATE_RUNS_MAX / 2))))
		sim_trial(s, SIM_REVISIONS, &t);
	verdict_decide(&s->policy, &t, &d);
	if (s->method->measure) {
		s->policy.known_hits = t.hits;
		s->policy.known_runs = t.hits + t.clean;
	}
	return d.verdict == VERDICT_BAD;
}

static inline bool sim_is_skipped(const struct sim *s, unsigned revision)
{
	for (unsigned i = 0; i < s->n_skipped; i++)
		if (s->skipped[i] == revision)
			return true;
	return false;
}

/* The candidate nearest to the middle that has not been skipped; 0: none. */
static inline unsigned sim_pick(const struct sim *s, unsigned good, unsigned bad)
{
	unsigned middle = good + (bad - good) / 2;

	for (unsigned off = 0; off < bad - good; off++) {
		if (middle + off < bad && middle + off > good && !sim_is_skipped(s, middle + off))
			return middle + off;
		if (middle - off > good && middle - off < bad && !sim_is_skipped(s, middle - off))
			return middle - off;
	}
	return 0;
}

enum sim_end {
	SIM_CONFIRMED,
	SIM_PARENT_BAD,
	SIM_UNCONFIRMED
};

/* Culprit and parent in turn, afresh, until both are what they should be or the parent is not. */
static inline enum sim_end sim_confirm(struct sim *s, unsigned culprit)
{
	size_t runs = policy_runs(&s->policy, false);
	struct tally c = { .left = runs }, p = { .left = runs };
	struct decision dc, dp;

	do {
		sim_trial(s, culprit, &c);
		sim_trial(s, s->goods[s->n_goods - 1], &p);
		verdict_decide(&s->policy, &c, &dc);
		verdict_decide(&s->policy, &p, &dp);
	} while (p.left && dp.verdict != VERDICT_BAD &&
		 !(dc.verdict == VERDICT_BAD && dp.verdict == VERDICT_GOOD));
	if (dp.verdict == VERDICT_BAD) { /* all of its runs were those of a bad kernel */
		s->policy.known_hits += p.hits;
		s->policy.known_runs += p.hits + p.clean + s->clean[s->n_goods - 1];
		return SIM_PARENT_BAD;
	}
	return dc.verdict == VERDICT_BAD && dp.verdict == VERDICT_GOOD ? SIM_CONFIRMED
								       : SIM_UNCONFIRMED;
}

/* The first bad revision as far as the search found it; 0: undecided. */
static inline unsigned sim_search(struct sim *s)
{
	unsigned bad = SIM_REVISIONS;
	struct tally t;

	for (;;) {
		unsigned good = s->goods[s->n_goods - 1];
		unsigned next = sim_pick(s, good, bad);

		if (!next && bad != good + 1)
			return 0;
		if (!next && !s->method->confirm)
			return bad;
		if (!next) {
			enum sim_end end = sim_confirm(s, bad);

			if (end != SIM_PARENT_BAD || s->n_goods == 1)
				return end == SIM_CONFIRMED ? bad : 0;
			bad = good; /* called good, and is not: go back behind it */
			s->n_goods--;
			continue;
		}
		switch (sim_judge(s, next, &t)) {
		case VERDICT_BAD:
			bad = next;
			break;
		case VERDICT_GOOD:
			s->goods[s->n_goods] = next;
			s->clean[s->n_goods++] = t.clean;
			break;
		case VERDICT_SKIP:
		case VERDICT_NONE:
			if (s->n_skipped == sizeof(s->skipped) / sizeof(*s->skipped))
				return 0;
			s->skipped[s->n_skipped++] = next;
			break;
		}
		if (s->n_goods == sizeof(s->goods) / sizeof(*s->goods))
			return 0;
	}
}

/* So many bisections, each with a culprit and revisions of its own; the same for every method. */
static inline struct sim_result sim_run(const struct sim_world *world,
					const struct sim_method *method, unsigned n)
{
	struct sim_result r = { 0 };

	for (unsigned i = 0; i < n; i++) {
		struct sim s = {
			.world = world,
			.method = method,
			.alpha = POLICY_ALPHA,
			.seed = sim_mix(i + 1),
			.goods = { 1 },
			.n_goods = 1,
		};
		s.policy = (struct policy){ method->kind, POLICY_ALPHA, POLICY_RATE, 1, 0, 0 };
		if (method->per_step)
			s.policy.alpha /= SIM_STEPS;
		s.state = sim_mix(s.seed);
		s.culprit = 2 + (unsigned)(sim_random(&s) * (SIM_REVISIONS - 1));
		unsigned found = sim_first(&s) ? sim_search(&s) : 0;
		r.right += found == s.culprit;
		r.wrong += found && found != s.culprit;
		r.undecided += !found;
		r.trials += s.trials;
	}
	return r;
}

enum sim_methods {
	SIM_SYZBOT,     /* as in the seeds: any crash counts */
	SIM_SYZBOT_OWN, /* had it known which crash is which */
	SIM_RUN,        /* git bisect run kvmrepro run --stop-early */
	SIM_RUN_STRICT, /* the same with --alpha 0.0006 */
	SIM_STATE,      /* git bisect run with what was learnt on one kernel serving the next */
	SIM_BISECT,     /* kvmrepro bisect */
	SIM_METHODS
};

static const struct sim_method sim_methods[] = {
	[SIM_SYZBOT] = { .name = "syzbot",
			 .kind = POLICY_SYZBOT,
			 .any_crash = true,
			 .measure = true },
	[SIM_SYZBOT_OWN] = { .name = "syzbot, target only",
			     .kind = POLICY_SYZBOT,
			     .measure = true },
	[SIM_RUN] = { .name = "run" },
	[SIM_RUN_STRICT] = { .name = "run, alpha / 16", .per_step = true },
	[SIM_STATE] = { .name = "learnt", .measure = true, .pool = true },
	[SIM_BISECT] = { .name = "bisect", .measure = true, .pool = true, .confirm = true },
};

#endif
