/* A run as JSON; see run_json.h. Strings from a guest may not be UTF-8: what is not is escaped. */
#include "report/run_json.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <string.h>
#include <time.h>

#define COMMAND_BYTES (4 * 1024 * 1024) /* above any ARG_MAX in use */
#define REPORT_BYTES  16384             /* of a report; all of it is in report.txt */

/* Strings of any origin; NULL is null. */
static json_t *text(const char *s)
{
	cleanup_buf struct buf safe = BUF_INIT;

	if (!s)
		return json_null();
	buf_add_escaped(&safe, s, strlen(s));
	return json_stringn(safe.data, safe.len);
}

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

static void set(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new(o, key, value))
		abort(); /* out of memory: jansson has no other failure for valid keys */
}

static json_t *kernel_json(const struct session *s)
{
	json_t *k = json_object();

	if (!s->image.path) {
		json_decref(k);
		return json_null();
	}
	set(k, "path", text(s->image.path));
	set(k, "release", text(s->image.release));
	set(k, "version", text(s->image.version));
	set(k, "size_bytes", json_integer((json_int_t)s->image.size_bytes));
	set(k, "sha256", text(s->image.sha256));
	set(k, "signature", text(s->signature[0] ? s->signature : NULL));
	set(k, "cmdline", text(s->cmdline));
	set(k, "modules_dir", text(s->modules.dir));
	json_t *modules = json_array();
	for (size_t i = 0; i < s->modules.n; i++)
		json_array_append_new(modules, text(s->modules.v[i].name));
	set(k, "modules", modules);
	return k;
}

static json_t *engine_json(const struct session *s)
{
	json_t *e = json_object();

	set(e, "name", text(s->engine->name));
	set(e, "accel", text(accel_name(s->accel.accel)));
	set(e, "accel_why", text(s->accel.why));
	set(e, "uri", text(s->facts.uri));
	set(e, "hypervisor", text(s->facts.hypervisor));
	set(e, "library", text(s->facts.library));
	set(e, "machine", text(s->facts.machine));
	set(e, "cpu", text(s->facts.cpu));
	set(e, "memory_mib", json_integer(s->trial.memory_mib));
	set(e, "vcpus", json_integer(s->trial.vcpus));
	return e;
}

static json_t *reproducers_json(const struct reproducers *repros)
{
	json_t *all = json_array();

	for (size_t i = 0; i < repros->n; i++) {
		const struct reproducer *r = &repros->v[i];
		json_t *o = json_object();

		set(o, "name", text(r->name));
		set(o, "needs", text(repro_needs_name(r->needs)));
		set(o, "duration_ms", json_integer(r->duration_ms));
		set(o, "bundled", json_boolean(r->bundled));
		set(o, "path", text(r->path));
		set(o, "sha256", r->sha256[0] ? text(r->sha256) : json_null());
		json_array_append_new(all, o);
	}
	return all;
}

static json_t *limits_json(const struct trial_limits *l)
{
	json_t *o = json_object();

	set(o, "boot_ms", json_integer(l->boot_ms));
	set(o, "detector_ms", json_integer(l->detector_ms));
	set(o, "stuck_ms", json_integer(l->stuck_ms));
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
		json_array_append_new(command, text(p));
	return command;
}

json_t *run_json_new(const struct session *session, unsigned runs, unsigned jobs)
{
	json_t *run = json_object();

	set(run, "kvmrepro", text(KVMREPRO_VERSION));
	set(run, "command", command_json());
	cleanup_free char *cwd = realpath(".", NULL);
	set(run, "cwd", text(cwd));
	set(run, "started", now());
	set(run, "finished", json_null());
	set(run, "runs", json_integer(runs));
	set(run, "jobs", json_integer(jobs));
	set(run, "kernel", kernel_json(session));
	set(run, "engine", engine_json(session));
	set(run, "limits", limits_json(&session->trial.limits));
	set(run, "reproducers", reproducers_json(&session->repros));
	set(run, "trials", json_array());
	set(run, "families", json_array());
	set(run, "interrupted", json_null());
	set(run, "verdict", json_null());
	set(run, "exit_status", json_null());
	return run;
}

static json_t *report_json(const struct trial_result *r)
{
	json_t *o = json_object(), *alt = json_array();

	for (size_t i = 0; i < r->n_alt; i++)
		json_array_append_new(alt, text(r->alt[i]));
	set(o, "type", text(r->type));
	set(o, "alt", alt);
	set(o, "frame", text(r->frame));
	set(o, "executor", text(r->executor));
	set(o, "corrupted", text(r->corrupted_why));
	set(o, "panicked", json_boolean(r->panicked));
	cleanup_free char *begin = xstrndup(r->report, REPORT_BYTES);
	set(o, "text", text(begin));
	return o;
}

static json_t *guest_json(const struct trial_result *r)
{
	json_t *o = json_object();

	set(o, "release", text(r->release));
	set(o, "version", text(r->version));
	set(o, "cpu_vendor", text(r->vendor));
	set(o, "cpu_features", text(r->features));
	set(o, "nested", text(r->nested));
	set(o, "kvm", text(r->kvm));
	return o;
}

static json_t *results_json(const struct trial_result *r, const struct reproducers *repros)
{
	json_t *all = json_array();

	for (size_t i = 0; i < r->n_repros; i++) {
		const struct repro_result *p = &r->repros[i];
		bool coded = p->end == REPRO_EXIT || p->end == REPRO_SIGNAL;
		json_t *o = json_object();

		set(o, "name", text(repros->v[i].name));
		set(o, "end", text(repro_end_name(p->end)));
		set(o, "code", coded ? json_integer(p->code) : json_null());
		set(o, "ms", json_integer(p->ms));
		set(o, "why", text(p->why));
		set(o, "output_bytes", json_integer((json_int_t)p->output.len));
		set(o, "dropped_bytes", json_integer((json_int_t)p->dropped_bytes));
		json_array_append_new(all, o);
	}
	return all;
}

void run_json_add_trial(json_t *run, const struct trial_result *result,
			const struct reproducers *repros)
{
	json_t *t = json_object(), *trials = json_object_get(run, "trials");
	cleanup_buf struct buf outcome = BUF_INIT;
	size_t at = json_array_size(trials);

	outcome_text(&result->outcome, &outcome);
	set(t, "number", json_integer(result->number));
	set(t, "outcome", text(outcome.data));
	set(t, "kind", text(outcome_name(result->outcome.kind)));
	set(t, "title", text(result->outcome.title));
	set(t, "hit", json_boolean(result->hit));
	set(t, "began", text(result->from_state ? "state" : "boot"));
	set(t, "boot_console", text(result->from_state ? "boot/console.log.gz" : NULL));
	set(t, "report", result->crash ? report_json(result) : json_null());
	json_t *ignored = json_array();
	for (size_t i = 0; i < result->n_ignored; i++)
		json_array_append_new(ignored, text(result->ignored[i]));
	set(t, "ignored", ignored);
	set(t, "guest", guest_json(result));
	set(t, "hello_ms", number_or_null(result->hello_ms));
	set(t, "ready_ms", number_or_null(result->ready_ms));
	set(t, "end_ms", number_or_null(result->end_ms));
	set(t, "teardown_ms", json_integer(result->teardown_ms));
	set(t, "crash_end_ms", result->crash ? json_integer(result->crash_end_ms) : json_null());
	set(t, "console_bytes", json_integer((json_int_t)result->console_bytes));
	set(t, "agent_noise_lines", json_integer((json_int_t)result->agent_noise));
	set(t, "seed", text(result->seed[0] ? result->seed : NULL));
	set(t, "reproducers", results_json(result, repros));
	while (at > 0 && json_integer_value(json_object_get(json_array_get(trials, at - 1),
							    "number")) > result->number)
		at--;
	json_array_insert_new(trials, at, t);
}

static json_t *tally_json(const struct tally *tally)
{
	json_t *o = json_object();

	set(o, "runs", json_integer((json_int_t)tally->runs));
	set(o, "clean", json_integer((json_int_t)tally->clean));
	set(o, "hits", json_integer((json_int_t)tally->hits));
	set(o, "others", json_integer((json_int_t)tally->others));
	set(o, "possible", json_integer((json_int_t)tally->possible));
	set(o, "boot", json_integer((json_int_t)tally->boot));
	set(o, "infra", json_integer((json_int_t)tally->infra));
	return o;
}

static json_t *family_json(const struct family *family)
{
	json_t *all = json_array();

	for (size_t i = 0; i < family->n; i++) {
		const struct family_member *m = &family->v[i];
		json_t *o = json_object();

		set(o, "title", text(m->title));
		set(o, "kin", text(kinship_name(m->kin)));
		set(o, "type", text(m->type));
		set(o, "stack", text(m->stack));
		set(o, "known", json_boolean(m->known));
		set(o, "seen", json_integer((json_int_t)m->seen));
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

		set(trial, "hit", json_boolean(matches[number] == MATCH_TARGET));
		set(trial, "match", text(words[matches[number]]));
	}
	set(run, "families", family_json(family));
}

static json_t *policy_json(const struct policy *p)
{
	json_t *o = json_object();

	set(o, "name", text(policy_names[p->kind]));
	set(o, "alpha", json_real(p->alpha));
	set(o, "rate", json_real(p->rate));
	set(o, "min_hits", json_integer((json_int_t)p->min_hits));
	set(o, "known_hits", json_integer((json_int_t)p->known_hits));
	set(o, "known_runs", json_integer((json_int_t)p->known_runs));
	return o;
}

void run_json_set_verdict(json_t *run, const struct policy *policy, const struct tally *tally,
			  const struct decision *decision)
{
	cleanup_buf struct buf reason = BUF_INIT;
	json_t *o = json_object();

	verdict_reason(policy, tally, decision, &reason);
	set(o, "verdict", text(verdict_name(decision->verdict)));
	set(o, "reason", text(reason.data));
	set(o, "policy", policy_json(policy));
	set(o, "hidden", json_real(decision->hidden));
	set(o, "more_clean", json_integer((json_int_t)decision->more_clean));
	set(o, "tally", tally_json(tally));
	set(run, "verdict", o);
	set(run, "exit_status", json_integer(verdict_exit_status(decision->verdict)));
	set(run, "finished", now());
}

void run_json_set_interrupted(json_t *run, int signal_number)
{
	set(run, "interrupted", json_integer(signal_number));
	set(run, "exit_status", json_integer(128 + signal_number));
	set(run, "finished", now());
}
