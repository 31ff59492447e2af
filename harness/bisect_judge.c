/* Judging a revision, and the end of the search; see bisect.h. */
#include "bisect.h"

#include "aside.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "git.h"
#include "judge.h"

#include <string.h>

#define REPORT_BYTES (256 * 1024)
#define PARENTS_MAX  15

static struct policy policy_of(const struct bisect *b)
{
	struct policy policy = trial_opts_policy(b->config->trials);

	policy.known_hits = (size_t)b->j->known_hits;
	policy.known_runs = (size_t)b->j->known_runs;
	return policy;
}

static bool has_target(const struct bisect *b)
{
	return b->config->trials->expect.n || b->j->target;
}

static struct session_options session_of(const struct bisect *b, const char *kernel)
{
	struct session_options so = trial_opts_session(b->config->trials, kernel);

	so.modules = NULL; /* they were kept beside the kernel */
	if (!so.n_expect && b->j->target) {
		so.expect = (const char *const *)&b->j->target;
		so.n_expect = 1;
	}
	return so;
}

/* A directory that holds no run yet: one that was cut short may have left its own. */
static char *fresh_dir(const char *base)
{
	for (unsigned i = 1;; i++) {
		char *dir = i == 1 ? xstrdup(base) : xasprintf("%s-%u", base, i);

		if (!fs_exists(dir))
			return dir;
		free(dir);
	}
}

static bool counts(const struct family *family, const struct outcome *outcome)
{
	enum kinship kin = family_kin(family, outcome);

	return kin == KIN_TARGET || kin == KIN_ALIAS || kin == KIN_RENAMED;
}

/*
 * Without --expect any crash counted on the first kernel. From now on it is the one that most of
 * its runs ended in, and what stood beside it: another crash on another kernel leads nowhere.
 */
static int choose_target(struct bisect *b, struct judgement *jm, struct err *err)
{
	cleanup_free struct outcome *ended = xcalloc(jm->runs, sizeof(*ended));
	cleanup_free size_t *member = xcalloc(jm->runs, sizeof(*member));
	cleanup_free bool *expected = xcalloc(jm->runs, sizeof(*expected));
	struct family family = { 0 };
	struct oops_matcher *matcher;
	size_t n = 0;

	for (unsigned i = 0; i < jm->runs; i++)
		if (jm->ended[i])
			ended[n++] = jm->outcomes[i];
	const char *title = outcomes_dominant(ended, n);
	if (!title)
		return 0;
	if (oops_matcher_new(title, &matcher, err))
		return -1;
	for (size_t i = 0; i < jm->family.n; i++)
		if (!strcmp(jm->family.v[i].title, title))
			family_know(&family, title, jm->family.v[i].type, jm->family.v[i].stack,
				    KIN_TARGET);
	for (size_t i = 0; i < n; i++) {
		expected[i] = ended[i].title && oops_matcher_test_title(matcher, ended[i].title);
		member[i] = family_add(&family, &(struct family_run){ .outcome = &ended[i],
								      .expected = expected[i] });
	}
	oops_matcher_free(matcher);
	jm->tally = (struct tally){ .left = n };
	for (size_t i = 0; i < n; i++)
		tally_add(&jm->tally, &ended[i], family_match(&family, member[i], expected[i]));
	verdict_decide(&jm->policy, &jm->tally, &jm->decision);
	b->j->target = xstrdup(title);
	log_info("looking for: %s (--expect would name another)", title);
	family_free(&jm->family);
	jm->family = family;
	return 0;
}

/* Title and report of the first run that showed the target. */
static void note_crash(struct bisect_step *s, const struct judgement *jm)
{
	for (unsigned i = 0; i < jm->runs && !s->crash; i++) {
		if (!jm->ended[i] || !jm->outcomes[i].title ||
		    !counts(&jm->family, &jm->outcomes[i]))
			continue;
		s->crash = xstrdup(jm->outcomes[i].title);
		s->report = xasprintf("%s/trial-%03u/report.txt", jm->dir, i);
	}
}

static void note(struct bisect *b, struct bisect_step *s, const struct judgement *jm)
{
	cleanup_buf struct buf lines = BUF_INIT, reason = BUF_INIT;

	judgement_lines(jm, &lines);
	verdict_reason(&jm->policy, &jm->tally, &jm->decision, &reason);
	s->judged = true;
	s->verdict = jm->decision.verdict;
	s->hidden = jm->decision.hidden;
	s->runs = (long)jm->tally.runs;
	s->hits = (long)jm->tally.hits;
	s->clean = (long)jm->tally.clean;
	s->lines = buf_steal(&lines);
	s->reason = buf_steal(&reason);
	note_crash(s, jm);
	if (has_target(b))
		family_know_all(&b->j->family, &jm->family);
	/* Every kernel that has the bug says how often it shows (docs/policies.md). */
	if (s->verdict == VERDICT_BAD) {
		b->j->known_hits += s->hits;
		b->j->known_runs += s->hits + s->clean;
	}
}

static int take_same(struct bisect *b, struct bisect_step *s, struct err *err)
{
	for (size_t i = 0; i < b->j->n_steps; i++) {
		const struct bisect_step *t = &b->j->steps[i];

		if (t == s || !t->judged || t->same_as || strcmp(t->signature, s->signature))
			continue;
		log_info("%.12s: the same kernel as %.12s: not run again, %s", s->hash, t->hash,
			 verdict_name(t->verdict));
		s->judged = true;
		s->same_as = xstrdup(t->hash);
		s->verdict = t->verdict;
		s->hidden = t->hidden;
		return bisect_journal_store(b->j, err) ? -1 : 1;
	}
	return 0;
}

/* What a process aside works on. */
struct task {
	struct bisect *b;
	const char *hash; /* of the revision to be judged */
	struct bisect_step *const *steps;
	size_t n;
};

static int judge_here(void *opaque, struct err *err)
{
	struct task *task = opaque;
	struct bisect *b = task->b;
	struct bisect_step *s = bisect_journal_find(b->j, task->hash);
	cleanup_free char *kernel = bisect_kernel_path(b, s);
	cleanup_free char *base = xasprintf("%s/%s/runs", b->j->dir, s->dir);
	cleanup_free char *out = fresh_dir(base), *label = xstrndup(s->hash, 12);
	cleanup_buf struct buf diag = BUF_INIT;
	const struct judge_kernel jk = {
		.session = session_of(b, kernel),
		.policy = policy_of(b),
		.label = label,
		.out = out,
		.known = &b->j->family,
	};
	bool first = !strcmp(s->hash, b->j->bad);
	bool measure = first && jk.policy.kind == POLICY_BAYES;
	size_t runs = measure ? RATE_RUNS_MAX : policy_runs(&jk.policy, first);
	const struct judge_options jo = {
		.runs = (unsigned)(b->config->runs ? (size_t)b->config->runs : runs),
		.jobs = (unsigned)b->config->trials->jobs,
		.enough = measure ? judge_measured
			  : first ? NULL
				  : judge_enough,
		.diag = &diag,
	};
	int64_t began = clock_ms();
	struct judgement jm;

	int rc = judge_kernels(&jo, &jk, 1, &jm, err);
	if (diag.len)
		log_info("%s", diag.data);
	if (!rc && !has_target(b))
		rc = choose_target(b, &jm, err);
	if (!rc && jm.decision.verdict == VERDICT_NONE)
		rc = err_set(err, ERR_HARNESS, "%.12s: every run was an infra problem (%s)",
			     s->hash, jm.dir);
	if (!rc) {
		judgement_tell(&jm);
		s->test_ms = (long)(clock_ms() - began);
		note(b, s, &jm);
		rc = bisect_journal_store(b->j, err);
	}
	judgement_free(&jm);
	return rc;
}

int bisect_judge(struct bisect *b, const char *hash, struct bisect_step **out, struct err *err)
{
	cleanup_free char *own = xstrdup(hash); /* hash may be the journal's */
	struct task task = { .b = b, .hash = own };
	struct bisect_step *s = *out = bisect_journal_find(b->j, hash);
	int rc = s->judged ? 1 : take_same(b, s, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (aside_run(judge_here, &task, err) || bisect_journal_reload(b->j, err))
		return -1;
	*out = bisect_journal_find(b->j, own);
	return 0;
}

/* ---- the end ---- */

/* Side 0 is the culprit, the others are its parents; in a search for a fix they are the bad ones.
 */
struct sides {
	bool fix;
};

static bool should_be_bad(const struct sides *sides, size_t i)
{
	return sides->fix ? i > 0 : i == 0;
}

/* Refuted: one that should be good showed the crash. */
static bool decided(void *opaque, const struct judgement *jm, size_t n)
{
	const struct sides *sides = opaque;
	bool all = true;

	for (size_t i = 0; i < n; i++) {
		struct decision settled;

		verdict_decide(&jm[i].policy, &jm[i].settled, &settled);
		if (should_be_bad(sides, i)) {
			all &= jm[i].decision.verdict == VERDICT_BAD;
			continue;
		}
		if (jm[i].decision.verdict == VERDICT_BAD)
			return true;
		all &= settled.verdict == VERDICT_GOOD;
	}
	return all;
}

/* What the trials side by side say; *doubt: the chance that the bug hid where it should not be. */
static bool confirmed(const struct sides *sides, const struct judgement *jm, size_t n,
		      double *doubt, struct buf *why)
{
	bool yes = true;

	*doubt = 0;
	for (size_t i = 0; i < n; i++) {
		bool bad = should_be_bad(sides, i);
		enum verdict want = bad ? VERDICT_BAD : VERDICT_GOOD;

		yes &= jm[i].decision.verdict == want;
		if (!bad)
			*doubt += jm[i].decision.hidden;
		buf_addf(why, "%s%s crashed so in %zu of %zu runs, %zu were clean", i ? "; " : "",
			 jm[i].label, jm[i].tally.hits, jm[i].tally.runs, jm[i].tally.clean);
	}
	if (*doubt > 1)
		*doubt = 1;
	return yes;
}

static int confirm_here(void *opaque, struct err *err)
{
	struct task *task = opaque;
	struct bisect *b = task->b;
	struct bisect_step *const *steps = task->steps;
	size_t n = task->n;
	struct sides sides = { b->j->fix };
	cleanup_free struct judge_kernel *jk = xcalloc(n, sizeof(*jk));
	cleanup_free struct judgement *jm = xcalloc(n, sizeof(*jm));
	cleanup_free char **own = xcalloc(3 * n, sizeof(*own));
	cleanup_buf struct buf why = BUF_INIT, end = BUF_INIT;
	struct policy policy = policy_of(b);
	struct judge_options jo = {
		.runs = (unsigned)(b->config->runs ? (size_t)b->config->runs
						   : policy_runs(&policy, false)),
		.jobs = (unsigned)b->config->trials->jobs,
		.enough = decided,
		.opaque = &sides,
	};
	int64_t began = clock_ms();
	double doubt;

	for (size_t i = 0; i < n; i++) {
		cleanup_free char *base = xasprintf("%s/%s/confirm", b->j->dir, steps[i]->dir);

		own[3 * i] = bisect_kernel_path(b, steps[i]);
		own[3 * i + 1] = fresh_dir(base);
		own[3 * i + 2] = xstrndup(steps[i]->hash, 12);
		jk[i] = (struct judge_kernel){ .session = session_of(b, own[3 * i]),
					       .policy = policy,
					       .label = own[3 * i + 2],
					       .out = own[3 * i + 1],
					       .known = &b->j->family };
		/* What one boot's memory had in it must not make a culprit. */
		jk[i].session.boot_once = jk[i].session.keep_state = false;
	}
	int rc = judge_kernels(&jo, jk, n, jm, err);
	if (!rc) {
		bool yes = confirmed(&sides, jm, n, &doubt, &why);

		buf_addf(&end, "%s: %s\n", yes ? "confirmed" : "not confirmed", why.data);
		buf_addf(&end, "accumulated error probability: %.2g\n", doubt);
		log_info("%s: %s", yes ? "confirmed" : "not confirmed", why.data);
		if (yes)
			log_info(
				"confidence: %.4g %% (the chance that the crash was there and hid: "
				"%.2g)",
				100 * (1 - doubt), doubt);
		b->j->status = yes ? 0 : 125;
		steps[0]->test_ms += (long)(clock_ms() - began);
		b->j->confirmed = buf_steal(&end);
		rc = bisect_journal_store(b->j, err);
	}
	for (size_t i = 0; i < n; i++)
		judgement_free(&jm[i]);
	for (size_t i = 0; i < 3 * n; i++)
		free(own[i]);
	return rc;
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
		if (!b->j->confirmed &&
		    (aside_run(confirm_here, &task, err) || bisect_journal_reload(b->j, err)))
			return -1;
		buf_adds(end, b->j->confirmed);
		return 0;
	}
	buf_addf(end, "not confirmed: %s\n", no);
	log_info("not confirmed: %s", no);
	b->j->status = 125;
	return 0;
}
