/* A shell command that builds a kernel: in a directory, its output in a log. */
#ifndef BUILD_H
#define BUILD_H

#include "base/err.h"

#include <stdbool.h>

/*
 * Run "sh -c COMMAND" in dir, standard output and standard error to a new file at log_path. *built:
 * whether it ended with 0. ERR_INTERRUPTED when a signal asked us to stop (interrupt.h).
 *
 * The command has a session of its own, without a terminal: what would ask the user something fails
 * instead of being stopped. Its process group is ended with us: when a signal asks us to stop, also
 * one that came before, and when we die of SIGKILL. It is asked first (SIGTERM: make removes what
 * it has half written) and killed 5 s later.
 */
int build_run(const char *dir, const char *command, const char *log_path, bool *built,
	      struct err *err);

/* The last line of a build's log that says something, at most 200 bytes, control characters
 * escaped; the caller frees it. */
char *build_last_words(const char *log_path);

#endif
