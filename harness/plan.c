/* Trials on several threads; see plan.h. */
#include "plan.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct crew {
	const struct plan *plan;
	struct gate gate; /* jobs at once */
	int stop_fd;
	pthread_mutex_t lock; /* next, told, enough, failed, err, and finished() */
	unsigned long next, told;
	pthread_cond_t told_cond; /* told, enough or failed has changed */
	bool enough, failed;
	struct err err;
};

/* Hand the result on, unless enough has been seen while it was made. One job tells its trials in
 * their order: the VM that was made first need not have run first, or been the first to end. */
static int hand_on(struct crew *crew, unsigned long turn, struct trial_result *result,
		   struct err *err)
{
	const struct plan *plan = crew->plan;
	size_t kernel = turn % plan->n_kernels;
	bool enough = false;

	while (plan->jobs == 1 && crew->told != turn && !crew->enough && !crew->failed)
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

/* One outcome: of the boot that all trials are to begin from, if it fails, or of a trial. */
static int make_trial(const struct plan_kernel *k, struct trial_config *trial, unsigned number,
		      const char *console, struct trial_result *result, struct err *err)
{
	int rc = k->origin ? origin_begin(k->origin, trial, number, console, result, err) : 1;

	if (rc < 1)
		return rc;
	rc = trial_run(trial, number, console, result, err);
	if (!rc && k->origin)
		origin_end(k->origin, trial, result);
	return rc;
}

static int run_one(struct crew *crew, unsigned long turn, struct err *err)
{
	const struct plan_kernel *k = &crew->plan->kernels[turn % crew->plan->n_kernels];
	unsigned number = (unsigned)(turn / crew->plan->n_kernels);
	struct trial_config trial = *k->trial;
	cleanup_free char *console = NULL;
	struct trial_result result;

	trial.stop_fd = crew->stop_fd;
	trial.gate = &crew->gate;
	if (store_begin_trial(k->store, number, &console, err))
		return -1;
	int rc = make_trial(k, &trial, number, console, &result, err);
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

static void *work(void *opaque)
{
	struct crew *crew = opaque;
	size_t kernels = crew->plan->n_kernels;
	struct err err;

	for (;;) {
		pthread_mutex_lock(&crew->lock);
		bool stop = crew->failed || crew->enough ||
			    crew->next == (unsigned long)crew->plan->runs * kernels;
		unsigned long turn = stop ? 0 : crew->next++;
		pthread_mutex_unlock(&crew->lock);
		if (stop)
			return NULL;
		if (!run_one(crew, turn, &err))
			continue;
		pthread_mutex_lock(&crew->lock);
		if (!crew->failed)
			crew->err = err;
		crew->failed = true;
		pthread_cond_broadcast(&crew->told_cond);
		pthread_mutex_unlock(&crew->lock);
	}
}

int plan_run(const struct plan *plan, struct err *err)
{
	cleanup_fd int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct crew crew = {
		.plan = plan,
		.stop_fd = stop_fd,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.told_cond = PTHREAD_COND_INITIALIZER,
	};
	unsigned long trials = (unsigned long)plan->runs * plan->n_kernels;
	/* One more than may run: its VM is made, and the last one ended, while others run. */
	unsigned crew_size = plan->jobs < trials ? plan->jobs + 1 : (unsigned)trials;
	cleanup_free pthread_t *threads = xcalloc(crew_size, sizeof(*threads));
	unsigned started = 0;

	if (stop_fd < 0)
		return err_errno(err, ERR_HARNESS, "eventfd");
	if (gate_open(plan->jobs, &crew.gate, err))
		return -1;
	while (started < crew_size) {
		errno = pthread_create(&threads[started], NULL, work, &crew);
		if (errno)
			break;
		started++;
	}
	if (!started) {
		crew.failed = true;
		err_errno(&crew.err, ERR_HARNESS, "pthread_create");
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	gate_close(&crew.gate);
	pthread_cond_destroy(&crew.told_cond);
	pthread_mutex_destroy(&crew.lock);
	if (crew.failed)
		*err = crew.err;
	return crew.failed ? -1 : 0;
}
