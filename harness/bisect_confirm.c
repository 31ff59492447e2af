/* The end of the search: what git ended at and its parents, side by side; see bisect.h. */
#include "bisect.h"

#include "aside.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "bisect_weigh.h"
#include "git.h"

#include <string.h>

#define PARENTS_MAX 15

/* What a process aside works on. */
struct task {
	struct bisect *b;
	struct bisect_step *const *steps;
	size_t n;
};

/* Refuted: one that should be good showed the crash. */
static bool decided(void *opaque, const struct judgement *jm, size_t n)
{
	const bool *fix = opaque;
	bool all = true;

	for (size_t i = 0; i < n; i++) {
		struct decision settled;

		verdict_decide(&jm[i].policy, &jm[i].settled, &settled);
		if (bisect_should_be_bad(*fix, i)) {
			all &= jm[i].decision.verdict == VERDICT_BAD;
			continue;
		}
		if (jm[i].decision.verdict == VERDICT_BAD)
			return true;
		all &= settled.verdict == VERDICT_GOOD;
	}
	return all;
}

static void add_sides(const struct judgement *jm, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s crashed so in %zu of %zu runs, %zu were clean", i ? "; " : "",
			 jm[i].label, jm[i].tally.hits, jm[i].tally.runs, jm[i].tally.clean);
}

/*
 * What would decide where the runs did not: more of the same two kernels. How many is taken from
 * all runs of the one that was called bad, those in which it did not show now included.
 */
static void add_advice(const struct bisect *b, const struct task *task, const struct judgement *jm,
		       struct buf *out)
{
	size_t bad = b->j->fix ? 1 : 0;
	const struct bisect_step *s = task->steps[bad];
	cleanup_free char *base = bisect_kernel_path(b, s);
	cleanup_free char *kernel = bisect_kernel_path(b, task->steps[!bad]);
	struct policy policy = jm[bad].policy;

	policy.known_hits = (size_t)s->hits + jm[bad].tally.hits;
	policy.known_runs = policy.known_hits + (size_t)s->clean + jm[bad].tally.clean;
	if (jm[bad].decision.verdict != VERDICT_BAD && s->hits)
		buf_addf(out, "; in the search %s crashed so in %ld of %ld runs", jm[bad].label,
			 s->hits, s->runs);
	buf_addf(out,
		 "; to decide, with the same reproducers: kvmrepro check --base %s --kernel %s "
		 "--runs %zu",
		 base, kernel, policy_runs(&policy, false));
}

/* One that was called good shows the crash: its runs are a step of their own, with which the search
 * goes on. */
static int refute(struct bisect *b, const struct bisect_step *s, const struct judgement *jm,
		  const char *beside, struct err *err)
{
	cleanup_free char *hash = xstrdup(s->hash);
	struct bisect_step *again = bisect_journal_again(b->j, hash);

	again->again = b->j->rounds + 1;
	again->remark =
		xasprintf("%.12s was taken for good, and shows the crash beside %s", hash, beside);
	bisect_note(b, again, jm);
	log_info("going back: %s", again->remark);
	return bisect_journal_store(b->j, err);
}

/* They ran side by side. */
static long longest(const struct judgement *jm, size_t n)
{
	int64_t ms = 0;

	for (size_t i = 0; i < n; i++)
		ms = jm[i].spent_ms > ms ? jm[i].spent_ms : ms;
	return (long)ms;
}

/* Another confirmation has other runs. */
static void leave_dirs(const struct task *task)
{
	for (size_t i = 0; i < task->n; i++) {
		free(task->steps[i]->confirm_dir);
		task->steps[i]->confirm_dir = NULL;
	}
}

/* What the runs of both say, into the journal. */
static int conclude(struct bisect *b, const struct task *task, const struct judgement *jm,
		    struct err *err)
{
	cleanup_buf struct buf why = BUF_INIT, end = BUF_INIT;
	double doubt;
	size_t side;
	enum bisect_end how = bisect_weigh(b->j->fix, jm, task->n, &side, &doubt);

	if (how == BISECT_NOTHING || how == BISECT_REFUTED)
		leave_dirs(task);
	if (how == BISECT_NOTHING) {
		if (bisect_journal_store(b->j, err))
			return -1;
		return err_set(err, ERR_HARNESS, "%s: every run was an infra problem (%s)",
			       jm[side].label, jm[side].dir);
	}
	task->steps[0]->test_ms += longest(jm, task->n);
	if (how == BISECT_REFUTED)
		return refute(b, task->steps[side], &jm[side], jm[b->j->fix ? 1 : 0].label, err);
	const char *word = how == BISECT_CONFIRMED ? "confirmed" : "not confirmed";
	add_sides(jm, task->n, &why);
	if (how == BISECT_UNCONFIRMED)
		add_advice(b, task, jm, &why);
	buf_addf(&end, "%s: %s\n", word, why.data);
	buf_addf(&end, "accumulated error probability: %.2g\n", doubt);
	log_info("%s: %s", word, why.data);
	if (how == BISECT_CONFIRMED)
		log_info("confidence: %.4g %% (the chance that the crash was there and hid: %.2g)",
			 100 * (1 - doubt), doubt);
	b->j->status = how == BISECT_CONFIRMED ? 0 : 125;
	b->j->confirmed = buf_steal(&end);
	return bisect_journal_store(b->j, err);
}

static int confirm_here(void *opaque, struct err *err)
{
	struct task *task = opaque;
	struct bisect *b = task->b;
	struct bisect_step *const *steps = task->steps;
	size_t n = task->n;
	cleanup_free struct judge_kernel *jk = xcalloc(n, sizeof(*jk));
	cleanup_free struct judgement *jm = xcalloc(n, sizeof(*jm));
	cleanup_free char **own = xcalloc(3 * n, sizeof(*own));
	struct policy policy = bisect_policy(b);
	struct state *state = NULL;
	struct judge_options jo = {
		.runs = (unsigned)(b->config->runs ? (size_t)b->config->runs
						   : policy_runs(&policy, false)),
		.jobs = (unsigned)b->config->trials->jobs,
		.enough = decided,
		.opaque = &b->j->fix,
	};

	if (b->config->state && state_open(b->config->state, &state, err))
		return -1;
	for (size_t i = 0; i < n; i++) {
		bool resume;

		own[3 * i] = bisect_kernel_path(b, steps[i]);
		own[3 * i + 1] = bisect_run_dir(b, steps[i]->confirm_dir, &resume);
		own[3 * i + 2] = xstrndup(steps[i]->hash, 12);
		jk[i] = (struct judge_kernel){ .session = bisect_session(b, own[3 * i]),
					       .policy = policy,
					       .label = own[3 * i + 2],
					       .resume = resume,
					       .out = own[3 * i + 1],
					       .state = state,
					       .known = &b->j->family };
		/* What one boot's memory had in it must not make a culprit. */
		jk[i].session.boot_once = jk[i].session.keep_state = false;
	}
	int rc = judge_kernels(&jo, jk, n, jm, err);
	if (!rc)
		rc = conclude(b, task, jm, err);
	for (size_t i = 0; i < n; i++)
		judgement_free(&jm[i]);
	for (size_t i = 0; i < 3 * n; i++)
		free(own[i]);
	state_close(state);
	return rc;
}

/* Pointers to steps from before are no good afterwards. */
static int run_aside(struct task *task, struct err *err)
{
	struct bisect *b = task->b;

	for (size_t i = 0; i < task->n; i++)
		bisect_choose_dir(b, task->steps[i], "confirm", &task->steps[i]->confirm_dir);
	return bisect_journal_store(b->j, err) || aside_run(confirm_here, task, err) ||
			       bisect_journal_reload(b->j, err)
		       ? -1
		       : 0;
}

/* The reason why there is nothing to be compared, or NULL. */
static char *obstacle(const struct bisect_step *culprit, const struct bisect_step *parent)
{
	if (parent->build_failure)
		return xasprintf("its parent %.12s does not build", parent->hash);
	if (!strcmp(parent->signature, culprit->signature))
		return xasprintf("its parent %.12s is the same kernel", parent->hash);
	return NULL;
}

int bisect_confirm(struct bisect *b, const char *culprit, struct buf *end, struct err *err)
{
	struct bisect_step *steps[PARENTS_MAX + 1];
	char **parents;
	size_t n, at[PARENTS_MAX + 1];
	int rc = 0;

	if (bisect_journal_pending(b->j))
		return 1;
	if (git_parents(b->j->tree, culprit, &parents, &n, err))
		return -1;
	if (n > PARENTS_MAX)
		rc = err_set(err, ERR_INPUT, "%.12s: a merge of %zu parents", culprit, n);
	for (size_t i = 0; !rc && i <= n; i++) {
		rc = bisect_prepare(b, i ? parents[i - 1] : culprit, &steps[0], err);
		at[i] = rc ? 0 : (size_t)(steps[0] - b->j->steps);
	}
	for (size_t i = 0; i < n; i++)
		free(parents[i]);
	free(parents);
	if (rc)
		return -1;
	for (size_t i = 0; i <= n; i++)
		steps[i] = &b->j->steps[at[i]];
	cleanup_free char *no = NULL;
	for (size_t i = 1; i <= n && !no; i++)
		no = obstacle(steps[0], steps[i]);
	buf_addf(end, "culprit signature: %s\n", steps[0]->signature);
	if (n && steps[1]->signature)
		buf_addf(end, "parent  signature: %s\n", steps[1]->signature);
	if (!no) {
		struct task task = { .b = b, .steps = steps, .n = n + 1 };

		log_info("confirming: %.12s against its parent%s", culprit, n > 1 ? "s" : "");
		if (!b->j->confirmed && run_aside(&task, err))
			return -1;
		if (bisect_journal_pending(b->j))
			return 1;
		buf_adds(end, b->j->confirmed);
		return 0;
	}
	buf_addf(end, "not confirmed: %s\n", no);
	log_info("not confirmed: %s", no);
	b->j->status = 125;
	return 0;
}
