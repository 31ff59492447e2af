/* kvmrepro audit: what a policy says of the revisions of a bisection that has been made. */
#include "cmd.h"

#include "base/buf.h"
#include "filter.h"
#include "readers.h"
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

struct auditing {
	struct read_bisection question;
	bool headed; /* each log's name goes before what is said of it */
	bool begun;  /* something was printed */
	bool astray; /* one log's bisection went astray */
};

static int audit_one(void *opaque, const char *operand, struct err *err)
{
	struct auditing *a = opaque;
	cleanup_buf struct buf text = BUF_INIT, safe = BUF_INIT;

	a->question.path = strcmp(operand, "-") ? operand : "/dev/stdin";
	if (read_bisection(&a->question, &text, &a->astray, err))
		return -1;
	if (a->headed)
		buf_addf(&safe, "%s%s:\n", a->begun ? "\n" : "", a->question.path);
	buf_add_escaped(&safe, text.data, text.len);
	fputs(safe.data, stdout);
	a->begun = true;
	return 0;
}

static int audit_main(const void *opts, int argc, char **argv, struct err *err)
{
	const struct audit_options *o = opts;
	struct auditing a = {
		.question = {
			.policy = trial_opts_policy(&o->trials),
			.expect = o->expect.items,
			.n_expect = o->expect.n,
			.json = !strcmp(o->format, "json"),
		},
	};
	struct filter expect;

	if (!argc)
		return err_set(err, ERR_INPUT, "audit: no log is named");
	int rc = filter_init(o->expect.items, o->expect.n, NULL, 0, &expect, err);
	filter_free(&expect);
	if (rc)
		return -1;
	a.headed = argc > 1 && !a.question.json;
	return cmd_each(argc, argv, audit_one, &a, err) ? -1 : a.astray;
}

const struct cmd cmd_audit = {
	.name = "audit",
	.operands = "LOG...",
	.summary = "Show what the decisions in syzbot's bisection logs were worth.",
	.opts = audit_opts,
	.opts_bytes = sizeof(struct audit_options),
	.run = audit_main,
};
