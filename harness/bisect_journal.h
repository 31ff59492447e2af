/*
 * What a bisection has done so far, as a file that is always whole: after a kill at any point it
 * says where to go on, and nothing that it holds is built or tested again.
 */
#ifndef BISECT_JOURNAL_H
#define BISECT_JOURNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "family.h"
#include "verdict.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* One revision. Strings belong to the journal; NULL: not known, or not so. */
struct bisect_step {
	char *hash, *subject;
	char *dir; /* what is kept of it, below the journal's directory */
	/* Building: signature is set once there is a kernel. */
	char *build_failure;
	char *compiler, *signature;
	long build_ms;
	/* Judging */
	char *runs_dir; /* where its runs go, or went, below the journal's directory: told before
			   they begin */
	bool judged;
	bool told; /* the search asked for it: it stands in the log, and git knows the verdict */
	char *same_as; /* the revision with the same kernel, whose verdict it has */
	enum verdict verdict;
	char *reason;
	char *lines; /* the runs' lines for the log */
	long runs, hits, clean;
	double hidden; /* struct decision */
	char *crash;   /* title of its first hit */
	char *report;  /* the file with its report */
	long test_ms;
	char *confirm_dir; /* where those of its confirmation go, likewise */
	char *said;        /* what git answered to the verdict */
	/* Going back (bisect.h); 0: not so. */
	long again;     /* the round that this began: its runs are those of the confirmation */
	long withdrawn; /* the round in which its verdict turned out to be wrong: git is not told it
			   any more, and the revision may have another step behind this one */
	char *remark;   /* why it is tested again, for the log */
};

struct bisect_journal {
	char *dir;    /* absolute; the journal is journal.json in it */
	json_t *argv; /* the options it was begun with, to be parsed again */
	char *cwd;
	char *tree;       /* top of the work tree */
	char *start;      /* the branch, or commit, to go back to */
	char *good, *bad; /* commits */
	bool fix;
	char *target;         /* the crash that is looked for, where --expect does not say it */
	struct family family; /* what was learnt of the titles */
	long known_hits, known_runs;
	struct bisect_step *steps; /* in the order in which git is told of them */
	size_t n_steps;
	long rounds;     /* how often the search went back */
	char *confirmed; /* what the comparison of culprit and parents gave: lines of the log */
	char *end;       /* the log's last lines, once it is over */
	long status;     /* exit status, with end */
};

/* A step for hash, zeroed but for that, at the end; the pointer holds until the next is added. */
struct bisect_step *bisect_journal_add(struct bisect_journal *j, const char *hash);

/* A step behind those for hash whose verdict was withdrawn: it has what was built then. NULL: there
 * are none. */
struct bisect_step *bisect_journal_again(struct bisect_journal *j, const char *hash);

/* Move s, which git has no word on yet, to the end: steps stand in the order of the words. */
void bisect_journal_last(struct bisect_journal *j, const struct bisect_step *s);

/* The step for hash whose verdict stands, or NULL. */
struct bisect_step *bisect_journal_find(const struct bisect_journal *j, const char *hash);

/* The step that begins the next round, which has not begun yet; NULL: there is none. */
struct bisect_step *bisect_journal_pending(const struct bisect_journal *j);

/* Whether git knows the verdict of s after so many rounds. */
bool bisect_step_told(const struct bisect_step *s, long rounds);

/* Write it, whole or not at all. */
int bisect_journal_store(const struct bisect_journal *j, struct err *err);

/* Read the journal in dir. ERR_INPUT if there is none or it is damaged. The caller gives it to
 * bisect_journal_free(). */
int bisect_journal_load(const char *dir, struct bisect_journal *out, struct err *err);
void bisect_journal_free(struct bisect_journal *j);

/* Read again what another process has stored; argv stays the same object, steps are new ones. */
int bisect_journal_reload(struct bisect_journal *j, struct err *err);

/* The log in the form of syzbot's (docs/bisect-log.md): all of it so far. Added to out. */
void bisect_journal_log(const struct bisect_journal *j, struct buf *out);

/* A time as Go prints it: "1h2m3.4s". Added to out. */
void bisect_time_text(long ms, struct buf *out);

#endif
