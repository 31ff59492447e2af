/*
 * libFuzzer target for the classifier. The first byte says in pieces of which size the rest is fed
 * and how many reports are kept; what comes out must not depend on the pieces.
 */
#include "family.h"
#include "oops/match.h"
#include "oops/oops.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct oops *feed(const char *data, size_t size, size_t piece, size_t keep)
{
	struct oops *o = oops_new(keep);

	for (size_t at = 0; at < size; at += piece) {
		oops_feed(o, data + at, size - at < piece ? size - at : piece);
		/* As the harness does: look at a report while it is still open. */
		if (oops_state(o) == OOPS_COMPLETE && oops_count(o))
			(void)oops_get(o, oops_count(o) - 1)->title[0];
	}
	oops_finish(o);
	return o;
}

static void same(const struct oops_report *a, const struct oops_report *b)
{
	if (strcmp(a->title, b->title) || a->corrupted != b->corrupted || a->start != b->start ||
	    a->end != b->end || strcmp(a->text, b->text) || a->panicked != b->panicked)
		abort();
}

/* A report beside one of a kernel's own: a title stays what it is named, a stack one line. */
static void take_in(struct family *f, const struct oops_report *r, bool expected)
{
	const struct outcome o = { OUTCOME_CRASHED, r->title };
	const struct family_run run = { &o, expected, r->type, r->text, r->corrupted };
	size_t member = family_add(f, &run);

	if (member == FAMILY_NONE || (expected && family_match(f, member, true) != MATCH_TARGET))
		abort();
	if (f->v[member].stack && strpbrk(f->v[member].stack, "\n\t"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct family family = { 0 };

	if (!size)
		return 0;
	size_t piece = 1 + (data[0] & 15) * 7, keep = 1 + (data[0] >> 6);
	const char *text = (const char *)data + 1;
	struct oops *pieces = feed(text, size - 1, piece, keep);
	struct oops *whole = feed(text, size - 1, size, keep);
	struct oops_matcher *m;
	struct err err;

	if (oops_count(pieces) != oops_count(whole) || oops_count(whole) > keep)
		abort();
	for (size_t i = 0; i < oops_count(whole); i++) {
		const struct oops_report *r = oops_get(whole, i);
		same(r, oops_get(pieces, i));
		if (r->start > r->end || r->end > size)
			abort();
		take_in(&family, r, i == 0);
		/* Every title matches itself. */
		if (*r->title && r->title[0] != '/' && r->title[0] != '[' &&
		    !oops_matcher_new(r->title, &m, &err)) {
			if (!oops_matcher_test(m, r))
				abort();
			oops_matcher_free(m);
		}
	}
	family_free(&family);
	oops_drop(whole, 1);
	oops_free(whole);
	oops_free(pieces);
	return 0;
}
