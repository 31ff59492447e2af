/*
 * Reading the console. A guest may print as much as it likes, so nothing grows with what it
 * prints: the bytes go through a buffer of fixed size to the classifier and to zlib.
 */
#include "console.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK_BYTES 65536
#define LINE_BYTES  256 /* enough of a line to know what halted() looks for */

struct console {
	int fd;
	bool eof;
	uint64_t bytes;
	int64_t last_ms;
	struct oops *oops;
	gzFile gz;
	char line[LINE_BYTES]; /* the last whole line, for console_halted() */
	char partial[LINE_BYTES];
	size_t partial_len;
	struct buf *live;
	char chunk[CHUNK_BYTES];
};

int console_open(int fd, int file_fd, struct buf *live, struct console **out, struct err *err)
{
	gzFile gz = gzdopen(file_fd, "wb1");

	if (!gz)
		return err_set(err, ERR_HARNESS, "zlib cannot start");
	struct console *c = xcalloc(1, sizeof(*c));
	c->fd = fd;
	c->gz = gz;
	c->oops = oops_new(CONSOLE_REPORTS);
	c->last_ms = clock_ms();
	c->live = live;
	*out = c;
	return 0;
}

static void track_lines(struct console *c, const char *data, size_t len)
{
	while (len) {
		const char *nl = memchr(data, '\n', len);
		size_t part = nl ? (size_t)(nl - data) : len;
		size_t room = sizeof(c->partial) - 1 - c->partial_len;

		memcpy(c->partial + c->partial_len, data, part < room ? part : room);
		c->partial_len += part < room ? part : room;
		if (!nl)
			return;
		memcpy(c->line, c->partial, c->partial_len);
		c->line[c->partial_len] = '\0';
		c->partial_len = 0;
		data += part + 1;
		len -= part + 1;
	}
}

static int take(struct console *c, size_t len, struct err *err)
{
	oops_feed(c->oops, c->chunk, len);
	track_lines(c, c->chunk, len);
	if (c->live)
		buf_add(c->live, c->chunk, len);
	c->bytes += len;
	if (gzwrite(c->gz, c->chunk, (unsigned)len) != (int)len)
		return err_errno(err, ERR_HARNESS, "it cannot be written");
	return 0;
}

int console_read(struct console *console, struct err *err)
{
	size_t got = 0;

	while (got < CONSOLE_TURN_BYTES && !console->eof) {
		ssize_t n = read(console->fd, console->chunk, sizeof(console->chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno != ECONNRESET)
			return err_errno(err, ERR_HARNESS, "console");
		if (n <= 0) {
			console->eof = true;
			oops_finish(console->oops);
			break;
		}
		got += (size_t)n;
		if (take(console, (size_t)n, err))
			return -1;
	}
	if (got)
		console->last_ms = clock_ms();
	return got > 0;
}

bool console_eof(const struct console *console)
{
	return console->eof;
}

uint64_t console_bytes(const struct console *console)
{
	return console->bytes;
}

int64_t console_last_ms(const struct console *console)
{
	return console->last_ms;
}

bool console_halted(const struct console *console)
{
	/* kernel/reboot.c: kernel_power_off() and kernel_halt(), after all devices are shut down */
	return strstr(console->line, "reboot: Power down") ||
	       strstr(console->line, "reboot: System halted");
}

struct oops *console_oops(struct console *console)
{
	return console->oops;
}

int console_close(struct console *console, struct err *err)
{
	int rc = 0;

	if (gzclose(console->gz) != Z_OK)
		rc = err_errno(err, ERR_HARNESS, "it cannot be written");
	oops_free(console->oops);
	free(console);
	return rc;
}
