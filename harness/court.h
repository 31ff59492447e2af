/*
 * Kernels while they are being judged: for judge.c, and for court.c, which takes from the state
 * what is known of them and adds what has been found.
 */
#ifndef COURT_H
#define COURT_H

#include "judge.h"
#include "report/store.h"

/* One of the kernels while it is being judged. */
struct subject {
	const struct judge_kernel *kernel;
	struct judgement *out;
	struct session session;
	struct store store;
	bool *told;     /* by reproducer: that it does not run here */
	size_t *member; /* by run: of the family */
	bool *hit;      /* by run: as the filter says (filter.h) */
	enum match *match;
	bool from_state;    /* a trial began from the state of a boot */
	bool lacks_kvm;     /* a kernel that should have KVM had no /dev/kvm */
	json_t *question;   /* of the state; NULL without one */
	char *key;          /* of the kernel in the state; NULL: it is not kept */
	bool kept;          /* the state has these runs: they were gone on with */
	int64_t earlier_ms; /* spent on this run before it was cut short */
};

struct court {
	const struct judge_options *options;
	struct subject *subjects;
	struct judgement *out;
	size_t n;
	int64_t began_ms; /* clock_ms() */
};

/* Whether it is judged by the first one (judge_options' follow). */
bool court_follows(const struct court *court, const struct subject *s);

/* "LABEL: ", or "", in room, which is returned. */
const char *court_label(const struct judgement *j, char *room, size_t bytes);

/*
 * Of a subject that has a state and is open: give it what the state knows of titles and rate, and
 * where the runs of then decide, these for its own (struct judgement, recalled). A subject without
 * one stays as it is. The first one comes first.
 */
int court_recall(const struct court *court, struct subject *s, struct err *err);

/* Add what was judged just now to its state, if it has one and the kernel has a key. */
int court_keep(const struct court *court, struct subject *s, struct err *err);

#endif
