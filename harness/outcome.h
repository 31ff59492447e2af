/* What one trial ended in, and the words for it. Pure. */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "base/buf.h"

#include <stdbool.h>

enum outcome_kind {
	OUTCOME_OK,
	OUTCOME_CRASHED,        /* the kernel crashed while the reproducers ran */
	OUTCOME_BOOT_FAILED,    /* it never came to the agent's hello */
	OUTCOME_TESTING_FAILED, /* the canary did not pass, or nothing could be run */
	OUTCOME_INFRA,          /* the harness's own trouble, never the kernel's */
};

/* Titles of what a kernel does without a word of its own; syzkaller's, as in the seeds. */
#define TITLE_NO_OUTPUT       "no output from test machine"
#define TITLE_LOST_CONNECTION "lost connection to test machine"
#define TITLE_REBOOT          "unexpected kernel reboot"
/* Ours, for what syzkaller has no name: */
#define TITLE_NO_INIT  "no word from the guest's init"
#define TITLE_UNKILLED "reproducer cannot be killed"

struct outcome {
	enum outcome_kind kind;
	char *title; /* of the crash, or why; NULL for OUTCOME_OK */
};

/* "OK", "crashed: TITLE", "boot failed: TITLE", ...: the seeds' words. */
void outcome_text(const struct outcome *outcome, struct buf *out);

/* "ok", "crashed", "boot-failed", "testing-failed", "infra": for run.json. */
const char *outcome_name(enum outcome_kind kind);

/* The kind with that name. -1: there is none. */
int outcome_kind_of(const char *name, enum outcome_kind *out);

bool outcome_equal(const struct outcome *a, const struct outcome *b);

/* The title that most of n outcomes crashed with (while the reproducers ran), the first of equals;
 * NULL if none did. */
const char *outcomes_dominant(const struct outcome *outcomes, size_t n);

/*
 * The lines on standard output for those of n outcomes that ended: one "all runs: ..." when they
 * are equal, else a "run #I: ..." for each. "all" is not said of runs that were cut short. Titles
 * are escaped.
 */
void outcomes_text(const struct outcome *outcomes, const bool *ended, size_t n, bool cut_short,
		   struct buf *out);

#endif
