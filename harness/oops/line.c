/* Taking the prefixes off a console line; see line.h. */
#include "oops/line.h"

#include <string.h>

/* Blanks and a time stamp's text are short: a bracket further in is the message's own. */
#define PREFIX_BYTES 160

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "[   12.345678]" at p: the offset behind it, or 0. */
static size_t timestamp(const char *p, size_t len)
{
	size_t i = 1;

	if (!len || p[0] != '[')
		return 0;
	while (i < len && i < 16 && p[i] == ' ')
		i++;
	size_t digits = i;
	while (i < len && is_digit(p[i]))
		i++;
	if (i == digits || i >= len || p[i] != '.')
		return 0;
	digits = ++i;
	while (i < len && is_digit(p[i]))
		i++;
	if (i == digits || i >= len || p[i] != ']')
		return 0;
	return i + 1;
}

/* "[ T123]" or "[    C1]" at p, with the context it means. */
static size_t caller(const char *p, size_t len, uint64_t *ctx)
{
	size_t i = 1;
	uint64_t n = 0;

	if (!len || p[0] != '[')
		return 0;
	while (i < len && i < 16 && p[i] == ' ')
		i++;
	if (i >= len || (p[i] != 'T' && p[i] != 'C'))
		return 0;
	char kind = p[i++];
	size_t digits = i;
	while (i < len && i - digits < 12 && is_digit(p[i]))
		n = n * 10 + (uint64_t)(p[i++] - '0');
	if (i == digits || i >= len || p[i] != ']')
		return 0;
	*ctx = (n << 8) | (uint64_t)(unsigned char)kind;
	return i + 1;
}

/* What stands before the kernel's prefix may be cut off when it is syslog's or a prompt. */
static bool foreign_prefix(const char *p, size_t n)
{
	static const char *const ends[] = { "login: ", "kernel: ", "messages dropped ** ", NULL };

	if (n == 3 && p[0] == '<' && p[2] == '>')
		return true;
	if (n && p[n - 1] == '>' && n >= 3 && is_digit(p[n - 2]))
		return true;
	for (size_t i = 0; ends[i]; i++) {
		size_t k = strlen(ends[i]);
		if (n >= k && !strncasecmp(p + n - k, ends[i], k))
			return true;
	}
	/* dmesg -x: "kern  :warn  : " */
	return n >= 2 && p[n - 1] == ' ' && p[n - 2] == ':' && n < 40;
}

static void trim(struct line *l)
{
	while (l->len &&
	       (l->s[l->len - 1] == '\r' || l->s[l->len - 1] == ' ' || l->s[l->len - 1] == '\t'))
		l->len--;
}

static bool questionable(const char *p, size_t len)
{
	size_t i = 0;

	while (i < len && (p[i] == ' ' || p[i] == '\t'))
		i++;
	if (i < len && p[i] == '[') {
		const char *e = memchr(p + i, ']', len - i);
		if (!e)
			return false;
		i = (size_t)(e - p) + 1;
		while (i < len && p[i] == ' ')
			i++;
	}
	return i + 1 < len && p[i] == '?' && p[i + 1] == ' ' && memchr(p + i, '+', len - i);
}

/* Where the last time stamp that may count begins: at 0, behind a foreign prefix, or, for a line
 * that holds a mark, the last one before it (two writers shared the line). */
static size_t find_stamp(const char *raw, size_t len, size_t from, size_t *start)
{
	size_t limit = from ? from : PREFIX_BYTES;
	size_t found = 0;

	if (limit > len)
		limit = len;
	for (size_t i = 0; i < limit; i++) {
		const char *b = memchr(raw + i, '[', limit - i);
		if (!b)
			break;
		i = (size_t)(b - raw);
		size_t n = timestamp(b, len - i);
		if (!n)
			continue;
		if (from ? i + n <= from : !i || foreign_prefix(raw, i)) {
			*start = i;
			found = n;
		}
		if (!from)
			break;
		i += n - 1;
	}
	return found;
}

void line_parse(const char *raw, size_t len, size_t from, struct line *out)
{
	size_t at = 0;
	size_t n = find_stamp(raw, len, from, &at);

	*out = (struct line){ .s = raw, .len = len, .ctx = LINE_CTX_USER };
	if (n) {
		out->later = memmem(raw + at, n, " 0.000000]", 10) == NULL;
		at += n;
		out->ctx = LINE_CTX_CONSOLE;
		at += caller(raw + at, len - at, &out->ctx);
	} else if ((n = caller(raw, len, &out->ctx))) {
		at = n; /* printk.time=0 with CONFIG_PRINTK_CALLER */
	} else if (len > 3 && raw[0] == '<' && is_digit(raw[1]) && raw[2] == '>') {
		at = 3;
		out->ctx = LINE_CTX_CONSOLE;
	}
	if (at && at < len && raw[at] == ' ')
		at++;
	/* journalctl -o short-monotonic puts the host and "kernel: " after the stamp. */
	if (at && out->ctx == LINE_CTX_CONSOLE) {
		size_t window = len - at < 80 ? len - at : 80;
		const char *host = memchr(raw + at, ' ', window);
		if (host && len - (size_t)(host - raw) >= 9 && !memcmp(host, " kernel: ", 9))
			at = (size_t)(host - raw) + 9;
	}
	out->s = raw + at;
	out->len = len - at;
	trim(out);
	out->questionable = questionable(out->s, out->len);
}

bool line_has(const struct line *l, const char *word)
{
	return memmem(l->s, l->len, word, strlen(word));
}

bool line_starts(const struct line *l, const char *prefix)
{
	size_t n = strlen(prefix);

	return l->len >= n && !memcmp(l->s, prefix, n);
}
