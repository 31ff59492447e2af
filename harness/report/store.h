/* The results store: where a run's evidence is kept. */
#ifndef REPORT_STORE_H
#define REPORT_STORE_H

#include "base/err.h"
#include "trial.h"

#include <jansson.h>

/*
 *	DIR/run.json			the whole run (docs/run-json.md)
 *	DIR/domain.xml (Bochs: bochsrc)	what defined the first VM that started
 *	DIR/boot/console.log.gz		what was printed by the boot that trials began from, if
 *					they did not boot themselves
 *	DIR/trial-NNN/console.log.gz	what the kernel printed
 *	DIR/trial-NNN/agent.log.gz	what init said, and the VM's events (replay reads both)
 *	DIR/trial-NNN/qemu.log (Bochs: bochs.log)	the emulator's messages, QEMU's command line
 *	DIR/trial-NNN/report.txt	the crash report's own lines
 *	DIR/trial-NNN/output-NAME.log.gz	what the reproducer printed
 *	DIR/kvm-canary/...		the boot that KVM was tried with, if it failed: as a trial,
 *					with its own domain.xml
 *
 * Every file appears whole or not at all.
 */
struct store {
	char *dir;                 /* absolute */
	struct store_text *trials; /* the parts of run.json that were written last, n_trials */
	size_t n_trials;
};

/* The directory that store_open() takes; the caller frees it. NULL: err is set. */
char *store_path(const char *given, struct err *err);

/* The same directory once more: it holds a run that was cut short, of which the trials' evidence
 * stays. *boot: what the evidence of its boot is called from now on, below the directory, or NULL;
 * the caller frees it. */
int store_reopen(const char *dir, struct store *out, char **boot, struct err *err);

/*
 * given: the user's --out, made if need be; it may not hold a run already (ERR_INPUT). NULL: a new
 * directory "YYYYMMDD-HHMMSS-PID" under $XDG_STATE_HOME/kvmrepro/runs.
 */
int store_open(const char *given, struct store *out, struct err *err);
void store_close(struct store *store);

/* No run came of it: take the directory away if it is empty. */
void store_discard(const struct store *store);

/* Make the directory of trial number; *console_path is where its console goes. The caller frees
 * it. */
int store_begin_trial(const struct store *store, unsigned number, char **console_path,
		      struct err *err);

/* Make the directory of the boot that trials begin from; likewise. */
int store_begin_boot(const struct store *store, char **console_path, struct err *err);

/* Keep what the trial gave besides its console. */
int store_trial(const struct store *store, const struct engine *engine,
		const struct trial_result *result, const struct reproducers *repros,
		struct err *err);

/* Keep all that a first attempt at a trial gave in the trial's directory's "first", its console
 * included: a second attempt follows. */
int store_set_aside(const struct store *store, const struct engine *engine,
		    const struct trial_result *result, const struct reproducers *repros,
		    struct err *err);

/* The same three steps for the boot that KVM is tried with; dropping takes all of it away. */
int store_begin_canary(const struct store *store, char **console_path, struct err *err);
int store_canary(const struct store *store, const struct engine *engine,
		 const struct trial_result *result, const struct reproducers *repros,
		 struct err *err);
void store_drop_canary(const struct store *store);

/*
 * Write run.json, in place of an earlier one. run is the same each time: of a trial that was
 * written before, nothing but "hit" and "match" has changed, and both together.
 */
int store_run(struct store *store, json_t *run, struct err *err);

/* Take the directory of a trial that gave no outcome away if it is empty but for a first attempt.
 */
void store_drop_trial(const struct store *store, unsigned number);

#endif
