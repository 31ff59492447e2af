/* The reader of a trial's VM; see read_trial.h. It decides nothing: it reads, and tells. */
#include "agent.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "console.h"
#include "read_trial.h"
#include "readers.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define FRAMES_A_TURN 256 /* so that an agent's flood does not starve the console */

/* A VM writes its lines byte by byte, and who waits for each takes the CPU from it: a line that has
 * just been read, and said little, is let be for so long. On the agent's somebody may wait for an
 * answer. */
#define CONSOLE_REST_MS 10
#define AGENT_REST_MS   1
#define LITTLE_BYTES    4096

struct ear {
	int fd, console_fd, agent_fd;
	struct console *console;
	struct agent *agent;
	bool agent_bad; /* it speaks another protocol: nothing more is read from it */
	bool frames_left, console_left;
	int64_t console_rests_ms, agent_rests_ms; /* until then (clock.h); 0: it does not */
	uint64_t dropped;
	bool show;
	struct buf live;
	struct buf told; /* what the last state said, but for numbers that always grow */
};

/* ---- what is told ---- */

static void put_state(struct ear *e, struct buf *body)
{
	struct oops *oops = console_oops(e->console);
	size_t n = oops_count(oops);

	wire_put_u64(body, console_eof(e->console));
	wire_put_u64(body, agent_eof(e->agent));
	wire_put_u64(body, console_halted(e->console));
	wire_put_u64(body, oops_state(oops));
	wire_put_u64(body, e->dropped);
	wire_put_u64(body, n);
	for (size_t i = 0; i < n; i++)
		read_report_put(body, oops_get(oops, i), false);
}

/* answer: it was asked for; else only if there is news. */
static int tell_state(struct ear *e, bool answer, struct err *err)
{
	cleanup_buf struct buf state = BUF_INIT, body = BUF_INIT;

	put_state(e, &state);
	if (!answer && state.len == e->told.len && !memcmp(state.data, e->told.data, state.len))
		return 0;
	wire_put_u64(&body, console_bytes(e->console));
	wire_put_u64(&body, (uint64_t)console_last_ms(e->console));
	wire_put_u64(&body, agent_noise(e->agent));
	wire_put_u64(&body, answer);
	wire_put_u64(&body, e->frames_left || e->console_left);
	buf_add(&body, state.data, state.len);
	buf_clear(&e->told);
	buf_add(&e->told, state.data, state.len);
	return wire_send(e->fd, TELL_STATE, &body, err);
}

static int tell_frame(struct ear *e, const struct agent_frame *frame, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;

	wire_put_u64(&body, console_bytes(e->console));
	wire_put_view(&body, frame->verb_text, strlen(frame->verb_text));
	wire_put_u64(&body, frame->n_fields);
	for (size_t i = 0; i < frame->n_fields; i++) {
		const struct agent_field *f = &frame->fields[i];

		wire_put_view(&body, f->key, strlen(f->key));
		wire_put_view(&body, f->value, f->len);
	}
	return wire_send(e->fd, TELL_FRAME, &body, err);
}

static int tell_live(struct ear *e, struct err *err)
{
	if (!e->live.len)
		return 0;
	int rc = wire_send(e->fd, TELL_LIVE, &e->live, err);
	buf_clear(&e->live);
	return rc;
}

static int tell_report(struct ear *e, size_t i, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	const struct oops_report *report = oops_get(console_oops(e->console), i);

	if (!report)
		return err_set(err, ERR_HARNESS, "there is no such report");
	read_report_put(&body, report, true);
	return wire_send(e->fd, TELL_REPORT, &body, err);
}

/* ---- what is read ---- */

static int read_console(struct ear *e, struct err *err)
{
	uint64_t before = console_bytes(e->console);

	if (console_read(e->console, err) < 0 || tell_live(e, err))
		return -1;
	uint64_t got = console_bytes(e->console) - before;
	e->console_left = got >= CONSOLE_TURN_BYTES;
	bool rests = got && got < LITTLE_BYTES && !console_eof(e->console);
	e->console_rests_ms = rests ? clock_ms() + CONSOLE_REST_MS : 0;
	return tell_state(e, false, err);
}

static int read_frames(struct ear *e, struct err *err)
{
	uint64_t before = agent_bytes(e->agent);
	struct agent_frame frame;
	struct err why;
	int rc = 0;

	for (int i = 0; i < FRAMES_A_TURN && !e->agent_bad; i++) {
		rc = agent_next(e->agent, &frame, &why);
		if (rc <= 0)
			break;
		/* What the kernel printed before this frame must be known before it. */
		if (read_console(e, err) || tell_frame(e, &frame, err))
			return -1;
	}
	e->frames_left = rc > 0;
	bool rests = agent_bytes(e->agent) > before && !agent_eof(e->agent);
	e->agent_rests_ms = rests ? clock_ms() + AGENT_REST_MS : 0;
	if (rc >= 0)
		return tell_state(e, false, err);
	cleanup_buf struct buf body = BUF_INIT;
	e->agent_bad = true;
	wire_put_str(&body, why.msg);
	return wire_send(e->fd, TELL_BAD, &body, err);
}

static int read_lines(struct ear *e, struct err *err)
{
	return read_console(e, err) || read_frames(e, err) ? -1 : 0;
}

/* ---- what it is asked ---- */

static int close_console(struct ear *e, struct err *err)
{
	static const struct buf nothing = BUF_INIT;

	if (console_close(e->console, err))
		return -1;
	return wire_send(e->fd, TELL_CLOSED, &nothing, err);
}

/* 1: that was the last one. */
static int obey(struct ear *e, struct err *err)
{
	cleanup_wire struct wire in = WIRE_INIT;
	size_t n;

	if (cage_hear(e->fd, &in, err))
		return -1;
	switch (in.type) {
	case ASK_READ:
		return read_lines(e, err) ? -1 : tell_state(e, true, err);
	case ASK_FINISH:
		oops_finish(console_oops(e->console));
		return tell_state(e, true, err);
	case ASK_DROP:
		n = wire_u64(&in, CONSOLE_REPORTS);
		oops_drop(console_oops(e->console), n);
		e->dropped += n;
		return 0;
	case ASK_REPORT:
		return tell_report(e, wire_u64(&in, CONSOLE_REPORTS), err);
	default:
		return close_console(e, err) ? -1 : 1;
	}
}

/* How long until a line's rest is over; -1 if none rests. */
static int rest_ms(const struct ear *e, int64_t now)
{
	int64_t until = e->console_rests_ms;

	if (!until || (e->agent_rests_ms && e->agent_rests_ms < until))
		until = e->agent_rests_ms;
	return !until ? -1 : until > now ? (int)(until - now) : 0;
}

static int attend(struct ear *e, struct err *err)
{
	for (;;) {
		bool left = e->frames_left || e->console_left;
		bool console_deaf = e->console_rests_ms || console_eof(e->console);
		bool agent_deaf = e->agent_rests_ms || agent_eof(e->agent) || e->agent_bad;
		struct pollfd p[] = {
			{ .fd = e->fd, .events = POLLIN },
			{ .fd = console_deaf ? -1 : e->console_fd, .events = POLLIN },
			{ .fd = agent_deaf ? -1 : e->agent_fd, .events = POLLIN },
		};

		int n = poll(p, 3, left ? 0 : rest_ms(e, clock_ms()));
		if (n < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (n > 0 && p[0].revents) {
			int rc = obey(e, err);
			if (rc)
				return rc < 0 ? -1 : 0;
		}
		int64_t now = clock_ms();
		bool console_due = e->console_rests_ms && now >= e->console_rests_ms;
		bool agent_due = e->agent_rests_ms && now >= e->agent_rests_ms;
		if ((left || p[1].revents || console_due) && read_console(e, err))
			return -1;
		if ((left || p[2].revents || agent_due) && read_frames(e, err))
			return -1;
	}
}

int read_trial_serve(int fd, const int *fds, struct err *err)
{
	struct ear e = { .fd = fd,
			 .console_fd = fds[0],
			 .agent_fd = fds[1],
			 .live = BUF_INIT,
			 .told = BUF_INIT };
	cleanup_wire struct wire in = WIRE_INIT;

	if (cage_hear(fd, &in, err))
		return -1;
	cleanup_free char *token = wire_str(&in, PROTO_TOKEN_CHARS);
	e.show = wire_bool(&in);
	if (!wire_ok(&in))
		return err_set(err, ERR_HARNESS, "the token is none");
	if (console_open(fds[0], fds[2], e.show ? &e.live : NULL, &e.console, err))
		return -1;
	e.agent = agent_new(fds[1], token);
	put_state(&e, &e.told);
	return attend(&e, err);
}
