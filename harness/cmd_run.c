/* kvmrepro run: N trials of one kernel, the outcomes in the seeds' lines, one exit status. */
#include "cmd.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "judge.h"
#include "trial_opts.h"

#include <string.h>

struct run_options {
	struct trial_options trials;
	const char *kernel, *vmlinux, *out, *state, *format;
	long runs;
	bool stop_early;
};

#define FIELD(name) offsetof(struct run_options, name)

static const char *const formats[] = { "text", "json", NULL };

static const struct opt run_opts[] = {
	{ "kernel", OPT_STRING, FIELD(kernel), "FILE", 0, 0, NULL, NULL,
	  "the kernel: a bzImage, or a distribution's vmlinuz" },
	{ "runs", OPT_NUMBER, FIELD(runs), "N", 1, 100000, NULL, "10", "how many trials" },
	{ "stop-early", OPT_FLAG, FIELD(stop_early), NULL, 0, 0, NULL, NULL,
	  "end as soon as the verdict is decided, and make no further trials" },
	TRIAL_OPTS(struct run_options, "any crash"),
	BOOT_OPTS(struct run_options, "each"),
	POLICY_OPTS(struct run_options),
	{ "vmlinux", OPT_STRING, FIELD(vmlinux), "FILE", 0, 0, NULL, NULL,
	  "the kernel with debug information: add source lines and inlined functions to reports" },
	{ "out", OPT_STRING, FIELD(out), "DIR", 0, 0, NULL, NULL,
	  "where the evidence is kept [a new directory under $XDG_STATE_HOME/kvmrepro/runs]" },
	{ "state", OPT_STRING, FIELD(state), "FILE", 0, 0, NULL, NULL,
	  "where what was learnt is kept for what is run next; a kernel that was judged is not "
	  "run again" },
	{ "format", OPT_CHOICE, FIELD(format), "WHICH", 0, 0, formats, "text",
	  "what standard output gets; json is run.json" },
	{ 0 },
};

static void print_result(const struct judgement *j, const char *format)
{
	cleanup_buf struct buf text = BUF_INIT;

	if (!strcmp(format, "json")) {
		json_dumpf(j->json, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		judgement_lines(j, &text);
		fputs(text.data, stdout);
	}
	fflush(stdout);
}

static int run_main(const void *opts, int argc, char **argv, struct err *err)
{
	const struct run_options *o = opts;
	struct judge_kernel kernel = {
		.session = trial_opts_session(&o->trials, o->kernel),
		.policy = trial_opts_policy(&o->trials),
		.out = o->out,
	};
	cleanup_buf struct buf diag = BUF_INIT;
	const struct judge_options jo = {
		.runs = (unsigned)o->runs,
		.jobs = (unsigned)o->trials.jobs,
		.enough = o->stop_early ? judge_enough : NULL,
		.diag = &diag,
	};
	struct judgement j;

	if (argc)
		return err_set(err, ERR_INPUT, "run: '%s' is not expected; all is said by options",
			       argv[0]);
	if (trial_opts_check(&o->trials, o->runs, err))
		return -1;
	if (o->trials.verbose)
		log_level = LOG_VERBOSE;
	kernel.session.vmlinux = o->vmlinux;
	if (o->state && state_open(o->state, &kernel.state, err))
		return -1;
	int rc = judge_kernels(&jo, &kernel, 1, &j, err);
	int status = rc ? -1 : verdict_exit_status(j.decision.verdict);
	fwrite(diag.data, 1, diag.len, stderr);
	if (!rc || (j.json && err->kind == ERR_INTERRUPTED))
		print_result(&j, o->format);
	if (!rc)
		judgement_tell(&j);
	else if (j.json && err->kind == ERR_INTERRUPTED)
		log_info("interrupted; evidence so far: %s", j.dir);
	judgement_free(&j);
	state_close(kernel.state);
	return status;
}

const struct cmd cmd_run = {
	.name = "run",
	.operands = "",
	.summary = "Boot a kernel, run reproducers in it, N times, and say what came of it.",
	.opts = run_opts,
	.opts_bytes = sizeof(struct run_options),
	.run = run_main,
};
