/*
 * From the user's --repro arguments to programs that the guest can run.
 *
 * An argument is the name of a bundled reproducer, a C file (".c"; compiled here with
 * ${CC:-cc} -static -pthread), or a static x86-64 ELF program. A bundled name goes before a file of
 * that name in the working directory (./NAME is the file).
 */
#ifndef REPRODUCER_H
#define REPRODUCER_H

#include "base/buf.h"
#include "base/err.h"
#include "catalogue.h"

#include <stdbool.h>
#include <stddef.h>

/* How long a user's reproducer may run unless --duration says otherwise. */
#define REPRODUCER_DURATION_MS 10000

/* A larger program is refused. */
#define REPRODUCER_BYTES (64UL * 1024 * 1024)

/* How long the compiler may take. */
#define REPRODUCER_CC_SECONDS 120

struct reproducer {
	char *name; /* in the guest: [A-Za-z0-9._-], unique in the list, never a bundled one's
		     * unless it is that */
	enum repro_needs needs; /* NEEDS_ANY for a user's */
	unsigned duration_ms;
	char *expect; /* the crash it shows, or NULL */
	bool bundled;
	char *path; /* the user's argument; NULL if bundled */
	char *elf;  /* the program; NULL if bundled (it is part of the guest's init) */
	size_t elf_bytes;
	char sha256[65]; /* of the file named by path (the source, if it is a .c); "" if bundled */
	char elf_sha256[65]; /* of the program: headers and compiler count too; "" if bundled */
};

struct reproducers {
	struct reproducer *v; /* in the order of the arguments */
	size_t n;
};

/*
 * Resolve n_args arguments; none: all of the catalogue. duration_ms goes for each of them; 0: the
 * catalogue's, or REPRODUCER_DURATION_MS. The compiler's files go to workdir, a private directory,
 * and are gone afterwards.
 *
 * ERR_INPUT with one line for an unknown name, a file that cannot be used or compiled, one bundled
 * name given twice, more than PROTO_MAX_REPROS. What the compiler printed when it failed is then in
 * diag, terminal-safe, for the caller to show on standard error before the error; otherwise diag is
 * left alone. ERR_INTERRUPTED when a signal asked us to stop meanwhile. The caller gives out to
 * reproducers_free().
 */
int reproducers_resolve(const char *const *args, size_t n_args, unsigned duration_ms,
			const struct catalogue *catalogue, const char *workdir,
			struct reproducers *out, struct buf *diag, struct err *err);

/* May be called on a zeroed struct; leaves one. */
void reproducers_free(struct reproducers *list);

/* Compile a C file to a program; errors and diag as for reproducers_resolve(). */
int reproducer_compile(const char *source, const char *workdir, struct buf *program,
		       struct buf *diag, struct err *err);

/* Is this a static x86-64 program? ERR_INPUT, the line begins with what, if not. */
int reproducer_check_elf(const char *what, const void *data, size_t len, struct err *err);

#endif
