/* The harness's end of the agent line: bytes of ttyS1 in, checked frames out. */
#ifndef AGENT_H
#define AGENT_H

#include "base/buf.h"
#include "base/err.h"
#include "kvmrepro/protocol.h"

#include <stdbool.h>
#include <stdint.h>

enum frame_verb {
	FRAME_HELLO,
	FRAME_MODULE,
	FRAME_CANARY,
	FRAME_READY,
	FRAME_START,
	FRAME_OUTPUT,
	FRAME_DROPPED,
	FRAME_SKIP,
	FRAME_END,
	FRAME_STUCK,
	FRAME_BEAT,
	FRAME_DONE,
	FRAME_FATAL,
	FRAME_UNKNOWN, /* a newer init's; to be ignored */
};

#define FRAME_MAX_FIELDS 16

struct frame_field {
	const char *key;
	const char *value; /* decoded; a NUL follows, NULs may be inside */
	size_t len;
};

/* One frame. The strings point into storage of the parser, good until its next call. */
struct frame {
	enum frame_verb verb;
	const char *verb_text;
	struct frame_field fields[FRAME_MAX_FIELDS];
	size_t n_fields;
};

/*
 * Parse one line without its newline, in place. Returns 0 and fills frame; 1 when the line is no
 * frame of this trial (no magic, another token, malformed); -1 with err when it is one of another
 * protocol version.
 */
int frame_parse(char *line, size_t len, const char *token, struct frame *frame, struct err *err);

/* The field's value, or NULL; as a whole number (decimal), or fallback where absent or bad. */
const char *frame_get(const struct frame *frame, const char *key);
const struct frame_field *frame_field(const struct frame *frame, const char *key);
int64_t frame_number(const struct frame *frame, const char *key, int64_t fallback);

/* Append the frame's verb and fields as they stand on the line, without magic and token. */
void frame_text(const struct frame *frame, struct buf *out);

/* Append " key=value", the value encoded. */
void frame_add_field(struct buf *out, const char *key, const char *value, size_t len);

struct agent; /* a line assembler over a descriptor */

/* fd stays the caller's; token is copied. */
struct agent *agent_new(int fd, const char *token);
void agent_free(struct agent *agent);

/*
 * The next frame that has arrived: 1 and frame filled; 0 when there is none yet; -1 on error.
 * After the end of the line (agent_eof()) always 0. Never blocks.
 */
int agent_next(struct agent *agent, struct frame *frame, struct err *err);
bool agent_eof(const struct agent *agent);

/* How many lines were no frames. */
uint64_t agent_noise(const struct agent *agent);

/* Tell init to begin: seed in hex, run: "0,2,5" or NULL for all. */
int agent_go(struct agent *agent, const char *seed, const char *run, struct err *err);

#endif
