/* Verdicts; see verdict.h. */
#include "verdict.h"

static const struct {
	const char *name;
	int exit_status; /* git-bisect(1), "Bisect run"; 128 and above stop the bisection */
} verdicts[] = {
	[VERDICT_GOOD] = { "good", 0 },
	[VERDICT_BAD] = { "bad", 1 },
	[VERDICT_SKIP] = { "skip", 125 },
	[VERDICT_NONE] = { "none", 128 },
};

void tally_add(struct tally *tally, const struct outcome *outcome, bool hit)
{
	tally->runs++;
	if (hit) {
		tally->hits++;
		return;
	}
	switch (outcome->kind) {
	case OUTCOME_OK:
		tally->clean++;
		break;
	case OUTCOME_CRASHED:
		tally->others++;
		break;
	case OUTCOME_BOOT_FAILED:
	case OUTCOME_TESTING_FAILED:
		tally->boot++;
		break;
	case OUTCOME_INFRA:
		tally->infra++;
		break;
	}
}

enum verdict verdict_of(const struct tally *tally)
{
	if (tally->hits)
		return VERDICT_BAD;
	if (tally->infra == tally->runs)
		return VERDICT_NONE;
	return 2 * tally->clean >= tally->runs ? VERDICT_GOOD : VERDICT_SKIP;
}

const char *verdict_name(enum verdict verdict)
{
	return verdicts[verdict].name;
}

int verdict_exit_status(enum verdict verdict)
{
	return verdicts[verdict].exit_status;
}

void verdict_reason(enum verdict verdict, const struct tally *tally, struct buf *out)
{
	if (verdict == VERDICT_BAD)
		buf_addf(out, "the crash was seen in %zu of %zu runs", tally->hits, tally->runs);
	else
		buf_addf(out, "%zu of %zu runs were clean", tally->clean, tally->runs);
	if (tally->others)
		buf_addf(out, ", %zu crashed otherwise", tally->others);
	if (tally->boot)
		buf_addf(out, ", %zu did not boot or pass the canary", tally->boot);
	if (tally->infra)
		buf_addf(out, ", %zu had an infra problem", tally->infra);
	if (verdict == VERDICT_SKIP)
		buf_adds(out, "; good takes at least half of the runs clean");
}
