/*
 * The user's git tree while `kvmrepro bisect` works in it: "git bisect" itself chooses the
 * revisions, so its own commands (log, visualize, reset) work there at any time. The tree goes back
 * to the branch that it was on, whatever the end.
 */
#ifndef BISECT_TREE_H
#define BISECT_TREE_H

#include "base/buf.h"
#include "base/err.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>

/* What git bisect wants next. */
enum bisect_want {
	WANT_TEST,    /* the revision that is checked out */
	WANT_NOTHING, /* hash is the first bad commit; in a search for a fix the first fixed one */
	WANT_GIVE_UP, /* only skipped ones are left: it cannot be told which of them it is */
};

struct bisect_next {
	enum bisect_want want;
	char *hash;     /* NULL with WANT_GIVE_UP */
	char *said;     /* git's own lines */
	unsigned steps; /* about so many revisions are still to be tested, with WANT_TEST */
};

void bisect_next_free(struct bisect_next *next);

/* ERR_INPUT, one line, if tree is no work tree, is being bisected, or has uncommitted changes.
 * *out: its top directory, for the caller to free. */
int bisect_tree_check(const char *tree, char **out, struct err *err);

/* Begin: from here on bisect_tree_restore() is needed. */
int bisect_tree_start(const char *tree, bool fix, struct err *err);

/* Check hash out, and make it whole: what a build has changed in tracked files is undone first, and
 * kept as a patch at changes, where it can be looked at. Says on standard error that it did so. */
int bisect_tree_checkout(const char *tree, const char *hash, const char *changes, struct err *err);

/*
 * Tell git the verdict (good, bad or skip) on hash; once both ends are known git checks the next
 * revision out. With next not NULL both are known now, and it is filled; the caller gives it to
 * bisect_next_free(). ERR_INPUT with git's words if it can make nothing of it (a merge base that is
 * bad, ...).
 */
int bisect_tree_tell(const char *tree, bool fix, enum verdict verdict, const char *hash,
		     const char *changes, struct bisect_next *next, struct err *err);

/* Ask again what bisect_tree_tell() said last. */
int bisect_tree_next(const char *tree, const char *changes, struct bisect_next *next,
		     struct err *err);

/* Begin anew with the commands in the file at path, as in git's log: bisect_tree_start_line(), and
 * words on revisions. */
int bisect_tree_replay(const char *tree, const char *path, const char *changes, struct err *err);

/* The word that git is told: "good", "bad", "skip"; in a search for a fix "broken" is bad and
 * "fixed" good. */
const char *bisect_tree_word(bool fix, enum verdict verdict);

/*
 * The bisection that runs in tree, if it was begun as bisect_tree_start() does: what it was told,
 * each as "WORD HASH", in their order, and in *start what it will go back to. *start is NULL if
 * none runs or it was begun otherwise: by somebody else. The caller frees all.
 */
int bisect_tree_running(const char *tree, bool fix, char ***told, size_t *n, char **start,
			struct err *err);

/* The command that begins it, as a line of git's log; a constant. */
const char *bisect_tree_start_line(bool fix);

/* Back to where it was before bisect_tree_start(). */
int bisect_tree_restore(const char *tree, const char *changes, struct err *err);

#endif
