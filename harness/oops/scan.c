/*
 * Looking for fifty words at once, faster than memory is read from a disk.
 *
 * Each word has a fingerprint of four bytes, taken where the word is most unlike what consoles
 * are full of. The words are dealt into eight buckets, one bit each. For each half of each byte of
 * the fingerprint there is a table of 16 entries that says which buckets it may belong to; a byte
 * shuffle looks up 16 or 32 bytes of text at a time. A place where all eight lookups leave a bit is
 * compared with the words of that bucket. (The method is known as "Teddy", from Hyperscan.)
 */
#include "oops/scan.h"

#include <stdbool.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define BUCKETS 8

/* How often a byte occurs in a console's text, roughly: 1 seldom, 9 everywhere. */
static unsigned cost(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return strchr("ABCDEF", c) ? 3 : 2;
	if (c >= '0' && c <= '9')
		return 8;
	if (c >= 'a' && c <= 'z')
		return strchr("etaoinsrl", c) ? 8 : strchr("jkqvwxyz", c) ? 4 : 6;
	return c == ' ' ? 9 : strchr("[]._", c) ? 7 : 5;
}

static uint8_t rarest(const char *word, size_t len)
{
	unsigned best = ~0u;
	uint8_t at = 0;

	for (size_t i = 0; i + SCAN_PRINT <= len; i++) {
		unsigned sum = 0;
		for (size_t k = 0; k < SCAN_PRINT; k++)
			sum += cost((unsigned char)word[i + k]);
		if (sum < best) {
			best = sum;
			at = (uint8_t)i;
		}
	}
	return at;
}

/* Words whose fingerprints begin alike share a bucket: its tables stay sparse. */
static void deal(struct scan *s)
{
	for (size_t i = 1; i < s->n; i++) {
		struct scan_word w = s->words[i];
		size_t k = i;
		for (; k && memcmp(s->words[k - 1].text + s->words[k - 1].at, w.text + w.at,
				   SCAN_PRINT) > 0;
		     k--)
			s->words[k] = s->words[k - 1];
		s->words[k] = w;
	}
	for (size_t b = 0; b <= BUCKETS; b++)
		s->first[b] = (uint8_t)(b * s->n / BUCKETS);
	for (size_t b = 0; b < BUCKETS; b++) {
		for (size_t i = s->first[b]; i < s->first[b + 1]; i++) {
			struct scan_word *w = &s->words[i];
			memcpy(&w->print, w->text + w->at, SCAN_PRINT);
			for (size_t k = 0; k < SCAN_PRINT; k++) {
				unsigned char c = (unsigned char)w->text[w->at + k];
				s->low[k][c & 15] |= (uint8_t)(1u << b);
				s->high[k][c >> 4] |= (uint8_t)(1u << b);
			}
		}
	}
}

/* Does a word of one of these buckets have its fingerprint at data[i]? */
static bool confirm(const struct scan *s, const char *data, size_t len, size_t i, unsigned buckets,
		    size_t *found)
{
	uint32_t print;

	memcpy(&print, data + i, SCAN_PRINT);
	for (; buckets; buckets &= buckets - 1) {
		unsigned b = (unsigned)__builtin_ctz(buckets);
		for (size_t k = s->first[b]; k < s->first[b + 1]; k++) {
			const struct scan_word *w = &s->words[k];
			if (w->print != print || i < w->at || i - w->at + w->len > len)
				continue;
			if (!memcmp(data + i - w->at, w->text, w->len)) {
				*found = i - w->at;
				return true;
			}
		}
	}
	return false;
}

static size_t find_plain(const struct scan *s, const char *data, size_t len, size_t *from)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t found;

	for (size_t i = *from; i + SCAN_PRINT <= len; i++) {
		unsigned b = s->low[0][p[i] & 15] & s->high[0][p[i] >> 4];
		if (!b)
			continue;
		b &= s->low[1][p[i + 1] & 15] & s->high[1][p[i + 1] >> 4];
		b &= s->low[2][p[i + 2] & 15] & s->high[2][p[i + 2] >> 4];
		b &= s->low[3][p[i + 3] & 15] & s->high[3][p[i + 3] >> 4];
		if (b && confirm(s, data, len, i, b, &found)) {
			*from = i + 1;
			return found;
		}
	}
	*from = len;
	return len;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static inline __m256i lookup(const uint8_t *low,
							     const uint8_t *high, __m256i v)
{
	const __m256i half = _mm256_set1_epi8(15);
	__m256i l = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)low));
	__m256i h = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)high));

	return _mm256_and_si256(
		_mm256_shuffle_epi8(l, _mm256_and_si256(v, half)),
		_mm256_shuffle_epi8(h, _mm256_and_si256(_mm256_srli_epi16(v, 4), half)));
}

__attribute__((target("avx2"))) static size_t find_avx2(const struct scan *s, const char *data,
							size_t len, size_t *from)
{
	const size_t span = 32 + SCAN_PRINT - 1;
	size_t i = *from, found;

	for (size_t at; i + SCAN_PRINT <= len && len >= span; i = at + 32) {
		/* The last step looks back over what is known, rather than byte by byte ahead. */
		at = i + span > len ? len - span : i;
		const char *p = data + at;
		__m256i b = lookup(s->low[0], s->high[0], _mm256_loadu_si256((const void *)p));
		b = _mm256_and_si256(b, lookup(s->low[1], s->high[1],
					       _mm256_loadu_si256((const void *)(p + 1))));
		b = _mm256_and_si256(b, lookup(s->low[2], s->high[2],
					       _mm256_loadu_si256((const void *)(p + 2))));
		b = _mm256_and_si256(b, lookup(s->low[3], s->high[3],
					       _mm256_loadu_si256((const void *)(p + 3))));
		unsigned hits = ~(unsigned)_mm256_movemask_epi8(
			_mm256_cmpeq_epi8(b, _mm256_setzero_si256()));
		if (!hits)
			continue;
		uint8_t bits[32];
		_mm256_storeu_si256((void *)bits, b);
		hits &= ~0u << (i - at);
		for (; hits; hits &= hits - 1) {
			unsigned k = (unsigned)__builtin_ctz(hits);
			if (confirm(s, data, len, at + k, bits[k], &found)) {
				*from = at + k + 1;
				return found;
			}
		}
	}
	*from = i;
	return find_plain(s, data, len, from);
}

__attribute__((target("ssse3"))) static inline __m128i lookup16(const uint8_t *low,
								const uint8_t *high, __m128i v)
{
	const __m128i half = _mm_set1_epi8(15);
	__m128i l = _mm_loadu_si128((const __m128i *)low);
	__m128i h = _mm_loadu_si128((const __m128i *)high);

	return _mm_and_si128(_mm_shuffle_epi8(l, _mm_and_si128(v, half)),
			     _mm_shuffle_epi8(h, _mm_and_si128(_mm_srli_epi16(v, 4), half)));
}

__attribute__((target("ssse3"))) static size_t find_ssse3(const struct scan *s, const char *data,
							  size_t len, size_t *from)
{
	const size_t span = 16 + SCAN_PRINT - 1;
	size_t i = *from, found;

	for (size_t at; i + SCAN_PRINT <= len && len >= span; i = at + 16) {
		/* The last step looks back over what is known, rather than byte by byte ahead. */
		at = i + span > len ? len - span : i;
		const char *p = data + at;
		__m128i b = lookup16(s->low[0], s->high[0], _mm_loadu_si128((const void *)p));
		b = _mm_and_si128(
			b, lookup16(s->low[1], s->high[1], _mm_loadu_si128((const void *)(p + 1))));
		b = _mm_and_si128(
			b, lookup16(s->low[2], s->high[2], _mm_loadu_si128((const void *)(p + 2))));
		b = _mm_and_si128(
			b, lookup16(s->low[3], s->high[3], _mm_loadu_si128((const void *)(p + 3))));
		unsigned hits = 0xffffu & ~(unsigned)_mm_movemask_epi8(
						  _mm_cmpeq_epi8(b, _mm_setzero_si128()));
		uint8_t bits[16];
		if (hits)
			_mm_storeu_si128((void *)bits, b);
		hits &= ~0u << (i - at);
		for (; hits; hits &= hits - 1) {
			unsigned k = (unsigned)__builtin_ctz(hits);
			if (confirm(s, data, len, at + k, bits[k], &found)) {
				*from = at + k + 1;
				return found;
			}
		}
	}
	*from = i;
	return find_plain(s, data, len, from);
}
#endif

void scan_init(struct scan *s, const char *const *words, size_t n)
{
	*s = (struct scan){ .find = find_plain };
	for (size_t i = 0; i < n && s->n < SCAN_MAX_WORDS; i++) {
		size_t len = strlen(words[i]);
		if (len < SCAN_PRINT || len > 255)
			continue;
		s->words[s->n++] = (struct scan_word){ .text = words[i],
						       .len = (uint8_t)len,
						       .at = rarest(words[i], len) };
	}
	deal(s);
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		s->find = find_avx2;
	else if (__builtin_cpu_supports("ssse3"))
		s->find = find_ssse3;
#endif
}

size_t scan_find(const struct scan *s, const char *data, size_t len, size_t *from)
{
	return s->find(s, data, len, from);
}
