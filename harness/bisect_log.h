/*
 * The log of a bisection as syzbot publishes it (and as `kvmrepro bisect` writes it): which
 * revisions were tested, with which outcomes, and what was decided on each. Pure: text in, a
 * structure out. The text is untrusted; memory is linear in its length.
 *
 * The form of the lines is that of syzkaller's pkg/bisect from 2018 (no signatures, `with
 * COMPILER`) to today (`compiler:`, `ignore:`, error probabilities), with git's own chatter between
 * them; docs/bisect-log.md lists them. A line of no known form is kept with its number.
 */
#ifndef BISECT_LOG_H
#define BISECT_LOG_H

#include "base/err.h"
#include "outcome.h"

#include <stdbool.h>
#include <stddef.h>

/* A log past this is refused; real ones have some 20 KB. */
#define BISECT_LOG_BYTES ((size_t)4 << 20)

/* What the bisection decided on a revision. In a search for a fix git's words mean the opposite;
 * here BAD always means "the bug is there". */
enum bisect_word {
	BISECT_UNSAID,
	BISECT_GOOD,
	BISECT_BAD,
	BISECT_SKIP,
};

struct bisect_run {
	struct outcome outcome;
	bool ignored; /* "ignore: TITLE": a crash that was not counted */
};

/* One "testing commit". */
struct bisect_revision {
	char *hash;
	size_t line;             /* of "testing commit", from 1 */
	char *name;              /* "v5.3" or "HEAD" if the log calls it so, or NULL */
	char *subject;           /* as git told it, or NULL */
	char *compiler;          /* or NULL */
	char *signature;         /* of the kernel, or NULL */
	char *build_failure;     /* why it was not built, or NULL */
	struct bisect_run *runs; /* n_runs */
	size_t n_runs;
	bool all;       /* "all runs:": runs[0] stands for each of them */
	size_t made;    /* how many runs there were, where the log says it; else 0 */
	size_t same_as; /* 1 + index of the revision that has the same kernel; 0: none */
	enum bisect_word word;
	size_t word_line; /* 0: the log does not say it, it follows from what came next */
};

/* A line that could not be made use of. */
struct bisect_stray {
	size_t line;
	char *text;      /* the first 200 bytes of it */
	const char *why; /* "unknown line", ... */
};

struct bisect_log {
	bool fix; /* a search for the commit that fixed it */
	struct bisect_revision *revisions;
	size_t n_revisions; /* at least one */
	char *culprit;      /* hash; NULL: the bisection found none */
	char *culprit_subject;
	char *culprit_signature, *parent_signature;
	char *crash;   /* the title that the log ends with, or NULL */
	size_t tested; /* "revisions tested: N", or 0 */
	struct bisect_stray *strays;
	size_t n_strays;
};

/*
 * Read a log of len bytes. ERR_INPUT when no revision is tested in it: it is no bisection log. On
 * success the caller frees *out with bisect_log_free().
 */
int bisect_log_parse(const char *text, size_t len, struct bisect_log *out, struct err *err);
void bisect_log_free(struct bisect_log *log);

/* "good", "bad", "skip", "-". */
const char *bisect_word_name(enum bisect_word word);

#endif
