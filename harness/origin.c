/* The kept boot; see origin.h. */
#include "origin.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "interrupt.h"
#include "kept.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct origin {
	const struct engine *engine;
	char *label, *console_path, *kernel;
	pthread_mutex_t lock;                /* all below; held for a whole boot */
	bool refused;                        /* the engine cannot keep a state */
	bool sought;                         /* it has been looked for one of an earlier call */
	char key[KEPT_KEY_BYTES];            /* of the state; "": it is not kept for later calls */
	struct trial_start recalled, booted; /* of an earlier call; of this one */
	const struct trial_start *start;     /* which of them trials begin from; NULL: none yet */
};

struct origin *origin_new(const struct engine *engine, const char *label, const char *console_path,
			  const char *kernel)
{
	struct origin *o = xcalloc(1, sizeof(*o));

	o->engine = engine;
	o->label = xstrdup(label);
	o->console_path = xstrdup(console_path);
	o->kernel = kernel ? xstrdup(kernel) : NULL;
	pthread_mutex_init(&o->lock, NULL);
	if (!engine->keep) {
		log_info("%s%s cannot keep a VM's state: each trial boots", label, engine->name);
		o->refused = true;
	}
	return o;
}

void origin_free(struct origin *origin)
{
	if (!origin)
		return;
	trial_start_free(origin->engine, &origin->recalled);
	trial_start_free(origin->engine, &origin->booted);
	pthread_mutex_destroy(&origin->lock);
	*strrchr(origin->console_path, '/') = '\0';
	rmdir(origin->console_path); /* where no boot was kept it is empty */
	free(origin->label);
	free(origin->console_path);
	free(origin->kernel);
	free(origin);
}

/* Begin from the state of an earlier call, if there is one. */
static void recall(struct origin *o, const struct trial_config *config)
{
	struct err err;

	o->sought = true;
	if (!o->kernel)
		return;
	if (!o->engine->describe) {
		log_info("boot: %s cannot keep a state for later", o->engine->name);
		return;
	}
	if (kept_key(config, o->kernel, o->key, &err))
		log_info("boot: no state can be kept for later: %s", err.msg);
	else if (kept_find(config, o->key, o->console_path, &o->recalled))
		o->start = &o->recalled;
}

static void keep_for_later(const struct origin *o, const struct trial_config *config)
{
	struct err err;

	if (o->key[0] && kept_add(config, o->key, o->console_path, &o->booted, &err))
		log_info("%sboot: the state is not kept for later: %s", o->label, err.msg);
}

/* The trial's console of a boot that was kept is that of all trials' boot. */
static int boot(struct origin *o, const struct trial_config *config, unsigned number,
		const char *console_path, struct trial_result *out, struct err *err)
{
	cleanup_free char *why = NULL;

	if (interrupt_signal())
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	int rc = trial_boot(config, number, console_path, &o->booted, &why, out, err);
	if (rc <= 0)
		return rc;
	if (why) {
		log_info("%sthe VM's state cannot be kept (%s): each trial boots", o->label, why);
		o->refused = true;
		unlink(console_path);
	} else if (rename(console_path, o->console_path)) {
		return err_errno(err, ERR_HARNESS, "%s", o->console_path);
	} else {
		o->start = &o->booted;
		log_info("%sboot: trials begin from its state (it took %.1f s)", o->label,
			 (double)o->booted.boot_ms / 1000);
		keep_for_later(o, config);
	}
	return 1;
}

int origin_begin(struct origin *origin, struct trial_config *config, unsigned number,
		 const char *console_path, struct trial_result *out, struct err *err)
{
	int rc = 1;

	pthread_mutex_lock(&origin->lock);
	if (!origin->refused && !origin->sought)
		recall(origin, config);
	if (origin->start && origin->engine->lasts && !origin->engine->lasts(origin->start->kept)) {
		log_info("%sboot: the state is gone: each trial boots", origin->label);
		origin->refused = true;
		origin->start = NULL;
	}
	if (!origin->refused && !origin->start)
		rc = boot(origin, config, number, console_path, out, err);
	if (rc == 1)
		config->start = origin->start;
	pthread_mutex_unlock(&origin->lock);
	return rc;
}

void origin_end(struct origin *origin, const struct trial_config *config,
		const struct trial_result *result)
{
	if (config->start != &origin->recalled || result->outcome.kind != OUTCOME_INFRA)
		return;
	pthread_mutex_lock(&origin->lock);
	if (origin->start == &origin->recalled) {
		log_info("boot: the state that was kept is not used again");
		kept_drop(origin->key);
		origin->start = NULL;
	}
	pthread_mutex_unlock(&origin->lock);
}
