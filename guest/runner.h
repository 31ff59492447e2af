/* Runs the plan's reproducers. */
#ifndef GUEST_RUNNER_H
#define GUEST_RUNNER_H

#include "guest.h"

/* Runs reproducer `id` of the plan to its end, with all the frames that it gives rise to. */
void runner_run(struct guest *g, int id);

/* A reproducer's keeper: init's program with RUNNER_KEEPER NAME PATH OUTPUT_FD REPORT_FD SANDBOX
 * (the path of the filter, or empty). Returns when all of the reproducer is gone. */
#define RUNNER_KEEPER "--keeper"
void runner_keep(char **argv);

#endif
