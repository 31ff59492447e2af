/* Is this crash the one that a user means? For --expect and --ignore. */
#ifndef OOPS_MATCH_H
#define OOPS_MATCH_H

#include "base/err.h"
#include "oops/oops.h"

#include <stdbool.h>

struct oops_matcher;

/*
 * text is a title as it stands on syzbot's pages or in its mails ("[syzbot] [kvm?] WARNING in
 * kvm_wait (2)" is fine too), or "/PCRE/", a regular expression (PCRE2, not anchored). Fails with
 * ERR_INPUT on an empty title and on a bad expression; *out is the caller's, for
 * oops_matcher_free().
 */
int oops_matcher_new(const char *text, struct oops_matcher **out, struct err *err);
void oops_matcher_free(struct oops_matcher *m);

/*
 * A title matches a report by its title, its alternates, the names that the same report had in
 * earlier years, and all of these across a file's move, a line's number and the renaming of a
 * report's kind by the kernel.
 */
bool oops_matcher_test(const struct oops_matcher *m, const struct oops_report *report);

/* The same against a single title. */
bool oops_matcher_test_title(const struct oops_matcher *m, const char *title);

/* The title that it was made of, without a mail's decoration; NULL: a /PCRE/. */
const char *oops_matcher_title(const struct oops_matcher *m);

/* Are these two titles one, but for what a matcher overlooks? */
bool oops_titles_alike(const char *a, const char *b);

#endif
