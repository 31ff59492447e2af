/* kvmrepro run: N trials of one kernel, the outcomes in the seeds' lines, one exit status. */
#include "cmd.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "interrupt.h"
#include "plan.h"
#include "report/run_json.h"
#include "report/store.h"
#include "session.h"
#include "verdict.h"

#include <sched.h>
#include <string.h>

struct run_options {
	const char *kernel, *modules, *vmlinux, *append, *engine, *accel, *connect, *out, *format,
		*policy;
	struct opt_list repros, expect, ignore;
	long runs, jobs, duration, boot_timeout, memory, smp, min_hits;
	double alpha, rate;
	bool verbose;
};

#define FIELD(name) offsetof(struct run_options, name)

static const char *const accels[] = { "auto", "kvm", "tcg", NULL };
static const char *const formats[] = { "text", "json", NULL };

static const struct opt run_opts[] = {
	{ "kernel", OPT_STRING, FIELD(kernel), "FILE", 0, 0, NULL, NULL,
	  "the kernel: a bzImage, or a distribution's vmlinuz" },
	{ "runs", OPT_NUMBER, FIELD(runs), "N", 1, 100000, NULL, "10",
	  "how many trials, each a fresh boot" },
	{ "repro", OPT_LIST, FIELD(repros), "WHAT", 0, 0, NULL, NULL,
	  "a reproducer: a bundled name ('kvmrepro repro list'), a .c file, or a static ELF "
	  "program; may be given more than once [all bundled ones that the guest's CPU can run]" },
	{ "expect", OPT_LIST, FIELD(expect), "TITLE", 0, 0, NULL, NULL,
	  "the crash that is looked for, or /PCRE/: others do not make the kernel bad; may be "
	  "given "
	  "more than once [any crash]" },
	{ "ignore", OPT_LIST, FIELD(ignore), "TITLE", 0, 0, NULL, NULL,
	  "such a crash is no crash; as for --expect" },
	{ "policy", OPT_CHOICE, FIELD(policy), "WHICH", 0, 0, policy_names, "bayes",
	  "how outcomes become a verdict (docs/policies.md)" },
	{ "alpha", OPT_SHARE, FIELD(alpha), "CHANCE", 0, 0, NULL, "0.01",
	  "bayes: good is a kernel where the crash hid with no greater chance" },
	{ "rate", OPT_SHARE, FIELD(rate), "SHARE", 0, 0, NULL, "0.5",
	  "bayes: in what share of the runs a kernel with the bug crashes, if that is not known" },
	{ "min-hits", OPT_NUMBER, FIELD(min_hits), "N", 1, 100000, NULL, "1",
	  "bayes: how many runs must show the crash to make the kernel bad" },
	{ "jobs", OPT_NUMBER, FIELD(jobs), "N", 1, 1024, NULL, NULL,
	  "VMs at once [as many as there are cores]" },
	{ "duration", OPT_NUMBER, FIELD(duration), "SECONDS", 1, 3600, NULL, NULL,
	  "how long a reproducer may run [its own in the catalogue; 10 for yours]" },
	{ "boot-timeout", OPT_NUMBER, FIELD(boot_timeout), "SECONDS", 1, 3600, NULL, NULL,
	  "how long a boot may take [60 with KVM, 120 with TCG, 300 with Bochs]" },
	{ "memory", OPT_NUMBER, FIELD(memory), "MIB", 64, 1048576, NULL, NULL,
	  "memory of a VM [1024; 256 with Bochs]" },
	{ "smp", OPT_NUMBER, FIELD(smp), "N", 1, 255, NULL, NULL,
	  "vCPUs of a VM [2; 1 with Bochs]" },
	{ "append", OPT_STRING, FIELD(append), "ARGS", 0, 0, NULL, NULL,
	  "more arguments for the kernel's command line" },
	{ "modules", OPT_STRING, FIELD(modules), "DIR", 0, 0, NULL, NULL,
	  "where the kernel's modules are [beside the kernel's built tree or package, else "
	  "/lib/modules, by the release in the image]" },
	{ "vmlinux", OPT_STRING, FIELD(vmlinux), "FILE", 0, 0, NULL, NULL,
	  "the kernel with debug information: add source lines and inlined functions to reports" },
	{ "accel", OPT_CHOICE, FIELD(accel), "WHICH", 0, 0, accels, "auto",
	  "what runs the guest's code" },
	{ "engine", OPT_STRING, FIELD(engine), "WHICH", 0, 0, NULL, "auto",
	  "what runs the VM: auto, libvirt, bochs, or replay:DIR (a recorded run or trial)" },
	{ "connect", OPT_STRING, FIELD(connect), "URI", 0, 0, NULL, NULL,
	  "libvirt connection, such as qemu:///system [the embedded driver]" },
	{ "out", OPT_STRING, FIELD(out), "DIR", 0, 0, NULL, NULL,
	  "where the evidence is kept [a new directory under $XDG_STATE_HOME/kvmrepro/runs]" },
	{ "format", OPT_CHOICE, FIELD(format), "WHICH", 0, 0, formats, "text",
	  "what standard output gets; json is run.json" },
	{ "verbose", OPT_FLAG, FIELD(verbose), NULL, 0, 0, NULL, NULL,
	  "show each step, and the console as it comes, on standard error" },
	{ 0 },
};

struct run {
	const struct run_options *options;
	struct session session;
	struct store store;
	json_t *json;
	unsigned runs, jobs;
	struct outcome *outcomes; /* by number; those that have ended */
	bool *ended;
	bool *told; /* by reproducer */
	struct policy policy;
	struct tally tally;
};

static unsigned count_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned)CPU_COUNT(&set);
}

/* Tell once for each reproducer that it does not run here: a clean run says nothing about it. */
static void tell_idle(struct run *run, const struct trial_result *result)
{
	for (size_t i = 0; i < result->n_repros; i++) {
		const struct repro_result *r = &result->repros[i];

		if (run->told[i] || (r->end != REPRO_SKIPPED && r->end != REPRO_UNSUPPORTED))
			continue;
		run->told[i] = true;
		log_info("not run here: %s (%s)", run->session.repros.v[i].name,
			 r->why ? r->why : "not supported by this kernel");
	}
}

static int finished(void *opaque, size_t kernel, struct trial_result *result, bool *enough,
		    struct err *err)
{
	struct run *run = opaque;
	cleanup_buf struct buf text = BUF_INIT;
	struct outcome *mine = &run->outcomes[result->number];

	(void)kernel, (void)enough;
	if (run->session.symbols && result->report) {
		char *plain = result->report;

		result->report = symbols_add(run->session.symbols, plain);
		free(plain);
	}
	run_json_add_trial(run->json, result, &run->session.repros);
	int rc = store_trial(&run->store, run->session.engine, result, &run->session.repros, err) ||
		 store_run(&run->store, run->json, err);
	tell_idle(run, result);
	outcome_text(&result->outcome, &text);
	log_info("run #%u: %s (%.1f s)", result->number, text.data, (double)result->end_ms / 1000);
	mine->kind = result->outcome.kind;
	mine->title = steal(result->outcome.title);
	run->ended[result->number] = true;
	tally_add(&run->tally, mine, result->hit ? MATCH_TARGET : MATCH_NONE);
	trial_result_free(result);
	return rc ? -1 : 0;
}

static void print_result(const struct run *run)
{
	cleanup_buf struct buf text = BUF_INIT;

	if (!strcmp(run->options->format, "json")) {
		json_dumpf(run->json, stdout, JSON_INDENT(2));
		putchar('\n');
		fflush(stdout);
		return;
	}
	if (run->tally.runs == run->runs) {
		outcomes_text(run->outcomes, run->runs, &text);
		fputs(text.data, stdout);
		fflush(stdout);
		return;
	}
	for (unsigned i = 0; i < run->runs; i++) {
		if (!run->ended[i])
			continue;
		buf_clear(&text);
		outcome_text(&run->outcomes[i], &text);
		printf("run #%u: %s\n", i, text.data);
	}
}

/* All trials, then the verdict; the exit status, or -1. */
static int make_runs(struct run *run, struct err *err)
{
	const struct plan_kernel kernel = { &run->session.trial, &run->store };
	const struct plan plan = {
		.kernels = &kernel,
		.n_kernels = 1,
		.runs = run->runs,
		.jobs = run->jobs,
		.finished = finished,
		.opaque = run,
	};
	cleanup_buf struct buf reason = BUF_INIT;
	struct decision decision;
	struct err ignored;

	if (plan_run(&plan, err)) {
		if (err->kind == ERR_INTERRUPTED) {
			run_json_set_interrupted(run->json, interrupt_signal());
			store_run(&run->store, run->json, &ignored);
			print_result(run);
			log_info("interrupted; evidence so far: %s", run->store.dir);
		}
		return -1;
	}
	verdict_decide(&run->policy, &run->tally, &decision);
	run_json_set_verdict(run->json, &run->policy, &run->tally, &decision);
	if (store_run(&run->store, run->json, err))
		return -1;
	print_result(run);
	verdict_reason(&run->policy, &run->tally, &decision, &reason);
	log_info("verdict: %s (%s)", verdict_name(decision.verdict), reason.data);
	log_info("evidence: %s", run->store.dir);
	return verdict_exit_status(decision.verdict);
}

static int prepare_and_run(struct run *run, const struct session_options *so, struct err *err)
{
	cleanup_buf struct buf diag = BUF_INIT;

	if (session_prepare(so, &run->session, &diag, err)) {
		fwrite(diag.data, 1, diag.len, stderr);
		return -1;
	}
	if (store_open(run->options->out, &run->store, err))
		return -1;
	if (session_open_engine(so, &run->session, err)) {
		store_discard(&run->store);
		return -1;
	}
	run->outcomes = xcalloc(run->runs, sizeof(*run->outcomes));
	run->ended = xcalloc(run->runs, sizeof(*run->ended));
	run->told = xcalloc(run->session.repros.n, sizeof(*run->told));
	run->json = run_json_new(&run->session, run->runs, run->jobs);
	if (store_run(&run->store, run->json, err))
		return -1;
	return make_runs(run, err);
}

static void free_run(struct run *run)
{
	session_close(&run->session);
	for (unsigned i = 0; run->outcomes && i < run->runs; i++)
		free(run->outcomes[i].title);
	free(run->outcomes);
	free(run->ended);
	free(run->told);
	json_decref(run->json);
	store_close(&run->store);
}

static int run_main(const void *opts, int argc, char **argv, struct err *err)
{
	const struct run_options *o = opts;
	const struct session_options so = {
		.kernel = o->kernel,
		.modules = o->modules,
		.vmlinux = o->vmlinux,
		.append = o->append,
		.engine = o->engine,
		.accel = o->accel,
		.connect = o->connect,
		.repros = o->repros.items,
		.n_repros = o->repros.n,
		.expect = o->expect.items,
		.n_expect = o->expect.n,
		.ignore = o->ignore.items,
		.n_ignore = o->ignore.n,
		.duration_s = (unsigned)o->duration,
		.boot_timeout_s = (unsigned)o->boot_timeout,
		.memory_mib = (unsigned)o->memory,
		.vcpus = (unsigned)o->smp,
		.live = o->verbose,
	};
	struct run run = {
		.options = o,
		.runs = (unsigned)o->runs,
		.policy = { policy_kind_of(o->policy), o->alpha, o->rate, (size_t)o->min_hits, 0,
			    0 },
		.tally.left = (size_t)o->runs,
	};

	if (argc)
		return err_set(err, ERR_INPUT, "run: '%s' is not expected; all is said by options",
			       argv[0]);
	if (o->verbose)
		log_level = LOG_VERBOSE;
	run.jobs = o->jobs ? (unsigned)o->jobs : count_cores();
	if (run.jobs > run.runs)
		run.jobs = run.runs;
	int status = prepare_and_run(&run, &so, err);
	free_run(&run);
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
