/* kvmrepro audit: what a policy says of the revisions of a bisection that has been made. */
#include "cmd.h"

#include "audit.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "report/json.h"
#include "report/run_json.h"
#include "trial_opts.h"

#include <string.h>

struct audit_options {
	struct trial_options trials; /* what makes the policy, of them */
	const char *format;
	struct opt_list expect;
};

#define FIELD(name) offsetof(struct audit_options, name)

static const char *const formats[] = { "text", "json", NULL };

static const struct opt audit_opts[] = {
	{ "expect", OPT_LIST, FIELD(expect), "TITLE", 0, 0, NULL, NULL,
	  "the crash that was looked for, or /PCRE/; may be given more than once [the one that "
	  "most runs of the first revision ended in]" },
	POLICY_OPTS(struct audit_options),
	ALPHA_OPT(struct audit_options),
	{ "format", OPT_CHOICE, FIELD(format), "WHICH", 0, 0, formats, "text",
	  "what standard output gets; json is one object a log, in a line of its own" },
	{ 0 },
};

static json_t *number(size_t n)
{
	return json_integer((json_int_t)n);
}

static void reason_of(const struct audit *audit, const struct bisect_revision *r,
		      const struct audit_revision *a, struct buf *out)
{
	if (a->judged)
		verdict_reason(&audit->policy, &a->tally, &a->decision, out);
	else if (r->build_failure)
		buf_adds(out, "it was not built");
	else
		buf_adds(out, "the log shows no runs of it");
}

static json_t *revision_json(const struct bisect_log *log, const struct audit *audit, size_t i)
{
	const struct bisect_revision *r = &log->revisions[i];
	const struct audit_revision *a = &audit->revisions[i];
	cleanup_buf struct buf reason = BUF_INIT;
	json_t *o = json_object();

	reason_of(audit, r, a, &reason);
	json_put(o, "hash", json_text(r->hash));
	json_put(o, "name", json_text(r->name));
	json_put(o, "subject", json_text(r->subject));
	json_put(o, "line", number(r->line));
	json_put(o, "compiler", json_text(r->compiler));
	json_put(o, "signature", json_text(r->signature));
	json_put(o, "log", r->word ? json_text(bisect_word_name(r->word)) : json_null());
	json_put(o, "log_line", r->word_line ? number(r->word_line) : json_null());
	json_put(o, "verdict",
		 a->judged ? json_text(verdict_name(a->decision.verdict)) : json_null());
	json_put(o, "reason", json_text(reason.data));
	json_put(o, "hidden", a->judged ? json_real(a->decision.hidden) : json_null());
	json_put(o, "tally", a->judged ? run_json_tally(&a->tally) : json_null());
	json_put(o, "finding", json_text(audit_finding_name(a->finding)));
	json_put(o, "off_path", json_boolean(a->off_path));
	return o;
}

static json_t *family_json(const struct bisect_log *log, const struct audit *audit)
{
	json_t *list = json_array();

	for (size_t i = 0; i < audit->family.n; i++) {
		json_t *o = json_object();

		json_put(o, "title", json_text(audit->family.v[i].title));
		json_put(o, "kin", json_text(kinship_name(audit->family.v[i].kin)));
		json_put(o, "since", json_text(log->revisions[audit->since[i]].hash));
		json_array_append_new(list, o);
	}
	return list;
}

static int print_json(const char *path, const struct bisect_log *log, const struct audit *audit,
		      struct err *err)
{
	json_t *o = json_object(), *revisions = json_array(), *strays = json_array();

	for (size_t i = 0; i < log->n_revisions; i++)
		json_array_append_new(revisions, revision_json(log, audit, i));
	for (size_t i = 0; i < log->n_strays; i++) {
		json_t *s = json_object();

		json_put(s, "line", number(log->strays[i].line));
		json_put(s, "text", json_text(log->strays[i].text));
		json_put(s, "why", json_text(log->strays[i].why));
		json_array_append_new(strays, s);
	}
	json_put(o, "file", json_text(path));
	json_put(o, "search", json_text(log->fix ? "fix" : "cause"));
	json_put(o, "policy", json_text(policy_names[audit->policy.kind]));
	json_put(o, "target", json_text(audit->target));
	json_put(o, "family", family_json(log, audit));
	json_put(o, "assumed_runs",
		 audit->assumed_runs ? number(audit->assumed_runs) : json_null());
	json_put(o, "revisions", revisions);
	json_put(o, "astray",
		 audit->astray < log->n_revisions ? json_text(log->revisions[audit->astray].hash)
						  : json_null());
	json_put(o, "culprit", json_text(log->culprit));
	json_put(o, "unknown_lines", strays);
	cleanup_free char *line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!line)
		return err_set(err, ERR_HARNESS, "%s: cannot be made into JSON", path);
	puts(line);
	return 0;
}

static bool counts(const struct family *family, const struct outcome *outcome)
{
	enum kinship kin = family_kin(family, outcome);

	return kin == KIN_TARGET || kin == KIN_ALIAS || kin == KIN_RENAMED;
}

/* The first crash of a revision that is not the target: why it was called bad. */
static const char *other_crash(const struct bisect_revision *r, const struct family *family)
{
	for (size_t i = 0; i < r->n_runs; i++)
		if (r->runs[i].outcome.kind == OUTCOME_CRASHED && !r->runs[i].ignored &&
		    !counts(family, &r->runs[i].outcome))
			return r->runs[i].outcome.title;
	return NULL;
}

static void add_target(const struct audit_options *o, const struct bisect_log *log,
		       const struct audit *audit, struct buf *out)
{
	const struct family *family = &audit->family;

	buf_adds(out, "target:");
	for (size_t i = 0; i < o->expect.n; i++)
		buf_addf(out, "%s %s", i ? " or" : "", o->expect.items[i]);
	if (audit->target)
		buf_addf(out, " %s", audit->target);
	buf_addf(out, " (%zu of %zu runs of %.12s)\n", audit->revisions[0].tally.hits,
		 audit->revisions[0].tally.runs, log->revisions[0].hash);
	for (size_t i = 0; i < family->n; i++)
		if (family->v[i].kin != KIN_TARGET)
			buf_addf(out, "%s: %s (beside the target at %.12s)\n",
				 kinship_name(family->v[i].kin), family->v[i].title,
				 log->revisions[audit->since[i]].hash);
	if (audit->assumed_runs)
		buf_addf(out, "\"all runs\" is taken for %zu\n", audit->assumed_runs);
}

static void add_rows(const struct bisect_log *log, const struct audit *audit, struct buf *out)
{
	buf_addf(out, "%-14s%-6s%-7s%-10s%s\n", "revision", "log", policy_names[audit->policy.kind],
		 "", "why");
	for (size_t i = 0; i < log->n_revisions; i++) {
		const struct bisect_revision *r = &log->revisions[i];
		const struct audit_revision *a = &audit->revisions[i];

		buf_addf(out, "%-14.12s%-6s%-7s%-10s", r->hash, bisect_word_name(r->word),
			 a->judged ? verdict_name(a->decision.verdict) : "-",
			 audit_finding_name(a->finding));
		reason_of(audit, r, a, out);
		if (r->name)
			buf_addf(out, " [%s]", r->name);
		buf_addc(out, '\n');
		if (i == audit->astray && i + 1 < log->n_revisions)
			buf_adds(out, "(off the path from here on)\n");
	}
}

/* What it comes to: where the bisection left its path, and what its culprit is worth. */
static void add_end(const struct bisect_log *log, const struct audit *audit, struct buf *out)
{
	size_t at = audit->astray;

	if (at == log->n_revisions) {
		buf_adds(out, "path: kept");
	} else {
		const struct bisect_revision *r = &log->revisions[at];
		const char *other = other_crash(r, &audit->family);

		buf_addf(out, "path: left at %.12s, called %s ", r->hash,
			 bisect_word_name(r->word));
		if (r->word_line)
			buf_addf(out, "in line %zu ", r->word_line);
		if (r->word == BISECT_GOOD)
			buf_adds(out, "though a run shows the target");
		else if (other)
			buf_addf(out, "with no run that shows the target, for: %s", other);
		else
			buf_adds(out, "with no run that shows the target");
	}
	buf_addc(out, '\n');
	if (log->culprit)
		buf_addf(out, "culprit: %.12s%s%s%s\n", log->culprit,
			 log->culprit_subject && *log->culprit_subject ? " " : "",
			 log->culprit_subject ? log->culprit_subject : "",
			 at < log->n_revisions ? " (found off the path: no evidence for it)" : "");
	else
		buf_adds(out, "culprit: none was found\n");
	for (size_t i = 0; i < log->n_strays; i++)
		buf_addf(out, "line %zu: %s: %s\n", log->strays[i].line, log->strays[i].why,
			 log->strays[i].text);
}

static void print_text(const struct audit_options *o, const char *path,
		       const struct bisect_log *log, const struct audit *audit, bool headed)
{
	cleanup_buf struct buf all = BUF_INIT, safe = BUF_INIT;

	if (headed)
		buf_addf(&all, "%s:\n", path);
	add_target(o, log, audit, &all);
	add_rows(log, audit, &all);
	add_end(log, audit, &all);
	buf_add_escaped(&safe, all.data, all.len);
	fputs(safe.data, stdout);
}

/* *astray is set if the log's bisection went astray. */
static int audit_one(const struct audit_options *o, const char *path, const struct filter *expect,
		     const struct policy *policy, bool headed, bool *astray, struct err *err)
{
	cleanup_buf struct buf bytes = BUF_INIT;
	struct bisect_log log;
	struct audit audit;
	int rc = 0;

	if (fs_read(path, BISECT_LOG_BYTES, &bytes, ERR_INPUT, err))
		return -1;
	if (bisect_log_parse(bytes.data, bytes.len, &log, err))
		return err_context(err, "%s", path);
	if (audit_log(&log, expect, policy, &audit, err)) {
		bisect_log_free(&log);
		return err_context(err, "%s", path);
	}
	if (!strcmp(o->format, "json"))
		rc = print_json(path, &log, &audit, err);
	else
		print_text(o, path, &log, &audit, headed);
	*astray |= audit.astray < log.n_revisions;
	audit_free(&audit);
	bisect_log_free(&log);
	return rc;
}

static int audit_main(const void *opts, int argc, char **argv, struct err *err)
{
	const struct audit_options *o = opts;
	const struct policy policy = trial_opts_policy(&o->trials);
	struct filter expect;
	bool astray = false;

	if (!argc)
		return err_set(err, ERR_INPUT, "audit: no log is named");
	int rc = filter_init(o->expect.items, o->expect.n, NULL, 0, &expect, err);
	for (int i = 0; !rc && i < argc; i++) {
		if (i && strcmp(o->format, "json"))
			putchar('\n');
		rc = audit_one(o, argv[i], &expect, &policy, argc > 1, &astray, err);
	}
	filter_free(&expect);
	return rc ? rc : astray;
}

const struct cmd cmd_audit = {
	.name = "audit",
	.operands = "LOG...",
	.summary = "Show what the decisions in syzbot's bisection logs were worth.",
	.opts = audit_opts,
	.opts_bytes = sizeof(struct audit_options),
	.run = audit_main,
};
