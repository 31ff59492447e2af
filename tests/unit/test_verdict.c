/* Policies: rows of counts, and what must come of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "verdict.h"

#include <math.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof(*(table)))

static const struct policy bayes = { POLICY_BAYES, POLICY_ALPHA, POLICY_RATE, 1, 0, 0 };

/* runs, clean, hits, others, possible, boot, infra, left */
struct row {
	struct tally tally;
	enum verdict verdict;
	bool final;
	size_t more_clean;
};

static void check_rows(const struct policy *policy, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct decision d;

		verdict_decide(policy, &rows[i].tally, &d);
		if (d.verdict != rows[i].verdict || d.final != rows[i].final ||
		    d.more_clean != rows[i].more_clean)
			fail_msg("row %zu: %s, final %d, %zu more", i, verdict_name(d.verdict),
				 d.final, d.more_clean);
	}
}

static void test_bayes(void **state)
{
	static const struct row rows[] = {
		/* 0.5^7 is the first power below 0.01. */
		{ { 10, 10, 0, 0, 0, 0, 0, 0 }, VERDICT_GOOD, true, 0 },
		{ { 7, 7, 0, 0, 0, 0, 0, 0 }, VERDICT_GOOD, true, 0 },
		{ { 7, 7, 0, 0, 0, 0, 0, 3 }, VERDICT_GOOD, true, 0 },
		{ { 6, 6, 0, 0, 0, 0, 0, 0 }, VERDICT_SKIP, true, 1 },
		{ { 6, 6, 0, 0, 0, 0, 0, 4 }, VERDICT_SKIP, false, 1 },
		/* Only clean runs speak for good. */
		{ { 10, 7, 0, 3, 0, 0, 0, 0 }, VERDICT_GOOD, true, 0 },
		{ { 10, 6, 0, 4, 0, 0, 0, 0 }, VERDICT_SKIP, true, 1 },
		{ { 10, 6, 0, 0, 0, 4, 0, 0 }, VERDICT_SKIP, true, 1 },
		{ { 10, 6, 0, 0, 0, 0, 4, 0 }, VERDICT_SKIP, true, 1 },
		{ { 10, 0, 0, 10, 0, 0, 0, 0 }, VERDICT_SKIP, true, 7 },
		{ { 10, 0, 0, 0, 0, 10, 0, 0 }, VERDICT_SKIP, true, 7 },
		/* While a run is left it may show the crash. */
		{ { 9, 0, 0, 9, 0, 0, 0, 1 }, VERDICT_SKIP, false, 7 },
		/* A hit is bad, however the rest fared. */
		{ { 10, 9, 1, 0, 0, 0, 0, 0 }, VERDICT_BAD, true, 0 },
		{ { 10, 0, 1, 0, 0, 9, 0, 0 }, VERDICT_BAD, true, 0 },
		{ { 1, 0, 1, 0, 0, 0, 0, 9 }, VERDICT_BAD, true, 0 },
		/* What may be the crash makes neither. */
		{ { 10, 9, 0, 0, 1, 0, 0, 0 }, VERDICT_SKIP, true, 0 },
		{ { 10, 0, 0, 0, 10, 0, 0, 0 }, VERDICT_SKIP, true, 0 },
		{ { 10, 8, 1, 0, 1, 0, 0, 0 }, VERDICT_BAD, true, 0 },
		{ { 9, 0, 0, 0, 9, 0, 0, 1 }, VERDICT_SKIP, false, 0 },
		/* The harness's own trouble. */
		{ { 10, 0, 0, 0, 0, 0, 10, 0 }, VERDICT_NONE, true, 7 },
		{ { 1, 0, 0, 0, 0, 0, 1, 9 }, VERDICT_NONE, false, 7 },
		{ { 10, 0, 0, 0, 0, 1, 9, 0 }, VERDICT_SKIP, true, 7 },
		{ { 0, 0, 0, 0, 0, 0, 0, 0 }, VERDICT_SKIP, true, 7 },
		{ { 0, 0, 0, 0, 0, 0, 0, 10 }, VERDICT_SKIP, false, 7 },
	};

	(void)state;
	check_rows(&bayes, rows, ROWS(rows));
}

static void test_min_hits(void **state)
{
	static const struct row rows[] = {
		{ { 10, 8, 2, 0, 0, 0, 0, 0 }, VERDICT_BAD, true, 0 },
		/* One hit is too few for bad, and speaks against good. */
		{ { 10, 9, 1, 0, 0, 0, 0, 0 }, VERDICT_SKIP, true, 0 },
		{ { 9, 8, 1, 0, 0, 0, 0, 1 }, VERDICT_SKIP, false, 0 },
		/* One run cannot bring two hits any more, nor one clean run good. */
		{ { 9, 5, 0, 4, 0, 0, 0, 1 }, VERDICT_SKIP, true, 2 },
		{ { 9, 6, 0, 3, 0, 0, 0, 1 }, VERDICT_SKIP, false, 1 },
		{ { 9, 8, 0, 0, 1, 0, 0, 1 }, VERDICT_SKIP, true, 0 },
	};
	struct policy p = bayes;

	(void)state;
	p.min_hits = 2;
	check_rows(&p, rows, ROWS(rows));
}

static void test_hidden(void **state)
{
	static const struct {
		size_t hits, runs, clean;
		double hidden;
	} rows[] = {
		{ 0, 0, 0, 1 },
		{ 0, 0, 7, 1.0 / 128 },
		/* product over j < k of (n - h + 1 + j) / (n + 2 + j), by hand */
		{ 10, 10, 1, 1.0 / 12 },
		{ 10, 10, 2, 1.0 / 12 * 2 / 13 },
		{ 10, 10, 3, 1.0 / 12 * 2 / 13 * 3 / 14 },
		{ 5, 10, 2, 6.0 / 12 * 7 / 13 },
		{ 1, 20, 2, 20.0 / 22 * 21 / 23 },
		/* No hit known: (n + 1) / (n + 1 + k). */
		{ 0, 10, 99, 11.0 / 110 },
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct policy p = bayes;
		struct tally t = { .runs = rows[i].clean, .clean = rows[i].clean };
		struct decision d;

		p.known_hits = rows[i].hits;
		p.known_runs = rows[i].runs;
		verdict_decide(&p, &t, &d);
		if (fabs(d.hidden - rows[i].hidden) > 1e-12)
			fail_msg("row %zu: %.15g, not %.15g", i, d.hidden, rows[i].hidden);
	}
}

static void test_clean_needed(void **state)
{
	static const struct {
		double alpha, rate;
		size_t hits, runs, clean;
	} rows[] = {
		{ 0.01, 0.5, 0, 0, 7 },   { 0.5, 0.5, 0, 0, 1 },    { 0.01, 0.9, 0, 0, 2 },
		{ 0.01, 0.2, 0, 0, 21 },  { 0.01, 0.5, 10, 10, 3 }, { 0.001, 0.5, 10, 10, 4 },
		{ 0.01, 0.5, 20, 20, 2 }, { 0.01, 0.5, 5, 10, 10 }, { 1e-9, 1e-9, 0, 0, 1000000 },
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct policy p = { POLICY_BAYES, rows[i].alpha, rows[i].rate, 1,
				    rows[i].hits, rows[i].runs };
		size_t clean = policy_clean_needed(&p);

		if (clean != rows[i].clean)
			fail_msg("row %zu: %zu", i, clean);
	}
}

static void test_syzbot(void **state)
{
	static const struct row rows[] = {
		{ { 10, 10, 0, 0, 0, 0, 0, 0 }, VERDICT_GOOD, true, 0 },
		{ { 10, 5, 0, 5, 0, 0, 0, 0 }, VERDICT_GOOD, true, 0 },
		{ { 10, 4, 0, 6, 0, 0, 0, 0 }, VERDICT_SKIP, true, 1 },
		{ { 10, 9, 1, 0, 0, 0, 0, 0 }, VERDICT_SKIP, true, 0 },
		{ { 10, 8, 2, 0, 0, 0, 0, 0 }, VERDICT_BAD, true, 0 },
		{ { 10, 0, 2, 0, 0, 8, 0, 0 }, VERDICT_SKIP, true, 0 },
		{ { 10, 3, 2, 0, 0, 5, 0, 0 }, VERDICT_BAD, true, 0 },
		{ { 20, 18, 2, 0, 0, 0, 0, 0 }, VERDICT_SKIP, true, 0 },
		{ { 20, 17, 3, 0, 0, 0, 0, 0 }, VERDICT_BAD, true, 0 },
		{ { 20, 10, 2, 0, 0, 0, 8, 0 }, VERDICT_BAD, true, 0 },
		{ { 10, 0, 0, 0, 0, 0, 10, 0 }, VERDICT_NONE, true, 5 },
		/* Early: only what no run that is left can change. */
		{ { 5, 5, 0, 0, 0, 0, 0, 5 }, VERDICT_GOOD, false, 0 },
		{ { 5, 3, 2, 0, 0, 0, 0, 5 }, VERDICT_BAD, true, 0 },
		{ { 3, 1, 2, 0, 0, 0, 0, 7 }, VERDICT_SKIP, false, 0 },
		{ { 6, 0, 0, 0, 0, 6, 0, 4 }, VERDICT_SKIP, true, 5 },
		{ { 5, 0, 0, 0, 0, 5, 0, 5 }, VERDICT_SKIP, false, 5 },
	};
	static const struct row flaky[] = {
		{ { 20, 15, 0, 5, 0, 0, 0, 0 }, VERDICT_GOOD, true, 0 },
		{ { 20, 14, 0, 6, 0, 0, 0, 0 }, VERDICT_SKIP, true, 1 },
	};
	struct policy p = bayes;

	(void)state;
	p.kind = POLICY_SYZBOT;
	check_rows(&p, rows, ROWS(rows));
	assert_int_equal(policy_runs(&p, false), 10);
	assert_int_equal(policy_runs(&p, true), 20);
	p.known_runs = 20;
	p.known_hits = 9;
	check_rows(&p, flaky, ROWS(flaky));
	assert_int_equal(policy_runs(&p, false), 20);
	p.known_hits = 10;
	assert_int_equal(policy_runs(&p, false), 10);
}

/* final of syzbot's rule, against every way in which the runs that are left can go. */
static bool can_change(const struct policy *p, struct tally t, enum verdict v)
{
	static size_t struct_tally_counts[] = { offsetof(struct tally, clean),
						offsetof(struct tally, hits),
						offsetof(struct tally, others),
						offsetof(struct tally, infra) };
	struct decision d;

	if (!t.left) {
		verdict_decide(p, &t, &d);
		return d.verdict != v;
	}
	for (size_t i = 0; i < ROWS(struct_tally_counts); i++) {
		struct tally next = t;

		next.runs++;
		next.left--;
		++*(size_t *)((char *)&next + struct_tally_counts[i]);
		if (can_change(p, next, v))
			return true;
	}
	return false;
}

static void test_syzbot_final(void **state)
{
	struct policy p = bayes;

	(void)state;
	p.kind = POLICY_SYZBOT;
	for (size_t i = 0; i < 5 * 5 * 5 * 5; i++) {
		struct tally t = { .clean = i % 5,
				   .hits = i / 5 % 5,
				   .boot = i / 25 % 5,
				   .infra = i / 125,
				   .left = 4 };
		struct decision d;

		t.runs = t.clean + t.hits + t.boot + t.infra;
		verdict_decide(&p, &t, &d);
		if (d.verdict != VERDICT_NONE && d.final == can_change(&p, t, d.verdict))
			fail_msg("%zu clean, %zu hits, %zu boot, %zu infra: final %d", t.clean,
				 t.hits, t.boot, t.infra, d.final);
	}
}

static void test_tally(void **state)
{
	static const struct {
		struct outcome outcome;
		enum match match;
	} runs[] = {
		{ { OUTCOME_OK, NULL }, MATCH_NONE },
		{ { OUTCOME_CRASHED, "A" }, MATCH_TARGET },
		{ { OUTCOME_CRASHED, "B" }, MATCH_NONE },
		{ { OUTCOME_CRASHED, "E" }, MATCH_POSSIBLE },
		{ { OUTCOME_BOOT_FAILED, "C" }, MATCH_NONE },
		{ { OUTCOME_BOOT_FAILED, "A" }, MATCH_TARGET },
		{ { OUTCOME_TESTING_FAILED, "" }, MATCH_NONE },
		{ { OUTCOME_INFRA, "D" }, MATCH_NONE },
	};
	struct tally t = { .left = 9 };

	(void)state;
	for (size_t i = 0; i < ROWS(runs); i++)
		tally_add(&t, &runs[i].outcome, runs[i].match);
	assert_int_equal(t.runs, 8);
	assert_int_equal(t.clean, 1);
	assert_int_equal(t.hits, 2);
	assert_int_equal(t.others, 1);
	assert_int_equal(t.possible, 1);
	assert_int_equal(t.boot, 2);
	assert_int_equal(t.infra, 1);
	assert_int_equal(t.left, 1);
}

static const struct {
	struct tally tally;
	size_t hits, runs, min_hits;
	const char *reason;
} reasons[] = {
	{ { 10, 0, 10, 0, 0, 0, 0, 0 }, 0, 0, 1, "the crash was seen in 10 of 10 runs" },
	{ { 7, 7, 0, 0, 0, 0, 0, 0 },
	  0,
	  0,
	  1,
	  "7 of 7 runs were clean; a crash that shows in 0.5 of the runs would hide in "
	  "them with a chance of 0.0078" },
	{ { 4, 3, 0, 1, 0, 0, 0, 0 },
	  10,
	  10,
	  1,
	  "3 of 4 runs were clean, 1 crashed otherwise; a crash that is known from 10 of "
	  "10 runs would hide in them with a chance of 0.0027" },
	{ { 6, 6, 0, 0, 0, 0, 0, 0 },
	  0,
	  0,
	  1,
	  "6 of 6 runs were clean; a crash that shows in 0.5 of the runs would hide in "
	  "them with a chance of 0.016; 1 more clean run would make it good" },
	{ { 1, 0, 0, 0, 0, 1, 0, 0 },
	  0,
	  0,
	  1,
	  "0 of 1 run was clean, 1 did not boot or pass the canary" },
	{ { 8, 0, 0, 8, 0, 0, 0, 0 }, 0, 0, 1, "0 of 8 runs were clean, 8 crashed otherwise" },
	{ { 3, 0, 0, 0, 0, 2, 1, 7 },
	  0,
	  0,
	  1,
	  "0 of 3 runs were clean, 2 did not boot or pass the canary, 1 had an infra "
	  "problem" },
	{ { 3, 2, 1, 0, 0, 0, 0, 0 },
	  0,
	  0,
	  2,
	  "2 of 3 runs were clean, 1 showed the crash; 1 more such run would make it bad" },
	{ { 2, 1, 0, 0, 1, 0, 0, 0 },
	  0,
	  0,
	  1,
	  "1 of 2 runs was clean, 1 crashed in a way that may be the same; a crash that "
	  "shows in 0.5 of the runs would hide in them with a chance of 0.5; what may be "
	  "the crash can make it neither good nor bad" },
};

static void test_reasons(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(reasons); i++) {
		cleanup_buf struct buf text = BUF_INIT;
		struct policy p = { POLICY_BAYES,        POLICY_ALPHA,    POLICY_RATE,
				    reasons[i].min_hits, reasons[i].hits, reasons[i].runs };
		struct decision d;

		verdict_decide(&p, &reasons[i].tally, &d);
		verdict_reason(&p, &reasons[i].tally, &d, &text);
		assert_string_equal(text.data, reasons[i].reason);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(policy_kind_of("bayes"), POLICY_BAYES);
	assert_int_equal(policy_kind_of("syzbot"), POLICY_SYZBOT);
	assert_int_equal(verdict_exit_status(VERDICT_GOOD), 0);
	assert_int_equal(verdict_exit_status(VERDICT_BAD), 1);
	assert_int_equal(verdict_exit_status(VERDICT_SKIP), 125);
	assert_int_equal(verdict_exit_status(VERDICT_NONE), 128);
	assert_string_equal(verdict_name(VERDICT_NONE), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bayes),  cmocka_unit_test(test_min_hits),
		cmocka_unit_test(test_hidden), cmocka_unit_test(test_clean_needed),
		cmocka_unit_test(test_syzbot), cmocka_unit_test(test_syzbot_final),
		cmocka_unit_test(test_tally),  cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
