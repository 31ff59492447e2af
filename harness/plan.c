/* Trials on several threads; see plan.h. */
#include "plan.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct crew {
	const struct plan *plan;
	pthread_mutex_t lock; /* next, failed, err, and finished() */
	unsigned next;
	bool failed;
	struct err err;
};

static int run_one(struct crew *crew, unsigned number, struct err *err)
{
	const struct plan *plan = crew->plan;
	cleanup_free char *console = NULL;
	struct trial_result result;

	if (store_begin_trial(plan->store, number, &console, err))
		return -1;
	if (trial_run(plan->trial, number, console, &result, err)) {
		store_drop_trial(plan->store, number);
		return -1;
	}
	pthread_mutex_lock(&crew->lock);
	int rc = plan->finished(plan->opaque, &result, err);
	pthread_mutex_unlock(&crew->lock);
	return rc;
}

static void *work(void *opaque)
{
	struct crew *crew = opaque;
	struct err err;

	for (;;) {
		pthread_mutex_lock(&crew->lock);
		bool stop = crew->failed || crew->next == crew->plan->runs;
		unsigned number = stop ? 0 : crew->next++;
		pthread_mutex_unlock(&crew->lock);
		if (stop)
			return NULL;
		if (!run_one(crew, number, &err))
			continue;
		pthread_mutex_lock(&crew->lock);
		if (!crew->failed)
			crew->err = err;
		crew->failed = true;
		pthread_mutex_unlock(&crew->lock);
	}
}

int plan_run(const struct plan *plan, struct err *err)
{
	struct crew crew = { .plan = plan, .lock = PTHREAD_MUTEX_INITIALIZER };
	cleanup_free pthread_t *threads = xcalloc(plan->jobs, sizeof(*threads));
	unsigned started = 0;

	while (started < plan->jobs) {
		errno = pthread_create(&threads[started], NULL, work, &crew);
		if (errno)
			break;
		started++;
	}
	if (!started)
		return err_errno(err, ERR_HARNESS, "pthread_create");
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&crew.lock);
	if (crew.failed)
		*err = crew.err;
	return crew.failed ? -1 : 0;
}
