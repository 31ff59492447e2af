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

/* *astray is set if the log's bisection went astray. */
static int audit_one(const struct read_bisection *question, bool headed, bool *astray,
		     struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT, safe = BUF_INIT;

	if (read_bisection(question, &text, astray, err))
		return -1;
	if (headed)
		buf_addf(&safe, "%s:\n", question->path);
	buf_add_escaped(&safe, text.data, text.len);
	fputs(safe.data, stdout);
	return 0;
}

static int audit_main(const void *opts, int argc, char **argv, struct err *err)
{
	const struct audit_options *o = opts;
	struct read_bisection question = {
		.policy = trial_opts_policy(&o->trials),
		.expect = o->expect.items,
		.n_expect = o->expect.n,
		.json = !strcmp(o->format, "json"),
	};
	struct filter expect;
	bool astray = false;

	if (!argc)
		return err_set(err, ERR_INPUT, "audit: no log is named");
	int rc = filter_init(o->expect.items, o->expect.n, NULL, 0, &expect, err);
	filter_free(&expect);
	for (int i = 0; !rc && i < argc; i++) {
		question.path = strcmp(argv[i], "-") ? argv[i] : "/dev/stdin";
		if (i && !question.json)
			putchar('\n');
		rc = audit_one(&question, argc > 1 && !question.json, &astray, err);
	}
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
