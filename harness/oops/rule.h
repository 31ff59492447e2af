/*
 * Title rules as data: which printk means which title. docs/titles.md says how to add one.
 * The rows are in rules_*.c; title.c applies them.
 */
#ifndef OOPS_RULE_H
#define OOPS_RULE_H

#include <stddef.h>

/* How the function to blame is found in a report. A path is a list of steps ended by STEP_END;
 * each step goes on where the one before it stopped. */
enum step_kind {
	STEP_END,
	STEP_PC,     /* the first line that shows the program counter */
	STEP_TRACE,  /* up to the next "Call Trace:" */
	STEP_FRAMES, /* frames, up to the next start of a trace */
	STEP_MATCH,  /* the first line on which re matches; group 1 is a function */
	STEP_HERE,   /* the function that re finds in the mark's own line */
};

struct oops_step {
	enum step_kind kind;
	const char *re;
};

enum oops_pick {
	PICK_FIRST, /* the first function that is not skipped */
	PICK_STALL, /* the one above the work dispatcher: a stalled CPU loops below it */
	PICK_HANG,  /* as PICK_FIRST, but what sleeps is skipped and RCU's waits are one */
};

struct oops_path {
	const struct oops_step *first, *second; /* second: where first finds none; or NULL */
	enum oops_pick pick;
	const char *skip; /* PCRE2: more functions to skip; or NULL */
};

#define RULE_NO_TRACE 1u /* this kind has no stack trace: its lack is no corruption */
#define RULE_NEAR     4u /* also must match within the heading: its next lines */
#define RULE_CORRUPT  2u /* a report of this form is always cut */

struct oops_rule {
	const char *mark;             /* the row of marks[] that it belongs to */
	const char *re;               /* PCRE2, on the mark's line */
	const char *also;             /* PCRE2, some later line must match; or NULL */
	const char *title;            /* $1..$9: groups of re, then of also; $F: the function */
	const char *alt[2];           /* other titles, by the same template */
	const struct oops_path *path; /* NULL: no function in the title */
	const char *type;             /* NULL: by the title (type.c) */
	unsigned flags;
	const char *source; /* the kernel's printk */
	const char *older;  /* what the title was in earlier years, by the same template; or NULL */
};

/* A text that begins a report when a line holds it, and only matches the line from there on (NULL:
 * always). Nothing of what else a kernel prints at that level (docs/titles.md) begins a report. */
struct oops_mark {
	const char *text;
	const char *only; /* PCRE2, anchored at the text */
	unsigned flags;
};

#define MARK_USER    1u  /* printed by a program, not by the kernel */
#define MARK_SECOND  2u  /* goes with a report that is open: a trap's second line */
#define MARK_BOOT    4u  /* a boot banner */
#define MARK_FOREIGN 8u  /* begins no report; announces somebody else's stack trace */
#define MARK_LINE    16u /* begins its line */
#define MARK_TRAP    32u /* a trap that code may run into on purpose ... */
#define MARK_TRAPS   64u /* ... as what has this mark does */

extern const struct oops_mark oops_marks[];
extern const size_t oops_n_marks;

/* All rules; those of one mark are tried in the order of the table. */
extern const struct oops_rule *const oops_rule_tables[];

/* Patterns: a function's name in a line, with or without "+0x1/0x2"; an address in a trace. */
#define RE_FUNC "([a-zA-Z_][a-zA-Z0-9_$]*)(?:\\.[a-zA-Z0-9_.]+)?(?:\\+|\\s|$)"
#define RE_PC   "\\[?<?(?:0x)?[0-9a-f]{4,}>?\\]?"

#endif
