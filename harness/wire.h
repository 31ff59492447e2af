/*
 * Messages between the harness and a caged reader (cage.h): a type, a length, and fields. Who reads
 * one takes nothing for granted: each field has a largest value or length, and what does not fit
 * makes the whole message bad. Numbers are in the machine's own order; both ends are one program.
 */
#ifndef WIRE_H
#define WIRE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- writing: fields are added to a body, which is then sent ---- */

void wire_put_u64(struct buf *body, uint64_t v);
void wire_put_bytes(struct buf *body, const void *data, size_t len);
void wire_put_str(struct buf *body, const char *s);                 /* NULL is kept as such */
void wire_put_view(struct buf *body, const char *data, size_t len); /* a NUL follows the data */

/* The whole message; fd is a blocking stream socket. */
int wire_send(int fd, uint32_t type, const struct buf *body, struct err *err);

/* ---- reading ---- */

#define WIRE_HEAD_BYTES 8

struct wire_head {
	uint32_t type;
	uint32_t body_bytes;
};

/* A message that has come: head and body as they were sent. */
struct wire {
	uint32_t type;
	struct buf body;
	size_t at; /* the next field */
	bool bad;
};

#define WIRE_INIT                                                                                  \
	{                                                                                          \
		.body = BUF_INIT                                                                   \
	}

void wire_free(struct wire *in);
#define cleanup_wire __attribute__((cleanup(wire_free)))

/* Take the next field. One that is not there, or too large, makes the message bad; then they give
 * 0, NULL or nothing. */
uint64_t wire_u64(struct wire *in, uint64_t max);
bool wire_bool(struct wire *in);
/* The string, which the caller frees: at most max_bytes, no NUL among them. */
char *wire_str(struct wire *in, size_t max_bytes);
char *wire_str_or_null(struct wire *in, size_t max_bytes);
/* Any bytes, into out, which must be empty. */
void wire_bytes(struct wire *in, size_t max_bytes, struct buf *out);

/* Bytes that were sent with a NUL behind them, as they lie in the message: good as long as that is.
 * *len: without the NUL. NULL where there are none. */
const char *wire_view(struct wire *in, size_t max_bytes, size_t *len);

/* Whether all fields were good, and these were all. */
bool wire_ok(const struct wire *in);

/* Receive one message; a body over max_bytes is an error. 1 when it came, 0 at the end of the
 * stream before its first byte, -1 on error; ERR_INTERRUPTED when stop_fd (-1: none) became
 * readable first, whatever of the message there was. All of it comes within limit_ms (-1: however
 * long it takes). fd blocks. */
int wire_recv(int fd, int stop_fd, int64_t limit_ms, size_t max_bytes, struct wire *in,
	      struct err *err);

#endif
