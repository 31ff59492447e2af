/* Stack frames: a function's name out of a trace line, and which function is to blame. */
#ifndef OOPS_FRAME_H
#define OOPS_FRAME_H

#include "oops/line.h"

#include <stdbool.h>
#include <stddef.h>

/* A function's name as it stands in the text: not NUL-terminated. */
struct func {
	const char *s;
	size_t len;
};

/*
 * Is this line a frame of a stack trace? Forms: " func+0x1/0x2", " [<addr>] func+0x1/0x2",
 * " ? func+..." (kernel/stacktrace and arch's show_trace_log_lvl()), "[sp] [pc] func+..." (powerpc
 * show_stack()), "[<pc>] (func) from [<pc>] (func+...)" and "func from func+..." (arm
 * dump_backtrace_entry()). A symbolized trace's "func file:line [inline]" is none: titles are made
 * of what the kernel itself printed.
 * Compiler suffixes (.isra.0, .part.1, .cold) are not part of the name.
 */
bool frame_parse(const char *s, size_t len, struct func *out);

/* The same; on arm's two-function lines the caller too (its len is 0 otherwise). */
bool frame_parse_both(const char *s, size_t len, struct func *out, struct func *caller);

/* "RIP: 0010:func+...", "PC is at func+...", "pc : func+...", "NIP [..] func+...", "epc : ...":
 * where the kernel was when it trapped. User mode does not count. */
bool frame_pc(const char *s, size_t len, struct func *out);

/* "Call Trace:", "Backtrace:", "Allocated by task 1:", ...: a stack trace begins below. Returns
 * which kind (1 to 31), or 0. */
unsigned frame_start(const char *s, size_t len);

/* Such a start that is a call trace itself, not the history of an object. */
bool frame_call_trace(const char *s, size_t len);

/* A function at p: its length without compiler suffixes in *out, returns the length with them; 0:
 * no name. */
size_t frame_name(const char *p, size_t len, struct func *out);

/* Is this function only the messenger (reports, locks, allocators, string helpers)? */
bool frame_skipped(const struct func *f);

/* Does the name hold row? "^row" pins it to the name's beginning, "^row$" is the whole name. */
bool func_matches(const struct func *f, const char *row);

bool func_is(const struct func *f, const char *name);
bool func_has(const struct func *f, const char *part);

#endif
