/* Finding the few bytes that matter: where in a console's text a mark may be. */
#ifndef OOPS_SCAN_H
#define OOPS_SCAN_H

#include <stddef.h>
#include <stdint.h>

#define SCAN_MAX_WORDS 96
#define SCAN_PRINT     4 /* bytes of a word by which it is found */

/* Words looked for, prepared by scan_init(). */
struct scan {
	struct scan_word {
		const char *text;
		uint8_t len, at; /* at: where in the word its fingerprint is */
		uint32_t print;  /* the fingerprint's bytes as they lie in memory */
	} words[SCAN_MAX_WORDS];
	size_t n;
	uint8_t first[9]; /* bucket k holds words[first[k]] to words[first[k + 1] - 1] */
	/* For each byte of the fingerprint, by the low and the high half of the byte in the text: a
	 * bit for each bucket that has a word with such a byte there. */
	uint8_t low[SCAN_PRINT][16], high[SCAN_PRINT][16];
	size_t (*find)(const struct scan *s, const char *data, size_t len, size_t *from);
};

/* words: n of them, each of SCAN_PRINT to 255 bytes; what is over SCAN_MAX_WORDS is left out. */
void scan_init(struct scan *s, const char *const *words, size_t n);

/*
 * The first place in data, from *from on, where a word stands: the offset of the word, or len if
 * there is none. *from is set to where to go on for the next one. Words that overlap are found in
 * the order of their fingerprints.
 */
size_t scan_find(const struct scan *s, const char *data, size_t len, size_t *from);

#endif
