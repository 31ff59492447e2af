/* Programs that build something: in a directory, their output in a log. */
#ifndef BUILD_H
#define BUILD_H

#include "base/err.h"

/*
 * Run "sh -c COMMAND" in dir, standard output and standard error to a new file at log_path.
 * *status: its exit status, 128 and more after a signal. ERR_INTERRUPTED when a signal asked us to
 * stop (interrupt.h).
 *
 * The command has a session of its own, without a terminal: what would ask the user something fails
 * instead of being stopped. Its process group is ended with us: when a signal asks us to stop, also
 * one that came before, and when we die of SIGKILL. It is asked first (SIGTERM: make removes what
 * it has half written) and killed 1 s later.
 */
int build_run(const char *dir, const char *command, const char *log_path, int *status,
	      struct err *err);

/*
 * The same for a program of argv[0], which is looked for in $PATH; NULL-terminated. It is ended in
 * the same way after limit_ms (0: it may take its time), which is an ERR_INPUT. *status: as the
 * shell has it, 128 and the signal's number after a signal, 127 where there is no such program.
 */
int build_exec(const char *dir, const char *const *argv, unsigned limit_ms, const char *log_path,
	       int *status, struct err *err);

/* Why it failed, in one line: the last line of its log that says something, or where there is none
 * the status and the command's first line; at most 200 bytes of it, control characters escaped. The
 * caller frees it. */
char *build_failure(const char *log_path, const char *command, int status);

#endif
