/* What an audit is told in; see audit_report.h. */
#include "audit_report.h"

#include "base/cleanup.h"
#include "report/json.h"
#include "report/run_json.h"

#include <string.h>

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

int audit_report_json(const char *path, const struct bisect_log *log, const struct audit *audit,
		      struct buf *out, struct err *err)
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
	buf_adds(out, line);
	buf_addc(out, '\n');
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

static void add_target(const char *const *expect, size_t n_expect, const struct bisect_log *log,
		       const struct audit *audit, struct buf *out)
{
	const struct family *family = &audit->family;

	buf_adds(out, "target:");
	for (size_t i = 0; i < n_expect; i++)
		buf_addf(out, "%s %s", i ? " or" : "", expect[i]);
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

void audit_report_text(const char *const *expect, size_t n_expect, const struct bisect_log *log,
		       const struct audit *audit, struct buf *out)
{
	add_target(expect, n_expect, log, audit, out);
	add_rows(log, audit, out);
	add_end(log, audit, out);
}

void audit_report_prepare(void)
{
	/* Jansson opens /dev/urandom for its first object. */
	json_object_seed(0);
}
