/* A run as JSON; see run_json.h. */
#include "report/run_json.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "report/json.h"

#include <string.h>
#include <time.h>

#define COMMAND_BYTES (4 * 1024 * 1024) /* above any ARG_MAX in use */
#define RUN_BYTES     ((size_t)256 << 20)
#define REPORT_BYTES  16384 /* of a report; all of it is in report.txt */

static json_t *number_or_null(int64_t n)
{
	return n ? json_integer(n) : json_null();
}

static json_t *now(void)
{
	char stamp[32];
	struct tm tm;
	time_t t = time(NULL);

	gmtime_r(&t, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(stamp);
}

static json_t *kernel_json(const struct session *s)
{
	json_t *k = json_object();

	if (!s->image.path) {
		json_decref(k);
		return json_null();
	}
	json_put(k, "path", json_text(s->image.path));
	json_put(k, "release", json_text(s->image.release));
	json_put(k, "version", json_text(s->image.version));
	json_put(k, "size_bytes", json_integer((json_int_t)s->image.size_bytes));
	json_put(k, "sha256", json_text(s->image.sha256));
	json_put(k, "signature", json_text(s->signature[0] ? s->signature : NULL));
	json_put(k, "cmdline", json_text(s->cmdline));
	const char *by = s->decompressed ? "host" : "guest";
	json_put(k, "decompressed_by", json_text(s->engine == &engine_replay ? NULL : by));
	json_put(k, "modules_dir", json_text(s->modules.dir));
	json_t *modules = json_array();
	for (size_t i = 0; i < s->modules.n; i++)
		json_array_append_new(modules, json_text(s->modules.v[i].name));
	json_put(k, "modules", modules);
	return k;
}

static json_t *engine_json(const struct session *s)
{
	json_t *e = json_object();

	json_put(e, "name", json_text(s->engine->name));
	json_put(e, "accel", json_text(accel_name(s->accel.accel)));
	json_put(e, "accel_why", json_text(s->accel.why));
	json_put(e, "uri", json_text(s->facts.uri));
	json_put(e, "hypervisor", json_text(s->facts.hypervisor));
	json_put(e, "library", json_text(s->facts.library));
	json_put(e, "machine", json_text(s->facts.machine));
	json_put(e, "cpu", json_text(s->facts.cpu));
	json_put(e, "memory_mib", json_integer(s->trial.memory_mib));
	json_put(e, "vcpus", json_integer(s->trial.vcpus));
	return e;
}

static json_t *reproducers_json(const struct reproducers *repros)
{
	json_t *all = json_array();

	for (size_t i = 0; i < repros->n; i++) {
		const struct reproducer *r = &repros->v[i];
		json_t *o = json_object();

		json_put(o, "name", json_text(r->name));
		json_put(o, "needs", json_text(repro_needs_name(r->needs)));
		json_put(o, "duration_ms", json_integer(r->duration_ms));
		json_put(o, "bundled", json_boolean(r->bundled));
		json_put(o, "path", json_text(r->path));
		json_put(o, "sha256", r->sha256[0] ? json_text(r->sha256) : json_null());
		json_array_append_new(all, o);
	}
	return all;
}

static json_t *limits_json(const struct trial_limits *l)
{
	json_t *o = json_object();

	json_put(o, "boot_ms", json_integer(l->boot_ms));
	json_put(o, "detector_ms", json_integer(l->detector_ms));
	json_put(o, "stuck_ms", json_integer(l->stuck_ms));
	return o;
}

/* The exact command: what the kernel was told to execute, before getopt sorted it. */
static json_t *command_json(void)
{
	cleanup_buf struct buf args = BUF_INIT;
	json_t *command = json_array();
	struct err err;

	if (fs_read("/proc/self/cmdline", COMMAND_BYTES, &args, ERR_HARNESS, &err))
		return command;
	for (const char *p = args.data; p < args.data + args.len; p += strlen(p) + 1)
		json_array_append_new(command, json_text(p));
	return command;
}

json_t *run_json_new(const struct session *session, unsigned runs)
{
	json_t *run = json_object();

	json_put(run, "kvmrepro", json_text(KVMREPRO_VERSION));
	json_put(run, "command", command_json());
	cleanup_free char *cwd = realpath(".", NULL);
	json_put(run, "cwd", json_text(cwd));
	json_put(run, "started", now());
	json_put(run, "finished", json_null());
	json_put(run, "spent_ms", json_integer(0));
	json_put(run, "runs", json_integer(runs));
	json_put(run, "jobs", json_null());
	json_put(run, "kernel", kernel_json(session));
	json_put(run, "engine", engine_json(session));
	json_put(run, "guest_sandbox", json_boolean(session->trial.sandbox != NULL));
	json_put(run, "limits", limits_json(&session->trial.limits));
	json_put(run, "reproducers", reproducers_json(&session->repros));
	json_put(run, "recalled", json_null());
	json_put(run, "trials", json_array());
	json_put(run, "families", json_array());
	json_put(run, "interrupted", json_null());
	json_put(run, "verdict", json_null());
	json_put(run, "exit_status", json_null());
	return run;
}

static json_t *report_json(const struct trial_result *r)
{
	json_t *o = json_object(), *alt = json_array();

	for (size_t i = 0; i < r->n_alt; i++)
		json_array_append_new(alt, json_text(r->alt[i]));
	json_put(o, "type", json_text(r->type));
	json_put(o, "alt", alt);
	json_put(o, "frame", json_text(r->frame));
	json_put(o, "executor", json_text(r->executor));
	json_put(o, "corrupted", json_text(r->corrupted_why));
	json_put(o, "panicked", json_boolean(r->panicked));
	cleanup_free char *begin = xstrndup(r->report, REPORT_BYTES);
	json_put(o, "text", json_text(begin));
	return o;
}

static json_t *guest_json(const struct trial_result *r)
{
	json_t *o = json_object();

	json_put(o, "release", json_text(r->release));
	json_put(o, "version", json_text(r->version));
	json_put(o, "cpu_vendor", json_text(r->vendor));
	json_put(o, "cpu_features", json_text(r->features));
	json_put(o, "nested", json_text(r->nested));
	json_put(o, "kvm", json_text(r->kvm));
	json_put(o, "sandbox", json_text(r->sandbox));
	return o;
}

static json_t *results_json(const struct trial_result *r, const struct reproducers *repros)
{
	json_t *all = json_array();

	for (size_t i = 0; i < r->n_repros; i++) {
		const struct repro_result *p = &r->repros[i];
		bool coded = p->end == REPRO_EXIT || p->end == REPRO_SIGNAL;
		json_t *o = json_object();

		json_put(o, "name", json_text(repros->v[i].name));
		json_put(o, "end", json_text(repro_end_name(p->end)));
		json_put(o, "code", coded ? json_integer(p->code) : json_null());
		json_put(o, "ms", json_integer(p->ms));
		json_put(o, "why", json_text(p->why));
		json_put(o, "output_bytes", json_integer((json_int_t)p->output.len));
		json_put(o, "dropped_bytes", json_integer((json_int_t)p->dropped_bytes));
		json_array_append_new(all, o);
	}
	return all;
}

void run_json_set_jobs(json_t *run, unsigned jobs)
{
	json_put(run, "jobs", json_integer(jobs));
}

void run_json_set_spent(json_t *run, int64_t ms)
{
	json_put(run, "spent_ms", json_integer(ms));
}

void run_json_add_trial(json_t *run, const struct trial_result *result,
			const struct reproducers *repros)
{
	json_t *t = json_object(), *trials = json_object_get(run, "trials");
	cleanup_buf struct buf outcome = BUF_INIT;
	size_t at = json_array_size(trials);

	outcome_text(&result->outcome, &outcome);
	json_put(t, "number", json_integer(result->number));
	json_put(t, "outcome", json_text(outcome.data));
	json_put(t, "kind", json_text(outcome_name(result->outcome.kind)));
	json_put(t, "title", json_text(result->outcome.title));
	json_put(t, "hit", json_boolean(result->hit));
	json_put(t, "expected", json_boolean(result->hit));
	json_put(t, "retried", json_text(result->retried));
	json_put(t, "began", json_text(result->from_state ? "state" : "boot"));
	json_put(t, "boot_console", json_text(result->from_state ? "boot/console.log.gz" : NULL));
	json_put(t, "report", result->crash ? report_json(result) : json_null());
	json_t *ignored = json_array();
	for (size_t i = 0; i < result->n_ignored; i++)
		json_array_append_new(ignored, json_text(result->ignored[i]));
	json_put(t, "ignored", ignored);
	json_put(t, "guest", guest_json(result));
	json_put(t, "hello_ms", number_or_null(result->hello_ms));
	json_put(t, "ready_ms", number_or_null(result->ready_ms));
	json_put(t, "end_ms", number_or_null(result->end_ms));
	json_put(t, "teardown_ms", json_integer(result->teardown_ms));
	json_put(t, "crash_end_ms",
		 result->crash ? json_integer(result->crash_end_ms) : json_null());
	json_put(t, "console_bytes", json_integer((json_int_t)result->console_bytes));
	json_put(t, "agent_noise_lines", json_integer((json_int_t)result->agent_noise));
	json_put(t, "seed", json_text(result->seed[0] ? result->seed : NULL));
	json_put(t, "reproducers", results_json(result, repros));
	while (at > 0 && json_integer_value(json_object_get(json_array_get(trials, at - 1),
							    "number")) > result->number)
		at--;
	json_array_insert_new(trials, at, t);
}

static const char *string_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* false: it is none. */
static bool read_trial(const json_t *t, struct trial_result *out)
{
	const json_t *report = json_object_get(t, "report"), *number = json_object_get(t, "number");
	const char *kind = string_of(t, "kind"), *title = string_of(t, "title");
	const char *type = string_of(report, "type"), *began = string_of(t, "began");

	*out = (struct trial_result){
		.number = (unsigned)json_integer_value(number),
		.hit = json_is_true(json_object_get(t, "expected")),
		.from_state = began && !strcmp(began, "state"),
		.crash = json_is_object(report),
		.report = (char *)string_of(report, "text"),
		.type = type ? type : "",
		.corrupted_why = (char *)string_of(report, "corrupted"),
	};
	if (!json_is_integer(number) || !kind || outcome_kind_of(kind, &out->outcome.kind))
		return false;
	out->outcome.title = title ? xstrdup(title) : NULL;
	return true;
}

/* What was tested then and is not now, or NULL. */
static const char *find_change(const json_t *then, const json_t *now)
{
	const char *was = string_of(json_object_get(then, "kernel"), "sha256");
	const char *is = string_of(json_object_get(now, "kernel"), "sha256");

	if (!was || !is || strcmp(was, is) != 0)
		return "another kernel";
	return json_equal(json_object_get(then, "reproducers"), json_object_get(now, "reproducers"))
		       ? NULL
		       : "other reproducers";
}

int run_json_resume(json_t *run, const char *dir, const char *boot, unsigned runs,
		    void (*each)(void *opaque, struct trial_result *result), void *opaque,
		    int64_t *spent_ms, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/run.json", dir);
	cleanup_free bool *seen = xcalloc(runs, sizeof(*seen));
	cleanup_buf struct buf bytes = BUF_INIT;
	json_t *trials = json_object_get(run, "trials"), *t;
	struct trial_result result;
	size_t i;

	if (fs_read(path, RUN_BYTES, &bytes, ERR_INPUT, err))
		return -1;
	json_t *old = json_loadb(bytes.data, bytes.len, 0, NULL);
	if (!json_is_array(json_object_get(old, "trials"))) {
		json_decref(old);
		return err_set(err, ERR_INPUT, "%s: damaged", path);
	}
	const char *changed = find_change(old, run);
	if (changed) {
		json_decref(old);
		return err_set(err, ERR_INPUT,
			       "%s: these trials had %s: put back what they had, or begin anew "
			       "with another --out",
			       path, changed);
	}
	json_array_foreach (json_object_get(old, "trials"), i, t) {
		json_int_t number = json_integer_value(json_object_get(t, "number"));

		if (number < 0 || number >= runs || seen[number] || !read_trial(t, &result))
			continue;
		seen[number] = true;
		cleanup_free char *console = xasprintf("%s/console.log.gz", boot);
		const char *was = string_of(t, "boot_console");
		if (was && !strcmp(was, "boot/console.log.gz"))
			json_put(t, "boot_console", json_text(console));
		json_array_append(trials, t);
		each(opaque, &result);
	}
	*spent_ms = json_integer_value(json_object_get(old, "spent_ms"));
	json_decref(old);
	return 0;
}

json_t *run_json_tally(const struct tally *tally)
{
	json_t *o = json_object();

	json_put(o, "runs", json_integer((json_int_t)tally->runs));
	json_put(o, "clean", json_integer((json_int_t)tally->clean));
	json_put(o, "hits", json_integer((json_int_t)tally->hits));
	json_put(o, "others", json_integer((json_int_t)tally->others));
	json_put(o, "possible", json_integer((json_int_t)tally->possible));
	json_put(o, "boot", json_integer((json_int_t)tally->boot));
	json_put(o, "infra", json_integer((json_int_t)tally->infra));
	return o;
}

static json_t *family_json(const struct family *family)
{
	json_t *all = json_array();

	for (size_t i = 0; i < family->n; i++) {
		const struct family_member *m = &family->v[i];
		json_t *o = json_object();

		json_put(o, "title", json_text(m->title));
		json_put(o, "kin", json_text(kinship_name(m->kin)));
		json_put(o, "type", json_text(m->type));
		json_put(o, "stack", json_text(m->stack));
		json_put(o, "known", json_boolean(m->known));
		json_put(o, "seen", json_integer((json_int_t)m->seen));
		json_array_append_new(all, o);
	}
	return all;
}

void run_json_set_families(json_t *run, const struct family *family, const enum match *matches)
{
	static const char *const words[] = {
		[MATCH_NONE] = "none",
		[MATCH_POSSIBLE] = "possible",
		[MATCH_TARGET] = "target",
	};
	json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(run, "trials"), i, trial) {
		json_int_t number = json_integer_value(json_object_get(trial, "number"));
		const char *word = words[matches[number]], *was = string_of(trial, "match");

		if (was && !strcmp(was, word))
			continue;
		json_put(trial, "hit", json_boolean(matches[number] == MATCH_TARGET));
		json_put(trial, "match", json_text(word));
	}
	json_put(run, "families", family_json(family));
}

void run_json_set_recalled(json_t *run, const struct state_kernel *then)
{
	json_t *o = json_object(), *outcomes = json_array();

	json_put(o, "judged", json_text(then->judged));
	json_put(o, "evidence", json_text(then->evidence));
	for (size_t i = 0; i < then->n; i++) {
		cleanup_buf struct buf line = BUF_INIT;

		outcome_text(&then->outcomes[i], &line);
		json_array_append_new(outcomes, json_text(line.data));
	}
	json_put(o, "outcomes", outcomes);
	json_put(run, "recalled", o);
}

static json_t *policy_json(const struct policy *p)
{
	json_t *o = json_object();

	json_put(o, "name", json_text(policy_names[p->kind]));
	json_put(o, "alpha", json_real(p->alpha));
	json_put(o, "rate", json_real(p->rate));
	json_put(o, "min_hits", json_integer((json_int_t)p->min_hits));
	json_put(o, "known_hits", json_integer((json_int_t)p->known_hits));
	json_put(o, "known_runs", json_integer((json_int_t)p->known_runs));
	return o;
}

void run_json_set_verdict(json_t *run, const struct policy *policy, const struct tally *tally,
			  const struct decision *decision)
{
	cleanup_buf struct buf reason = BUF_INIT;
	json_t *o = json_object();

	verdict_reason(policy, tally, decision, &reason);
	json_put(o, "verdict", json_text(verdict_name(decision->verdict)));
	json_put(o, "reason", json_text(reason.data));
	json_put(o, "policy", policy_json(policy));
	json_put(o, "hidden", json_real(decision->hidden));
	json_put(o, "more_clean", json_integer((json_int_t)decision->more_clean));
	json_put(o, "tally", run_json_tally(tally));
	json_put(run, "verdict", o);
	json_put(run, "exit_status", json_integer(verdict_exit_status(decision->verdict)));
	json_put(run, "finished", now());
}

void run_json_set_interrupted(json_t *run, int signal_number)
{
	json_put(run, "interrupted", json_integer(signal_number));
	json_put(run, "exit_status", json_integer(128 + signal_number));
	json_put(run, "finished", now());
}
