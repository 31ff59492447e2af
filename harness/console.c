/*
 * Reading the console. A guest may print as much as it likes, so nothing grows with what it
 * prints: the bytes go through a buffer of fixed size to the classifier and to zlib.
 */
#include "console.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zlib.h>

#define CHUNK_BYTES  65536
#define TURN_BYTES   (1024 * 1024)
#define LINE_BYTES   256  /* enough of a line to know what halted() looks for */
#define LIVE_BYTES   1024 /* a longer line is shown in pieces */
#define KEEP_REPORTS 8

struct console {
	int fd;
	bool eof;
	uint64_t bytes;
	int64_t last_ms;
	struct oops *oops;
	gzFile gz;
	char *path, *tmp;
	char line[LINE_BYTES]; /* the last whole line, for console_halted() */
	char partial[LINE_BYTES];
	size_t partial_len;
	char *live;
	struct buf live_line;
	char chunk[CHUNK_BYTES];
};

int console_open(int fd, const char *path, const char *live, struct console **out, struct err *err)
{
	cleanup_free char *tmp = xasprintf("%s.tmp", path);
	cleanup_fd int file = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (file < 0)
		return err_errno(err, ERR_HARNESS, "%s", tmp);
	gzFile gz = gzdopen(file, "wb1");
	if (!gz)
		return err_set(err, ERR_HARNESS, "%s: zlib cannot start", path);
	steal_fd(file);
	struct console *c = xcalloc(1, sizeof(*c));
	c->fd = fd;
	c->gz = gz;
	c->path = xstrdup(path);
	c->tmp = steal(tmp);
	c->oops = oops_new(KEEP_REPORTS);
	c->last_ms = clock_ms();
	c->live = live ? xstrdup(live) : NULL;
	c->live_line = (struct buf)BUF_INIT;
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

static void show_line(struct console *c)
{
	cleanup_buf struct buf out = BUF_INIT;

	buf_addf(&out, "%s| ", c->live);
	buf_add_escaped(&out, c->live_line.data, c->live_line.len);
	buf_addc(&out, '\n');
	fwrite(out.data, 1, out.len, stderr);
	buf_clear(&c->live_line);
}

static void show(struct console *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n' || c->live_line.len == LIVE_BYTES)
			show_line(c);
		if (data[i] != '\n' && data[i] != '\r')
			buf_addc(&c->live_line, data[i]);
	}
}

static int take(struct console *c, size_t len, struct err *err)
{
	oops_feed(c->oops, c->chunk, len);
	track_lines(c, c->chunk, len);
	if (c->live)
		show(c, c->chunk, len);
	c->bytes += len;
	if (gzwrite(c->gz, c->chunk, (unsigned)len) != (int)len)
		return err_errno(err, ERR_HARNESS, "%s", c->tmp);
	return 0;
}

int console_read(struct console *console, struct err *err)
{
	size_t got = 0;

	while (got < TURN_BYTES && !console->eof) {
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

	if (console->live && console->live_line.len)
		show_line(console);
	if (gzclose(console->gz) != Z_OK || rename(console->tmp, console->path))
		rc = err_errno(err, ERR_HARNESS, "%s", console->path);
	if (rc)
		unlink(console->tmp);
	oops_free(console->oops);
	buf_free(&console->live_line);
	free(console->live);
	free(console->path);
	free(console->tmp);
	free(console);
	return rc;
}
