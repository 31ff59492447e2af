/* One trial: one boot of one kernel with the chosen reproducers, from start to outcome. */
#ifndef TRIAL_H
#define TRIAL_H

#include "base/buf.h"
#include "base/err.h"
#include "filter.h"
#include "gate.h"
#include "outcome.h"
#include "reproducer.h"
#include "vm/engine.h"

#include <stdbool.h>
#include <stdint.h>

/* How long things may take, in milliseconds. */
struct trial_limits {
	unsigned boot_ms;     /* from the VM's start to the agent's hello, and again to its ready */
	unsigned detector_ms; /* what the kernel's own detectors are set to */
	unsigned stuck_ms;    /* how long a reproducer that cannot be killed is waited for */
};

/*
 * Where a trial begins that does not boot: the kept state of a VM in which init waits for "go", and
 * what that boot said.
 */
struct trial_start {
	struct vm_kept *kept;
	char *initrd; /* what it booted with; the VMs that begin from it have it too */
	char *token;
	int64_t guest_ms; /* the guest's clock */
	int64_t boot_ms;  /* from the VM's start to the guest's "ready" */
	char *release, *version, *vendor, *features, *nested, *kvm, *sandbox;
	struct buf agent_log;
};

/* What all trials of a run share; everything belongs to the caller. */
struct trial_config {
	const struct engine *engine;
	struct engine_state *state;
	const char *workdir; /* absolute, private; initramfs files go there while a trial runs */
	const char *kernel;  /* absolute path */
	const char *loaded;  /* likewise, or NULL (vm/engine.h) */
	const char *cmdline;
	const struct buf *initramfs; /* all but the plan (kernel/initramfs.h) */
	const struct buf *sandbox;   /* the guest's filter, or NULL (kernel/initramfs.h) */
	const struct kernel_modules *modules;
	const struct reproducers *repros;
	bool by_name; /* the user named them: none may be left out for the guest's CPU */
	const struct filter *filter;
	unsigned memory_mib, vcpus;
	struct trial_limits limits;
	/* The engine's number of trial N's VM is vm_first + N * vm_step: unlike between kernels
	 * that share an engine. */
	unsigned vm_first, vm_step;
	const struct trial_start *start; /* NULL: each trial boots */
	struct gate *gate;               /* what the VM waits at before it runs, or NULL */
	int stop_fd;      /* readable: end at once, ERR_INTERRUPTED; -1: nothing of that kind */
	bool lasting;     /* the state of a boot that is kept is to outlive the program */
	bool canary_only; /* end as OK when the canary has passed; nothing is run */
	bool live;        /* show the console on standard error */
};

/* How a reproducer fared in a trial. */
enum repro_end {
	REPRO_NOT_RUN,     /* the trial ended before it */
	REPRO_RUNNING,     /* the trial ended during it */
	REPRO_SKIPPED,     /* cannot run on this guest's CPU */
	REPRO_UNSUPPORTED, /* says that this kernel lacks what it needs */
	REPRO_EXIT,
	REPRO_SIGNAL,
	REPRO_TIMEOUT, /* its duration was over */
	REPRO_STUCK,   /* could not be killed */
	REPRO_FAILED,  /* could not be started */
};

struct repro_result {
	enum repro_end end;
	int code;               /* exit status or signal */
	int64_t ms;             /* guest time */
	char *why;              /* of skipped, failed; a task's stack if it would not go; or NULL */
	struct buf output;      /* stdout and stderr, raw */
	uint64_t dropped_bytes; /* output that was not kept */
};

/* The words of enum repro_end, for run.json. */
const char *repro_end_name(enum repro_end end);

#define TRIAL_MAX_IGNORED 16

/* All that a trial gives. trial_result_free() frees what it points to. */
struct trial_result {
	unsigned number;
	struct outcome outcome;
	bool host_fault; /* OUTCOME_INFRA that may be over: a VM's start failed, its process died */
	char *retried;   /* the outcome of the trial's first attempt, which was that; or NULL */
	bool hit;        /* it is the crash that is looked for (filter.h) */
	char *ignored[TRIAL_MAX_IGNORED]; /* titles of reports that did not count, n_ignored */
	size_t n_ignored;
	bool crash; /* the outcome's title comes from a report; the next five are the report's */
	char *report;
	const char *type; /* "" if there is no report */
	char *frame, *executor;
	char **alt;
	size_t n_alt;
	char *corrupted_why; /* NULL: it is not corrupted */
	bool panicked;
	char *release, *version, *vendor, *features, *nested, *kvm; /* the guest's words, or NULL */
	char *sandbox;                                              /* likewise */
	bool from_state;                    /* it did not boot, but began from a kept state */
	int64_t hello_ms, ready_ms, end_ms; /* since the VM's start; 0: never came to it */
	int64_t teardown_ms;                /* from the decision to the VM's end */
	int64_t crash_end_ms; /* from the console's last byte to the end of the VM; if crash */
	uint64_t console_bytes, agent_noise;
	char seed[65];               /* the entropy it was given, hex, or "" */
	char *definition;            /* the domain's XML, or NULL */
	char *vm_log;                /* the VM's process and what it said, or NULL */
	struct buf agent_log;        /* lines "MS CONSOLE_BYTES FRAME"; what replay reads */
	struct repro_result *repros; /* as many as the run has reproducers */
	size_t n_repros;
};

/*
 * Run trial number. console_path: where the console is kept, gzip. On success out is filled,
 * whatever the outcome; trouble of our own is an outcome too (OUTCOME_INFRA). An error means that
 * there is no outcome: interrupted, or the evidence could not be kept.
 */
int trial_run(const struct trial_config *config, unsigned number, const char *console_path,
	      struct trial_result *out, struct err *err);

void trial_result_free(struct trial_result *result);

/*
 * Boot to where init waits for "go", and keep that. Returns 1 with *start filled, to be freed with
 * trial_start_free(); 0 when the boot gave an outcome instead, which is in out as of trial_run();
 * -1 with err. *why is set, and *start is empty, where all went well but the engine could not keep
 * the state (1 is returned; each trial must boot); the caller frees it.
 */
int trial_boot(const struct trial_config *config, unsigned number, const char *console_path,
	       struct trial_start *start, char **why, struct trial_result *out, struct err *err);

/* The plan of the guest with that token: what follows config->initramfs. out must be empty. */
int trial_plan(const struct trial_config *config, const char *token, struct buf *out,
	       struct err *err);

/* Make the file start->initrd, as it was for the boot, for a start from elsewhere. */
int trial_start_initrd(const struct trial_config *config, struct trial_start *start,
		       struct err *err);

void trial_start_free(const struct engine *engine, struct trial_start *start);

#endif
