/*
 * The catalogue of bundled reproducers: what each needs and shows. repro/catalogue is the file, and
 * its head describes it:
 *
 *	# comment
 *	[NAME]
 *	KEY = VALUE
 */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include "base/err.h"

#include <stddef.h>

/* What the guest's CPU must offer. */
enum repro_needs {
	NEEDS_ANY,
	NEEDS_SVM,
	NEEDS_VMX,
};

/* "any", "svm", "vmx": the words of the catalogue and of the plan (kvmrepro/protocol.h). */
const char *repro_needs_name(enum repro_needs needs);

struct catalogue_row {
	char *name; /* [a-z0-9-]; also the file's, repro/NAME.c */
	enum repro_needs needs;
	unsigned duration_ms; /* the file counts seconds: 1 to 3600 */
	char *expect;         /* title of the crash, or NULL */
	char *source;
	char *summary;
};

struct catalogue {
	struct catalogue_row *rows; /* in the file's order */
	size_t n;
};

/*
 * Parse len bytes. ERR_HARNESS, "catalogue:LINE: ..." when a key or number is bad, a section or key
 * comes twice or a section lacks a key (all but expect must be there), or there are more than
 * PROTO_MAX_REPROS sections. The caller gives out to catalogue_free().
 */
int catalogue_parse(const char *data, size_t len, struct catalogue *out, struct err *err);

/* The one that is part of the program. */
int catalogue_bundled(struct catalogue *out, struct err *err);

/* NULL when there is none of that name. The row belongs to the catalogue. */
const struct catalogue_row *catalogue_find(const struct catalogue *catalogue, const char *name);

/* May be called on a zeroed struct; leaves one. */
void catalogue_free(struct catalogue *catalogue);

#endif
