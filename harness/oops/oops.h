/*
 * Console text of a Linux kernel in, crash reports out: title, type, the report's own lines.
 *
 * Pure: no I/O, no clock, no globals; only base/ is included. The input is untrusted. It may come
 * in pieces of any size (a piece may end in the middle of a line); each byte is looked at once,
 * memory is bounded by OOPS_REPORT_BYTES for each report that is kept and does not grow with the
 * input.
 */
#ifndef OOPS_OOPS_H
#define OOPS_OOPS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A report's text past this is cut (its title is long known by then). */
#define OOPS_REPORT_BYTES (256 * 1024)

struct oops_report {
	char *title; /* as syzbot names it: "WARNING in kvm_wait" */
	char **alt;  /* other titles of the same crash; n_alt of them */
	size_t n_alt;
	char *older;      /* what syzbot called it in earlier years, or NULL; for matching only */
	const char *type; /* "WARNING", "HANG", "LOCKDEP", ...; never NULL */
	char *frame;      /* the function to blame, or NULL */
	char *executor;   /* the thread that crashed, or NULL */
	bool corrupted;   /* cut, or mixed with another: do not trust the title */
	char *corrupted_why; /* NULL unless corrupted */
	bool suppressed;     /* a known uninteresting crash (out of memory, ...) */
	bool panicked;       /* the kernel panicked after it */
	uint64_t start, end; /* byte offsets into the input: first byte, first byte after */
	char *text;          /* the report's own lines, prefixes (time stamps, CPUs) taken off */
};

enum oops_state {
	OOPS_NONE,     /* nothing seen so far */
	OOPS_OPEN,     /* a report has begun; its end has not been seen */
	OOPS_COMPLETE, /* at least one report, and the last one is complete */
};

struct oops;

/* keep: how many reports are kept (the first ones); 1 for a trial. Never fails. */
struct oops *oops_new(size_t keep);
void oops_free(struct oops *o);

/* The next bytes of the console. */
void oops_feed(struct oops *o, const char *data, size_t len);

/* No more will come: whatever is open is closed as it stands. */
void oops_finish(struct oops *o);

enum oops_state oops_state(const struct oops *o);

/* How many reports are kept so far that are complete (all, after oops_finish()), and the i-th.
 * The report belongs to o; it is valid until the next oops_feed(), oops_finish() or oops_free(): a
 * complete report may still get its tail (a panic that follows). */
size_t oops_count(const struct oops *o);
const struct oops_report *oops_get(struct oops *o, size_t i);

/* Forget the first n reports that are kept: for one who wants all of a long log. */
void oops_drop(struct oops *o, size_t n);

#endif
