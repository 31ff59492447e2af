/* Errors as values; see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The text may quote a guest, a log or a file name: nothing of it may drive a terminal. */
static void tame(char *msg)
{
	for (char *p = msg; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = *p == '\n' || *p == '\t' ? ' ' : '?';
}

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	tame(err->msg);
	err->kind = kind;
	return -1;
}

int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	const char *why = strerrordesc_np(errno);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	size_t used = strlen(err->msg);
	snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", why ? why : "unknown error");
	tame(err->msg);
	err->kind = kind;
	return -1;
}

int err_context(struct err *err, const char *fmt, ...)
{
	char was[ERR_MSG_BYTES];
	va_list ap;

	memcpy(was, err->msg, sizeof(was));
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	size_t used = strlen(err->msg);
	snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", was);
	tame(err->msg);
	return -1;
}
