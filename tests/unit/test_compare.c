/* Is it fixed: rows of two kernels' counts, and intervals by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "compare.h"

#include <math.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof(*(table)))

static const struct policy policy = { POLICY_BAYES, POLICY_ALPHA, POLICY_RATE, 1, 0, 0 };

static const struct {
	/* runs, clean, hits, others, possible, boot, infra, left */
	struct tally base, kernel;
	enum verdict verdict;
	bool final;
	const char *sentence;
} answers[] = {
	{ { 4, 0, 4, 0, 0, 0, 0, 26 },
	  { 4, 4, 0, 0, 0, 0, 0, 26 },
	  VERDICT_GOOD,
	  true,
	  "fixed (chance that the bug is still there and hid: 0.0079)" },
	{ { 3, 0, 3, 0, 0, 0, 0, 0 },
	  { 3, 3, 0, 0, 0, 0, 0, 0 },
	  VERDICT_SKIP,
	  true,
	  "cannot tell: 3 of 3 runs were clean; a crash that is known from 3 of 3 runs "
	  "would hide in them with a chance of 0.029; 2 more clean runs would make it "
	  "good" },
	{ { 3, 0, 3, 0, 0, 0, 0, 1 }, { 3, 3, 0, 0, 0, 0, 0, 1 }, VERDICT_SKIP, false, NULL },
	{ { 5, 5, 0, 0, 0, 0, 0, 5 },
	  { 4, 3, 1, 0, 0, 0, 0, 6 },
	  VERDICT_BAD,
	  true,
	  "not fixed: the crash was seen in 1 of 4 runs" },
	/* Never seen on the base: however many clean runs say nothing. */
	{ { 10, 9, 0, 0, 0, 1, 0, 0 },
	  { 10, 10, 0, 0, 0, 0, 0, 0 },
	  VERDICT_SKIP,
	  true,
	  "cannot tell: the base did not show the crash in 10 runs, 9 of them clean; more "
	  "runs, or longer ones, may" },
	{ { 1, 1, 0, 0, 0, 0, 0, 9999 },
	  { 5000, 5000, 0, 0, 0, 0, 0, 5000 },
	  VERDICT_SKIP,
	  false,
	  NULL },
	{ { 9, 0, 9, 0, 0, 0, 0, 0 }, { 9, 8, 0, 0, 1, 0, 0, 0 }, VERDICT_SKIP, true, NULL },
	{ { 9, 0, 0, 0, 0, 0, 9, 0 }, { 9, 9, 0, 0, 0, 0, 0, 0 }, VERDICT_NONE, true, NULL },
	{ { 9, 0, 9, 0, 0, 0, 0, 0 }, { 9, 0, 0, 0, 0, 0, 9, 0 }, VERDICT_NONE, true, NULL },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(answers); i++) {
		cleanup_buf struct buf text = BUF_INIT;
		struct decision d;

		compare_decide(&policy, &answers[i].base, &answers[i].kernel, &d);
		compare_sentence(&policy, &answers[i].base, &answers[i].kernel, &d, &text);
		if (d.verdict != answers[i].verdict || d.final != answers[i].final ||
		    (answers[i].sentence && strcmp(text.data, answers[i].sentence)))
			fail_msg("row %zu: %s, final %d: %s", i, verdict_name(d.verdict), d.final,
				 text.data);
	}
}

static void test_interval(void **state)
{
	/* Wilson's interval, as R's prop.test(h, n, correct = FALSE) gives it. */
	static const struct {
		size_t hits, runs;
		double low, high;
	} rows[] = {
		{ 0, 0, 0, 1 },
		{ 0, 4, 0, 0.4898907 },
		{ 4, 4, 0.5101093, 1 },
		{ 1, 1, 0.2065493, 1 },
		{ 5, 10, 0.2365931, 0.7634069 },
		{ 1, 10, 0.0178761, 0.4041500 },
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		double low, high;

		compare_interval(rows[i].hits, rows[i].runs, &low, &high);
		if (fabs(low - rows[i].low) > 1e-6 || fabs(high - rows[i].high) > 1e-6)
			fail_msg("row %zu: %.7f to %.7f", i, low, high);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
