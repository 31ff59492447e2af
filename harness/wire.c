/* Messages of checked fields; see wire.h. */
#include "wire.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ABSENT UINT64_MAX /* in place of a length: a string that is NULL */

void wire_put_u64(struct buf *body, uint64_t v)
{
	buf_add(body, &v, sizeof(v));
}

void wire_put_bytes(struct buf *body, const void *data, size_t len)
{
	wire_put_u64(body, len);
	buf_add(body, data, len);
}

void wire_put_str(struct buf *body, const char *s)
{
	if (s)
		wire_put_bytes(body, s, strlen(s));
	else
		wire_put_u64(body, ABSENT);
}

void wire_put_view(struct buf *body, const char *data, size_t len)
{
	wire_put_bytes(body, data, len + 1);
}

static int write_all(int fd, const void *data, size_t len, struct err *err)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_HARNESS, "a message between processes");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int wire_send(int fd, uint32_t type, const struct buf *body, struct err *err)
{
	const struct wire_head head = { type, (uint32_t)body->len };
	struct buf whole = BUF_INIT;

	if (body->len > UINT32_MAX)
		return err_set(err, ERR_HARNESS, "a message of %zu bytes", body->len);
	/* A small one is one write, and wakes the other end once. */
	if (body->len > 4096)
		return write_all(fd, &head, sizeof(head), err) ||
				       write_all(fd, body->data, body->len, err)
			       ? -1
			       : 0;
	buf_add(&whole, &head, sizeof(head));
	buf_add(&whole, body->data, body->len);
	int rc = write_all(fd, whole.data, whole.len, err);
	buf_free(&whole);
	return rc;
}

void wire_free(struct wire *in)
{
	buf_free(&in->body);
	*in = (struct wire)WIRE_INIT;
}

/* The next len bytes, or NULL. */
static const char *next(struct wire *in, size_t len)
{
	if (in->bad || len > in->body.len - in->at) {
		in->bad = true;
		return NULL;
	}
	in->at += len;
	return in->body.data + in->at - len;
}

uint64_t wire_u64(struct wire *in, uint64_t max)
{
	uint64_t v;
	const char *p = next(in, sizeof(v));

	if (!p)
		return 0;
	memcpy(&v, p, sizeof(v));
	if (v <= max)
		return v;
	in->bad = true;
	return 0;
}

bool wire_bool(struct wire *in)
{
	return wire_u64(in, 1);
}

char *wire_str_or_null(struct wire *in, size_t max_bytes)
{
	uint64_t len = wire_u64(in, UINT64_MAX);

	if (in->bad || len == ABSENT)
		return NULL;
	const char *p = len <= max_bytes ? next(in, len) : NULL;
	if (!p || memchr(p, '\0', len)) {
		in->bad = true;
		return NULL;
	}
	return xstrndup(p, len);
}

char *wire_str(struct wire *in, size_t max_bytes)
{
	char *s = wire_str_or_null(in, max_bytes);

	in->bad |= !s;
	return s;
}

void wire_bytes(struct wire *in, size_t max_bytes, struct buf *out)
{
	size_t len = wire_u64(in, max_bytes);
	const char *p = next(in, len);

	if (p)
		buf_add(out, p, len);
}

const char *wire_view(struct wire *in, size_t max_bytes, size_t *len)
{
	size_t whole = wire_u64(in, max_bytes + 1);
	const char *p = whole ? next(in, whole) : NULL;

	in->bad |= !p || p[whole - 1];
	*len = in->bad ? 0 : whole - 1;
	return in->bad ? NULL : p;
}

bool wire_ok(const struct wire *in)
{
	return !in->bad && in->at == in->body.len;
}

/* Who is heard, what ends that, and when it is over (clock_ms(); -1: never). */
struct ear {
	int fd, stop_fd;
	int64_t deadline_ms;
};

/* Who sends half a message must not hold us. What is there is taken, however late it is. */
static int await(const struct ear *ear, struct err *err)
{
	struct pollfd p[] = {
		{ .fd = ear->fd, .events = POLLIN },
		{ .fd = ear->stop_fd, .events = POLLIN },
	};

	for (;;) {
		int64_t left = ear->deadline_ms - clock_ms();
		int n = poll(p, 2, ear->deadline_ms < 0 ? -1 : left > 0 ? (int)left : 0);

		if (n < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (n > 0)
			break;
		if (!n)
			return err_set(err, ERR_HARNESS,
				       "a message between processes does not come to its end");
	}
	return p[1].revents ? err_set(err, ERR_INTERRUPTED, "interrupted") : 0;
}

/* len bytes into out: 1, or 0 at the end of the stream before the first one. */
static int read_all(const struct ear *ear, struct buf *out, size_t len, struct err *err)
{
	char chunk[65536];
	size_t got = 0;

	while (got < len) {
		size_t want = len - got < sizeof(chunk) ? len - got : sizeof(chunk);

		if (await(ear, err))
			return -1;
		ssize_t n = read(ear->fd, chunk, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ECONNRESET)
			return err_errno(err, ERR_HARNESS, "a message between processes");
		if (n <= 0 && !got)
			return 0;
		if (n <= 0)
			return err_set(err, ERR_HARNESS,
				       "a message between processes is cut short");
		buf_add(out, chunk, (size_t)n);
		got += (size_t)n;
	}
	return 1;
}

int wire_recv(int fd, int stop_fd, int64_t limit_ms, size_t max_bytes, struct wire *in,
	      struct err *err)
{
	const struct ear ear = { fd, stop_fd, limit_ms < 0 ? -1 : clock_ms() + limit_ms };
	struct wire_head head;

	wire_free(in);
	int rc = read_all(&ear, &in->body, sizeof(head), err);
	if (rc <= 0)
		return rc;
	memcpy(&head, in->body.data, sizeof(head));
	buf_clear(&in->body);
	if (head.body_bytes > max_bytes)
		return err_set(err, ERR_HARNESS, "a message of %u bytes, and %zu is the limit",
			       head.body_bytes, max_bytes);
	in->type = head.type;
	rc = read_all(&ear, &in->body, head.body_bytes, err);
	if (!rc && head.body_bytes)
		return err_set(err, ERR_HARNESS, "a message between processes is cut short");
	return rc < 0 ? -1 : 1;
}
