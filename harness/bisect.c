/* The search; see bisect.h. */
#include "bisect.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "bisect_tree.h"
#include "git.h"

#include <string.h>

static char *changes_path(const struct bisect *b)
{
	return xasprintf("%s/changes.patch", b->j->dir);
}

/* ---- one revision ---- */

int bisect_prepare(struct bisect *b, const char *hash, struct bisect_step **out, struct err *err)
{
	struct bisect_step *s = bisect_journal_find(b->j, hash);
	cleanup_free char *changes = changes_path(b);

	if (!s)
		s = bisect_journal_again(b->j, hash);
	if (!s) {
		s = bisect_journal_add(b->j, hash);
		s->dir = xasprintf("revisions/%03zu-%.12s", b->j->n_steps, hash);
		if (git_subject(b->j->tree, hash, &s->subject, err))
			return -1;
	}
	*out = s;
	if (s->signature || s->build_failure)
		return 0;
	if (bisect_tree_checkout(b->j->tree, hash, changes, err))
		return -1;
	return bisect_build(b, s, err);
}

static void add_minutes(long ms, struct buf *out)
{
	if (ms < 90 * 1000L)
		buf_addf(out, "%ld s", ms / 1000);
	else if (ms < 90 * 60 * 1000L)
		buf_addf(out, "%ld min", ms / 60 / 1000);
	else
		buf_addf(out, "%.1f h", (double)ms / 3600 / 1000);
}

/* "revision 4 (abc Subject), about 3 more steps, 12 min left" */
static void tell_progress(const struct bisect *b, const char *hash)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_free char *subject = NULL;
	size_t number = 1, timed = 0;
	struct err ignored;
	long ms = 0;

	for (size_t i = 0; i < b->j->n_steps; i++) {
		const struct bisect_step *s = &b->j->steps[i];

		number += s->told && !s->again && strcmp(s->hash, hash);
		timed += s->judged || s->build_failure;
		ms += s->build_ms + s->test_ms;
	}
	if (git_subject(b->j->tree, hash, &subject, &ignored))
		subject = xstrdup("");
	buf_addf(&text, "revision %zu: %.12s %s", number, hash, subject);
	buf_addf(&text, "; about %u more step%s", b->steps_left, b->steps_left == 1 ? "" : "s");
	if (timed) {
		buf_adds(&text, ", ");
		add_minutes(ms / (long)timed * (b->steps_left + 1), &text);
		buf_adds(&text, " left");
	}
	log_info("%s", text.data);
}

/* Build and judge, unless the journal has it; the verdict of what cannot be built is skip. */
static int test(struct bisect *b, const char *hash, struct bisect_step **out, struct err *err)
{
	struct bisect_step *s = bisect_journal_find(b->j, hash);

	if (s && !s->told)
		bisect_journal_last(b->j, s);
	s = bisect_journal_find(b->j, hash);
	if (!s || !(s->judged || s->build_failure))
		tell_progress(b, hash);
	if (bisect_prepare(b, hash, &s, err))
		return -1;
	*out = s;
	if (s->build_failure) {
		s->verdict = VERDICT_SKIP;
		return 0;
	}
	return bisect_judge(b, hash, out, err);
}

/* ---- git ---- */

/* What git's log has of the verdict on s. */
static char *word_on(const struct bisect *b, const struct bisect_step *s)
{
	return xasprintf("%s %s", bisect_tree_word(b->j->fix, s->verdict), s->hash);
}

/* The revision that git chose after the one it knows as its used-th word. */
static void recall_next(const struct bisect *b, const struct bisect_step *s,
			struct bisect_next *next)
{
	*next = (struct bisect_next){
		.want = WANT_TEST,
		.hash = xstrdup(strchr(b->git_knows[b->used], ' ') + 1),
		.said = xstrdup(s->said ? s->said : ""),
	};
}

/* Note what git wants after its word on s. */
static int keep_next(struct bisect *b, struct bisect_step *s, struct bisect_next *next,
		     struct err *err)
{
	b->steps_left = next->steps;
	free(s->said);
	s->said = xstrdup(next->said);
	if (!bisect_journal_store(b->j, err) && !b->config->grew(b->config->opaque, err))
		return 0;
	bisect_next_free(next);
	return -1;
}

/* What git wants after its word on s, which it knows: that was b->used words ago. */
static int ask_next(struct bisect *b, struct bisect_step *s, struct bisect_next *next,
		    struct err *err)
{
	cleanup_free char *changes = changes_path(b);

	if (b->used < b->n_git_knows)
		recall_next(b, s, next);
	else if (bisect_tree_next(b->j->tree, changes, next, err))
		return -1;
	return keep_next(b, s, next, err);
}

/*
 * Tell git the verdict on s, and ask what it wants next if both ends are known (next is not NULL).
 * The journal has the verdict already: killed before git has it, we tell it later; killed behind,
 * git is asked again.
 */
static int tell(struct bisect *b, struct bisect_step *s, struct bisect_next *next, struct err *err)
{
	cleanup_free char *changes = changes_path(b), *word = word_on(b, s);
	bool known = b->used < b->n_git_knows;

	s->told = true;
	if (bisect_journal_store(b->j, err))
		return -1;
	if (known && strcmp(b->git_knows[b->used], word))
		return err_set(err, ERR_INPUT,
			       "%s: the bisection there says '%s' where ours says '%s': "
			       "end it with 'git bisect reset'",
			       b->j->tree, b->git_knows[b->used], word);
	b->used += known;
	if (known)
		return next ? ask_next(b, s, next, err) : 0;
	if (bisect_tree_tell(b->j->tree, b->j->fix, s->verdict, s->hash, changes, next, err))
		return -1;
	return next ? keep_next(b, s, next, err) : 0;
}

/* Whether what git knows is what the journal told it after so many rounds; the last words may not
 * have arrived. */
static bool is_ours(const struct bisect *b, long rounds)
{
	size_t at = 0;

	for (size_t i = 0; i < b->j->n_steps && at < b->n_git_knows; i++) {
		if (!bisect_step_told(&b->j->steps[i], rounds))
			continue;
		cleanup_free char *word = word_on(b, &b->j->steps[i]);
		if (strcmp(b->git_knows[at], word))
			return false;
		at++;
	}
	return at == b->n_git_knows;
}

static void forget_words(struct bisect *b)
{
	for (size_t i = 0; i < b->n_git_knows; i++)
		free(b->git_knows[i]);
	free(b->git_knows);
	b->git_knows = NULL;
	b->n_git_knows = b->used = 0;
}

/* Give git what the journal has, in one go: one checkout, not one for each revision. */
static int replay(struct bisect *b, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/replay", b->j->dir), *start = NULL;
	cleanup_free char *changes = changes_path(b);
	cleanup_buf struct buf words = BUF_INIT;

	buf_adds(&words, bisect_tree_start_line(b->j->fix));
	for (size_t i = 0; i < b->j->n_steps; i++)
		if (bisect_step_told(&b->j->steps[i], b->j->rounds))
			buf_addf(&words, "git bisect %s %s\n",
				 bisect_tree_word(b->j->fix, b->j->steps[i].verdict),
				 b->j->steps[i].hash);
	if (!b->j->n_steps || !b->j->steps[0].told)
		return 0;
	if (fs_write(path, words.data, words.len, err) ||
	    bisect_tree_replay(b->j->tree, path, changes, err))
		return -1;
	forget_words(b);
	return bisect_tree_running(b->j->tree, b->j->fix, &b->git_knows, &b->n_git_knows, &start,
				   err);
}

/*
 * A bisection that runs in the tree and is ours is gone on with, else one is begun. *begun: the
 * tree is to be restored from now on.
 */
static int enter_tree(struct bisect *b, bool *begun, struct err *err)
{
	cleanup_free char *start = NULL, *top = NULL;

	if (bisect_tree_running(b->j->tree, b->j->fix, &b->git_knows, &b->n_git_knows, &start, err))
		return -1;
	if (start && !strcmp(start, b->j->start)) {
		*begun = is_ours(b, b->j->rounds);
		if (*begun)
			return 0;
		/* Killed while it went back: git has the words from before. */
		*begun = b->j->rounds && is_ours(b, b->j->rounds - 1);
		if (*begun)
			return replay(b, err);
	}
	if (bisect_tree_check(b->j->tree, &top, err) ||
	    bisect_tree_start(b->j->tree, b->j->fix, err))
		return -1;
	*begun = true;
	return replay(b, err);
}

/* ---- the search ---- */

static void add_totals(const struct bisect *b, struct buf *end)
{
	long build = 0, run = 0;
	size_t n = 0;

	for (size_t i = 0; i < b->j->n_steps; i++) {
		build += b->j->steps[i].build_ms;
		run += b->j->steps[i].test_ms;
		n += b->j->steps[i].told && !b->j->steps[i].again;
	}
	buf_addf(end, "revisions tested: %zu, total time: ", n);
	bisect_time_text(build + run, end);
	buf_adds(end, " (build: ");
	bisect_time_text(build, end);
	buf_adds(end, ", test: ");
	bisect_time_text(run, end);
	buf_adds(end, ")\n");
}

/* The crash of s, or of the kernel that is the same, with its report to the end of the log. */
static void add_crash(const struct bisect *b, const struct bisect_step *s, struct buf *end)
{
	cleanup_buf struct buf report = BUF_INIT;
	struct err ignored;

	if (s->same_as)
		s = bisect_journal_find(b->j, s->same_as);
	if (!s || !s->crash)
		return;
	buf_adds(end, "crash: ");
	buf_add_escaped(end, s->crash, strlen(s->crash));
	buf_addc(end, '\n');
	if (s->report && !fs_read(s->report, (size_t)1 << 20, &report, ERR_HARNESS, &ignored))
		buf_add_escaped(end, report.data, report.len);
}

static int finish(struct bisect *b, struct buf *end, struct err *err)
{
	b->j->end = buf_steal(end);
	if (bisect_journal_store(b->j, err) || b->config->grew(b->config->opaque, err))
		return -1;
	return 0;
}

/* The search cannot begin, or ends without a culprit. */
static int give_up(struct bisect *b, int status, const char *why, struct err *err)
{
	cleanup_buf struct buf end = BUF_INIT;

	buf_addf(&end, "undecided: %s\n", why);
	add_totals(b, &end);
	log_info("undecided: %s", why);
	b->j->status = status;
	return finish(b, &end, err);
}

/* One of the ends: it must be what the user says. 1: it is not, and that is the end. */
static int check_end(struct bisect *b, bool bad, struct bisect_step *s, struct err *err)
{
	enum verdict want = bad ? VERDICT_BAD : VERDICT_GOOD;
	cleanup_free char *why = NULL;

	if (s->build_failure)
		why = xasprintf("--%s %.12s does not build: %s", bad ? "bad" : "good", s->hash,
				s->build_failure);
	else if (s->verdict != want)
		why = xasprintf("--%s %.12s is not %s, but %s%s%s%s", bad ? "bad" : "good", s->hash,
				bad ? "bad" : "good", verdict_name(s->verdict),
				s->reason ? " (" : "", s->reason ? s->reason : "",
				s->reason ? ")" : "");
	if (!why && bad)
		log_info("bad: the crash shows in %ld of %ld runs", s->hits, s->runs);
	if (!why)
		return 0;
	s->told = true;
	if (bisect_journal_store(b->j, err))
		return -1;
	int status = s->judged && s->verdict != VERDICT_SKIP ? 1 : 125;
	return give_up(b, status, why, err) ? -1 : 1;
}

/* Both ends, and git's first choice. 1: that was the end. */
static int test_ends(struct bisect *b, struct bisect_next *next, struct err *err)
{
	struct bisect_step *s, *bad;

	if (test(b, b->j->bad, &s, err))
		return -1;
	int rc = check_end(b, true, s, err);
	if (rc || tell(b, s, NULL, err))
		return rc ? rc : -1;
	if (b->config->grew(b->config->opaque, err) || test(b, b->j->good, &s, err))
		return -1;
	bad = bisect_journal_find(b->j, b->j->bad);
	if (s->signature && !strcmp(s->signature, bad->signature)) {
		s->told = true;
		return give_up(b, 125,
			       "--good and --bad give the same kernel: does the command build it?",
			       err)
			       ? -1
			       : 1;
	}
	rc = check_end(b, false, s, err);
	if (rc)
		return rc;
	return tell(b, s, next, err);
}

/* ---- going back ---- */

/* Whether s was called good on the ground of what is bad now: the bug came once, so it is in all
 * that follows bad, in a search for a fix in all before it; and equal kernels are equal. */
static int is_refuted(const struct bisect *b, const struct bisect_step *s,
		      const struct bisect_step *bad, bool *yes, struct err *err)
{
	*yes = false;
	if (s->verdict != VERDICT_GOOD || !bisect_step_told(s, b->j->rounds))
		return 0;
	*yes = s->signature && !strcmp(s->signature, bad->signature);
	if (*yes)
		return 0;
	return git_is_ancestor(b->j->tree, b->j->fix ? s->hash : bad->hash,
			       b->j->fix ? bad->hash : s->hash, yes, err);
}

/*
 * One that was called good shows the crash beside the culprit: it is bad, and the verdicts that it
 * refutes are withdrawn. 1: --good is one of them, and that was the end.
 */
static int go_back(struct bisect *b, struct bisect_next *next, struct err *err)
{
	struct bisect_step *bad = bisect_journal_pending(b->j);
	cleanup_free bool *refuted = xcalloc(b->j->n_steps, sizeof(*refuted));

	for (size_t i = 0; i < b->j->n_steps; i++) {
		const struct bisect_step *s = &b->j->steps[i];

		if (is_refuted(b, s, bad, &refuted[i], err))
			return -1;
		if (!refuted[i] || strcmp(s->hash, b->j->good))
			continue;
		cleanup_free char *why = xasprintf(
			"--good %.12s is not good: %.12s%s shows the crash in %ld of %ld runs",
			s->hash, bad->hash,
			strcmp(s->hash, bad->hash) ? ", which has the bug only if it has," : "",
			bad->hits, bad->runs);
		return give_up(b, 1, why, err) ? -1 : 1;
	}
	b->j->rounds++;
	for (size_t i = 0; i < b->j->n_steps; i++) {
		if (!refuted[i])
			continue;
		b->j->steps[i].withdrawn = b->j->rounds;
		b->j->known_runs += b->j->steps[i].clean; /* of a kernel with the bug */
	}
	bad->told = true;
	if (bisect_journal_store(b->j, err) || replay(b, err))
		return -1;
	b->used = b->n_git_knows;
	return ask_next(b, bad, next, err);
}

/* What git ended at. 1: that was the end; 0: the search goes on with next. */
static int end_with_culprit(struct bisect *b, const char *hash, struct bisect_next *next,
			    struct err *err)
{
	cleanup_buf struct buf end = BUF_INIT;
	int rc = bisect_confirm(b, hash, &end, err);

	if (rc)
		return rc < 0 ? -1 : go_back(b, next, err);
	const struct bisect_step *s = bisect_journal_find(b->j, hash);
	add_totals(b, &end);
	buf_addf(&end, "first %s commit: %s %s\n", b->j->fix ? "good" : "bad", hash, s->subject);
	add_crash(b, b->j->fix ? bisect_journal_find(b->j, b->j->bad) : s, &end);
	log_info("%s: %s %s", b->j->fix ? "fixed by" : "culprit", hash, s->subject);
	return finish(b, &end, err) ? -1 : 1;
}

/* Do what git wants: *next is what it wants then. 1: that was the end. */
static int proceed(struct bisect *b, const struct bisect_next *now, struct bisect_next *next,
		   struct err *err)
{
	struct bisect_step *s;

	switch (now->want) {
	case WANT_TEST:
		return test(b, now->hash, &s, err) || tell(b, s, next, err) ? -1 : 0;
	case WANT_NOTHING:
		return end_with_culprit(b, now->hash, next, err);
	case WANT_GIVE_UP:
		break;
	}
	return give_up(b, 125, "only revisions that had to be skipped are left", err) ? -1 : 1;
}

static int search(struct bisect *b, struct err *err)
{
	struct bisect_next next = { 0 };
	int rc = test_ends(b, &next, err);

	while (!rc) {
		struct bisect_next now = next;

		next = (struct bisect_next){ 0 };
		rc = proceed(b, &now, &next, err);
		bisect_next_free(&now);
	}
	bisect_next_free(&next);
	return rc < 0 ? -1 : 0;
}

/* About how many revisions git will ask for, before it says so itself. */
static void guess_steps(struct bisect *b)
{
	cleanup_free char *range = xasprintf("%s...%s", b->j->good, b->j->bad);
	cleanup_buf struct buf count = BUF_INIT;
	struct err ignored;

	if (git(b->j->tree, &count, NULL, &ignored, "rev-list", "--count", range))
		return;
	b->steps_left = 1; /* the other end */
	for (unsigned long n = strtoul(count.data, NULL, 10); n > 1; n /= 2)
		b->steps_left++;
}

int bisect_search(const struct bisect_config *config, struct bisect_journal *j, struct err *err)
{
	struct bisect b = { .config = config, .j = j };
	cleanup_free char *changes = xasprintf("%s/changes.patch", j->dir);
	struct err also;
	bool begun = false;

	if (j->end)
		return config->grew(config->opaque, err) ? -1 : (int)j->status;
	guess_steps(&b);
	int rc = enter_tree(&b, &begun, err);
	if (!rc)
		rc = search(&b, err);
	if (begun && bisect_tree_restore(j->tree, changes, rc ? &also : err)) {
		if (rc)
			log_error("%s", also.msg);
		rc = -1;
	}
	forget_words(&b);
	return rc ? -1 : (int)j->status;
}
