/* Outcomes in the seeds' words: the table, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "outcome.h"

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
	bool ended[3] = { true, true, true };
	cleanup_buf struct buf text = BUF_INIT;

	(void)state;
	outcomes_text(runs, ended, 3, false, &text);
	assert_string_equal(text.data, "all runs: crashed: A\n");
	buf_clear(&text);
	outcomes_text(runs, ended, 3, true, &text);
	assert_string_equal(text.data,
			    "run #0: crashed: A\nrun #1: crashed: A\nrun #2: crashed: A\n");
	buf_clear(&text);
	runs[1].kind = OUTCOME_BOOT_FAILED;
	runs[2] = (struct outcome){ OUTCOME_OK, NULL };
	outcomes_text(runs, ended, 3, false, &text);
	assert_string_equal(text.data, "run #0: crashed: A\nrun #1: boot failed: A\nrun #2: OK\n");
	buf_clear(&text);
	ended[0] = ended[1] = false;
	outcomes_text(runs, ended, 3, false, &text);
	assert_string_equal(text.data, "all runs: OK\n");
	buf_clear(&text);
	runs[0].title = "B";
	ended[0] = true;
	outcomes_text(runs, ended, 1, false, &text);
	assert_string_equal(text.data, "all runs: crashed: B\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
