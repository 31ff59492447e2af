/*
 * libFuzzer target for the agent line: whatever bytes come, in pieces of any size, each frame that
 * is taken says the same when its text is read again, and nothing without the token is one.
 */
#include "agent.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In the seeds, too: tests/fuzz/rules.mk. */
static const char token[] = "0123456789abcdef0123456789abcdef";

static void same(const struct agent_frame *a, const struct agent_frame *b)
{
	if (a->verb != b->verb || a->n_fields != b->n_fields)
		abort();
	for (size_t i = 0; i < a->n_fields; i++)
		if (a->fields[i].len != b->fields[i].len ||
		    strcmp(a->fields[i].key, b->fields[i].key) != 0 ||
		    memcmp(a->fields[i].value, b->fields[i].value, a->fields[i].len) != 0)
			abort();
}

/* Its text is longer where a byte need not have been encoded as it was; it fits a line if that
 * did. */
static void check(const struct agent_frame *frame)
{
	cleanup_buf struct buf line = BUF_INIT;
	struct agent_frame again;
	struct err err;

	if (frame->n_fields > AGENT_MAX_FIELDS || frame->verb > AGENT_UNKNOWN)
		abort();
	for (size_t i = 0; i < frame->n_fields; i++)
		if (frame->fields[i].value[frame->fields[i].len] != '\0')
			abort();
	buf_addf(&line, PROTO_MAGIC " %s ", token);
	agent_frame_text(frame, &line);
	if (agent_frame_parse(line.data, line.len, token, &again, &err))
		abort();
	same(frame, &again);
}

static void drain(struct agent *agent)
{
	struct agent_frame frame;
	struct err err;

	while (agent_next(agent, &frame, &err) > 0)
		check(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int ends[2];

	if (!size || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) ||
	    fcntl(ends[0], F_SETFL, O_NONBLOCK) || fcntl(ends[1], F_SETFL, O_NONBLOCK))
		return 0;
	struct agent *agent = agent_new(ends[0], token);
	size_t piece = (size_t)*data + 1;
	for (size_t at = 1; at < size; at += piece) {
		size_t len = size - at < piece ? size - at : piece;

		if (write(ends[1], data + at, len) != (ssize_t)len)
			abort();
		drain(agent);
	}
	close(ends[1]);
	drain(agent);
	agent_free(agent);
	close(ends[0]);
	return 0;
}
