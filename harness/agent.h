/* The harness's end of the agent line: bytes of ttyS1 in, checked frames out. */
#ifndef AGENT_H
#define AGENT_H

#include "base/buf.h"
#include "base/err.h"
#include "kvmrepro/protocol.h"

#include <stdbool.h>
#include <stdint.h>

enum agent_verb {
	AGENT_HELLO,
	AGENT_MODULE,
	AGENT_CANARY,
	AGENT_READY,
	AGENT_START,
	AGENT_OUTPUT,
	AGENT_DROPPED,
	AGENT_SKIP,
	AGENT_END,
	AGENT_STUCK,
	AGENT_BEAT,
	AGENT_DONE,
	AGENT_FATAL,
	AGENT_UNKNOWN, /* a newer init's; to be ignored */
};

#define AGENT_MAX_FIELDS 16

struct agent_field {
	const char *key;
	const char *value; /* decoded; a NUL follows, NULs may be inside */
	size_t len;
};

/* One frame. The strings point into storage of the parser, good until its next call. */
struct agent_frame {
	enum agent_verb verb;
	const char *verb_text;
	struct agent_field fields[AGENT_MAX_FIELDS];
	size_t n_fields;
};

/*
 * Parse one line without its newline, in place. Returns 0 and fills frame; 1 when the line is no
 * frame of this trial (no magic, another token, malformed); -1 with err when it is one of another
 * protocol version.
 */
int agent_frame_parse(char *line, size_t len, const char *token, struct agent_frame *frame,
		      struct err *err);

/* Whether it can be a verb or a key; which verb it is. */
bool agent_name_ok(const char *name);
enum agent_verb agent_verb_of(const char *name);

/* The field's value, or NULL; as a whole number (decimal), or fallback where absent or bad. */
const char *agent_frame_get(const struct agent_frame *frame, const char *key);
const struct agent_field *agent_frame_field(const struct agent_frame *frame, const char *key);
int64_t agent_frame_number(const struct agent_frame *frame, const char *key, int64_t fallback);

/* Append the frame's verb and fields as they stand on the line, without magic and token. */
void agent_frame_text(const struct agent_frame *frame, struct buf *out);

/* Append " key=value", the value encoded. */
void agent_frame_add_field(struct buf *out, const char *key, const char *value, size_t len);

struct agent; /* a line assembler over a descriptor */

/* fd stays the caller's; token is copied. */
struct agent *agent_new(int fd, const char *token);
void agent_free(struct agent *agent);

/*
 * The next frame that has arrived: 1 and frame filled; 0 when there is none yet; -1 on error.
 * After the end of the line (agent_eof()) always 0. Never blocks.
 */
int agent_next(struct agent *agent, struct agent_frame *frame, struct err *err);
bool agent_eof(const struct agent *agent);
uint64_t agent_bytes(const struct agent *agent); /* read so far */

/* How many lines were no frames. */
uint64_t agent_noise(const struct agent *agent);

/* Tell init on the agent line fd to begin: seed in hex, run: "0,2,5" or NULL for all. */
int agent_go(int fd, const char *token, const char *seed, const char *run, struct err *err);

#endif
