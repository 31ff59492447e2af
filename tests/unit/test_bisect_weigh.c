/* What the runs of a culprit and its parents say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bisect_weigh.h"

/* A side by its counts, as the default policy judges it. */
static struct judgement side(size_t hits, size_t clean, size_t infra)
{
	struct judgement j = {
		.policy = { POLICY_BAYES, POLICY_ALPHA, POLICY_RATE, POLICY_MIN_HITS, 0, 0 },
		.tally = { .runs = hits + clean + infra,
			   .hits = hits,
			   .clean = clean,
			   .infra = infra },
	};

	verdict_decide(&j.policy, &j.tally, &j.decision);
	return j;
}

static enum bisect_end weigh(bool fix, struct judgement culprit, struct judgement parent,
			     double *doubt)
{
	const struct judgement both[] = { culprit, parent };
	size_t which;

	return bisect_weigh(fix, both, 2, &which, doubt);
}

static void test_weigh(void **state)
{
	static const struct {
		bool fix;
		size_t culprit[3], parent[3];
		enum bisect_end end;
	} rows[] = {
		{ false, { 2, 5, 0 }, { 0, 7, 0 }, BISECT_CONFIRMED },
		{ false, { 2, 4, 0 }, { 0, 6, 0 }, BISECT_UNCONFIRMED },
		{ false, { 0, 7, 0 }, { 0, 7, 0 }, BISECT_UNCONFIRMED },
		{ false, { 2, 0, 0 }, { 1, 1, 0 }, BISECT_REFUTED },
		/* A side of which nothing is known decides nothing, and is made again ... */
		{ false, { 0, 0, 7 }, { 0, 7, 0 }, BISECT_NOTHING },
		{ false, { 7, 0, 0 }, { 0, 0, 7 }, BISECT_NOTHING },
		/* ... unless the other one's crash decides. */
		{ false, { 0, 0, 7 }, { 1, 6, 0 }, BISECT_REFUTED },
		{ true, { 0, 7, 0 }, { 3, 4, 0 }, BISECT_CONFIRMED },
		{ true, { 1, 6, 0 }, { 3, 4, 0 }, BISECT_REFUTED },
		{ true, { 0, 0, 7 }, { 3, 4, 0 }, BISECT_NOTHING },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const size_t *c = rows[i].culprit, *p = rows[i].parent;
		double doubt;
		enum bisect_end end =
			weigh(rows[i].fix, side(c[0], c[1], c[2]), side(p[0], p[1], p[2]), &doubt);

		if (end != rows[i].end)
			fail_msg("row %zu: %d", i, (int)end);
	}
}

/* The doubts of a merge's parents add up. */
static void test_doubt(void **state)
{
	const struct judgement sides[] = { side(3, 0, 0), side(0, 7, 0), side(0, 8, 0) };
	double doubt;
	size_t which;

	(void)state;
	assert_int_equal(bisect_weigh(false, sides, 3, &which, &doubt), BISECT_CONFIRMED);
	assert_float_equal(doubt, 1.0 / 128 + 1.0 / 256, 1e-9);
}

/* The last of several that should be good. */
static void test_which(void **state)
{
	const struct judgement sides[] = { side(3, 0, 0), side(0, 7, 0), side(1, 2, 0) };
	double doubt;
	size_t which;

	(void)state;
	assert_int_equal(bisect_weigh(false, sides, 3, &which, &doubt), BISECT_REFUTED);
	assert_int_equal(which, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weigh),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_which),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
