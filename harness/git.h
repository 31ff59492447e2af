/*
 * git, run as a program: argument vectors, never a shell. Revisions and names that come from the
 * user never stand where git would take them for options.
 */
#ifndef GIT_H
#define GIT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* More than this of git's output is an error. */
#define GIT_OUTPUT_BYTES ((size_t)64 << 20)

/* How long git may go on when a signal asks us to stop (interrupt.h) while it works. */
#define GIT_FINISH_MS 10000

/*
 * Run "git -C tree ARG..." (args ends with NULL) to its end: in a session of its own, for a ^C must
 * not leave half a checkout, and a question on the terminal must fail, not wait; in the C locale;
 * without the caller's GIT_DIR and its kin. A signal that comes meanwhile lets it finish for
 * GIT_FINISH_MS, and is ERR_INTERRUPTED then; behind the signal there is no limit.
 * Standard output is added to out, which may be NULL. *status gets git's exit status, if status is
 * not NULL; otherwise anything but 0 is an error with git's own last words in it (ERR_INPUT: it is
 * the user's tree).
 */
int git_run(const char *tree, const char *const *args, struct buf *out, int *status,
	    struct err *err);

#define git(tree, out, status, err, ...)                                                           \
	git_run(tree, (const char *const[]){ __VA_ARGS__, NULL }, out, status, err)

/* The commit that text names, in full; the caller frees it. ERR_INPUT if it names none. what: of
 * which option, for the error. */
int git_commit(const char *tree, const char *what, const char *text, char **out, struct err *err);

/* The first line of a commit's message; the caller frees it. */
int git_subject(const char *tree, const char *hash, char **out, struct err *err);

/* The commit's parents, hashes in full; the caller frees each and the array. */
int git_parents(const char *tree, const char *hash, char ***out, size_t *n, struct err *err);

/* Whether the commit older is newer, or an ancestor of it; both are hashes. ERR_HARNESS where git
 * does not say. */
int git_is_ancestor(const char *tree, const char *older, const char *newer, bool *yes,
		    struct err *err);

/* Where HEAD is: a branch, or a commit. */
struct git_head {
	char *branch; /* "main", or NULL when it is detached */
	char *hash;
};

int git_head(const char *tree, struct git_head *out, struct err *err);
void git_head_free(struct git_head *head);

/* Whether a tracked file differs from HEAD, in the index or in the work tree: *name is one of them,
 * for the caller to free, or NULL. */
int git_dirty(const char *tree, char **name, struct err *err);

/* What "git rev-parse --git-path NAME" says, absolute; the caller frees it. */
int git_path(const char *tree, const char *name, char **out, struct err *err);

#endif
