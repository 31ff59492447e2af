/*
 * Matching titles. Both sides are brought to one spelling, so that what differs between two
 * kernels or two mails of the same crash is gone: directories of source files, line numbers, the
 * number syzbot adds to a title that it has seen before, kinds that the kernel has renamed.
 */
#include "oops/match.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "oops/title.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT 1000000
#define TITLE_BYTES 200

struct oops_matcher {
	char *title; /* spelled alike; NULL: re */
	char *inner; /* the same without a mail's decoration, which a title may look like */
	pcre2_code *re;
};

/* mm/kasan/report.c has said "slab-use-after-free" since 6.4 for what was "use-after-free". */
static const struct {
	const char *from, *to;
} renamed[] = {
	{ "KASAN: slab-use-after-free ", "KASAN: use-after-free " },
	{ "INFO: suspicious RCU usage", "WARNING: suspicious RCU usage" },
	{ "BUG: bad unlock balance", "WARNING: bad unlock balance" },
	{ "BUG: held lock freed", "WARNING: held lock freed" },
	{ "BUG: still has locks held", "WARNING: still has locks held" },
};

/* "a/b/c.c:LINE" at p: where its last part begins. */
static const char *base_name(const char *p)
{
	size_t n = strcspn(p, " :,;()'\"");
	const char *slash = memrchr(p, '/', n);

	return slash && p[n] == ':' ? slash + 1 : p;
}

/* Behind "[syzbot] [kvm?] " and "Re: ". */
static const char *subject(const char *p)
{
	for (;;) {
		p += strspn(p, " \t");
		if (!strncasecmp(p, "re: ", 4)) {
			p += 4;
		} else if (*p == '[' && isalpha((unsigned char)p[1]) && strchr(p, ']')) {
			p = strchr(p, ']') + 1;
		} else {
			return p;
		}
	}
}

/* Without " (2)" at the end. */
static size_t without_count(const char *p)
{
	size_t n = strlen(p), i = n;

	while (i && isspace((unsigned char)p[i - 1]))
		n = --i;
	if (!i || p[i - 1] != ')')
		return n;
	for (i--; i && isdigit((unsigned char)p[i - 1]); i--)
		;
	return i > 1 && p[i - 1] == '(' && p[i - 2] == ' ' && p[i] != ')' ? i - 2 : n;
}

static char *spelling(const char *title)
{
	struct buf b = BUF_INIT;
	char *text;

	for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
		size_t k = strlen(renamed[i].from);
		if (strncmp(title, renamed[i].from, k))
			continue;
		buf_adds(&b, renamed[i].to);
		title += k;
		break;
	}
	buf_add(&b, title, without_count(title));
	text = oops_title_clean(&b, TITLE_BYTES);
	char *out = text;
	for (const char *p = text; *p;) {
		if (p == text || p[-1] == ' ')
			p = base_name(p);
		*out++ = *p++;
	}
	*out = '\0';
	return text;
}

static int new_regex(struct oops_matcher *m, const char *text, size_t len, struct err *err)
{
	PCRE2_UCHAR why[160];
	PCRE2_SIZE at;
	int code;

	m->re = pcre2_compile((PCRE2_SPTR)text, len, 0, &code, &at, NULL);
	if (m->re)
		return 0;
	pcre2_get_error_message(code, why, sizeof(why));
	return err_set(err, ERR_INPUT, "/%.*s/: %s at offset %zu", (int)len, text, (char *)why, at);
}

int oops_matcher_new(const char *text, struct oops_matcher **out, struct err *err)
{
	struct oops_matcher *m = xcalloc(1, sizeof(*m));
	size_t len = strlen(text);
	int rc = 0;

	if (len > 1 && text[0] == '/' && text[len - 1] == '/')
		rc = new_regex(m, text + 1, len - 2, err);
	else
		m->title = spelling(text);
	if (m->title)
		m->inner = spelling(subject(text));
	if (!rc && m->title && !*m->inner)
		rc = err_set(err, ERR_INPUT, "an empty title matches nothing");
	if (rc) {
		oops_matcher_free(m);
		return rc;
	}
	*out = m;
	return 0;
}

void oops_matcher_free(struct oops_matcher *m)
{
	if (!m)
		return;
	pcre2_code_free(m->re);
	free(m->title);
	free(m->inner);
	free(m);
}

static bool test_regex(const struct oops_matcher *m, const char *title)
{
	pcre2_match_data *md = pcre2_match_data_create(1, NULL);
	pcre2_match_context *mc = pcre2_match_context_create(NULL);
	int rc = -1;

	if (md && mc) {
		pcre2_set_match_limit(mc, MATCH_LIMIT);
		rc = pcre2_match(m->re, (PCRE2_SPTR)title, strlen(title), 0, 0, md, mc);
	}
	pcre2_match_data_free(md);
	pcre2_match_context_free(mc);
	return rc >= 0;
}

bool oops_matcher_test_title(const struct oops_matcher *m, const char *title)
{
	if (m->re)
		return test_regex(m, title);
	char *other = spelling(title);
	bool same = !strcmp(m->title, other) || !strcmp(m->inner, other);
	free(other);
	return same;
}

bool oops_matcher_test(const struct oops_matcher *m, const struct oops_report *report)
{
	if (oops_matcher_test_title(m, report->title))
		return true;
	for (size_t i = 0; i < report->n_alt; i++)
		if (oops_matcher_test_title(m, report->alt[i]))
			return true;
	return report->older && oops_matcher_test_title(m, report->older);
}

const char *oops_matcher_title(const struct oops_matcher *m)
{
	return m->inner;
}

bool oops_titles_alike(const char *a, const char *b)
{
	cleanup_free char *spelled_a = spelling(a), *spelled_b = spelling(b);

	return !strcmp(spelled_a, spelled_b);
}
