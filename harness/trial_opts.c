/* What the trials' options mean; see trial_opts.h. */
#include "trial_opts.h"

#include <string.h>

const char *const trial_opts_accels[] = { "auto", "kvm", "tcg", NULL };
const char *const trial_opts_boots[] = { "each", "once", NULL };
const char *const trial_opts_decompress[] = { "host", "guest", NULL };
const char *const trial_opts_jobs[] = { "auto", NULL };

struct session_options trial_opts_session(const struct trial_options *trials, const char *kernel)
{
	return (struct session_options){
		.kernel = kernel,
		.modules = trials->modules,
		.append = trials->append,
		.cpu = trials->cpu,
		.engine = trials->engine,
		.accel = trials->accel,
		.connect = trials->connect,
		.repros = trials->repros.items,
		.n_repros = trials->repros.n,
		.expect = trials->expect.items,
		.n_expect = trials->expect.n,
		.ignore = trials->ignore.items,
		.n_ignore = trials->ignore.n,
		.duration_s = (unsigned)trials->duration,
		.boot_timeout_s = (unsigned)trials->boot_timeout,
		.memory_mib = (unsigned)trials->memory,
		.vcpus = (unsigned)trials->smp,
		.boot_once = trials->boot && !strcmp(trials->boot, "once"),
		.keep_state = trials->keep_state,
		.no_guest_sandbox = trials->no_guest_sandbox,
		.decompress = trials->decompress,
		.live = trials->verbose,
	};
}

int trial_opts_check(const struct trial_options *trials, long runs, struct err *err)
{
	bool bayes = policy_kind_of(trials->policy) == POLICY_BAYES;

	if (!runs || !bayes || trials->min_hits <= runs)
		return 0;
	return err_set(err, ERR_INPUT,
		       "--min-hits %ld is more than --runs %ld: nothing could be bad",
		       trials->min_hits, runs);
}

struct policy trial_opts_policy(const struct trial_options *trials)
{
	return (struct policy){
		.kind = trials->policy ? policy_kind_of(trials->policy) : POLICY_BAYES,
		.alpha = trials->alpha,
		.rate = trials->rate > 0 ? trials->rate : POLICY_RATE,
		.min_hits = trials->min_hits ? (size_t)trials->min_hits : POLICY_MIN_HITS,
	};
}
