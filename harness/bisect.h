/*
 * The search of `kvmrepro bisect`: git chooses revisions, they are built, judged and told to git,
 * and what git ends at is confirmed against its parents. Everything that happens goes into the
 * journal first; a search that is begun with a journal that is not empty goes on where it ended.
 */
#ifndef BISECT_H
#define BISECT_H

#include "base/err.h"
#include "bisect_journal.h"
#include "judge.h"
#include "trial_opts.h"

#include <stdint.h>

/* What the user asked for; strings are borrowed. */
struct bisect_config {
	const char *build;  /* shell command, run in the tree */
	const char *kernel; /* the bzImage that it makes, relative to the tree */
	const struct trial_options *trials;
	long runs;         /* of one revision at most; 0: what the policy asks for */
	const char *state; /* the state file (state.h), or NULL */
	/* The journal has grown: its log (bisect_journal_log()) has more lines at its end. */
	int (*grew)(void *opaque, struct err *err);
	void *opaque;
};

/* One search under way; for bisect*.c. */
struct bisect {
	const struct bisect_config *config;
	struct bisect_journal *j;
	char **git_knows; /* what git had been told when we began, "WORD HASH" each; n_git_knows */
	size_t n_git_knows, used;
	unsigned steps_left; /* about, by git */
};

/*
 * Begin or go on, to the end; the tree is left as it was found in any case. Returns the exit
 * status: 0 found and confirmed; 1 the ends are not what they were said to be; 125 not found, or
 * not confirmed. Its reasons are in the journal's end. -1 with err set: nothing is lost, the search
 * can go on later.
 */
int bisect_search(const struct bisect_config *config, struct bisect_journal *j, struct err *err);

/* Build the step's revision, which must be checked out, unless it is built: afterwards its
 * signature or its build_failure is set. */
int bisect_build(struct bisect *b, struct bisect_step *s, struct err *err);

/* The kept kernel of a step that is built; the caller frees it. */
char *bisect_kernel_path(const struct bisect *b, const struct bisect_step *s);

/* Judge a revision that is built, or take the verdict of one with the same signature. Pointers to
 * steps from before are no good afterwards; *out is its step. */
int bisect_judge(struct bisect *b, const char *hash, struct bisect_step **out, struct err *err);

/* A step for hash that is built or has a build_failure: checked out and built unless it was. */
int bisect_prepare(struct bisect *b, const char *hash, struct bisect_step **out, struct err *err);

/* The policy and the session that judge a kernel; what they borrow is the journal's and kernel. */
struct policy bisect_policy(const struct bisect *b);
struct session_options bisect_session(const struct bisect *b, const char *kernel);

/* Give s a directory for its runs, or those of its confirmation, that holds none yet (*where: one
 * of its fields), unless it has one. The journal is to be stored before they begin. */
void bisect_choose_dir(const struct bisect *b, const struct bisect_step *s, const char *name,
		       char **where);

/* The path of such a directory, for the caller to free. *resume: it holds a run, whose trials count
 * (judge.h); all of them may have been made, and only the journal not know. */
char *bisect_run_dir(const struct bisect *b, const char *where, bool *resume);

/* What the runs say of s, into it and the journal. */
void bisect_note(struct bisect *b, struct bisect_step *s, const struct judgement *jm);

/*
 * Judge what git ended at and its parents side by side; sets the journal's status, and adds what
 * it gave to end. 1: one that was taken for good shows the crash: bisect_journal_pending() is it,
 * and the search is to go on with it as bad. Pointers to steps from before are no good afterwards.
 */
int bisect_confirm(struct bisect *b, const char *culprit, struct buf *end, struct err *err);

#endif
