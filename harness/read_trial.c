/* The harness's side of the reader of a trial's VM; see read_trial.h. */
#include "read_trial.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "oops/report.h"
#include "readers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MS     30000 /* a reader is never so long without a word once it has been asked */
#define MESSAGE_BYTES (2 * CONSOLE_TURN_BYTES)
#define LIVE_BYTES    1024 /* a longer line is shown in pieces */

int read_trial_open(int console_fd, int agent_fd, const char *path, const char *token,
		    const char *live, struct read_trial *out, struct err *err)
{
	cleanup_free char *tmp = xasprintf("%s.tmp", path);
	cleanup_fd int file = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const int fds[] = { console_fd, agent_fd, file };
	cleanup_buf struct buf body = BUF_INIT;
	struct read_trial r = { .console_last_ms = clock_ms(), .live_line = BUF_INIT };

	if (file < 0)
		return err_errno(err, ERR_HARNESS, "%s", tmp);
	wire_put_str(&body, token);
	wire_put_u64(&body, live != NULL);
	if (cage_start(READER_TRIAL, fds, 3, &r.cage, err)) {
		unlink(tmp);
		return -1;
	}
	cage_send(&r.cage, 0, &body);
	r.path = xstrdup(path);
	r.tmp = steal(tmp);
	r.live = live ? xstrdup(live) : NULL;
	*out = r;
	return 0;
}

/* ---- showing the console ---- */

static void show_line(struct read_trial *r)
{
	cleanup_buf struct buf out = BUF_INIT;

	buf_addf(&out, "%s| ", r->live);
	buf_add_escaped(&out, r->live_line.data, r->live_line.len);
	buf_addc(&out, '\n');
	fwrite(out.data, 1, out.len, stderr);
	buf_clear(&r->live_line);
}

static void show(struct read_trial *r, const char *data, size_t len)
{
	for (size_t i = 0; r->live && i < len; i++) {
		if (data[i] == '\n' || r->live_line.len == LIVE_BYTES)
			show_line(r);
		if (data[i] != '\n' && data[i] != '\r')
			buf_addc(&r->live_line, data[i]);
	}
}

/* ---- what it tells ---- */

static void clear_reports(struct oops_report *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		oops_report_clear(&v[i]);
}

/* What only grows may not shrink, and what has ended has ended. */
static void take_numbers(struct wire *in, struct read_trial *next)
{
	uint64_t bytes = wire_u64(in, INT64_MAX);
	int64_t last_ms = (int64_t)wire_u64(in, INT64_MAX);

	in->bad |= bytes < next->console_bytes || last_ms < next->console_last_ms ||
		   last_ms > clock_ms();
	next->console_bytes = bytes;
	next->console_last_ms = last_ms;
	next->agent_noise = wire_u64(in, INT64_MAX);
	bool answer = wire_bool(in), more = wire_bool(in), console_eof = wire_bool(in);
	bool agent_eof = wire_bool(in);
	in->bad |= (answer && !next->asked) || console_eof < next->console_eof ||
		   agent_eof < next->agent_eof;
	next->console_eof = console_eof;
	next->agent_eof = agent_eof;
	if (answer) {
		next->asked = false;
		next->more = more;
	}
	next->halted = wire_bool(in);
	next->state = (enum oops_state)wire_u64(in, OOPS_COMPLETE);
}

/* It may not know yet what it has been told to forget: that is skipped. */
static int take_state(struct read_trial *r, struct wire *in, struct err *err)
{
	struct read_trial next = *r;
	struct oops_report all[CONSOLE_REPORTS];
	size_t n = 0;

	take_numbers(in, &next);
	uint64_t behind = r->dropped - wire_u64(in, r->dropped);
	for (size_t count = wire_u64(in, CONSOLE_REPORTS); n < count && !in->bad; n++)
		read_report_take(in, &all[n]);
	if (!wire_ok(in) || behind > n) {
		clear_reports(all, n);
		return cage_bad(READER_TRIAL, err);
	}
	clear_reports(r->reports, r->n_reports);
	clear_reports(all, behind);
	*r = next;
	r->n_reports = n - behind;
	memcpy(r->reports, all + behind, r->n_reports * sizeof(*all));
	return 0;
}

/* The strings stay in the message. */
static int take_frame(struct read_trial *r, struct wire *in, struct agent_frame *frame,
		      struct err *err)
{
	uint64_t bytes = wire_u64(in, INT64_MAX);
	size_t len;

	*frame = (struct agent_frame){ .verb_text = wire_view(in, PROTO_FRAME_BYTES, &len) };
	frame->n_fields = wire_u64(in, AGENT_MAX_FIELDS);
	in->bad |=
		bytes < r->console_bytes || !frame->verb_text || !agent_name_ok(frame->verb_text);
	for (size_t i = 0; i < frame->n_fields; i++) {
		struct agent_field *f = &frame->fields[i];

		f->key = wire_view(in, PROTO_FRAME_BYTES, &len);
		in->bad |= !f->key || !agent_name_ok(f->key);
		f->value = wire_view(in, PROTO_FRAME_BYTES, &f->len);
	}
	if (!wire_ok(in))
		return cage_bad(READER_TRIAL, err);
	r->console_bytes = bytes;
	frame->verb = agent_verb_of(frame->verb_text);
	return 0;
}

/* Why is an error of its own, in words of the agent's. */
static int take_bad(struct wire *in, struct err *err)
{
	cleanup_free char *why = wire_str(in, ERR_MSG_BYTES - 1);

	if (!wire_ok(in))
		return cage_bad(READER_TRIAL, err);
	err_set(err, ERR_HARNESS, "%s", why);
	return 0;
}

int read_trial_next(struct read_trial *r, bool wait, struct wire *in, enum read_trial_event *event,
		    struct agent_frame *frame, struct err *err)
{
	while (wait || cage_ready(&r->cage)) {
		if (r->asked && clock_ms() - r->asked_ms > ANSWER_MS)
			return cage_bad(READER_TRIAL, err);
		if (cage_recv(&r->cage, ANSWER_MS, MESSAGE_BYTES, in, err))
			return r->cage.told ? err_context(err, "%s", r->path) : -1;
		switch (in->type) {
		case TELL_STATE:
			*event = READ_TRIAL_STATE;
			return take_state(r, in, err) ? -1 : 1;
		case TELL_FRAME:
			*event = READ_TRIAL_FRAME;
			return take_frame(r, in, frame, err) ? -1 : 1;
		case TELL_BAD:
			*event = READ_TRIAL_BAD;
			return take_bad(in, err) ? -1 : 1;
		case TELL_LIVE:
			show(r, in->body.data, in->body.len);
			break;
		default:
			return cage_bad(READER_TRIAL, err);
		}
	}
	return 0;
}

/* ---- what it is asked ---- */

static const struct buf nothing = BUF_INIT;

void read_trial_ask(struct read_trial *r, enum read_trial_order order)
{
	r->asked = true;
	r->asked_ms = clock_ms();
	cage_send(&r->cage, order == READ_TRIAL_READ ? ASK_READ : ASK_FINISH, &nothing);
}

void read_trial_drop(struct read_trial *r, size_t n)
{
	cleanup_buf struct buf body = BUF_INIT;

	if (!n)
		return;
	clear_reports(r->reports, n);
	r->n_reports -= n;
	memmove(r->reports, r->reports + n, r->n_reports * sizeof(*r->reports));
	r->dropped += n;
	wire_put_u64(&body, n);
	cage_send(&r->cage, ASK_DROP, &body);
}

/* The answer of a type; what else it says is of no interest any more. */
static int answer(struct read_trial *r, uint32_t type, struct wire *in, struct err *err)
{
	int64_t deadline = clock_ms() + ANSWER_MS, left;

	do {
		left = deadline - clock_ms();
		if (cage_recv(&r->cage, left > 0 ? left : 0, MESSAGE_BYTES, in, err))
			return -1;
	} while (in->type != type && left > 0);
	return in->type == type ? 0 : cage_bad(READER_TRIAL, err);
}

int read_trial_report(struct read_trial *r, size_t i, struct oops_report *out, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;

	wire_put_u64(&body, i);
	cage_send(&r->cage, ASK_REPORT, &body);
	if (answer(r, TELL_REPORT, &in, err))
		return -1;
	read_report_take(&in, out);
	if (wire_ok(&in))
		return 0;
	oops_report_clear(out);
	return cage_bad(READER_TRIAL, err);
}

/* Whether it says that the file is not whole. One that fails without a word leaves what there is.
 */
static bool close_console(struct read_trial *r, struct err *why)
{
	cleanup_wire struct wire in = WIRE_INIT;

	cage_send(&r->cage, ASK_CLOSE, &nothing);
	return answer(r, TELL_CLOSED, &in, why) && r->cage.told;
}

int read_trial_close(struct read_trial *r, struct err *err)
{
	bool told = r->cage.told;
	struct err why;
	int rc = 0;

	r->cage.stop_fd = -1;
	if (!told && r->cage.pid && close_console(r, &why))
		rc = err_set(err, why.kind, "%s: %s", r->path, why.msg);
	else if (told)
		rc = err_set(err, ERR_HARNESS, "%s: it is not whole", r->path);
	else if (rename(r->tmp, r->path))
		rc = err_errno(err, ERR_HARNESS, "%s", r->path);
	if (rc)
		unlink(r->tmp);
	if (r->live && r->live_line.len)
		show_line(r);
	cage_stop(&r->cage);
	clear_reports(r->reports, r->n_reports);
	buf_free(&r->live_line);
	free(r->live);
	free(r->path);
	free(r->tmp);
	*r = (struct read_trial){ .live_line = BUF_INIT };
	return rc;
}
