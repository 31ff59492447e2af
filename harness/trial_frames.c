/* The agent's frames; see trial_frames.h. Numbers in frames are the guest's and may be anything. */
#include "trial_frames.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define SETTLE_MS     300
#define WHY_MAX_BYTES 200
#define LOG_MAX_BYTES (16 * 1024 * 1024) /* of agent.log, in memory until the trial ends */

static const char *const end_names[] = {
	[REPRO_NOT_RUN] = "not-run", [REPRO_RUNNING] = "running",
	[REPRO_SKIPPED] = "skipped", [REPRO_UNSUPPORTED] = "unsupported",
	[REPRO_EXIT] = "exit",       [REPRO_SIGNAL] = "signal",
	[REPRO_TIMEOUT] = "timeout", [REPRO_STUCK] = "stuck",
	[REPRO_FAILED] = "failed",
};

const char *repro_end_name(enum repro_end end)
{
	return end_names[end];
}

static void log_place(struct trial *t)
{
	buf_addf(&t->result->agent_log, "%lld %llu ", (long long)(clock_ms() - t->start_ms),
		 (unsigned long long)t->reader.console_bytes);
}

void trial_log_frame(struct trial *t, const struct agent_frame *frame)
{
	struct buf *log = &t->result->agent_log;

	if (log->len > LOG_MAX_BYTES)
		return;
	log_place(t);
	agent_frame_text(frame, log);
	buf_addc(log, '\n');
}

void trial_log_event(struct trial *t, enum vm_event event)
{
	log_place(t);
	buf_addf(&t->result->agent_log, "!%c\n", event);
}

static void keep(char **slot, const struct agent_frame *frame, const char *key)
{
	const char *value = agent_frame_get(frame, key);

	if (value && !*slot)
		*slot = xstrdup(value);
}

static struct repro_result *repro_of(struct trial *t, const struct agent_frame *frame)
{
	int64_t id = agent_frame_number(frame, "id", -1);

	return id >= 0 && (uint64_t)id < t->result->n_repros ? &t->result->repros[id] : NULL;
}

static void on_hello(struct trial *t, const struct agent_frame *frame)
{
	struct trial_result *r = t->result;

	if (t->phase != PHASE_BOOT)
		return;
	t->phase = PHASE_CANARY;
	r->hello_ms = clock_ms() - t->start_ms;
	keep(&r->release, frame, "release");
	keep(&r->version, frame, "version");
	keep(&r->vendor, frame, "vendor");
	keep(&r->features, frame, "features");
}

static void on_module(struct trial *t, const struct agent_frame *frame)
{
	const char *name = agent_frame_get(frame, "name"), *why = agent_frame_get(frame, "why");

	if (!agent_frame_number(frame, "ok", 0) && name && why && !t->module_why)
		t->module_why = xasprintf("module %s: %s", name, why);
}

static void on_canary(struct trial *t, const struct agent_frame *frame)
{
	const char *why = agent_frame_get(frame, "why");

	if (agent_frame_number(frame, "ok", 0)) {
		keep(&t->result->kvm, frame, "kvm");
		keep(&t->result->nested, frame, "nested");
		return;
	}
	char *title = xasprintf("%s%s%s", why ? why : "no reason given", t->module_why ? "; " : "",
				t->module_why ? t->module_why : "");
	trial_pend(t, OUTCOME_TESTING_FAILED, title, SETTLE_MS);
	free(title);
}

static void on_ready(struct trial *t, const struct agent_frame *frame)
{
	if (t->phase != PHASE_CANARY)
		return;
	keep(&t->result->sandbox, frame, "sandbox");
	t->result->ready_ms = clock_ms() - t->start_ms;
	t->guest_go_ms = t->guest_ms;
	if (t->config->canary_only)
		trial_pend(t, OUTCOME_OK, NULL, 0);
	else
		t->say_go = true;
}

static void on_output(struct repro_result *r, const struct agent_frame *frame)
{
	const struct agent_field *data = agent_frame_field(frame, "data");
	size_t room = PROTO_OUTPUT_BYTES - r->output.len;

	if (!data)
		return;
	buf_add(&r->output, data->value, data->len < room ? data->len : room);
	r->dropped_bytes += data->len < room ? 0 : data->len - room;
}

/* The reason that a reproducer printed (unsupported() of kvmrepro/kvm.h); NULL if it did not. */
static char *said_why(const struct buf *output)
{
	static const char mark[] = "not supported: ";
	const char *why =
		output->len ? memmem(output->data, output->len, mark, sizeof(mark) - 1) : NULL;

	if (!why || (why != output->data && why[-1] != '\n'))
		return NULL;
	why += sizeof(mark) - 1;
	const size_t left = output->len - (size_t)(why - output->data);
	const char *end = memchr(why, '\n', left);
	const size_t len = end ? (size_t)(end - why) : left;
	return xstrndup(why, len < WHY_MAX_BYTES ? len : WHY_MAX_BYTES);
}

static void on_end(struct repro_result *r, const struct agent_frame *frame)
{
	const char *how = agent_frame_get(frame, "how");

	r->code = (int)agent_frame_number(frame, "code", 0);
	r->ms = agent_frame_number(frame, "ms", 0);
	if (!how)
		how = "exit";
	if (!strcmp(how, "timeout"))
		r->end = REPRO_TIMEOUT;
	else if (!strcmp(how, "signal"))
		r->end = REPRO_SIGNAL;
	else if (!strcmp(how, "stuck"))
		r->end = REPRO_STUCK;
	else if (!strcmp(how, "failed"))
		r->end = REPRO_FAILED;
	else if (r->code == REPRO_EXIT_UNSUPPORTED)
		r->end = REPRO_UNSUPPORTED;
	else
		r->end = REPRO_EXIT;
	keep(&r->why, frame, "why");
	if (r->end == REPRO_UNSUPPORTED && !r->why)
		r->why = said_why(&r->output);
}

static void on_stuck(struct repro_result *r, const struct agent_frame *frame)
{
	const char *stack = agent_frame_get(frame, "stack");

	if (!r->why && stack && *stack)
		r->why = xstrdup(stack);
}

static void on_repro_frame(struct trial *t, const struct agent_frame *frame)
{
	struct repro_result *r = repro_of(t, frame);

	if (!r)
		return;
	switch (frame->verb) {
	case AGENT_START:
		r->end = REPRO_RUNNING;
		break;
	case AGENT_OUTPUT:
		on_output(r, frame);
		break;
	case AGENT_DROPPED:
		r->dropped_bytes += (uint64_t)agent_frame_number(frame, "bytes", 0);
		break;
	case AGENT_SKIP:
		r->end = REPRO_SKIPPED;
		keep(&r->why, frame, "why");
		break;
	case AGENT_END:
		on_end(r, frame);
		/* It decides nothing, but is no sign that it did what it was written for. */
		if (!t->crash_ms && (r->end == REPRO_SIGNAL || (r->end == REPRO_EXIT && r->code)))
			log_info("run #%u: %s %s %d", t->result->number,
				 t->config->repros->v[r - t->result->repros].name,
				 r->end == REPRO_SIGNAL ? "was ended by signal"
							: "ended with exit status",
				 r->code);
		break;
	case AGENT_STUCK:
		on_stuck(r, frame);
		break;
	default:
		break;
	}
}

/* The kernel is clean only if something was run on it, and all that was asked for by name can be.
 */
static void on_done(struct trial *t)
{
	bool ran = false, stuck = false;
	const struct repro_result *idle = NULL, *missed = NULL;

	if (t->phase != PHASE_RUN)
		return;
	t->phase = PHASE_DONE;
	for (size_t i = 0; i < t->result->n_repros; i++) {
		const struct repro_result *r = &t->result->repros[i];

		stuck |= r->end == REPRO_STUCK;
		if (r->end == REPRO_SKIPPED && t->config->by_name && !missed)
			missed = r;
		if (r->end == REPRO_SKIPPED || r->end == REPRO_UNSUPPORTED ||
		    r->end == REPRO_FAILED || r->end == REPRO_NOT_RUN)
			idle = idle ? idle : r;
		else
			ran = true;
	}
	if (stuck) {
		trial_pend(t, OUTCOME_CRASHED, TITLE_UNKILLED, 0);
	} else if ((ran || !idle) && !missed) {
		trial_pend(t, OUTCOME_OK, NULL, 0);
	} else {
		const struct repro_result *r = ran ? missed : idle;
		const char *name = t->config->repros->v[r - t->result->repros].name;
		char *why = xasprintf("%s%s: %s", ran ? "" : "no reproducer can run here; ", name,
				      r->why ? r->why : "not supported by this kernel");
		trial_pend(t, OUTCOME_TESTING_FAILED, why, 0);
		free(why);
	}
}

static void on_fatal(struct trial *t, const struct agent_frame *frame)
{
	const char *why = agent_frame_get(frame, "why");
	char *title = xasprintf("the guest's init: %s", why ? why : "no reason given");

	trial_pend(t, t->phase == PHASE_BOOT ? OUTCOME_BOOT_FAILED : OUTCOME_INFRA, title,
		   SETTLE_MS);
	free(title);
}

void trial_frame(struct trial *t, const struct agent_frame *frame)
{
	t->last_frame_ms = clock_ms();
	switch (frame->verb) {
	case AGENT_HELLO:
		on_hello(t, frame);
		break;
	case AGENT_MODULE:
		on_module(t, frame);
		break;
	case AGENT_CANARY:
		on_canary(t, frame);
		break;
	case AGENT_READY:
		on_ready(t, frame);
		break;
	case AGENT_BEAT:
		t->guest_ms = agent_frame_number(frame, "ms", t->guest_ms);
		break;
	case AGENT_DONE:
		on_done(t);
		break;
	case AGENT_FATAL:
		on_fatal(t, frame);
		break;
	case AGENT_UNKNOWN:
		log_verbose("run #%u: init says '%s', which is unknown here", t->result->number,
			    frame->verb_text);
		break;
	default:
		on_repro_frame(t, frame);
	}
}
