/* Judging; see judge.h. */
#include "judge.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "court.h"
#include "host.h"
#include "interrupt.h"
#include "plan.h"
#include "report/run_json.h"
#include "report/store.h"

#include <inttypes.h>
#include <string.h>

/* QEMU's own, its translations included: 175 MB were seen, with Debian's kernel. */
#define VM_SPARE_MIB 256

/* More VMs than that for each CPU are only of use while they all wait for something. */
#define AUTO_JOBS_A_CPU 8

/* ---- what has been seen ---- */

/* Tell once for each reproducer that it does not run here: a clean run says nothing about it. */
static void tell_idle(struct subject *s, const struct trial_result *result)
{
	for (size_t i = 0; i < result->n_repros; i++) {
		const struct repro_result *r = &result->repros[i];

		if (s->told[i] || (r->end != REPRO_SKIPPED && r->end != REPRO_UNSUPPORTED))
			continue;
		s->told[i] = true;
		log_info("not run here: %s (%s)", s->session.repros.v[i].name,
			 r->why ? r->why : "not supported by this kernel");
	}
}

/* What a run is to the search: by its own kernel's family, and where the first kernel leads by that
 * one's. Without --expect any crash counts as it comes: there are no families. */
static enum match match_of(const struct court *court, const struct subject *s, unsigned number)
{
	const struct outcome *o = &s->out->outcomes[number];
	bool expected = s->hit[number];

	if (s->out->recalled) /* recall() has seen to it */
		return s->match[number];
	if (!court_follows(court, s)) {
		if (!s->session.filter.n_expect)
			return expected ? MATCH_TARGET : MATCH_NONE;
		return family_match(&s->out->family, s->member[number], expected);
	}
	enum kinship kin = family_kin(&court->out[0].family, o);
	if (kin == KIN_ALIAS || kin == KIN_RENAMED)
		return MATCH_TARGET;
	if (!s->session.filter.n_expect)
		expected = kin == KIN_TARGET && o->kind == OUTCOME_CRASHED;
	return family_match(&s->out->family, s->member[number], expected);
}

/* Count anew: what a title is may have changed with the last run. */
static void count(const struct court *court, struct subject *s)
{
	struct judgement *j = s->out;
	const struct tally *first = &court->out[0].tally;
	bool whole = true;

	j->tally = j->settled = (struct tally){ .left = j->runs };
	for (unsigned i = 0; i < j->runs; i++) {
		whole &= j->ended[i];
		if (!j->ended[i])
			continue;
		s->match[i] = match_of(court, s, i);
		tally_add(&j->tally, &j->outcomes[i], s->match[i]);
		if (whole)
			tally_add(&j->settled, &j->outcomes[i], s->match[i]);
	}
	if (court_follows(court, s)) {
		j->policy.known_hits = first->hits;
		j->policy.known_runs = first->hits + first->clean;
	}
	verdict_decide(&j->policy, &j->tally, &j->decision);
	run_json_set_families(j->json, &j->family, s->match);
}

/* Targets of the first kernel, with their stacks, for the others' crashes to be compared with. */
static void lead(const struct court *court)
{
	const struct family *first = &court->out[0].family;

	for (size_t k = 1; k < court->n; k++)
		for (size_t i = 0; i < first->n; i++) {
			const struct family_member *m = &first->v[i];

			if (m->kin == KIN_TARGET)
				family_know(&court->out[k].family, m->title, m->type, m->stack,
					    KIN_TARGET);
		}
}

static void take_result(struct court *court, struct subject *s, struct trial_result *result)
{
	unsigned number = result->number;
	struct outcome *mine = &s->out->outcomes[number];

	*mine = (struct outcome){ result->outcome.kind, steal(result->outcome.title) };
	s->hit[number] = result->hit;
	s->from_state |= result->from_state;
	/* Not for a CPU that KVM does not load on, for want of SVM or VMX. */
	s->lacks_kvm |= mine->kind == OUTCOME_TESTING_FAILED && strstr(mine->title, "/dev/kvm") &&
			result->features && *result->features;
	const struct family_run run = {
		.outcome = mine,
		.expected = result->hit && (s->session.filter.n_expect || !court_follows(court, s)),
		.type = result->crash ? result->type : NULL,
		.report = result->report,
		.corrupted = result->corrupted_why,
	};
	s->member[number] = family_add(&s->out->family, &run);
	s->out->ended[number] = true;
	if (court->options->follow)
		lead(court);
	count(court, s);
	for (size_t i = 1; i < court->n && court->options->follow; i++)
		count(court, &court->subjects[i]);
}

/* Since the run of which this is the rest, or all, was begun; without the time between. */
static void tell_time(const struct court *court, struct subject *s)
{
	s->out->spent_ms = s->earlier_ms + clock_ms() - court->began_ms;
	run_json_set_spent(s->out->json, s->out->spent_ms);
}

static int finished(void *opaque, size_t kernel, struct trial_result *result, bool *enough,
		    struct err *err)
{
	struct court *court = opaque;
	struct subject *s = &court->subjects[kernel];
	cleanup_buf struct buf text = BUF_INIT;
	char label[64];

	run_json_add_trial(s->out->json, result, &s->session.repros);
	tell_time(court, s);
	outcome_text(&result->outcome, &text);
	tell_idle(s, result);
	take_result(court, s, result);
	/* The report in the store has source lines; functions are compared as the kernel names
	 * them. */
	if (s->session.symbols && result->report) {
		char *plain = result->report;

		result->report = symbols_add(s->session.symbols, plain);
		free(plain);
	}
	int rc = store_trial(&s->store, s->session.engine, result, &s->session.repros, err) ||
		 store_run(&s->store, s->out->json, err);
	/* What is told is kept: whoever reads it may end us at once. */
	if (!rc)
		log_info("%srun #%u: %s (%.1f s)", court_label(s->out, label, sizeof(label)),
			 result->number, text.data, (double)result->end_ms / 1000);
	trial_result_free(result);
	if (!rc && court->options->enough)
		*enough = court->options->enough(court->options->opaque, court->out, court->n);
	return rc ? -1 : 0;
}

bool judge_enough(void *opaque, const struct judgement *judgements, size_t n)
{
	const struct judgement *j = judgements;
	struct decision settled;

	(void)opaque, (void)n;
	if (j->decision.verdict == VERDICT_BAD)
		return j->decision.final;
	verdict_decide(&j->policy, &j->settled, &settled);
	return j->decision.final && settled.final && settled.verdict == j->decision.verdict;
}

bool judge_measured(void *opaque, const struct judgement *judgements, size_t n)
{
	(void)opaque, (void)n;
	const struct tally *t = &judgements->settled;

	return tally_shows_rate(t) || (!t->hits && t->clean >= RATE_RUNS_MAX / 2);
}

/* ---- from start to end ---- */

static int open_engine(struct court *court, struct subject *s, struct err *err)
{
	struct session *first = &court->subjects[0].session;
	const struct session_options *so = &s->kernel->session;

	if (s == court->subjects || s->session.engine == &engine_replay)
		return session_open_engine(so, &s->store, &s->session, err);
	return session_join_engine(so, &s->session, first, (unsigned)(s - court->subjects),
				   (unsigned)court->n, err);
}

/* What --expect names is the target, whether it shows or not. */
static void know_targets(struct subject *s)
{
	const struct filter *filter = &s->session.filter;

	for (size_t i = 0; i < filter->n_expect; i++) {
		const char *title = oops_matcher_title(filter->expect[i]);

		if (title)
			family_know(&s->out->family, title, NULL, NULL, KIN_TARGET);
	}
	if (s->kernel->known)
		family_know_all(&s->out->family, s->kernel->known);
}

/* Of those that share a call for each trial that was made already. */
struct made {
	struct court *court;
	struct subject *subject;
};

static void take_made(void *opaque, struct trial_result *result)
{
	const struct made *made = opaque;

	take_result(made->court, made->subject, result);
}

static int open_subject(struct court *court, struct subject *s, struct err *err)
{
	struct judgement *j = s->out;

	struct made made = { court, s };
	cleanup_free char *boot = NULL;

	if (s->kernel->resume ? store_reopen(s->kernel->out, &s->store, &boot, err)
			      : store_open(s->kernel->out, &s->store, err))
		return -1;
	if (open_engine(court, s, err)) {
		store_discard(&s->store);
		return -1;
	}
	j->dir = xstrdup(s->store.dir);
	j->outcomes = xcalloc(j->runs, sizeof(*j->outcomes));
	j->ended = xcalloc(j->runs, sizeof(*j->ended));
	s->told = xcalloc(s->session.repros.n, sizeof(*s->told));
	s->member = xcalloc(j->runs, sizeof(*s->member));
	s->hit = xcalloc(j->runs, sizeof(*s->hit));
	s->match = xcalloc(j->runs, sizeof(*s->match));
	j->json = run_json_new(&s->session, j->runs);
	know_targets(s);
	if (court_recall(court, s, err))
		return -1;
	count(court, s);
	if (boot && !j->recalled &&
	    run_json_resume(j->json, s->store.dir, boot, j->runs, take_made, &made, &s->earlier_ms,
			    err))
		return -1;
	if (j->tally.runs && !j->recalled)
		log_info("%zu runs were made already", j->tally.runs);
	return store_run(&s->store, j->json, err);
}

static int open_origin(struct subject *s, const char *label, struct origin **out, struct err *err)
{
	cleanup_free char *console = NULL, *kernel = NULL;

	if (store_begin_boot(&s->store, &console, err))
		return -1;
	if (s->kernel->session.keep_state)
		kernel = session_kernel_key(&s->session);
	*out = origin_new(s->session.engine, label, console, kernel);
	return 0;
}

/* How many VMs there may be at once: as asked for, or by CPUs, memory and open files; by CPUs to
 * begin with. */
static int choose_jobs(const struct court *court, struct plan *plan, struct err *err)
{
	const struct session *s = &court->subjects[0].session;
	unsigned long all = (unsigned long)court->options->runs * court->n;
	int64_t vm_bytes = ((int64_t)s->trial.memory_mib + VM_SPARE_MIB) << 20;
	struct host host;

	plan->jobs = plan->jobs_max = court->options->jobs;
	if (!plan->jobs) {
		host_look("", &host);
		/* One that does not run yet is made meanwhile. */
		int64_t room = host.memory_bytes < 0 ? host.cpus : host.memory_bytes / vm_bytes - 1;
		bool fixed = host.rationed || s->engine == &engine_replay;
		int64_t most = fixed ? host.cpus : (int64_t)host.cpus * AUTO_JOBS_A_CPU;
		room = room < 1 ? 1 : room;
		plan->jobs_max = (unsigned)(room < most ? room : most);
		while (plan->jobs_max > 1 && host_allow_files(plan->jobs_max, err))
			plan->jobs_max--;
		plan->jobs = host.cpus < plan->jobs_max ? host.cpus : plan->jobs_max;
		log_verbose("jobs: %u to %u (%u CPUs, %" PRId64 " MiB of memory to be had)",
			    plan->jobs, plan->jobs_max, host.cpus, host.memory_bytes >> 20);
	}
	if (plan->jobs > all)
		plan->jobs = (unsigned)all;
	if (plan->jobs_max > all)
		plan->jobs_max = (unsigned)all;
	return host_allow_files(plan->jobs_max, err);
}

static void tell_jobs(const struct court *court, unsigned jobs)
{
	for (size_t i = 0; i < court->n; i++)
		run_json_set_jobs(court->out[i].json, jobs);
}

static int make_runs(struct court *court, struct err *err)
{
	cleanup_free struct plan_kernel *kernels = xcalloc(court->n, sizeof(*kernels));
	cleanup_free char(*labels)[64] = xcalloc(court->n, sizeof(*labels));
	struct plan plan = {
		.kernels = kernels,
		.n_kernels = court->n,
		.runs = court->options->runs,
		.finished = finished,
		.opaque = court,
	};
	unsigned most;
	int rc = 0;

	if (choose_jobs(court, &plan, err))
		return -1;
	tell_jobs(court, plan.jobs);
	for (size_t i = 0; i < court->n; i++) {
		struct subject *s = &court->subjects[i];

		court_label(s->out, labels[i], sizeof(labels[i]));
		kernels[i] = (struct plan_kernel){
			.trial = &s->session.trial,
			.label = labels[i],
			.store = &s->store,
			.made = s->out->ended,
		};
		if (!rc && !s->out->recalled && s->kernel->session.boot_once &&
		    s->session.engine != &engine_replay)
			rc = open_origin(s, labels[i], &kernels[i].origin, err);
	}
	if (!rc) {
		rc = plan_run(&plan, &most, err);
		tell_jobs(court, most);
	}
	for (size_t i = 0; i < court->n; i++)
		origin_free(kernels[i].origin);
	return rc;
}

/* A distribution's kernel that was copied leaves its modules behind, and has no KVM without. */
static void tell_modules(const struct subject *s)
{
	const struct session *session = &s->session;
	const struct judgement *j = s->out;
	char label[64];

	if (!s->lacks_kvm || session->modules.dir || session->engine == &engine_replay)
		return;
	court_label(j, label, sizeof(label));
	log_info("%sno modules of %s were found: where its KVM is not built in, --modules DIR says "
		 "where they are",
		 label, session->image.release);
}

/* The end of each run.json. */
static int close_books(struct court *court, int rc, struct err *err)
{
	struct err ignored;

	for (size_t i = 0; i < court->n; i++) {
		struct subject *s = &court->subjects[i];
		struct judgement *j = s->out;

		tell_time(court, s);
		tell_modules(s);
		if (rc && err->kind == ERR_INTERRUPTED) {
			j->interrupted = true;
			run_json_set_interrupted(j->json, interrupt_signal());
			store_run(&s->store, j->json, &ignored);
		} else if (!rc) {
			run_json_set_verdict(j->json, &j->policy, &j->tally, &j->decision);
			rc = store_run(&s->store, j->json, err);
		}
	}
	/* Only now: to wait for the state's lock may fail, and must not cost a verdict. */
	for (size_t i = 0; i < court->n && !rc; i++)
		rc = court_keep(court, &court->subjects[i], err);
	return rc;
}

static int hold_court(struct court *court, struct err *err)
{
	if (host_allow_files(1, err))
		return -1;
	for (size_t i = 0; i < court->n; i++) {
		struct subject *s = &court->subjects[i];

		struct buf *diag = court->options->diag;
		cleanup_buf struct buf lost = BUF_INIT;
		if (session_prepare(&s->kernel->session, &s->session, diag ? diag : &lost, err))
			return -1;
	}
	for (size_t i = 0; i < court->n; i++)
		if (open_subject(court, &court->subjects[i], err))
			return -1;
	bool over = true;

	for (size_t i = 0; i < court->n; i++)
		over &= court->out[i].recalled;
	if (court->options->enough && court->out[0].tally.runs)
		over |= court->options->enough(court->options->opaque, court->out, court->n);
	return close_books(court, over ? 0 : make_runs(court, err), err);
}

static void free_subject(struct subject *s)
{
	session_close(&s->session);
	store_close(&s->store);
	free(s->told);
	free(s->member);
	free(s->hit);
	free(s->match);
	free(s->key);
	json_decref(s->question);
}

int judge_kernels(const struct judge_options *options, const struct judge_kernel *kernels, size_t n,
		  struct judgement *out, struct err *err)
{
	cleanup_free struct subject *subjects = xcalloc(n, sizeof(*subjects));
	struct court court = { options, subjects, out, n, clock_ms() };

	for (size_t i = 0; i < n; i++) {
		out[i] = (struct judgement){
			.label = kernels[i].label,
			.policy = kernels[i].policy,
			.runs = options->runs,
		};
		subjects[i] = (struct subject){ .kernel = &kernels[i], .out = &out[i] };
	}
	int rc = hold_court(&court, err);
	for (size_t i = n; i > 0; i--) /* the first one's engine may be the others' */
		free_subject(&subjects[i - 1]);
	return rc;
}

/* ---- what came of it ---- */

void judgement_lines(const struct judgement *judgement, struct buf *text)
{
	const struct judgement *j = judgement;

	outcomes_text(j->outcomes, j->ended, j->runs, j->interrupted, text);
}

void judgement_tell_families(const struct judgement *judgement)
{
	const struct judgement *j = judgement;
	char label[64];
	static const char *const why[] = {
		[KIN_ALIAS] = "counts as the crash: seen beside it while it dominated the runs",
		[KIN_RENAMED] = "counts as the crash: the same stack under another name",
		[KIN_POSSIBLE] = "may be the crash: alike by name, and no stack to compare",
	};

	court_label(j, label, sizeof(label));
	for (size_t i = 0; i < j->family.n; i++) {
		const struct family_member *m = &j->family.v[i];

		if (m->seen && m->kin != KIN_TARGET && m->kin != KIN_OTHER)
			log_info("%s%s: %s%s", label, m->title, why[m->kin],
				 m->known ? " on another kernel" : "");
	}
}

void judgement_tell(const struct judgement *judgement)
{
	const struct judgement *j = judgement;
	cleanup_buf struct buf reason = BUF_INIT;
	char label[64];

	court_label(j, label, sizeof(label));
	judgement_tell_families(j);
	if (j->tally.left)
		log_info("%sdecided after %zu of %u runs", label, j->tally.runs, j->runs);
	verdict_reason(&j->policy, &j->tally, &j->decision, &reason);
	log_info("%sverdict: %s (%s)", label, verdict_name(j->decision.verdict), reason.data);
	log_info("%sevidence: %s", label, j->dir);
}

void judgement_free(struct judgement *judgement)
{
	for (unsigned i = 0; judgement->outcomes && i < judgement->runs; i++)
		free(judgement->outcomes[i].title);
	free(judgement->outcomes);
	free(judgement->ended);
	family_free(&judgement->family);
	free(judgement->dir);
	json_decref(judgement->json);
	*judgement = (struct judgement){ 0 };
}
