/*
 * The state file: what the trials of one kernel taught, for those that follow, of this kernel or
 * another. docs/state.md has its form.
 *
 * All is kept by question: what was looked for, with which reproducers, in which VM (question.h). A
 * kernel is known by a key, its signature. Several programs may use one file at once: each reads
 * and writes it whole, under a lock on FILE.lock, and adds to what it finds there.
 *
 * A judgement says whether its trials booted each. Where they are to (boot_once is false), those
 * that began from one boot's state say nothing; the other way round they do.
 */
#ifndef STATE_H
#define STATE_H

#include "base/err.h"
#include "family.h"
#include "outcome.h"
#include "verdict.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A larger file is not read, nor made. */
#define STATE_BYTES (64UL * 1024 * 1024)

struct state;

/*
 * Open the file, which need not be there yet. ERR_INPUT, in one line that begins with path, when it
 * is no state file, damaged, of a later version, or cannot be written; it is then left as it is.
 */
int state_open(const char *path, struct state **out, struct err *err);
void state_close(struct state *state);

/* Hits among the conclusive runs of the kernels that were judged bad once at least; 0 of 0: nothing
 * is known. */
void state_rate(const struct state *state, const json_t *question, bool boot_once, size_t *hits,
		size_t *runs);

/* Tell family the titles that count, as known. */
void state_titles(const struct state *state, const json_t *question, struct family *family);

/* The runs of one kernel, of all the times that it was judged. */
struct state_kernel {
	struct outcome *outcomes; /* n of them */
	enum match *matches;
	size_t n;
	char *judged, *evidence; /* the last time: when (UTC), and where the evidence was put */
};

/* Whether the kernel is known; then out is to be freed. */
bool state_find(const struct state *state, const json_t *question, bool boot_once, const char *key,
		struct state_kernel *out);
void state_kernel_free(struct state_kernel *kernel);

/* Whether one of the kernel's judgements has its evidence there. */
bool state_holds(const struct state *state, const json_t *question, const char *key,
		 const char *evidence);

/* One kernel as it was judged just now. */
struct state_entry {
	const char *key, *release;
	const char *evidence;
	bool boot_once;
	const struct outcome *outcomes; /* n of them */
	const enum match *matches;
	size_t n;
	const struct family *family; /* those of it that count are kept */
	const struct policy *policy;
	const struct decision *decision;
};

/*
 * Add it to the file as it is now, and sync. On failure the file is as before: ERR_INPUT as above,
 * ERR_INTERRUPTED while waiting for the lock, ERR_HARNESS if it cannot be written or somebody holds
 * the lock for STATE_LOCK_MS.
 */
#define STATE_LOCK_MS 60000
int state_add(struct state *state, const json_t *question, const struct state_entry *entry,
	      struct err *err);

#endif
