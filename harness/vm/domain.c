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

static const char *lookup(const struct domain_word *words, const char *name, size_t len)
{
	for (; words->word; words++)
		if (strlen(words->word) == len && !memcmp(words->word, name, len))
			return words->value;
	return NULL;
}

int domain_fill(const char *template, const struct domain_word *words, struct buf *out,
		struct err *err)
{
	const char *at;

	while ((at = strchr(template, '@'))) {
		size_t len = strspn(at + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		buf_add(out, template, (size_t)(at - template));
		const char *value = at[1 + len] == '@' ? lookup(words, at + 1, len) : NULL;
		if (!value)
			return err_set(err, ERR_HARNESS, "domain template: no value for '%.*s'",
				       (int)len + 2, at);
		if (add_escaped(out, value, err))
			return -1;
		template = at + len + 2;
	}
	buf_adds(out, template);
	return 0;
}
