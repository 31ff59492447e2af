/* The kernel's console: bytes of ttyS0 to the classifier, the evidence and, escaped, the user. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "base/err.h"
#include "oops/oops.h"

#include <stdbool.h>
#include <stdint.h>

struct console;

/*
 * Read from fd, which stays the caller's and is non-blocking. path: where the console is kept,
 * compressed (gzip); it appears there only with console_close(). live: what to put before each
 * line shown on standard error ("#3"), or NULL to show none.
 */
int console_open(int fd, const char *path, const char *live, struct console **out, struct err *err);

/* Take what has arrived, at most 1 MiB a call. Returns 1 when bytes came, 0 when none, -1 on
 * error. */
int console_read(struct console *console, struct err *err);

/* Nothing more will come. */
bool console_eof(const struct console *console);

/* Bytes so far, and when the last ones came (clock_ms(); the time of opening if none did). */
uint64_t console_bytes(const struct console *console);
int64_t console_last_ms(const struct console *console);

/* Whether the kernel's last line says that the machine is off or halted. */
bool console_halted(const struct console *console);

/* The classifier that has been fed with it all; lives as long as the console. */
struct oops *console_oops(struct console *console);

/* Put the evidence in its place and free all. */
int console_close(struct console *console, struct err *err);

#endif
