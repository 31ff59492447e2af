/* The reader of console logs; see readers.h. */
#include "base/cleanup.h"
#include "oops/report.h"
#include "readers.h"

#include <zlib.h>

/* Read in pieces of this size, which stay in the cache; nothing grows with a log. */
#define CHUNK_BYTES (64 * 1024)

/* Reports held back while more of the log is read: a panic behind them is theirs. */
#define HELD_REPORTS 16

#define MESSAGE_BYTES (2 * OOPS_REPORT_BYTES) /* a report with all its titles */

enum {
	MESSAGE_REPORT,
	MESSAGE_END
};

/* ---- the reader ---- */

/* Send what is certain: all but the last HELD_REPORTS, or everything at the end. */
static int drain(int fd, struct oops *oops, bool text, bool end, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	size_t n = oops_count(oops);

	if (!end && n <= HELD_REPORTS)
		return 0;
	n = end ? n : n - HELD_REPORTS;
	for (size_t i = 0; i < n; i++) {
		buf_clear(&body);
		read_report_put(&body, oops_get(oops, i), text);
		if (wire_send(fd, MESSAGE_REPORT, &body, err))
			return -1;
	}
	oops_drop(oops, n);
	return 0;
}

static int feed(int fd, gzFile in, struct oops *oops, bool text, struct err *err)
{
	cleanup_free char *chunk = xcalloc(1, CHUNK_BYTES);
	int n, code;

	gzbuffer(in, CHUNK_BYTES / 2);
	while ((n = gzread(in, chunk, CHUNK_BYTES)) > 0) {
		oops_feed(oops, chunk, (size_t)n);
		if (drain(fd, oops, text, false, err))
			return -1;
	}
	oops_finish(oops);
	if (drain(fd, oops, text, true, err))
		return -1;
	const char *why = gzerror(in, &code);
	if (code == Z_ERRNO)
		return err_errno(err, ERR_INPUT, "it cannot be read");
	if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
		return err_set(err, ERR_INPUT, "%s",
			       code == Z_BUF_ERROR ? "the compressed data is cut short" : why);
	return 0;
}

int read_log_serve(int fd, const int *fds, struct err *err)
{
	static const struct buf nothing = BUF_INIT;
	cleanup_wire struct wire request = WIRE_INIT;

	if (cage_hear(fd, &request, err))
		return -1;
	bool all = wire_bool(&request), text = wire_bool(&request);
	gzFile in = gzdopen(fds[0], "rb");
	if (!in)
		return err_set(err, ERR_HARNESS, "zlib cannot start");
	struct oops *oops = oops_new(all ? SIZE_MAX : 1);
	int rc = feed(fd, in, oops, text, err);
	oops_free(oops);
	gzclose_r(in);
	return rc ? -1 : wire_send(fd, MESSAGE_END, &nothing, err);
}

/* ---- the harness ---- */

int read_log_start(int file_fd, bool all, bool text, struct cage *out, struct err *err)
{
	cleanup_buf struct buf request = BUF_INIT;

	wire_put_u64(&request, all);
	wire_put_u64(&request, text);
	if (cage_start(READER_LOG, &file_fd, 1, out, err))
		return -1;
	cage_send(out, 0, &request);
	return 0;
}

int read_log_next(struct cage *cage, struct oops_report *out, struct err *err)
{
	cleanup_wire struct wire in = WIRE_INIT;

	if (cage_recv(cage, -1, MESSAGE_BYTES, &in, err))
		return -1;
	if (in.type == MESSAGE_END && wire_ok(&in))
		return 0;
	read_report_take(&in, out);
	if (in.type == MESSAGE_REPORT && wire_ok(&in))
		return 1;
	oops_report_clear(out);
	return cage_bad(READER_LOG, err);
}
