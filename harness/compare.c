/* Two kernels compared; see compare.h. */
#include "compare.h"

#include <math.h>

#define Z95 1.959963984540054 /* the normal distribution's 0.975 quantile */

/* policy with what base says of the rate. */
static struct policy informed(const struct policy *policy, const struct tally *base)
{
	struct policy p = *policy;

	p.known_hits = base->hits;
	p.known_runs = base->hits + base->clean;
	return p;
}

static bool all_infra(const struct tally *t)
{
	return t->runs && t->infra == t->runs;
}

void compare_decide(const struct policy *policy, const struct tally *base,
		    const struct tally *kernel, struct decision *out)
{
	struct policy p = informed(policy, base);

	verdict_decide(&p, kernel, out);
	if (out->verdict == VERDICT_GOOD || out->verdict == VERDICT_SKIP) {
		/* Where it was never seen, not to see it says nothing. */
		if (!base->hits) {
			out->verdict = VERDICT_SKIP;
			out->hidden = 1;
			out->more_clean = 0;
			out->final = false;
		}
		if (all_infra(base))
			out->verdict = VERDICT_NONE;
	}
	if (!kernel->left && !base->left)
		out->final = true;
}

const char *compare_word(enum verdict verdict)
{
	static const char *const words[] = {
		[VERDICT_GOOD] = "fixed",
		[VERDICT_BAD] = "not fixed",
		[VERDICT_SKIP] = "cannot tell",
		[VERDICT_NONE] = "cannot tell",
	};

	return words[verdict];
}

void compare_sentence(const struct policy *policy, const struct tally *base,
		      const struct tally *kernel, const struct decision *decision, struct buf *out)
{
	struct policy p = informed(policy, base);

	buf_adds(out, compare_word(decision->verdict));
	switch (decision->verdict) {
	case VERDICT_GOOD:
		buf_addf(out, " (chance that the bug is still there and hid: %.2g)",
			 decision->hidden);
		return;
	case VERDICT_BAD:
		buf_addf(out, ": the crash was seen in %zu of %zu run%s", kernel->hits,
			 kernel->runs, kernel->runs == 1 ? "" : "s");
		return;
	case VERDICT_SKIP:
	case VERDICT_NONE:
		break;
	}
	buf_adds(out, ": ");
	if (!base->hits)
		buf_addf(out,
			 "the base did not show the crash in %zu run%s, %zu of them clean; more "
			 "runs, or longer ones, may",
			 base->runs, base->runs == 1 ? "" : "s", base->clean);
	else
		verdict_reason(&p, kernel, decision, out);
}

void compare_interval(size_t hits, size_t runs, double *low, double *high)
{
	double n = (double)runs, share = runs ? (double)hits / n : 0, z2 = Z95 * Z95;

	if (!runs) {
		*low = 0;
		*high = 1;
		return;
	}
	double middle = (share + z2 / (2 * n)) / (1 + z2 / n);
	double half = Z95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n));

	*low = hits ? middle - half : 0; /* exact at the ends */
	*high = hits < runs ? middle + half : 1;
}
