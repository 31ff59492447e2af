/* Judging a revision; see bisect.h. */
#include "bisect.h"

#include "aside.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "judge.h"

#include <string.h>

#define REPORT_BYTES (256 * 1024)

struct policy bisect_policy(const struct bisect *b)
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

struct session_options bisect_session(const struct bisect *b, const char *kernel)
{
	struct session_options so = trial_opts_session(b->config->trials, kernel);

	so.modules = NULL; /* they were kept beside the kernel */
	if (!so.n_expect && b->j->target) {
		so.expect = (const char *const *)&b->j->target;
		so.n_expect = 1;
	}
	return so;
}

void bisect_choose_dir(const struct bisect *b, const struct bisect_step *s, const char *name,
		       char **where)
{
	for (unsigned i = 1; !*where; i++) {
		cleanup_free char *dir = i == 1 ? xasprintf("%s/%s", s->dir, name)
						: xasprintf("%s/%s-%u", s->dir, name, i);
		cleanup_free char *run = xasprintf("%s/%s/run.json", b->j->dir, dir);

		if (!fs_exists(run))
			*where = steal(dir);
	}
}

char *bisect_run_dir(const struct bisect *b, const char *where, bool *resume)
{
	char *dir = xasprintf("%s/%s", b->j->dir, where);
	cleanup_free char *run = xasprintf("%s/run.json", dir);

	*resume = fs_exists(run);
	return dir;
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

/* Title and report of the first run that showed the target; a state keeps no reports. */
static void note_crash(struct bisect_step *s, const struct judgement *jm)
{
	for (unsigned i = 0; i < jm->runs && !s->crash; i++) {
		if (!jm->ended[i] || !jm->outcomes[i].title ||
		    !counts(&jm->family, &jm->outcomes[i]))
			continue;
		s->crash = xstrdup(jm->outcomes[i].title);
		if (!jm->recalled)
			s->report = xasprintf("%s/trial-%03u/report.txt", jm->dir, i);
	}
}

void bisect_note(struct bisect *b, struct bisect_step *s, const struct judgement *jm)
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

		if (t == s || !t->judged || t->same_as || t->withdrawn ||
		    strcmp(t->signature, s->signature))
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
};

/* It is to be judged again, by other runs. */
static int not_judged(struct bisect *b, struct bisect_step *s, const char *dir, struct err *err)
{
	free(s->runs_dir);
	s->runs_dir = NULL;
	if (bisect_journal_store(b->j, err))
		return -1;
	return err_set(err, ERR_HARNESS, "%.12s: every run was an infra problem (%s)", s->hash,
		       dir);
}

static int judge_here(void *opaque, struct err *err)
{
	struct task *task = opaque;
	struct bisect *b = task->b;
	struct bisect_step *s = bisect_journal_find(b->j, task->hash);
	cleanup_free char *kernel = bisect_kernel_path(b, s);
	bool resume;
	cleanup_free char *out = bisect_run_dir(b, s->runs_dir, &resume);
	cleanup_free char *label = xstrndup(s->hash, 12);
	cleanup_buf struct buf diag = BUF_INIT;
	struct judge_kernel jk = {
		.session = bisect_session(b, kernel),
		.policy = bisect_policy(b),
		.label = label,
		.out = out,
		.resume = resume,
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
	struct judgement jm;

	if (b->config->state && state_open(b->config->state, &jk.state, err))
		return -1;
	int rc = judge_kernels(&jo, &jk, 1, &jm, err);
	if (diag.len)
		log_info("%s", diag.data);
	if (!rc && !has_target(b))
		rc = choose_target(b, &jm, err);
	if (!rc && jm.decision.verdict == VERDICT_NONE)
		rc = not_judged(b, s, jm.dir, err);
	if (!rc) {
		judgement_tell(&jm);
		s->test_ms = (long)jm.spent_ms;
		bisect_note(b, s, &jm);
		rc = bisect_journal_store(b->j, err);
	}
	judgement_free(&jm);
	state_close(jk.state);
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
	bisect_choose_dir(b, s, "runs", &s->runs_dir);
	if (bisect_journal_store(b->j, err) || aside_run(judge_here, &task, err) ||
	    bisect_journal_reload(b->j, err))
		return -1;
	*out = bisect_journal_find(b->j, own);
	return 0;
}
