/* kvmrepro check: is it fixed? Trials of two kernels in turn, both rates, one sentence. */
#include "cmd.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "compare.h"
#include "judge.h"
#include "report/check_json.h"
#include "report/store.h"
#include "trial_opts.h"

#include <string.h>

enum side {
	BASE,
	KERNEL,
	SIDES
};

struct check_options {
	struct trial_options trials;
	const char *base, *kernel, *out, *state, *format;
	long runs;
};

#define FIELD(name) offsetof(struct check_options, name)

static const char *const formats[] = { "text", "json", NULL };
static const char *const labels[] = { [BASE] = "base", [KERNEL] = "kernel" };

static const struct opt check_opts[] = {
	{ "base", OPT_STRING, FIELD(base), "FILE", 0, 0, NULL, NULL,
	  "the kernel that has the bug: a bzImage, or a distribution's vmlinuz" },
	{ "kernel", OPT_STRING, FIELD(kernel), "FILE", 0, 0, NULL, NULL,
	  "the kernel that may have it no more" },
	{ "runs", OPT_NUMBER, FIELD(runs), "N", 1, 100000, NULL, "30",
	  "how many trials of each kernel at most" },
	TRIAL_OPTS(struct check_options, "what the base crashes in"),
	BOOT_OPTS(struct check_options, "once"),
	{ "out", OPT_STRING, FIELD(out), "DIR", 0, 0, NULL, NULL,
	  "where the evidence is kept [a new directory under $XDG_STATE_HOME/kvmrepro/runs]" },
	{ "state", OPT_STRING, FIELD(state), "FILE", 0, 0, NULL, NULL,
	  "where what was learnt is kept for what is run next; a kernel that was judged is not "
	  "run again" },
	{ "format", OPT_CHOICE, FIELD(format), "WHICH", 0, 0, formats, "text",
	  "what standard output gets; json is check.json" },
	{ 0 },
};

static bool decided(void *opaque, const struct judgement *j, size_t n)
{
	const struct policy *policy = opaque;
	struct decision all, settled;

	(void)n;
	compare_decide(policy, &j[BASE].tally, &j[KERNEL].tally, &all);
	compare_decide(policy, &j[BASE].settled, &j[KERNEL].settled, &settled);
	if (all.verdict == VERDICT_BAD)
		return true;
	return all.verdict == VERDICT_GOOD && settled.verdict == VERDICT_GOOD;
}

/* "base: crashed in 4 of 4 conclusive runs: 100 % (95 % interval 51 to 100 %)" */
static void print_side(const struct judgement *j, const char *path)
{
	const struct tally *t = &j->tally;
	size_t conclusive = t->hits + t->clean;
	cleanup_buf struct buf safe = BUF_INIT;
	double low, high;

	compare_interval(t->hits, conclusive, &low, &high);
	buf_add_escaped(&safe, path ? path : "", path ? strlen(path) : 0);
	printf("%s%s%s: crashed in %zu of %zu conclusive runs", j->label, path ? " " : "",
	       safe.data, t->hits, conclusive);
	if (conclusive)
		printf(": %.3g %% (95 %% interval %.2g to %.3g %%)",
		       100.0 * (double)t->hits / (double)conclusive, 100 * low, 100 * high);
	if (t->others)
		printf("; %zu crashed otherwise", t->others);
	if (t->possible)
		printf("; %zu may be the crash", t->possible);
	if (t->boot)
		printf("; %zu did not boot or pass the canary", t->boot);
	if (t->infra)
		printf("; %zu had an infra problem", t->infra);
	putchar('\n');
}

/* Print and keep the answer; its exit status, or -1. */
static int answer(const struct check_options *o, const struct policy *policy,
		  const struct judgement j[SIDES], const char *dir, struct err *err)
{
	const char *const paths[] = { [BASE] = o->base, [KERNEL] = o->kernel };
	cleanup_free char *path = xasprintf("%s/check.json", dir);
	cleanup_buf struct buf sentence = BUF_INIT;
	struct decision d;

	compare_decide(policy, &j[BASE].tally, &j[KERNEL].tally, &d);
	compare_sentence(policy, &j[BASE].tally, &j[KERNEL].tally, &d, &sentence);
	json_t *json = check_json_new(j, paths, &d, sentence.data);
	cleanup_free char *text = json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	if (!text)
		return err_set(err, ERR_HARNESS, "%s: cannot be made into JSON", path);
	cleanup_free char *line = xasprintf("%s\n", text);
	if (fs_write(path, line, strlen(line), err))
		return -1;
	if (!strcmp(o->format, "json")) {
		fputs(line, stdout);
	} else {
		print_side(&j[BASE], o->base);
		print_side(&j[KERNEL], o->kernel);
		puts(sentence.data);
	}
	fflush(stdout);
	judgement_tell_families(&j[BASE]);
	judgement_tell_families(&j[KERNEL]);
	log_info("evidence: %s", dir);
	return verdict_exit_status(d.verdict);
}

/* The two kernels, each with a directory of its own under dir; own gets what they borrow. */
static void set_sides(const struct check_options *o, const char *dir, struct state *state,
		      struct judge_kernel kernels[SIDES], char *own[2 * SIDES])
{
	const char *const paths[] = { [BASE] = o->base, [KERNEL] = o->kernel };
	bool replay = !strncmp(o->trials.engine, "replay:", 7);

	for (int i = 0; i < SIDES; i++) {
		char *out = own[2 * i] = xasprintf("%s/%s", dir, labels[i]);
		char *engine = own[2 * i + 1] = xasprintf(
			"%s%s%s", o->trials.engine, replay ? "/" : "", replay ? labels[i] : "");

		kernels[i] = (struct judge_kernel){
			.session = trial_opts_session(&o->trials, paths[i]),
			.policy = trial_opts_policy(&o->trials),
			.label = labels[i],
			.out = out,
			.state = state,
		};
		kernels[i].session.engine = engine;
	}
}

static int check(const struct check_options *o, const char *dir, struct state *state,
		 struct err *err)
{
	struct policy policy = trial_opts_policy(&o->trials);
	struct judge_kernel kernels[SIDES];
	struct judgement j[SIDES];
	char *own[2 * SIDES];
	cleanup_buf struct buf diag = BUF_INIT;
	const struct judge_options jo = {
		.runs = (unsigned)o->runs,
		.jobs = (unsigned)o->trials.jobs,
		.enough = decided,
		.opaque = &policy,
		.follow = true,
		.diag = &diag,
	};

	set_sides(o, dir, state, kernels, own);
	int rc = judge_kernels(&jo, kernels, SIDES, j, err);
	fwrite(diag.data, 1, diag.len, stderr);
	if (rc && j[KERNEL].json && err->kind == ERR_INTERRUPTED)
		log_info("interrupted; evidence so far: %s", dir);
	else if (rc)
		rmdir(dir); /* which is empty if no run was begun */
	int status = rc ? -1 : answer(o, &policy, j, dir, err);
	for (int i = 0; i < SIDES; i++)
		judgement_free(&j[i]);
	for (int i = 0; i < 2 * SIDES; i++)
		free(own[i]);
	return status;
}

static int check_main(const void *opts, int argc, char **argv, struct err *err)
{
	const struct check_options *o = opts;
	bool replay = !strncmp(o->trials.engine, "replay:", 7);

	if (argc)
		return err_set(err, ERR_INPUT,
			       "check: '%s' is not expected; all is said by options", argv[0]);
	if (!replay && (!o->base || !o->kernel))
		return err_set(err, ERR_INPUT, "no %s: --%s FILE is needed",
			       o->base ? "kernel to check" : "base", o->base ? "kernel" : "base");
	if (o->trials.verbose)
		log_level = LOG_VERBOSE;
	struct state *state = NULL;
	if (o->state && state_open(o->state, &state, err))
		return -1;
	cleanup_free char *dir = store_path(o->out, err);
	int status = dir ? check(o, dir, state, err) : -1;
	state_close(state);
	return status;
}

const struct cmd cmd_check = {
	.name = "check",
	.operands = "",
	.summary = "Compare two kernels, one with the bug: is it fixed in the other?",
	.opts = check_opts,
	.opts_bytes = sizeof(struct check_options),
	.run = check_main,
};
