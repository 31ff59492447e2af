/*
 * Judging: trials of one kernel, or of several in turn, until a policy has decided or the runs are
 * spent. What `run`, `check` and `bisect` share; progress and remarks go to the log, and what has
 * been found to the caller.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include "base/buf.h"
#include "base/err.h"
#include "family.h"
#include "outcome.h"
#include "session.h"
#include "state.h"
#include "verdict.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One kernel to be judged. Strings are borrowed and needed while judge_kernels() runs. */
struct judge_kernel {
	struct session_options session;
	struct policy policy;
	const char *label; /* before what is told of it on standard error, "LABEL: run #3: OK"; or
			      NULL */
	bool resume;       /* out holds a run by the same options, which may be over: its trials
			      that ended count, and others are made only where they do not decide;
			      ERR_INPUT if it was of another kernel or other reproducers */
	const char *out;   /* the directory of its evidence (report/store.h), or NULL: a new one */
	const struct family *known; /* what was learnt on other kernels, or NULL */
	struct state *state;        /* what is kept for later (state.h), or NULL */
};

struct judgement {
	const char *label;        /* as given */
	struct policy policy;     /* as given, and what the state knows of the rate */
	unsigned runs;            /* that were planned; those that were recalled */
	bool recalled;            /* all of this is from the state: no run was made */
	struct outcome *outcomes; /* runs of them, by number */
	bool *ended;              /* runs of them: whether that one has an outcome */
	struct tally tally;       /* of all that ended */
	struct tally settled;     /* of those before the first run that is still under way */
	struct decision decision; /* on tally, by the kernel's policy */
	struct family family; /* which crash is which; what was learnt on this kernel included */
	bool interrupted;     /* by a signal: not all runs were made */
	int64_t spent_ms; /* on all of it; before it was cut short, to the last run that ended */
	char *dir;        /* the evidence; NULL: no run was begun */
	json_t *json;     /* run.json */
};

struct judge_options {
	unsigned runs; /* of each kernel */
	unsigned jobs; /* VMs at once, over all kernels; 0: as many as are worth while */
	/*
	 * Whether no further run is worth making. Called after each run that ended, never two at
	 * once; those under way are then ended, and dropped. NULL: all runs are made. A run that
	 * shows a crash may take far longer than a clean one: what speaks for good must be read
	 * from settled, or jobs that are ahead would drop the evidence against it. judge_enough()
	 * is that for a single kernel.
	 */
	bool (*enough)(void *opaque, const struct judgement *judgements, size_t n);
	void *opaque;
	/*
	 * The first kernel has the bug, and the others are judged by it: what it crashes in is the
	 * target where there is no --expect, what is learnt of titles on it counts on them at once,
	 * and its runs say how often the bug shows (their policies' known rate).
	 */
	bool follow;
	struct buf *diag; /* what the compiler printed about a bad .c is added; NULL: it is lost */
};

/* For options->enough: the verdict on the first kernel is final. */
bool judge_enough(void *opaque, const struct judgement *judgements, size_t n);

/* For options->enough: the first kernel, which has the bug, shows how often it does
 * (tally_shows_rate(); runs is best RATE_RUNS_MAX), or does not seem to have it. */
bool judge_measured(void *opaque, const struct judgement *judgements, size_t n);

/*
 * Judge n kernels (out has room for n), in turn where there are several. What is judged is added to
 * the state. One that the state knows is not run again, if its runs of then decide by the policy of
 * now, and are as many as are asked for or options->enough is set. Of several that holds where the
 * first one leads (follow): for it, if it was bad, and then for the others. Whatever is returned,
 * out holds what has ended so far and is to be freed with judgement_free(); ERR_INTERRUPTED leaves
 * run.json saying so.
 */
int judge_kernels(const struct judge_options *options, const struct judge_kernel *kernels, size_t n,
		  struct judgement *out, struct err *err);

/* The lines for standard output, in the seeds' form: of those runs that ended. Added to text. */
void judgement_lines(const struct judgement *judgement, struct buf *text);

/* Tell verdict, reason, families and the place of the evidence on standard error. */
void judgement_tell(const struct judgement *judgement);

/* The same without the verdict. */
void judgement_tell_families(const struct judgement *judgement);

void judgement_free(struct judgement *judgement);

#endif
