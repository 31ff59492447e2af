/* An error as a value: what went wrong, in one line for the user, and whose fault it was. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* Longest error line, its NUL included; a longer one is cut. */
#define ERR_MSG_BYTES 1024

/* Whose fault an error is; main.c turns it into the exit status. */
enum err_kind {
	ERR_HARNESS,     /* our own machinery: no VM could be started, disk full, ... */
	ERR_INPUT,       /* what the user gave: an option, a kernel, a reproducer */
	ERR_UNSUPPORTED, /* nothing here offers what was asked for (nested SVM or VMX) */
	ERR_INTERRUPTED, /* a signal asked us to stop */
};

struct err {
	enum err_kind kind;
	char msg[ERR_MSG_BYTES];
};

/*
 * Every fallible function returns 0 or a negative value and takes a struct err * last. On failure
 * the error is set, on success it is not touched. The three below always return -1, so that a
 * caller can write "return err_set(...)". Control characters in the text are escaped.
 */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set(), with ": " and the text of errno added. */
int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "context: " before what the error says already; its kind stays. */
int err_context(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
