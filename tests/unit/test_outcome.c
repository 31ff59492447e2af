/* Outcomes in the seeds' words, verdicts and exit statuses: the tables, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "outcome.h"
#include "verdict.h"

#include <string.h>

static void test_words(void **state)
{
	static const struct {
		struct outcome outcome;
		const char *text, *name;
	} rows[] = {
		{ { OUTCOME_OK, NULL }, "OK", "ok" },
		{ { OUTCOME_CRASHED, "WARNING in kvm_wait" },
		  "crashed: WARNING in kvm_wait",
		  "crashed" },
		{ { OUTCOME_BOOT_FAILED, "can't ssh into the instance" },
		  "boot failed: can't ssh into the instance",
		  "boot-failed" },
		{ { OUTCOME_TESTING_FAILED, "no KVM" },
		  "basic kernel testing failed: no KVM",
		  "testing-failed" },
		{ { OUTCOME_INFRA, "disk full" }, "infra problem: disk full", "infra" },
		{ { OUTCOME_CRASHED, "a\x1b[2Jb" }, "crashed: a\\x1b[2Jb", "crashed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cleanup_buf struct buf text = BUF_INIT;

		outcome_text(&rows[i].outcome, &text);
		assert_string_equal(text.data, rows[i].text);
		assert_string_equal(outcome_name(rows[i].outcome.kind), rows[i].name);
	}
}

static void test_lines(void **state)
{
	struct outcome runs[3] = { { OUTCOME_CRASHED, "A" },
				   { OUTCOME_CRASHED, "A" },
				   { OUTCOME_CRASHED, "A" } };
	cleanup_buf struct buf text = BUF_INIT;

	(void)state;
	outcomes_text(runs, 3, &text);
	assert_string_equal(text.data, "all runs: crashed: A\n");
	buf_clear(&text);
	runs[1].kind = OUTCOME_BOOT_FAILED;
	runs[2] = (struct outcome){ OUTCOME_OK, NULL };
	outcomes_text(runs, 3, &text);
	assert_string_equal(text.data, "run #0: crashed: A\nrun #1: boot failed: A\nrun #2: OK\n");
	buf_clear(&text);
	runs[0].title = "B";
	outcomes_text(runs, 1, &text);
	assert_string_equal(text.data, "all runs: crashed: B\n");
}

static void test_verdicts(void **state)
{
	static const struct {
		struct tally tally;
		enum verdict verdict;
		int exit_status;
	} rows[] = {
		/* runs, clean, hits, others, boot, infra */
		{ { 10, 10, 0, 0, 0, 0 }, VERDICT_GOOD, 0 },
		{ { 10, 5, 0, 5, 0, 0 }, VERDICT_GOOD, 0 },
		{ { 10, 4, 0, 6, 0, 0 }, VERDICT_SKIP, 125 },
		{ { 10, 4, 0, 0, 6, 0 }, VERDICT_SKIP, 125 },
		{ { 10, 0, 0, 0, 10, 0 }, VERDICT_SKIP, 125 },
		{ { 10, 0, 0, 0, 1, 9 }, VERDICT_SKIP, 125 },
		{ { 10, 9, 1, 0, 0, 0 }, VERDICT_BAD, 1 },
		{ { 10, 0, 1, 0, 9, 0 }, VERDICT_BAD, 1 },
		{ { 10, 0, 0, 0, 0, 10 }, VERDICT_NONE, 128 },
		{ { 1, 1, 0, 0, 0, 0 }, VERDICT_GOOD, 0 },
		{ { 1, 0, 0, 0, 0, 1 }, VERDICT_NONE, 128 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		enum verdict v = verdict_of(&rows[i].tally);

		assert_int_equal(v, rows[i].verdict);
		assert_int_equal(verdict_exit_status(v), rows[i].exit_status);
	}
}

static void test_tally(void **state)
{
	const struct outcome runs[] = {
		{ OUTCOME_OK, NULL },           { OUTCOME_CRASHED, "A" },
		{ OUTCOME_CRASHED, "B" },       { OUTCOME_BOOT_FAILED, "C" },
		{ OUTCOME_TESTING_FAILED, "" }, { OUTCOME_INFRA, "D" }
	};
	struct tally t = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++)
		tally_add(&t, &runs[i], i == 1);
	assert_int_equal(t.runs, 6);
	assert_int_equal(t.clean, 1);
	assert_int_equal(t.hits, 1);
	assert_int_equal(t.others, 1);
	assert_int_equal(t.boot, 2);
	assert_int_equal(t.infra, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_tally),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
