/* Outcomes in words; see outcome.h. */
#include "outcome.h"

#include <string.h>

static const struct {
	const char *name, *text;
} words[] = {
	[OUTCOME_OK] = { "ok", "OK" },
	[OUTCOME_CRASHED] = { "crashed", "crashed" },
	[OUTCOME_BOOT_FAILED] = { "boot-failed", "boot failed" },
	[OUTCOME_TESTING_FAILED] = { "testing-failed", "basic kernel testing failed" },
	[OUTCOME_INFRA] = { "infra", "infra problem" },
};

void outcome_text(const struct outcome *outcome, struct buf *out)
{
	buf_adds(out, words[outcome->kind].text);
	if (outcome->title) {
		buf_adds(out, ": ");
		buf_add_escaped(out, outcome->title, strlen(outcome->title));
	}
}

const char *outcome_name(enum outcome_kind kind)
{
	return words[kind].name;
}

bool outcome_equal(const struct outcome *a, const struct outcome *b)
{
	return a->kind == b->kind && !a->title == !b->title &&
	       (!a->title || !strcmp(a->title, b->title));
}

const char *outcomes_dominant(const struct outcome *outcomes, size_t n)
{
	const char *best = NULL;
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t same = 0;

		if (outcomes[i].kind != OUTCOME_CRASHED)
			continue;
		for (size_t k = 0; k < n; k++)
			same += outcome_equal(&outcomes[i], &outcomes[k]);
		if (same > most) {
			most = same;
			best = outcomes[i].title;
		}
	}
	return best;
}

void outcomes_text(const struct outcome *outcomes, const bool *ended, size_t n, bool cut_short,
		   struct buf *out)
{
	const struct outcome *first = NULL;
	bool all = !cut_short;

	for (size_t i = 0; i < n; i++) {
		if (!ended[i])
			continue;
		first = first ? first : &outcomes[i];
		all &= outcome_equal(first, &outcomes[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (!ended[i])
			continue;
		if (all)
			buf_adds(out, "all runs: ");
		else
			buf_addf(out, "run #%zu: ", i);
		outcome_text(&outcomes[i], out);
		buf_addc(out, '\n');
		if (all)
			return;
	}
}

int outcome_kind_of(const char *name, enum outcome_kind *out)
{
	for (int k = OUTCOME_OK; k <= OUTCOME_INFRA; k++)
		if (!strcmp(outcome_name((enum outcome_kind)k), name)) {
			*out = (enum outcome_kind)k;
			return 0;
		}
	return -1;
}
