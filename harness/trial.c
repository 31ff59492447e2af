/*
 * One trial. A loop over three descriptors (what the reader tells of console and agent, events,
 * interruption) that ends when something decides the outcome: a crash report, the agent's words,
 * the VM's own end, a limit.
 * What decides first is only pending until the console has fallen quiet: the kernel's report is
 * better evidence than a reset or a lost line, and may be a moment behind them.
 */
#include "trial.h"

#include "base/clock.h"
#include "base/log.h"
#include "interrupt.h"
#include "trial_frames.h"
#include "trial_report.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define QUIET_MS          1000   /* at least so long: a report without an end marker is over */
#define COMPLETE_QUIET_MS 60     /* what follows the end of a report at once is evidence too */
#define SETTLE_QUIET_MS   300    /* for the report behind a reset, a failed canary, ... */
#define SETTLE_LIMIT_MS   10000  /* a console that never falls quiet is cut off */
#define POWER_OFF_MS      5000   /* from "done" to the kernel's last word */
#define DIED_MS           2000   /* from the end of a line to libvirt's word why */
#define SPARE_MS          120000 /* guest time that init may take beside the reproducers */
#define SPARE_REPRO_MS    60000  /* and for each of them, to kill it and to drain its output */
#define WALL_FACTOR       10     /* a guest's clock may be so much slower than ours */
#define TURN_MS           1000   /* how long a turn waits at most */
#define STALL_MS          3000   /* and how much longer it may take before it is told */
#define MAX_PUT_OFF       1000   /* turns */
#define MESSAGES_A_TURN   256    /* so that a flood does not starve the rest */

void trial_random_hex(char *out, size_t bytes)
{
	unsigned char raw[32];

	if (getrandom(raw, bytes, 0) != (ssize_t)bytes)
		abort(); /* cannot fail for 256 bytes or less (getrandom(2)) */
	for (size_t i = 0; i < bytes; i++)
		sprintf(out + 2 * i, "%02x", raw[i]);
}

/* ---- what decides ---- */

void trial_pend(struct trial *t, enum outcome_kind kind, const char *title, int64_t quiet_ms)
{
	if (t->pending)
		return;
	t->pending = true;
	t->pending_ms = clock_ms();
	t->quiet_ms = quiet_ms;
	t->result->outcome.kind = kind;
	t->result->outcome.title = title ? xstrdup(title) : NULL;
}

void trial_pend_host(struct trial *t, const char *why, int64_t quiet_ms)
{
	t->result->host_fault |= !t->pending;
	trial_pend(t, OUTCOME_INFRA, why, quiet_ms);
}

int trial_lose(struct trial *t, const struct err *why, struct err *err)
{
	if (why->kind == ERR_INTERRUPTED || t->reader.cage.told) {
		*err = *why;
		return -1;
	}
	free(t->result->outcome.title);
	t->lost = true;
	t->pending = t->result->host_fault = false;
	t->crash_ms = 0;
	trial_pend(t, OUTCOME_INFRA, why->msg, 0);
	return 0;
}

/* 1: there was one. */
static int take_message(struct trial *t, bool wait, struct err *err)
{
	cleanup_wire struct wire in = WIRE_INIT;
	enum read_trial_event event;
	struct agent_frame frame;
	struct err why;
	int rc = read_trial_next(&t->reader, wait, &in, &event, &frame, &why);

	if (rc < 0)
		return trial_lose(t, &why, err);
	if (!rc)
		return 0;
	switch (event) {
	case READ_TRIAL_STATE:
		trial_watch_report(t);
		break;
	case READ_TRIAL_FRAME:
		trial_log_frame(t, &frame);
		trial_frame(t, &frame);
		break;
	case READ_TRIAL_BAD:
		trial_pend(t, OUTCOME_INFRA, why.msg, 0);
		break;
	}
	return 1;
}

static int take_messages(struct trial *t, struct err *err)
{
	int rc = 1;

	for (int i = 0; rc > 0 && i < MESSAGES_A_TURN; i++)
		rc = take_message(t, false, err);
	return rc < 0 ? -1 : 0;
}

int trial_catch_up(struct trial *t, enum read_trial_order order, struct err *err)
{
	if (!t->lost)
		read_trial_ask(&t->reader, order);
	while (!t->lost && t->reader.asked)
		if (take_message(t, true, err) < 0)
			return -1;
	return 0;
}

static void say_go(struct trial *t)
{
	struct err why;

	if (!t->say_go || t->crash_ms || t->pending)
		return;
	t->say_go = false;
	t->phase = PHASE_RUN;
	trial_random_hex(t->result->seed, 32);
	if (agent_go(t->vm->agent_fd, t->token, t->result->seed, NULL, &why))
		trial_pend_host(t, why.msg, SETTLE_QUIET_MS);
}

static void take_events(struct trial *t)
{
	char events[16];
	ssize_t n = read(t->vm->event_fd, events, sizeof(events));

	for (ssize_t i = 0; i < n; i++)
		trial_log_event(t, (enum vm_event)events[i]);
	t->off |= n > 0;
	for (ssize_t i = 0; i < n; i++)
		switch ((enum vm_event)events[i]) {
		case VM_POWERED_OFF:
			if (t->stalled)
				trial_pend_host(t, "kvmrepro stood still in this trial",
						SETTLE_QUIET_MS);
			trial_pend(t, trial_failure_kind(t), TITLE_LOST_CONNECTION,
				   SETTLE_QUIET_MS);
			break;
		case VM_RESET:
			trial_pend(t, trial_failure_kind(t), TITLE_REBOOT, SETTLE_QUIET_MS);
			break;
		case VM_DIED:
			trial_pend_host(t, "the VM's process died", SETTLE_QUIET_MS);
			break;
		}
}

/* ---- when it is over ---- */

/* Until when the trial may go on if nothing more comes, and what it is called if it does not. */
static int64_t silence_deadline(const struct trial *t, enum outcome_kind *kind, const char **title)
{
	const struct trial_limits *l = &t->config->limits;
	int64_t starved = t->starved_ms - t->fed_ms;

	*kind = trial_failure_kind(t);
	switch (t->phase) {
	case PHASE_BOOT:
		*title = t->reader.console_bytes ? TITLE_NO_INIT : TITLE_NO_OUTPUT;
		return t->start_ms + l->boot_ms + starved;
	case PHASE_CANARY:
		*title = t->result->kvm ? "init did not become ready" : "the canary did not end";
		return t->start_ms + t->result->hello_ms + l->boot_ms + starved;
	default:
		/* Time for a soft lockup or an RCU stall to be reported, and once more. */
		*title = TITLE_NO_OUTPUT;
		return t->last_frame_ms + 2 * (int64_t)l->detector_ms + QUIET_MS + starved;
	}
}

/*
 * The guest's own clock says that init should long have been done; or it stands still while frames
 * come, as it does where who reads them lies.
 */
static bool overdue(struct trial *t)
{
	const struct trial_limits *l = &t->config->limits;
	int64_t budget = SPARE_MS;

	for (size_t i = 0; i < t->config->repros->n; i++)
		budget +=
			t->config->repros->v[i].duration_ms + (int64_t)l->stuck_ms + SPARE_REPRO_MS;
	if (t->phase != PHASE_RUN)
		return false;
	return t->guest_ms - t->guest_go_ms > budget ||
	       clock_ms() - t->start_ms - t->starved_ms >
		       2 * (int64_t)l->boot_ms + WALL_FACTOR * budget;
}

static int64_t latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The time at which the trial ends unless something comes before. */
static int64_t end_deadline(struct trial *t)
{
	int64_t last = t->reader.console_last_ms;
	enum oops_state state = t->reader.state;
	enum outcome_kind kind;
	const char *title;

	if (t->crash_ms) {
		bool closed = state == OOPS_COMPLETE || t->off || t->reader.console_eof;
		int64_t slow = latest(QUIET_MS, t->config->limits.detector_ms / 12);
		int64_t quiet = closed ? COMPLETE_QUIET_MS : slow;

		return earliest(latest(last, t->crash_ms) + quiet, t->crash_ms + SETTLE_LIMIT_MS);
	}
	if (t->pending && t->phase == PHASE_DONE && !t->off)
		return t->reader.halted ? 0 : t->pending_ms + POWER_OFF_MS;
	if (t->pending)
		return t->reader.console_eof ? 0
					     : earliest(latest(last, t->pending_ms) + t->quiet_ms,
							t->pending_ms + SETTLE_LIMIT_MS);
	if (t->reader.console_eof || t->reader.agent_eof)
		return t->eof_ms + DIED_MS;
	return silence_deadline(t, &kind, &title);
}

/* Nothing more can be expected: give the trial a pending outcome if it has none. */
static void conclude(struct trial *t)
{
	const struct engine *engine = t->config->engine;
	enum outcome_kind kind;
	const char *title;

	if (t->reader.console_eof || t->reader.agent_eof) {
		trial_pend_host(t, "the VM's serial line was closed", 0);
		return;
	}
	if (engine->suspended && engine->suspended(t->vm)) {
		trial_pend_host(t, "the VM's process is stopped (SIGSTOP)", 0);
		return;
	}
	silence_deadline(t, &kind, &title);
	trial_pend(t, kind, title, 0);
}

/*
 * No turn takes long: if one did, the harness was stopped, or starved by the host. What the guest
 * did not say in that time is not held against it.
 */
static void forgive_stall(struct trial *t)
{
	int64_t lost = clock_ms() - t->turn_ms - TURN_MS;

	if (lost < STALL_MS)
		return;
	log_info("run #%u: kvmrepro stood still for %.1f s; limits are extended", t->result->number,
		 (double)lost / 1000);
	t->stalled = true;
	t->start_ms += lost;
	t->last_frame_ms += lost;
	if (t->eof_ms)
		t->eof_ms += lost;
}

static int64_t look_at_starved(struct trial *t)
{
	const struct engine *engine = t->config->engine;

	int64_t now = engine->starved_ms ? engine->starved_ms(t->vm) : 0;

	/* A thread that has ended takes its share with it. */
	return latest(now, t->starved_ms);
}

/*
 * A limit is over. Whether the guest was kept from running since it was last looked at: what it did
 * not say in that time is not held against it either. It is not said of a VM that waits, however
 * long.
 */
static bool starved(struct trial *t)
{
	int64_t before = t->starved_ms;

	t->starved_ms = look_at_starved(t);
	return t->starved_ms - before > TURN_MS / 10;
}

/* Events are heard when what came before them has been read; but not put off for ever. */
static bool hear_events(struct trial *t, bool more)
{
	if (more && t->put_off < MAX_PUT_OFF) {
		t->put_off++;
		return false;
	}
	return true;
}

static int turn(struct trial *t, int64_t deadline, struct err *err)
{
	struct pollfd p[] = {
		{ .fd = interrupt_fd(), .events = POLLIN },
		{ .fd = t->config->stop_fd, .events = POLLIN },
		{ .fd = t->reader.cage.fd, .events = POLLIN },
		{ .fd = t->off ? -1 : t->vm->event_fd, .events = POLLIN },
	};
	int64_t left = deadline - clock_ms();

	say_go(t);
	if (poll(p, sizeof(p) / sizeof(*p), left < 0 ? 0 : (int)earliest(left, TURN_MS)) < 0 &&
	    errno != EINTR)
		return err_errno(err, ERR_HARNESS, "poll");
	if (p[0].revents)
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	if (p[1].revents)
		return err_set(err, ERR_INTERRUPTED, "not needed any more");
	forgive_stall(t);
	uint64_t before = t->reader.console_bytes;
	enum trial_phase phase = t->phase;
	int64_t frame_ms = t->last_frame_ms;
	if (take_messages(t, err) ||
	    ((t->looked || p[3].revents) && trial_catch_up(t, READ_TRIAL_READ, err)))
		return -1;
	if (t->phase != phase || (t->phase == PHASE_RUN && t->last_frame_ms != frame_ms))
		t->fed_ms = t->starved_ms = look_at_starved(t);
	if (p[3].revents && hear_events(t, t->reader.more || t->reader.console_bytes != before))
		take_events(t);
	t->turn_ms = clock_ms();
	if (!t->eof_ms && (t->reader.console_eof || t->reader.agent_eof))
		t->eof_ms = clock_ms();
	if (!t->pending && overdue(t))
		trial_pend(t, OUTCOME_INFRA, "the guest's init did not end in its time", 0);
	return 0;
}

int trial_watch(struct trial *t, struct err *err)
{
	for (;;) {
		int64_t deadline = end_deadline(t);

		bool late = clock_ms() >= deadline;
		if (late && t->looked) {
			/* What looked like a crash may be one that does not count. */
			t->looked = false;
			if (!t->crash_ms && !t->pending && starved(t))
				continue;
			if (t->crash_ms) {
				if (trial_close_report(t, err))
					return -1;
				if (t->crash_ms || t->lost)
					return 0;
				continue;
			}
			if (!t->pending)
				conclude(t);
			return 0;
		}
		t->looked = late;
		if (turn(t, deadline, err))
			return -1;
		if (t->lost)
			return 0;
	}
}
