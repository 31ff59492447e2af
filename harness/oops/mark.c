/* Which lines begin a report. */
#include "oops/report.h"

#include <ctype.h>
#include <string.h>

/* A kernel's heading stands at the beginning of its text, behind at most a subsystem's name
 * ("watchdog: ", "rcu: ", "CPU 0 "); in quotes or behind '=' it is somebody's argument. */
#define PREFIX_MAX 80

static bool heading(const char *s, size_t at)
{
	if (at > PREFIX_MAX)
		return false;
	for (size_t i = 0; i < at; i++)
		if (strchr("'\"=`", s[i]))
			return false;
	return true;
}

const struct oops_mark *oops_mark_at(struct oops_regexes *rx, const char *s, size_t len, size_t at)
{
	const char *p = s + at;

	/* ODEBUG:, CAM_INFO: */
	if (at && isupper((unsigned char)*p) && (isalnum((unsigned char)p[-1]) || p[-1] == '_'))
		return NULL;
	for (size_t i = 0; i < oops_n_marks; i++) {
		const struct oops_mark *m = &oops_marks[i];
		size_t n = strlen(m->text);

		if (*p == m->text[0] && len - at >= n && !memcmp(p, m->text, n) &&
		    (!m->only || oops_match_re(rx, m->only, p, len - at, NULL, 0)))
			return m;
	}
	return NULL;
}

bool oops_is_heading(const struct oops_mark *m, const struct line *l, const char *raw, size_t at,
		     bool stamped)
{
	size_t into = (size_t)(raw + at - l->s);

	if (raw + at < l->s)
		return false;
	if (m->flags & MARK_LINE && into)
		return false;
	if (m->flags & MARK_USER)
		return true;
	/* In a log with time stamps, a line without one is a program's unless it starts so. */
	if (stamped && l->ctx == LINE_CTX_USER)
		return !into;
	return heading(l->s, into);
}
