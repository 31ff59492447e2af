/* The kernel's console: bytes of ttyS0 to the classifier and the evidence. This is a reader's work
 * (read_trial.h). */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "base/buf.h"
#include "base/err.h"
#include "oops/oops.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes that are read at once, and a little more. */
#define CONSOLE_TURN_BYTES (1024 * 1024)

/* Reports that are kept at once; those that do not count are dropped to make room. */
#define CONSOLE_REPORTS 32

struct console;

/*
 * Read from fd, which stays the caller's and is non-blocking. file_fd: an empty file that takes the
 * console, compressed (gzip). live: takes what comes, as it is, for who shows it; or NULL.
 */
int console_open(int fd, int file_fd, struct buf *live, struct console **out, struct err *err);

/* Take what has arrived, about CONSOLE_TURN_BYTES a call. Returns 1 when bytes came, 0 when none,
 * -1 on error. */
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

/* End the evidence, close its file, and free all. */
int console_close(struct console *console, struct err *err);

#endif
