/* Looking for many words at once; see scan.h. */
#include "oops/scan.h"

#include <string.h>

void scan_init(struct scan *s, const char *const *words)
{
	*s = (struct scan){ .n = 0 };
	for (size_t i = 0; words[i] && s->n < SCAN_MAX_WORDS; i++) {
		s->words[s->n] = words[i];
		s->lens[s->n] = strlen(words[i]);
		s->first[(unsigned char)words[i][0]] = 1;
		s->n++;
	}
}

static bool word_at(const struct scan *s, const char *p, size_t left)
{
	for (size_t i = 0; i < s->n; i++)
		if (*p == s->words[i][0] && s->lens[i] <= left && !memcmp(p, s->words[i], s->lens[i]))
			return true;
	return false;
}

size_t scan_find(const struct scan *s, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s->first[(unsigned char)data[i]] && word_at(s, data + i, len - i))
			return i;
	return len;
}
