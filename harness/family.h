/*
 * Which crash is which: one bug goes by several titles, and many crashes are not the one that is
 * looked for. Pure: what is told of the runs of one kernel goes in, what each title is to the
 * search comes out. What was learnt is kept by the caller, for the next kernel.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include "outcome.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>

enum kinship {
	KIN_OTHER,    /* another crash: never counts */
	KIN_TARGET,   /* --expect names it; without --expect any crash */
	KIN_ALIAS,    /* seen beside the target while that dominated one kernel's runs: counts */
	KIN_RENAMED,  /* the target by its stack, under another name: counts */
	KIN_POSSIBLE, /* similar, and no stack to compare: makes the verdict skip */
};

/* A title, and what it is. Strings are the family's own. */
struct family_member {
	char *title;
	char *type;  /* of its reports (oops/oops.h); "" if it never had one */
	char *stack; /* functions from the crashing one to the entry point, blanks between; NULL: no
			report had one that can be compared */
	enum kinship kin;
	bool known;  /* it was so before this kernel's runs: family_know() */
	size_t seen; /* runs of this kernel that ended in it while the reproducers ran */
};

struct family {
	struct family_member *v;
	size_t n;
	size_t clean; /* runs of this kernel that were OK */
};

/* "other", "target", "alias", "renamed", "possible": for run.json and state; and back, -1 if it is
 * none of them. */
const char *kinship_name(enum kinship kin);
int kinship_of(const char *name, enum kinship *out);

/* {0} is an empty family. */
void family_free(struct family *family);

/* What was learnt on other kernels: a title that is the target, an alias or renamed. type and stack
 * as in struct family_member; the strings are copied. */
void family_know(struct family *family, const char *title, const char *type, const char *stack,
		 enum kinship kin);

/* All of from that counts (target, alias, renamed), as known, into to. */
void family_know_all(struct family *to, const struct family *from);

/* A run that has ended. */
struct family_run {
	const struct outcome *outcome;
	bool expected;      /* --expect names the crash, or there is none (filter.h) */
	const char *type;   /* of the report; NULL: by the title */
	const char *report; /* its text, untrusted; NULL: there is none */
	bool corrupted;     /* the report is cut or mixed: its stack says nothing */
};

/*
 * Count a run. Every member's kinship is then what all runs so far say; what is known stays.
 *
 * alias: at least three quarters of the conclusive runs (clean, or crashed while the reproducers
 * ran), and three at least, are the target's, and a run of this title is among them. Titles that
 * name no crash (no output, a lost connection, a reboot) are never aliases.
 *
 * renamed: its reports are of the target's kind, and more than half of the functions of their
 * stack, three at least, are the target's, in the same order. Functions that every system call or
 * kernel thread begins with do not count.
 *
 * possible: of the target's kind, more than half of the words of its function's name are the
 * target's, and on one side there is no stack that is long enough for the above.
 *
 * Returns the index of the outcome's title in v, which it keeps, or FAMILY_NONE: it has none, or
 * there are FAMILY_MAX titles already.
 */
#define FAMILY_MAX  64
#define FAMILY_NONE ((size_t)-1)
size_t family_add(struct family *family, const struct family_run *run);

/* What a run is to the search: member is what family_add() returned for it, expected as there. May
 * change with the runs that follow. */
enum match family_match(const struct family *family, size_t member, bool expected);

/* What the title of an outcome is; KIN_OTHER if there is none. */
enum kinship family_kin(const struct family *family, const struct outcome *outcome);

/* The functions of a report's stack as in struct family_member; the caller frees it. NULL: none. */
char *family_stack(const char *report);

#endif
