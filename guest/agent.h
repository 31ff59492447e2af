/*
 * The guest's end of the agent line: frames out through a queue that never blocks, frames in, and
 * the heartbeat. agent_wait() is init's one event loop; everything that waits, waits in it.
 */
#ifndef GUEST_AGENT_H
#define GUEST_AGENT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvmrepro/protocol.h"

#define AGENT_MAX_FDS 4

struct agent {
	int fd;
	char token[PROTO_TOKEN_CHARS + 1];
	char *queue; /* bytes not yet taken by the tty */
	size_t head, tail;
	char line[PROTO_FRAME_BYTES]; /* the beginning of a line not yet ended */
	size_t line_used;
	bool line_skip; /* the line was too long: drop its rest */
	bool beating;
	unsigned long beats;
	int64_t next_beat_ms;
	bool go;                        /* the harness said "go" */
	bool alien;                     /* the harness speaks another version */
	char seed[1025];                /* of go, as it came */
	char run[PROTO_MAX_REPROS * 4]; /* likewise; empty: all */
};

/* A frame being made: begin, add, send. What does not fit is cut off at the frame's end. */
struct frame {
	char text[PROTO_FRAME_BYTES];
	size_t used;
};

/* Opens the tty raw. Returns 0 or -errno. The token is copied. */
int agent_open(struct agent *a, const char *token);

void frame_begin(struct frame *f, const struct agent *a, const char *verb);
void frame_data(struct frame *f, const char *key, const char *data, size_t size);
void frame_str(struct frame *f, const char *key, const char *value);
void frame_num(struct frame *f, const char *key, long long value);

/* Queues the frame; false when the harness is so far behind that there is no room. */
bool agent_send(struct agent *a, struct frame *f);

/* Bytes that wait for the tty. */
size_t agent_unsent(const struct agent *a);

/* From now on heartbeats are sent while agent_wait() waits; or no longer. */
void agent_beat(struct agent *a, bool on);

/*
 * Waits until one of the n <= AGENT_MAX_FDS descriptors is ready (revents are set), a signal came
 * (SIGCHLD is open here and nowhere else), the harness said something, or the clock (now_ms())
 * reads until_ms; -1 waits without end. It may return early.
 */
void agent_wait(struct agent *a, struct pollfd *fds, int n, int64_t until_ms);

/* Waits until all that was sent is on the wire, at most limit_ms. */
void agent_drain(struct agent *a, int64_t limit_ms);

#endif
