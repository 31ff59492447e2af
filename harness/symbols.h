/*
 * Source lines for a report: "func+0x1/0x2" becomes "func+0x1/0x2 file.c:12", with a line before
 * it for each function inlined there ("inner file.h:3 [inline]").
 *
 * A place is found by its function's name, offset and size, which KASLR does not change and which
 * tell functions of the same name apart; no address of the report is used. The input is untrusted
 * only in the report: vmlinux and modules are the user's own.
 */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include "base/err.h"

struct symbols;

/* vmlinux: an ELF with debug information. modules: a directory that is searched for .ko files of
 * the modules that a report names, or NULL. *out is the caller's. */
int symbols_open(const char *vmlinux, const char *modules, struct symbols **out, struct err *err);
void symbols_free(struct symbols *s);

/* text with source lines added; what cannot be found stays as it is. The caller frees it. */
char *symbols_add(struct symbols *s, const char *text);

#endif
