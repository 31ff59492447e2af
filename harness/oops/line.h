/* One line of a console log: where the kernel's own text starts, and who printed it. */
#ifndef OOPS_LINE_H
#define OOPS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer line is looked at in pieces of this size, so that nothing grows with a line. */
#define OOPS_LINE_BYTES 8192

/* Who printed a line. */
#define LINE_CTX_USER    0 /* no time stamp: not the kernel, or a kernel without printk.time */
#define LINE_CTX_CONSOLE 1 /* a time stamp alone */
/* Anything else: CONFIG_PRINTK_CALLER's thread or CPU number, see line_parse(). */

struct line {
	const char *s; /* the text without prefix and trailing blanks, not NUL-terminated */
	size_t len;
	uint64_t ctx;
	bool later;        /* a time stamp other than zero */
	bool questionable; /* a frame the unwinder is not sure of ("? func+0x1/0x2") */
};

/*
 * Split raw (without its newline) into prefix and text. Prefixes known: "<4>", "[   12.345678] ",
 * "[   12.345678][ T123] " (kernel/printk/printk.c: print_prefix(), print_caller()), what syslog
 * and journald put before them, a login prompt, "** N printk messages dropped ** ".
 * from: only a prefix that ends at or before this offset counts (a mark found in the line).
 */
void line_parse(const char *raw, size_t len, size_t from, struct line *out);

/* Does the text hold this word? */
bool line_has(const struct line *l, const char *word);

bool line_starts(const struct line *l, const char *prefix);

#endif
