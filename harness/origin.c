/* The kept boot; see origin.h. */
#include "origin.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct origin {
	const struct engine *engine;
	char *console_path;
	pthread_mutex_t lock; /* all below; held for a whole boot */
	bool refused;         /* the engine cannot keep a state */
	struct trial_start start;
};

struct origin *origin_new(const struct engine *engine, const char *console_path)
{
	struct origin *o = xcalloc(1, sizeof(*o));

	o->engine = engine;
	o->console_path = xstrdup(console_path);
	pthread_mutex_init(&o->lock, NULL);
	if (!engine->keep) {
		log_info("%s cannot keep a VM's state: each trial boots", engine->name);
		o->refused = true;
	}
	return o;
}

void origin_free(struct origin *origin)
{
	if (!origin)
		return;
	trial_start_free(origin->engine, &origin->start);
	pthread_mutex_destroy(&origin->lock);
	free(origin->console_path);
	free(origin);
}

/* The trial's console of a boot that was kept is that of all trials' boot. */
static int boot(struct origin *o, const struct trial_config *config, unsigned number,
		const char *console_path, struct trial_result *out, struct err *err)
{
	cleanup_free char *why = NULL;

	if (interrupt_signal())
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	int rc = trial_boot(config, number, console_path, &o->start, &why, out, err);
	if (rc <= 0)
		return rc;
	if (why) {
		log_info("the VM's state cannot be kept (%s): each trial boots", why);
		o->refused = true;
		unlink(console_path);
	} else if (rename(console_path, o->console_path)) {
		return err_errno(err, ERR_HARNESS, "%s", o->console_path);
	}
	return 1;
}

int origin_begin(struct origin *origin, struct trial_config *config, unsigned number,
		 const char *console_path, struct trial_result *out, struct err *err)
{
	int rc = 1;

	pthread_mutex_lock(&origin->lock);
	if (!origin->refused && !origin->start.kept)
		rc = boot(origin, config, number, console_path, out, err);
	if (rc == 1 && !origin->refused)
		config->start = &origin->start;
	pthread_mutex_unlock(&origin->lock);
	return rc;
}
