/*
 * The readers (cage.h): one row for each kind of thing that is read from outside. What each is
 * asked and answers is its own file's; here are the calls of the harness's side.
 */
#ifndef READERS_H
#define READERS_H

#include "cage.h"
#include "oops/oops.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>

enum reader {
	READER_LOG,
	READER_BISECTION,
	READER_IMAGE,
	READER_UNPACK,
	READER_SIGNATURE,
	READER_MODINFO,
	READER_MODULE,
	READER_MODULES,
	READER_TRIAL,
};

/* The table for cage_setup(), by enum reader. */
extern const struct cage_role readers[];

/* ---- reports, in messages (read_report.c) ---- */

/* Add r to body; its text too if text. */
void read_report_put(struct buf *body, const struct oops_report *r, bool text);

/* Take the next fields as a report, which the caller clears with oops_report_clear(). What does not
 * make sense makes the message bad. */
void read_report_take(struct wire *in, struct oops_report *out);

/* ---- a console log (read_log.c) ---- */

int read_log_serve(int fd, const int *fds, struct err *err);

/* Start to read the log that file_fd is open on, gzip or not: its reports, with their text if text;
 * only the first one unless all. */
int read_log_start(int file_fd, bool all, bool text, struct cage *out, struct err *err);

/* The next report, which the caller clears with oops_report_clear(): 1; 0 at the log's end. */
int read_log_next(struct cage *cage, struct oops_report *out, struct err *err);

/* ---- a bisection log, audited (read_bisection.c) ---- */

int read_bisection_serve(int fd, const int *fds, struct err *err);

struct read_bisection {
	const char *path;
	struct policy policy;
	const char *const *expect; /* n_expect of them: what --expect names */
	size_t n_expect;
	bool json;
};

/* Add to text what the audit of q->path says, with the log's own bytes in it; *astray is set if
 * the log's bisection went astray. */
int read_bisection(const struct read_bisection *q, struct buf *text, bool *astray, struct err *err);

#endif
