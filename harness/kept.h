/*
 * States that outlive a call of the program (--keep-state): kept boots in the user's cache, each
 * under a key that covers all that the state was made from.
 *
 * $XDG_CACHE_HOME/kvmrepro/states/KEY/ (mode 0700, files 0600: the agent line's token is in it):
 *	memory, devices	the engine's (vm/engine.h)
 *	console.log.gz	what the boot printed
 *	start.json	the rest of struct trial_start
 *	sums		a hash of each; a state that is not as it was written is not used
 *
 * A state appears whole, by a rename, and is not changed any more; one that is opened stays good
 * when it is taken away by another process.
 */
#ifndef KEPT_H
#define KEPT_H

#include "base/err.h"
#include "trial.h"

#include <stdbool.h>

#define KEPT_KEY_BYTES 65 /* lower-case hex and its NUL */

/* What all states together may take on the disk; the ones that were not used for longest go. */
#define KEPT_LIMIT_BYTES (4LL << 30)

/*
 * The key of the state in which a boot by config ends: SHA-256 over what is booted (kernel:
 * session_kernel_key()), the initramfs but for its token, and what the engine says that its VMs
 * depend on.
 */
int kept_key(const struct trial_config *config, const char *kernel, char key[KEPT_KEY_BYTES],
	     struct err *err);

/*
 * Take the state of that key: start is filled, to be freed with trial_start_free(), and the boot's
 * console written to console_path. False where there is none, or none that can be used: such a one
 * is taken away, and why is told.
 */
bool kept_find(const struct trial_config *config, const char *key, const char *console_path,
	       struct trial_start *start);

/* Add a state, and take others away until all are within the limit. */
int kept_add(const struct trial_config *config, const char *key, const char *console_path,
	     const struct trial_start *start, struct err *err);

/* Take it away. */
void kept_drop(const char *key);

#endif
