/* Weighing; see bisect_weigh.h. */
#include "bisect_weigh.h"

/* Side 0 is the culprit, the others are its parents; in a search for a fix they are the bad ones.
 */
bool bisect_should_be_bad(bool fix, size_t i)
{
	return fix ? i > 0 : i == 0;
}

enum bisect_end bisect_weigh(bool fix, const struct judgement *jm, size_t n, size_t *side,
			     double *doubt)
{
	enum bisect_end end = BISECT_CONFIRMED;

	*doubt = 0;
	for (size_t i = 0; i < n; i++) {
		bool bad = bisect_should_be_bad(fix, i);
		enum verdict verdict = jm[i].decision.verdict;

		*side = i;
		if (!bad && verdict == VERDICT_BAD)
			return BISECT_REFUTED;
		if (verdict != (bad ? VERDICT_BAD : VERDICT_GOOD))
			end = BISECT_UNCONFIRMED;
		if (!bad)
			*doubt += jm[i].decision.hidden;
	}
	for (size_t i = 0; i < n; i++)
		if (jm[i].decision.verdict == VERDICT_NONE) {
			*side = i;
			return BISECT_NOTHING;
		}
	if (*doubt > 1)
		*doubt = 1;
	return end;
}
