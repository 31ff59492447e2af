/*
 * The agent line. What comes is the word of a guest that runs hostile code as root: a line counts
 * only with this trial's token, is never longer than PROTO_FRAME_BYTES, and each field is decoded
 * in place, where it can only become shorter.
 */
#include "agent.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const char *const verbs[] = {
	[AGENT_HELLO] = "hello",     [AGENT_MODULE] = "module", [AGENT_CANARY] = "canary",
	[AGENT_READY] = "ready",     [AGENT_START] = "start",   [AGENT_OUTPUT] = "output",
	[AGENT_DROPPED] = "dropped", [AGENT_SKIP] = "skip",     [AGENT_END] = "end",
	[AGENT_STUCK] = "stuck",     [AGENT_BEAT] = "beat",     [AGENT_DONE] = "done",
	[AGENT_FATAL] = "fatal",
};

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decode %HH in place; the new length, or -1. */
static ssize_t decode(char *s)
{
	char *to = s;

	for (const char *p = s; *p; p++) {
		if (*p != '%') {
			*to++ = *p;
			continue;
		}
		int high = hex_digit(p[1]);
		int low = high < 0 ? -1 : hex_digit(p[2]);
		if (low < 0)
			return -1;
		*to++ = (char)(high << 4 | low);
		p += 2;
	}
	*to = '\0';
	return to - s;
}

bool agent_name_ok(const char *s)
{
	return *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz_")];
}

/* Compare in a time that does not depend on where they differ. */
static bool same_token(const char *a, const char *token)
{
	unsigned char diff = 0;

	if (strlen(a) != strlen(token))
		return false;
	for (size_t i = 0; token[i]; i++)
		diff |= (unsigned char)(a[i] ^ token[i]);
	return !diff;
}

enum agent_verb agent_verb_of(const char *text)
{
	for (size_t i = 0; i < AGENT_UNKNOWN; i++)
		if (!strcmp(verbs[i], text))
			return (enum agent_verb)i;
	return AGENT_UNKNOWN;
}

static int parse_fields(char *rest, struct agent_frame *frame)
{
	char *word;

	frame->n_fields = 0;
	while ((word = strsep(&rest, " "))) {
		char *value = strchr(word, '=');

		if (!value || frame->n_fields == AGENT_MAX_FIELDS)
			return 1;
		*value++ = '\0';
		ssize_t len = decode(value);
		if (len < 0 || !agent_name_ok(word))
			return 1;
		frame->fields[frame->n_fields++] = (struct agent_field){ word, value, (size_t)len };
	}
	return 0;
}

int agent_frame_parse(char *line, size_t len, const char *token, struct agent_frame *frame,
		      struct err *err)
{
	static const char family[] = "kvmrepro/";
	char *rest = line;

	for (size_t i = 0; i < len; i++)
		if (line[i] < 0x20 || line[i] > 0x7e)
			return 1;
	char *magic = strsep(&rest, " ");
	if (!rest || strncmp(magic, family, sizeof(family) - 1))
		return 1;
	if (!same_token(strsep(&rest, " "), token) || !rest)
		return 1;
	if (strcmp(magic, PROTO_MAGIC))
		return err_set(err, ERR_HARNESS, "the guest's init speaks '%s', not " PROTO_MAGIC,
			       magic);
	frame->verb_text = strsep(&rest, " ");
	if (!agent_name_ok(frame->verb_text))
		return 1;
	frame->verb = agent_verb_of(frame->verb_text);
	return parse_fields(rest, frame);
}

const struct agent_field *agent_frame_field(const struct agent_frame *frame, const char *key)
{
	for (size_t i = 0; i < frame->n_fields; i++)
		if (!strcmp(frame->fields[i].key, key))
			return &frame->fields[i];
	return NULL;
}

const char *agent_frame_get(const struct agent_frame *frame, const char *key)
{
	const struct agent_field *f = agent_frame_field(frame, key);

	return f ? f->value : NULL;
}

int64_t agent_frame_number(const struct agent_frame *frame, const char *key, int64_t fallback)
{
	const char *text = agent_frame_get(frame, key);
	char *end;

	if (!text || !*text)
		return fallback;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	return errno || *end ? fallback : n;
}

void agent_frame_add_field(struct buf *out, const char *key, const char *value, size_t len)
{
	buf_addf(out, " %s=", key);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c > 0x20 && c < 0x7f && c != '%')
			buf_addc(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

void agent_frame_text(const struct agent_frame *frame, struct buf *out)
{
	buf_adds(out, frame->verb_text);
	for (size_t i = 0; i < frame->n_fields; i++)
		agent_frame_add_field(out, frame->fields[i].key, frame->fields[i].value,
				      frame->fields[i].len);
}

struct agent {
	int fd;
	bool eof;
	bool skipping; /* the rest of a line that was too long */
	uint64_t noise, bytes;
	char token[PROTO_TOKEN_CHARS + 1];
	char line[PROTO_FRAME_BYTES]; /* the frame last handed out, its NUL over the newline */
	size_t used, taken;           /* bytes in pending; those already looked at */
	char pending[2 * PROTO_FRAME_BYTES];
};

struct agent *agent_new(int fd, const char *token)
{
	struct agent *a = xcalloc(1, sizeof(*a));

	a->fd = fd;
	snprintf(a->token, sizeof(a->token), "%s", token);
	return a;
}

void agent_free(struct agent *agent)
{
	free(agent);
}

bool agent_eof(const struct agent *agent)
{
	return agent->eof;
}

uint64_t agent_bytes(const struct agent *agent)
{
	return agent->bytes;
}

uint64_t agent_noise(const struct agent *agent)
{
	return agent->noise;
}

/* Read what is there: 1 when bytes came, 0 when none are there now. */
static int fill(struct agent *a, struct err *err)
{
	memmove(a->pending, a->pending + a->taken, a->used - a->taken);
	a->used -= a->taken;
	a->taken = 0;
	ssize_t n = read(a->fd, a->pending + a->used, sizeof(a->pending) - a->used);
	if (n > 0) {
		a->used += (size_t)n;
		a->bytes += (size_t)n;
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* QEMU's death resets the connection: nothing more will come, and that is all. */
	if (n < 0 && errno != ECONNRESET)
		return err_errno(err, ERR_HARNESS, "agent line");
	a->eof = true;
	return 0;
}

/* Take the next whole line into a->line: its length, or -1 when there is none yet. */
static ssize_t take_line(struct agent *a)
{
	for (;;) {
		char *start = a->pending + a->taken;
		size_t have = a->used - a->taken;
		char *nl = memchr(start, '\n', have);
		size_t len = nl ? (size_t)(nl - start) : have;

		if (!nl && len < PROTO_FRAME_BYTES)
			return -1;
		a->taken += len + (nl ? 1 : 0);
		if (a->skipping || len >= PROTO_FRAME_BYTES) {
			a->noise += !a->skipping;
			a->skipping = !nl;
			continue;
		}
		memcpy(a->line, start, len);
		a->line[len] = '\0';
		return (ssize_t)len;
	}
}

int agent_next(struct agent *agent, struct agent_frame *frame, struct err *err)
{
	for (;;) {
		ssize_t len = take_line(agent);

		if (len < 0) {
			int rc = agent->eof ? 0 : fill(agent, err);
			if (rc <= 0)
				return rc;
			continue;
		}
		if (len && agent->line[len - 1] == '\r')
			agent->line[--len] = '\0';
		int rc = agent_frame_parse(agent->line, (size_t)len, agent->token, frame, err);
		if (rc < 0)
			return -1;
		if (!rc)
			return 1;
		agent->noise += len > 0;
	}
}

int agent_go(int fd, const char *token, const char *seed, const char *run, struct err *err)
{
	cleanup_buf struct buf line = BUF_INIT;

	buf_addf(&line, PROTO_MAGIC " %s go", token);
	agent_frame_add_field(&line, "seed", seed, strlen(seed));
	if (run)
		agent_frame_add_field(&line, "run", run, strlen(run));
	buf_addc(&line, '\n');
	/* Far less than a socket buffers: a short write means that the guest is not reading. */
	ssize_t n = send(fd, line.data, line.len, MSG_NOSIGNAL);
	if (n != (ssize_t)line.len)
		return err_errno(err, ERR_HARNESS, "agent line");
	return 0;
}
