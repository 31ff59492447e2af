/* Runs the plan's reproducers. */
#ifndef GUEST_RUNNER_H
#define GUEST_RUNNER_H

#include "guest.h"

/* Makes the reproducers that can run here ready, for the runs of them that may follow. */
void runner_prepare(struct guest *g);

/* Ends those that were made ready and have not been run. */
void runner_discard(struct guest *g);

/* Runs reproducer `id` of the plan to its end, with all the frames that it gives rise to. */
void runner_run(struct guest *g, int id);

#endif
