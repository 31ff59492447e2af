/* Which lines begin a report. */
#include "oops/report.h"

#include <string.h>

const struct oops_mark *oops_find_mark(struct oops_regexes *rx, const char *s, size_t len,
				       size_t *at)
{
	const struct oops_mark *best = NULL;

	for (size_t i = 0; i < oops_n_marks; i++) {
		const struct oops_mark *m = &oops_marks[i];
		const char *p = memmem(s, len, m->text, strlen(m->text));

		if (!p || (best && (size_t)(p - s) >= *at))
			continue;
		if (m->ignore && oops_match_re(rx, m->ignore, s, len, NULL, 0))
			continue;
		best = m;
		*at = (size_t)(p - s);
	}
	return best;
}
