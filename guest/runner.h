/* Runs the plan's reproducers. */
#ifndef GUEST_RUNNER_H
#define GUEST_RUNNER_H

#include "guest.h"

/* Makes the first reproducer that can run here ready, for the run of it that may follow. */
void runner_prepare(struct guest *g);

/* Ends what was made ready and has not been run. */
void runner_discard(struct guest *g);

/* Runs reproducer `id` of the plan to its end, with all the frames that it gives rise to. */
void runner_run(struct guest *g, int id);

#endif
