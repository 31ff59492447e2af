/* Finding the few bytes that matter: where in a console's text a mark may be. */
#ifndef OOPS_SCAN_H
#define OOPS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define SCAN_MAX_WORDS 96

/* Words looked for, prepared by scan_init(). */
struct scan {
	const char *words[SCAN_MAX_WORDS];
	size_t lens[SCAN_MAX_WORDS];
	size_t n;
	unsigned char first[256]; /* does a word begin with this byte? */
};

/* words: ended by NULL; at most SCAN_MAX_WORDS, each of three bytes or more. */
void scan_init(struct scan *s, const char *const *words);

/* The first place in data where a word stands: its offset, or len if there is none. */
size_t scan_find(const struct scan *s, const char *data, size_t len);

#endif
