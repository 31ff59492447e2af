/* Lines on standard error; see log.h. */
#include "base/log.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

enum log_level log_level = LOG_NORMAL;

void log_line(enum log_level at, const char *fmt, ...)
{
	cleanup_buf struct buf raw = BUF_INIT, line = BUF_INIT;
	va_list ap;

	if (at > log_level)
		return;
	va_start(ap, fmt);
	buf_vaddf(&raw, fmt, ap);
	va_end(ap);
	buf_adds(&line, "kvmrepro: ");
	buf_add_escaped(&line, raw.data, raw.len);
	buf_addc(&line, '\n');
	fwrite(line.data, 1, line.len, stderr);
}
