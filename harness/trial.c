/*
 * One trial. A loop over four descriptors (console, agent, events, interruption) that ends when
 * something decides the outcome: a crash report, the agent's words, the VM's own end, a limit.
 * What decides first is only pending until the console has fallen quiet: the kernel's report is
 * better evidence than a reset or a lost line, and may be a moment behind them.
 */
#include "trial.h"

#include "agent.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "console.h"
#include "interrupt.h"
#include "kernel/initramfs.h"
#include "trial_frames.h"
#include "trial_report.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>

#define QUIET_MS          1000   /* at least so long: a report without an end marker is over */
#define COMPLETE_QUIET_MS 60     /* what follows the end of a report at once is evidence too */
#define SETTLE_QUIET_MS   300    /* for the report behind a reset, a failed canary, ... */
#define SETTLE_LIMIT_MS   10000  /* a console that never falls quiet is cut off */
#define POWER_OFF_MS      5000   /* from "done" to the kernel's last word */
#define DIED_MS           2000   /* from the end of a line to libvirt's word why */
#define SPARE_MS          120000 /* guest time that init may take beside the reproducers */
#define SPARE_REPRO_MS    60000  /* and for each of them, to kill it and to drain its output */
#define TURN_MS           1000   /* how long a turn waits at most */
#define STALL_MS          3000   /* and how much longer it may take before it is told */
#define MAX_PUT_OFF       1000   /* turns */
#define FRAMES_A_TURN     256    /* so that an agent's flood does not starve the console */

static void random_hex(char *out, size_t bytes)
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

static int take_console(struct trial *t, struct err *err)
{
	int rc = console_read(t->console, err);

	if (rc > 0)
		trial_watch_report(t);
	return rc < 0 ? -1 : 0;
}

static int take_frames(struct trial *t, struct err *err)
{
	struct agent_frame frame;
	struct err why;
	int rc = 0;

	for (int i = 0; i < FRAMES_A_TURN; i++) {
		rc = agent_next(t->agent, &frame, &why);
		if (rc <= 0)
			break;
		/* What the kernel printed before this frame must be seen before it. */
		if (take_console(t, err))
			return -1;
		trial_log_frame(t, &frame);
		trial_frame(t, &frame);
	}
	t->frames_left = rc > 0;
	if (rc < 0)
		trial_pend(t, OUTCOME_INFRA, why.msg, 0);
	if (t->say_go && !t->crash_ms && !t->pending) {
		t->say_go = false;
		t->phase = PHASE_RUN;
		random_hex(t->result->seed, 32);
		if (agent_go(t->agent, t->result->seed, NULL, &why))
			trial_pend(t, OUTCOME_INFRA, why.msg, SETTLE_QUIET_MS);
	}
	return 0;
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
				trial_pend(t, OUTCOME_INFRA, "kvmrepro stood still in this trial",
					   SETTLE_QUIET_MS);
			trial_pend(t, trial_failure_kind(t), TITLE_LOST_CONNECTION,
				   SETTLE_QUIET_MS);
			break;
		case VM_RESET:
			trial_pend(t, trial_failure_kind(t), TITLE_REBOOT, SETTLE_QUIET_MS);
			break;
		case VM_DIED:
			trial_pend(t, OUTCOME_INFRA, "the VM's process died", SETTLE_QUIET_MS);
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
		*title = console_bytes(t->console) ? TITLE_NO_INIT : TITLE_NO_OUTPUT;
		return t->start_ms + l->boot_ms + starved;
	case PHASE_CANARY:
		*title = "the canary did not end";
		return t->start_ms + t->result->hello_ms + l->boot_ms + starved;
	default:
		/* Time for a soft lockup or an RCU stall to be reported, and once more. */
		*title = TITLE_NO_OUTPUT;
		return t->last_frame_ms + 2 * (int64_t)l->detector_ms + QUIET_MS + starved;
	}
}

/* The guest's own clock says that init should long have been done. */
static bool overdue(const struct trial *t)
{
	const struct trial_limits *l = &t->config->limits;
	int64_t budget = SPARE_MS;

	for (size_t i = 0; i < t->config->repros->n; i++)
		budget +=
			t->config->repros->v[i].duration_ms + (int64_t)l->stuck_ms + SPARE_REPRO_MS;
	return t->phase == PHASE_RUN && t->guest_ms - t->guest_go_ms > budget;
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
	int64_t last = console_last_ms(t->console);
	enum oops_state state = oops_state(console_oops(t->console));
	enum outcome_kind kind;
	const char *title;

	if (t->crash_ms) {
		bool closed = state == OOPS_COMPLETE || t->off || console_eof(t->console);
		int64_t slow = latest(QUIET_MS, t->config->limits.detector_ms / 12);
		int64_t quiet = closed ? COMPLETE_QUIET_MS : slow;

		return earliest(latest(last, t->crash_ms) + quiet, t->crash_ms + SETTLE_LIMIT_MS);
	}
	if (t->pending && t->phase == PHASE_DONE && !t->off)
		return console_halted(t->console) ? 0 : t->pending_ms + POWER_OFF_MS;
	if (t->pending)
		return console_eof(t->console) ? 0
					       : earliest(latest(last, t->pending_ms) + t->quiet_ms,
							  t->pending_ms + SETTLE_LIMIT_MS);
	if (console_eof(t->console) || agent_eof(t->agent))
		return t->eof_ms + DIED_MS;
	return silence_deadline(t, &kind, &title);
}

/* Nothing more can be expected: give the trial a pending outcome if it has none. */
static void conclude(struct trial *t)
{
	enum outcome_kind kind;
	const char *title;

	if (console_eof(t->console) || agent_eof(t->agent)) {
		trial_pend(t, OUTCOME_INFRA, "the VM's serial line was closed", 0);
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

	return engine->starved_ms ? engine->starved_ms(t->vm) : 0;
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
static bool hear_events(struct trial *t, bool more_console)
{
	if ((t->frames_left || more_console) && t->put_off < MAX_PUT_OFF) {
		t->put_off++;
		return false;
	}
	return true;
}

static int turn(struct trial *t, int64_t deadline, struct err *err)
{
	struct pollfd p[] = {
		{ .fd = interrupt_fd(), .events = POLLIN },
		{ .fd = console_eof(t->console) ? -1 : t->vm->console_fd, .events = POLLIN },
		{ .fd = agent_eof(t->agent) ? -1 : t->vm->agent_fd, .events = POLLIN },
		{ .fd = t->off ? -1 : t->vm->event_fd, .events = POLLIN },
		{ .fd = t->config->stop_fd, .events = POLLIN },
	};
	int64_t left = deadline - clock_ms();

	if (poll(p, sizeof(p) / sizeof(*p),
		 t->frames_left || left < 0 ? 0 : (int)earliest(left, TURN_MS)) < 0 &&
	    errno != EINTR)
		return err_errno(err, ERR_HARNESS, "poll");
	if (p[0].revents)
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	if (p[4].revents)
		return err_set(err, ERR_INTERRUPTED, "not needed any more");
	forgive_stall(t);
	uint64_t before = console_bytes(t->console);
	enum trial_phase phase = t->phase;
	int64_t frame_ms = t->last_frame_ms;
	if (take_console(t, err) || take_frames(t, err))
		return -1;
	if (t->phase != phase || (t->phase == PHASE_RUN && t->last_frame_ms != frame_ms))
		t->fed_ms = t->starved_ms = look_at_starved(t);
	if (p[3].revents && hear_events(t, console_bytes(t->console) != before))
		take_events(t);
	t->turn_ms = clock_ms();
	if (!t->eof_ms && (console_eof(t->console) || agent_eof(t->agent)))
		t->eof_ms = clock_ms();
	if (!t->pending && overdue(t))
		trial_pend(t, OUTCOME_INFRA, "the guest's init did not end in its time", 0);
	return 0;
}

static int watch(struct trial *t, struct err *err)
{
	for (;;) {
		int64_t deadline = end_deadline(t);

		bool late = clock_ms() >= deadline;
		if (late && t->looked) {
			/* What looked like a crash may be one that does not count. */
			t->looked = false;
			if (!t->crash_ms && !t->pending && starved(t))
				continue;
			if (t->crash_ms && !trial_close_report(t))
				continue;
			if (!t->crash_ms && !t->pending)
				conclude(t);
			return 0;
		}
		t->looked = late;
		if (turn(t, deadline, err))
			return -1;
	}
}

/* ---- from start to end ---- */

static int make_initrd(struct trial *t, const char *path, struct err *err)
{
	const struct trial_config *c = t->config;
	const struct initramfs_spec spec = {
		.token = t->token,
		.detector_ms = c->limits.detector_ms,
		.stuck_ms = c->limits.stuck_ms,
		.modules = c->modules,
		.repros = c->repros->v,
		.n_repros = c->repros->n,
	};
	cleanup_buf struct buf plan = BUF_INIT;

	if (initramfs_build_plan(&spec, &plan, err))
		return -1;
	cleanup_file FILE *f = fopen(path, "we");
	if (!f || fwrite(c->initramfs->data, 1, c->initramfs->len, f) != c->initramfs->len ||
	    fwrite(plan.data, 1, plan.len, f) != plan.len || fflush(f))
		return err_errno(err, ERR_HARNESS, "%s", path);
	return 0;
}

static int create_vm(struct trial *t, const char *initrd, struct err *err)
{
	const struct trial_config *c = t->config;
	const struct vm_spec spec = {
		.number = c->vm_first + t->result->number * c->vm_step,
		.kernel = c->kernel,
		.initrd = initrd,
		.cmdline = c->cmdline,
		.token = t->token,
		.memory_mib = c->memory_mib,
		.vcpus = c->vcpus,
		.keepable = t->keepable,
		.kept = c->start ? c->start->kept : NULL,
	};

	return c->engine->create(c->state, &spec, &t->vm, &t->result->definition, err);
}

/* Read what the VM says until the trial is over. */
static int attend(struct trial *t, const char *console_path, struct err *err)
{
	char live[16];

	snprintf(live, sizeof(live), "#%u", t->result->number);
	if (console_open(t->vm->console_fd, console_path, t->config->live ? live : NULL,
			 &t->console, err))
		return -1;
	t->agent = agent_new(t->vm->agent_fd, t->token);
	return watch(t, err);
}

/* Let the VM run when it is its turn. What goes wrong is told by the outcome; -1 if there is none.
 */
static int run_vm(struct trial *t, const char *console_path, struct err *err)
{
	struct gate *gate = t->config->gate;
	struct err why;

	if (gate && gate_enter(gate, t->config->stop_fd, err))
		return -1;
	t->start_ms = t->last_frame_ms = t->turn_ms = clock_ms();
	int rc = t->config->engine->start(t->vm, &why);
	if (!rc)
		rc = attend(t, console_path, err);
	else if (why.kind == ERR_INTERRUPTED)
		*err = why;
	else
		trial_pend(t, OUTCOME_INFRA, why.msg, 0), rc = 0;
	t->result->end_ms = clock_ms() - t->start_ms;
	if (gate)
		gate_leave(gate);
	return rc;
}

/* End the VM, and tell what was seen. rc: whether there is an outcome. */
static int finish(struct trial *t, int rc, struct err *err)
{
	int64_t before = clock_ms();
	struct err stop_err;

	if (t->config->engine->stop(t->vm, &t->result->vm_log, &stop_err))
		log_error("run #%u: %s", t->result->number, stop_err.msg);
	t->result->teardown_ms = clock_ms() - before;
	if (!t->console)
		return rc;
	if (!rc) {
		trial_take_report(t);
		t->result->crash_end_ms = clock_ms() - console_last_ms(t->console);
		t->result->console_bytes = console_bytes(t->console);
		t->result->agent_noise = agent_noise(t->agent);
	}
	agent_free(t->agent);
	if (console_close(t->console, rc ? &stop_err : err))
		return -1;
	return rc;
}

static void begin(struct trial *t, unsigned number)
{
	struct trial_result *out = t->result;

	*out = (struct trial_result){ .number = number, .type = "", .agent_log = BUF_INIT };
	out->n_repros = t->config->repros->n;
	out->repros = xcalloc(out->n_repros, sizeof(*out->repros));
	for (size_t i = 0; i < out->n_repros; i++)
		out->repros[i].output = (struct buf)BUF_INIT;
}

/* Make the VM, run it, end it. What goes wrong is told by the outcome; -1 if there is none. */
static int make_and_run(struct trial *t, const char *initrd, const char *console_path,
			struct err *err)
{
	struct err why;

	if (create_vm(t, initrd, &why)) {
		if (why.kind == ERR_INTERRUPTED)
			return *err = why, -1;
		trial_pend(t, OUTCOME_INFRA, why.msg, 0);
		return 0;
	}
	int rc = run_vm(t, console_path, err);
	if (!rc && t->keepable && t->result->outcome.kind == OUTCOME_OK &&
	    t->config->engine->keep(t->vm, &t->kept, &t->keep_err))
		t->kept = NULL;
	return finish(t, rc, err);
}

static char *copy_of(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

/* As if it had booted just now, and said "ready". */
static void begin_from(struct trial *t, const struct trial_start *start)
{
	struct trial_result *r = t->result;

	snprintf(t->token, sizeof(t->token), "%s", start->token);
	t->phase = PHASE_CANARY;
	t->say_go = t->frames_left = true;
	t->guest_ms = t->guest_go_ms = start->guest_ms;
	r->from_state = true;
	r->release = copy_of(start->release);
	r->version = copy_of(start->version);
	r->vendor = copy_of(start->vendor);
	r->features = copy_of(start->features);
	r->nested = copy_of(start->nested);
	r->kvm = copy_of(start->kvm);
	buf_add(&r->agent_log, start->agent_log.data, start->agent_log.len);
}

int trial_run(const struct trial_config *config, unsigned number, const char *console_path,
	      struct trial_result *out, struct err *err)
{
	struct trial t = { .config = config, .result = out };
	cleanup_free char *own = xasprintf("%s/initrd-%u", config->workdir, number);
	int rc = 0;

	begin(&t, number);
	if (config->start) {
		begin_from(&t, config->start);
	} else {
		random_hex(t.token, PROTO_TOKEN_CHARS / 2);
		rc = make_initrd(&t, own, err);
	}
	if (!rc)
		rc = make_and_run(&t, config->start ? config->start->initrd : own, console_path,
				  err);
	if (!config->start)
		unlink(own);
	free(t.module_why);
	if (rc)
		trial_result_free(out);
	return rc;
}

/* What init said in a boot, as a trial that begins after it has it in its log: before its console's
 * first byte. */
static void retime(const struct buf *log, struct buf *out)
{
	char *copy = xstrndup(log->data, log->len), *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *text = strchr(line, ' ');

		text = text ? strchr(text + 1, ' ') : NULL;
		if (text && text[1] != '!')
			buf_addf(out, "0 0%s\n", text);
	}
	free(copy);
}

static void fill_start(const struct trial *t, char *initrd, struct trial_start *start)
{
	struct trial_result *r = t->result;

	*start = (struct trial_start){
		.kept = t->kept,
		.initrd = initrd,
		.token = xstrdup(t->token),
		.guest_ms = t->guest_ms,
		.release = steal(r->release),
		.version = steal(r->version),
		.vendor = steal(r->vendor),
		.features = steal(r->features),
		.nested = steal(r->nested),
		.kvm = steal(r->kvm),
		.agent_log = BUF_INIT,
	};
	retime(&r->agent_log, &start->agent_log);
}

int trial_boot(const struct trial_config *config, unsigned number, const char *console_path,
	       struct trial_start *start, char **why, struct trial_result *out, struct err *err)
{
	struct trial_config boot = *config;
	struct trial t = { .config = &boot, .result = out, .keepable = true };
	cleanup_free char *initrd = xasprintf("%s/initrd-boot-%u", config->workdir, number);

	boot.canary_only = true;
	boot.start = NULL;
	begin(&t, number);
	random_hex(t.token, PROTO_TOKEN_CHARS / 2);
	int rc = make_initrd(&t, initrd, err);
	if (!rc)
		rc = make_and_run(&t, initrd, console_path, err);
	free(t.module_why);
	bool ready = !rc && out->outcome.kind == OUTCOME_OK;
	if (ready && t.kept)
		fill_start(&t, steal(initrd), start);
	else
		unlink(initrd);
	if (ready && !t.kept)
		*why = xstrdup(t.keep_err.msg);
	if (rc || ready)
		trial_result_free(out);
	return rc ? -1 : ready;
}

void trial_start_free(const struct engine *engine, struct trial_start *start)
{
	char *const owned[] = { start->token,    start->release, start->version, start->vendor,
				start->features, start->nested,  start->kvm,     start->initrd };

	if (!start->kept)
		return;
	engine->forget(start->kept);
	unlink(start->initrd);
	for (size_t i = 0; i < sizeof(owned) / sizeof(*owned); i++)
		free(owned[i]);
	buf_free(&start->agent_log);
	*start = (struct trial_start){ .agent_log = BUF_INIT };
}

void trial_result_free(struct trial_result *result)
{
	for (size_t i = 0; i < result->n_repros; i++) {
		free(result->repros[i].why);
		buf_free(&result->repros[i].output);
	}
	for (size_t i = 0; i < result->n_alt; i++)
		free(result->alt[i]);
	for (size_t i = 0; i < result->n_ignored; i++)
		free(result->ignored[i]);
	char *const owned[] = { result->outcome.title, result->report,        result->frame,
				result->executor,      result->release,       result->version,
				result->vendor,        result->features,      result->nested,
				result->kvm,           result->corrupted_why, result->vm_log,
				result->definition };
	for (size_t i = 0; i < sizeof(owned) / sizeof(*owned); i++)
		free(owned[i]);
	free(result->alt);
	free(result->repros);
	buf_free(&result->agent_log);
	*result = (struct trial_result){ .agent_log = BUF_INIT };
}
