/* A growing run of bytes, always followed by a NUL that does not count. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

/*
 * BUF_INIT is an empty buffer. The bytes belong to the buffer until buf_steal(); buf_free() may be
 * called on any buffer and leaves an empty one. When memory runs out the program ends with a
 * message (exit status 128): no caller can do better, so nothing here returns an error.
 */
struct buf {
	char *data; /* never NULL: an empty buffer points to an empty string */
	size_t len;
	size_t cap; /* 0: data is not allocated */
};

extern char buf_empty[];
#define BUF_INIT                                                                                   \
	{                                                                                          \
		.data = buf_empty                                                                  \
	}

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap);

/* Add bytes of unknown origin: control characters as \xHH, bytes that are not UTF-8 likewise;
 * newline and tab stay. */
void buf_add_escaped(struct buf *b, const char *data, size_t len);

/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);

/* Cut to the first len bytes, if there are more. */
void buf_truncate(struct buf *b, size_t len);

/* Cut to no bytes; the allocation stays. */
void buf_clear(struct buf *b);
void buf_free(struct buf *b);

/* Take the string, which the caller frees; the buffer is empty afterwards. */
char *buf_steal(struct buf *b);

#define cleanup_buf __attribute__((cleanup(buf_free)))

/* malloc, realloc and strdup that end the program instead of returning NULL. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
