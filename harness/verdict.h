/* From outcomes to a verdict. Pure: numbers in, a word out. */
#ifndef VERDICT_H
#define VERDICT_H

#include "outcome.h"

#include <stddef.h>

enum verdict {
	VERDICT_GOOD,
	VERDICT_BAD,
	VERDICT_SKIP,
	VERDICT_NONE, /* the harness itself failed every time: nothing can be said */
};

/* A run's outcomes, counted. */
struct tally {
	size_t runs;
	size_t clean;  /* OUTCOME_OK */
	size_t hits;   /* the target crash */
	size_t others; /* another crash */
	size_t boot;   /* boot failed, basic kernel testing failed */
	size_t infra;
};

/* Add one outcome; hit: it is the target crash. */
void tally_add(struct tally *tally, const struct outcome *outcome, bool hit);

/*
 * Bad: the target was seen at least once. Good: it was not, and at least half of the runs were
 * clean. None: every run was an infra problem. Otherwise skip.
 */
enum verdict verdict_of(const struct tally *tally);

/* "good", "bad", "skip", "none"; and the exit status that git bisect run understands. */
const char *verdict_name(enum verdict verdict);
int verdict_exit_status(enum verdict verdict);

/* The numbers behind it, for people: "10 of 10 runs clean". */
void verdict_reason(enum verdict verdict, const struct tally *tally, struct buf *out);

#endif
