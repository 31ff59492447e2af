/* Names in titles: which frame, in which spelling, and what must not be in a title. */
#ifndef OOPS_TITLE_H
#define OOPS_TITLE_H

#include "base/buf.h"
#include "oops/frame.h"
#include "oops/rule.h"

#define OOPS_NAME_BYTES 256

/* Choosing among the frames that were not skipped, as they come. */
struct oops_picked {
	struct func best, prev;
	bool done; /* no later frame can change it */
};

void oops_pick(enum oops_pick pick, struct oops_picked *p, const struct func *f);

/* No more frames: the choice; len 0: none fits. */
struct func oops_pick_end(enum oops_pick pick, struct oops_picked *p);

/* The spellings of a function's name: the one for the title first, then the others by which it is
 * known, the kernel's own last. Returns how many (at most 4). */
size_t oops_name_forms(const struct func *f, char names[4][OOPS_NAME_BYTES]);

/* Take b's text as a title: numbers and addresses out, blanks and length bounded. b is freed. */
char *oops_title_clean(struct buf *b, size_t max);

bool oops_title_has_stamp(const char *title);

/* "syz.3.20" -> "proc=3, id=20"; NULL if comm is not of that form. */
char *oops_executor(const char *comm);

#endif
