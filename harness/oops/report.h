/* A report while it is being collected, and what is made of it. */
#ifndef OOPS_REPORT_H
#define OOPS_REPORT_H

#include "base/buf.h"
#include "oops/line.h"
#include "oops/oops.h"
#include "oops/rule.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Compiled patterns, by address of their text; each is compiled when first used. */
struct oops_regexes {
	struct oops_regex {
		const char *text;
		pcre2_code *code;
	} * slots;
	size_t n_slots, n_used;
	pcre2_match_data *md;
	pcre2_match_context *mc;
};

/* A capture: not NUL-terminated; s is NULL where the group took no part. */
struct span {
	const char *s;
	size_t len;
};

void oops_regexes_init(struct oops_regexes *r);
void oops_regexes_free(struct oops_regexes *r);

/* Is re a valid pattern? */
bool oops_compiles(struct oops_regexes *r, const char *re);

/* Does re match in s? groups[0..max) get the captures 1..max. Bounded: a pattern that backtracks
 * too long does not match. */
bool oops_match_re(struct oops_regexes *r, const char *re, const char *s, size_t len,
		   struct span *groups, size_t max);

#define RLINE_DOUBTFUL 1u /* questionable frame */
#define RLINE_BEFORE   2u /* printed before the mark's line */
#define RLINE_OOPS     4u /* holds a mark itself */
#define RLINE_SAME     8u /* that mark goes with this report's own (a trap's second line) */

struct rline {
	uint32_t off, len; /* into text */
	unsigned flags;
};

struct raw_report {
	const struct oops_mark *mark;
	uint64_t ctx;
	struct buf text; /* the lines, each ended by a newline */
	struct rline *lines;
	size_t n_lines, cap_lines, first; /* first: the mark's line */
	uint64_t start, end;
	bool panicked, suppressed, full;
	char *comm; /* of the first "CPU: 1 PID: 2 Comm: ..." line */
	/* what is known of its end */
	bool want_all; /* "Sending NMI from CPU": the other CPUs' traces belong to it */
	bool in_trace, saw_trace, saw_frame, complete;
	enum {
		END_STACK,
		END_MARKER,
		END_RULER,
		END_LINE
	} ends;
	size_t idle; /* lines since it was complete */
};

/* Does raw, as it stands, show the function to blame (or is its title one without)? */
bool oops_can_name(struct oops_regexes *rx, const struct raw_report *raw);

/* Make out of raw. */
void oops_evaluate(struct oops_regexes *rx, const struct raw_report *raw, struct oops_report *out);
void oops_report_clear(struct oops_report *r);

/* The mark that stands at offset at of s; NULL: none. */
const struct oops_mark *oops_mark_at(struct oops_regexes *rx, const char *s, size_t len, size_t at);

/* Is m, found at offset at of the raw line l, the heading of a report, and not a word in some other
 * message? stamped: the kernel's lines in this log have time stamps. */
bool oops_is_heading(const struct oops_mark *m, const struct line *l, const char *raw, size_t at,
		     bool stamped);

/* The type that goes with a title. */
const char *oops_type(const char *title);

/* The type of that name, which lasts; NULL: there is none. */
const char *oops_type_find(const char *type);

#endif
