/* Collecting a report's lines; see report.h for what is collected. */
#ifndef OOPS_COLLECT_H
#define OOPS_COLLECT_H

#include "oops/report.h"

/* A line with a mark begins a report; offset: of that line in the input. collect_line() must
 * follow with the same line. */
void collect_begin(struct raw_report *r, const struct oops_mark *mark, const struct line *l,
		   uint64_t offset);

/* A line that stood before the mark's, the oldest first; only between the two above. */
void collect_before(struct raw_report *r, const struct line *l);

/* The next line; mark: the one it holds, or NULL. end: the offset behind it. */
void collect_line(struct raw_report *r, const struct line *l, const struct oops_mark *mark,
		  uint64_t end);

/* Nothing more will come for it: it was complete and other lines followed. */
bool collect_over(const struct raw_report *r);

void collect_free(struct raw_report *r);

#endif
