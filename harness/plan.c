/* Trials on several threads; see plan.h. */
#include "plan.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "gate.h"
#include "host.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

struct crew {
	const struct plan *plan;
	unsigned long *turns, n_turns; /* run I of kernel K is turn I * n_kernels + K */
	struct gate gate;              /* jobs at once */
	int stop_fd;
	pthread_mutex_t lock; /* all below, and finished() */
	unsigned long next, told;
	pthread_cond_t told_cond; /* told, enough or failed has changed */
	bool enough, failed;
	struct err err;
	unsigned places, most;    /* of the gate; the most there were */
	unsigned size;            /* threads that make trials */
	unsigned busy;            /* those whose trial is not waiting for a boot */
	pthread_cond_t gone_cond; /* size became less */
	pthread_t *gone;          /* those that make none any more, to be joined */
	size_t n_gone;
};

/* Hand the result on, unless enough has been seen while it was made. One job tells its trials in
 * their order: the VM that was made first need not have run first, or been the first to end. When
 * one has failed, those that had ended are told all the same: their evidence is whole. */
static int hand_on(struct crew *crew, unsigned long turn, struct trial_result *result,
		   struct err *err)
{
	const struct plan *plan = crew->plan;
	size_t kernel = crew->turns[turn] % plan->n_kernels;
	bool enough = false;

	while (plan->jobs_max == 1 && crew->told != turn && !crew->enough && !crew->failed)
		pthread_cond_wait(&crew->told_cond, &crew->lock);
	if (crew->enough) {
		trial_result_free(result);
		return err_set(err, ERR_INTERRUPTED, "not needed any more");
	}
	if (plan->finished(plan->opaque, kernel, result, &enough, err))
		return -1;
	crew->told++;
	pthread_cond_broadcast(&crew->told_cond);
	if (enough) {
		crew->enough = true;
		eventfd_write(crew->stop_fd, 1);
	}
	return 0;
}

static void count_busy(struct crew *crew, int by)
{
	pthread_mutex_lock(&crew->lock);
	crew->busy += (unsigned)by;
	pthread_mutex_unlock(&crew->lock);
}

/* One outcome: of the boot that all trials are to begin from, if it fails, or of a trial. */
static int make_trial(struct crew *crew, const struct plan_kernel *k, struct trial_config *trial,
		      unsigned number, const char *console, struct trial_result *result,
		      struct err *err)
{
	int rc = k->origin ? origin_begin(k->origin, trial, number, console, result, err) : 1;

	if (rc < 1)
		return rc;
	count_busy(crew, 1);
	rc = trial_run(trial, number, console, result, err);
	count_busy(crew, -1);
	if (!rc && k->origin)
		origin_end(k->origin, trial, result);
	return rc;
}

/*
 * A trial that the host spoiled is made once more: a QEMU that was killed for its memory, say, is
 * no word about the kernel, and a bisection must not stop for it.
 */
static int make_trial_twice(struct crew *crew, const struct plan_kernel *k,
			    const struct trial_config *config, unsigned number, const char *console,
			    struct trial_result *result, struct err *err)
{
	struct trial_config first = *config, again = *config;
	cleanup_buf struct buf outcome = BUF_INIT;

	int rc = make_trial(crew, k, &first, number, console, result, err);
	if (rc || result->outcome.kind != OUTCOME_INFRA || !result->host_fault)
		return rc;
	outcome_text(&result->outcome, &outcome);
	log_info("%srun #%u: %s; it is made once more", k->label, number, outcome.data);
	rc = store_set_aside(k->store, config->engine, result, config->repros, err);
	trial_result_free(result);
	if (rc)
		return -1;
	rc = make_trial(crew, k, &again, number, console, result, err);
	if (!rc)
		result->retried = buf_steal(&outcome);
	return rc;
}

static int run_one(struct crew *crew, unsigned long turn, struct err *err)
{
	size_t n = crew->plan->n_kernels;
	const struct plan_kernel *k = &crew->plan->kernels[crew->turns[turn] % n];
	unsigned number = (unsigned)(crew->turns[turn] / n);
	struct trial_config trial = *k->trial;
	cleanup_free char *console = NULL;
	struct trial_result result;

	trial.stop_fd = crew->stop_fd;
	trial.gate = &crew->gate;
	if (store_begin_trial(k->store, number, &console, err))
		return -1;
	int rc = make_trial_twice(crew, k, &trial, number, console, &result, err);
	pthread_mutex_lock(&crew->lock);
	if (!rc)
		rc = hand_on(crew, turn, &result, err);
	bool dropped = rc && crew->enough;
	pthread_mutex_unlock(&crew->lock);
	if (dropped)
		unlink(console);
	if (rc)
		store_drop_trial(k->store, number);
	return dropped ? 0 : rc;
}

/* One more than may run: its VM is made, and the last one ended, while others run. */
static bool is_surplus(const struct crew *crew)
{
	return crew->size > crew->places + 1;
}

/* All turns that are to be made, in their order. */
static void set_turns(struct crew *crew)
{
	const struct plan *plan = crew->plan;
	unsigned long all = (unsigned long)plan->runs * plan->n_kernels;

	crew->turns = xcalloc(all, sizeof(*crew->turns));
	for (unsigned long i = 0; i < all; i++)
		if (!plan->kernels[i % plan->n_kernels].made[i / plan->n_kernels])
			crew->turns[crew->n_turns++] = i;
}

static bool take_turn(struct crew *crew, unsigned long *turn)
{
	pthread_mutex_lock(&crew->lock);
	bool go = !crew->failed && !crew->enough && crew->next < crew->n_turns && !is_surplus(crew);
	if (go) {
		*turn = crew->next++;
	} else {
		crew->size--;
		crew->gone = xrealloc(crew->gone, (crew->n_gone + 1) * sizeof(*crew->gone));
		crew->gone[crew->n_gone++] = pthread_self();
		pthread_cond_signal(&crew->gone_cond);
	}
	pthread_mutex_unlock(&crew->lock);
	return go;
}

static void *work(void *opaque)
{
	struct crew *crew = opaque;
	unsigned long turn;
	struct err err;

	while (take_turn(crew, &turn)) {
		if (!run_one(crew, turn, &err))
			continue;
		pthread_mutex_lock(&crew->lock);
		if (!crew->failed)
			crew->err = err;
		crew->failed = true;
		pthread_cond_broadcast(&crew->told_cond);
		pthread_mutex_unlock(&crew->lock);
	}
	return NULL;
}

/* ---- how many at once ---- */

#define SAMPLE_MS 500
#define IDLE_CPUS 0.5 /* so much is worth a VM more */
#define BUSY_CPUS 0.1 /* and with so little one less costs nothing */

/* Threads for all places and the one that waits; the lock is held. */
static void fill_crew(struct crew *crew)
{
	unsigned long left = crew->n_turns - crew->next;

	while (crew->size <= crew->places && crew->size < left + crew->busy) {
		pthread_t thread;

		errno = pthread_create(&thread, NULL, work, crew);
		if (errno)
			break;
		crew->size++;
	}
}

struct sample {
	int64_t ms, idle_ms;
};

/* Look how idle the host was since the last sample, and set the places by it; the lock is held. */
static void tune(struct crew *crew, struct sample *last)
{
	struct sample now = { clock_ms(), host_idle_ms("") };
	int64_t passed_ms = now.ms - last->ms;

	if (passed_ms < SAMPLE_MS)
		return;
	double idle = (double)(now.idle_ms - last->idle_ms) / (double)passed_ms;
	bool known = now.idle_ms >= 0 && last->idle_ms >= 0;
	*last = now;
	if (known && idle >= IDLE_CPUS && crew->busy == crew->size &&
	    crew->places < crew->plan->jobs_max) {
		crew->places++;
		gate_widen(&crew->gate);
		fill_crew(crew);
	} else if (known && idle <= BUSY_CPUS && crew->places > crew->plan->jobs) {
		crew->places--;
		gate_narrow(&crew->gate);
	}
	crew->most = crew->places > crew->most ? crew->places : crew->most;
}

/* The lock is held, and those that are gone do not take it any more. */
static void join_gone(struct crew *crew)
{
	while (crew->n_gone)
		pthread_join(crew->gone[--crew->n_gone], NULL);
}

/* Wait until no thread makes trials any more. */
static void attend(struct crew *crew)
{
	struct sample last = { clock_ms(), host_idle_ms("") };
	bool tuned = crew->plan->jobs_max > crew->plan->jobs;

	pthread_mutex_lock(&crew->lock);
	while (crew->size) {
		int64_t until = clock_ms() + SAMPLE_MS;
		struct timespec ts = { until / 1000, until % 1000 * 1000000 };

		if (tuned)
			pthread_cond_timedwait(&crew->gone_cond, &crew->lock, &ts);
		else
			pthread_cond_wait(&crew->gone_cond, &crew->lock);
		join_gone(crew);
		if (tuned && crew->size)
			tune(crew, &last);
	}
	join_gone(crew);
	pthread_mutex_unlock(&crew->lock);
}

static void open_crew(struct crew *crew)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->told_cond, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&crew->gone_cond, &attr);
	pthread_condattr_destroy(&attr);
}

int plan_run(const struct plan *plan, unsigned *most, struct err *err)
{
	cleanup_fd int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct crew crew = {
		.plan = plan,
		.stop_fd = stop_fd,
		.places = plan->jobs,
		.most = plan->jobs,
	};

	if (stop_fd < 0)
		return err_errno(err, ERR_HARNESS, "eventfd");
	if (gate_open(plan->jobs, &crew.gate, err))
		return -1;
	open_crew(&crew);
	set_turns(&crew);
	pthread_mutex_lock(&crew.lock);
	fill_crew(&crew);
	if (!crew.size && crew.n_turns) {
		crew.failed = true;
		err_errno(&crew.err, ERR_HARNESS, "pthread_create");
	}
	pthread_mutex_unlock(&crew.lock);
	attend(&crew);
	free(crew.gone);
	free(crew.turns);
	gate_close(&crew.gate);
	pthread_cond_destroy(&crew.told_cond);
	pthread_cond_destroy(&crew.gone_cond);
	pthread_mutex_destroy(&crew.lock);
	*most = crew.most;
	if (crew.failed)
		*err = crew.err;
	return crew.failed ? -1 : 0;
}
