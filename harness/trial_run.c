/* A trial's VM, from its making to its end, and a boot that is kept; see trial.h. */
#include "trial.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernel/initramfs.h"
#include "trial_frames.h"
#include "trial_report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int trial_plan(const struct trial_config *c, const char *token, struct buf *out, struct err *err)
{
	const struct initramfs_spec spec = {
		.token = token,
		.detector_ms = c->limits.detector_ms,
		.stuck_ms = c->limits.stuck_ms,
		.sandbox = c->sandbox,
		.modules = c->modules,
		.repros = c->repros->v,
		.n_repros = c->repros->n,
	};

	return initramfs_build_plan(&spec, out, err);
}

static int make_initrd(const struct trial_config *c, const char *token, const char *path,
		       struct err *err)
{
	cleanup_buf struct buf plan = BUF_INIT;

	if (trial_plan(c, token, &plan, err))
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
		.loaded = c->loaded,
		.initrd = initrd,
		.cmdline = c->cmdline,
		.token = t->token,
		.memory_mib = c->memory_mib,
		.vcpus = c->vcpus,
		.keepable = t->keepable,
		.lasting = c->lasting,
		.kept = c->start ? c->start->kept : NULL,
	};

	return c->engine->create(c->state, &spec, &t->vm, &t->result->definition, err);
}

/* Read what the VM says until the trial is over. */
static int attend(struct trial *t, const char *console_path, struct err *err)
{
	char live[16];

	snprintf(live, sizeof(live), "#%u", t->result->number);
	if (read_trial_open(t->vm->console_fd, t->vm->agent_fd, console_path, t->token,
			    t->config->live ? live : NULL, &t->reader, err))
		return -1;
	return trial_watch(t, err);
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
		trial_pend_host(t, why.msg, 0), rc = 0;
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
	if (!t->reader.path)
		return rc;
	if (!rc && !t->lost)
		rc = trial_take_report(t, err);
	if (!rc) {
		t->result->crash_end_ms = clock_ms() - t->reader.console_last_ms;
		t->result->console_bytes = t->reader.console_bytes;
		t->result->agent_noise = t->reader.agent_noise;
	}
	if (read_trial_close(&t->reader, rc ? &stop_err : err))
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

/*
 * Keep the state of a VM that is ready. What it printed until it was halted belongs to the boot; a
 * report among it makes the boot's outcome, for no trial would have all of it.
 */
static int keep_state(struct trial *t, struct err *err)
{
	const struct engine *engine = t->config->engine;
	int rc;

	err_set(&t->keep_err, ERR_HARNESS, "the kernel was reporting something");
	if (t->crash_ms || engine->keep(t->vm, &t->kept, &t->keep_err))
		return 0;
	do
		rc = trial_catch_up(t, READ_TRIAL_READ, err);
	while (!rc && !t->lost && t->reader.more);
	if (rc || t->lost || t->crash_ms)
		engine->forget(steal(t->kept));
	return rc;
}

/* Make the VM, run it, end it. What goes wrong is told by the outcome; -1 if there is none. */
static int make_and_run(struct trial *t, const char *initrd, const char *console_path,
			struct err *err)
{
	struct err why;

	if (create_vm(t, initrd, &why)) {
		if (why.kind == ERR_INTERRUPTED)
			return *err = why, -1;
		trial_pend_host(t, why.msg, 0);
		return 0;
	}
	int rc = run_vm(t, console_path, err);
	if (!rc && t->keepable && t->result->outcome.kind == OUTCOME_OK)
		rc = keep_state(t, err);
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
	t->say_go = true;
	t->guest_ms = t->guest_go_ms = start->guest_ms;
	r->from_state = true;
	r->release = copy_of(start->release);
	r->version = copy_of(start->version);
	r->vendor = copy_of(start->vendor);
	r->features = copy_of(start->features);
	r->nested = copy_of(start->nested);
	r->kvm = copy_of(start->kvm);
	r->sandbox = copy_of(start->sandbox);
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
		trial_random_hex(t.token, PROTO_TOKEN_CHARS / 2);
		rc = make_initrd(config, t.token, own, err);
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
		.boot_ms = r->ready_ms,
		.release = steal(r->release),
		.version = steal(r->version),
		.vendor = steal(r->vendor),
		.features = steal(r->features),
		.nested = steal(r->nested),
		.kvm = steal(r->kvm),
		.sandbox = steal(r->sandbox),
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
	trial_random_hex(t.token, PROTO_TOKEN_CHARS / 2);
	int rc = make_initrd(config, t.token, initrd, err);
	if (!rc)
		rc = make_and_run(&t, initrd, console_path, err);
	free(t.module_why);
	/* Perhaps it is only for its memory that the VM cannot be made. */
	bool not_made = !rc && !t.vm && out->outcome.kind == OUTCOME_INFRA;
	bool ready = !rc && (not_made || out->outcome.kind == OUTCOME_OK);
	if (ready && t.kept)
		fill_start(&t, steal(initrd), start);
	else
		unlink(initrd);
	if (t.kept && !ready)
		config->engine->forget(t.kept);
	if (ready && !t.kept)
		*why = xstrdup(not_made ? out->outcome.title : t.keep_err.msg);
	if (rc || ready)
		trial_result_free(out);
	return rc ? -1 : ready;
}

int trial_start_initrd(const struct trial_config *config, struct trial_start *start,
		       struct err *err)
{
	start->initrd = xasprintf("%s/initrd-kept", config->workdir);
	return make_initrd(config, start->token, start->initrd, err);
}

void trial_start_free(const struct engine *engine, struct trial_start *start)
{
	char *const owned[] = { start->token,  start->release,  start->version,
				start->vendor, start->features, start->nested,
				start->kvm,    start->initrd,   start->sandbox };

	if (start->kept)
		engine->forget(start->kept);
	if (start->initrd)
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
				result->definition,    result->sandbox,       result->retried };
	for (size_t i = 0; i < sizeof(owned) / sizeof(*owned); i++)
		free(owned[i]);
	free(result->alt);
	free(result->repros);
	buf_free(&result->agent_log);
	*result = (struct trial_result){ .agent_log = BUF_INIT };
}
