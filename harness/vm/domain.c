/* Filling the domain's template; see domain.h. */
#include "vm/domain.h"

#include <string.h>

static int add_escaped(struct buf *out, const char *value, struct err *err)
{
	for (const char *p = value; *p; p++) {
		switch (*p) {
		case '<':
			buf_adds(out, "&lt;");
			break;
		case '>':
			buf_adds(out, "&gt;");
			break;
		case '&':
			buf_adds(out, "&amp;");
			break;
		case '\'':
			buf_adds(out, "&apos;");
			break;
		case '"':
			buf_adds(out, "&quot;");
			break;
		default:
			if ((unsigned char)*p < 0x20)
				return err_set(err, ERR_INPUT, "control character \\x%02x in '%s'",
					       *p, value);
			buf_addc(out, *p);
		}
	}
	return 0;
}

static const struct domain_word *lookup(const struct domain_word *words, const char *name,
					size_t len)
{
	for (; words->word; words++)
		if (strlen(words->word) == len && !memcmp(words->word, name, len))
			return words;
	return NULL;
}

/* The text from p to end, filled. 1: a word in it has no value. */
static int fill_line(const char *p, const char *end, const struct domain_word *words,
		     struct buf *out, struct err *err)
{
	const char *at;

	while ((at = memchr(p, '@', (size_t)(end - p)))) {
		size_t len = strspn(at + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		const struct domain_word *word =
			at[1 + len] == '@' ? lookup(words, at + 1, len) : NULL;

		buf_add(out, p, (size_t)(at - p));
		if (!word)
			return err_set(err, ERR_HARNESS, "domain template: no value for '%.*s'",
				       (int)len + 2, at);
		if (!word->value)
			return 1;
		if (add_escaped(out, word->value, err))
			return -1;
		p = at + len + 2;
	}
	buf_add(out, p, (size_t)(end - p));
	return 0;
}

int domain_fill(const char *template, const struct domain_word *words, struct buf *out,
		struct err *err)
{
	while (*template) {
		const char *end = strchrnul(template, '\n');
		size_t mark = out->len;

		end += *end == '\n';
		int rc = fill_line(template, end, words, out, err);
		if (rc < 0)
			return -1;
		if (rc)
			buf_truncate(out, mark);
		template = end;
	}
	return 0;
}
