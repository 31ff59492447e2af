/* The audit's own decisions, one log of a few lines each: which revision, what is found of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit.h"

#include <string.h>

#define FIRST "testing commit 1111111\nall runs: crashed: WARNING in a_b\n"
#define START "# git bisect start 1111111 9999999\n"

static const struct {
	const char *what, *log, *findings; /* a letter a revision: A agrees, U, M, X astray, - */
} rows[] = {
	{ "no word", FIRST, "-" },
	{ "clean is good",
	  FIRST START "testing commit 2222222\nall runs: OK\n"
		      "# git bisect good 2222222\n",
	  "AA" },
	{ "clean is not bad",
	  FIRST START "testing commit 2222222\nall runs: OK\n"
		      "# git bisect bad 2222222\n",
	  "AX" },
	{ "a hit is not good",
	  FIRST START "testing commit 2222222\nrun #0: OK\n"
		      "run #1: crashed: WARNING in a_b\n"
		      "# git bisect good 2222222\n",
	  "AX" },
	{ "a hit while booting",
	  FIRST START "testing commit 2222222\n"
		      "run #0: boot failed: WARNING in a_b\n"
		      "# git bisect bad 2222222\n",
	  "AA" },
	{ "one clean run proves nothing",
	  FIRST START "testing commit 2222222\nrun #0: OK\n# git bisect good 2222222\n", "AU" },
	{ "skipped though it is clear",
	  FIRST START "testing commit 2222222\nall runs: OK\n# git bisect skip 2222222\n", "AM" },
	{ "skipped for boot failures",
	  FIRST START "testing commit 2222222\nall runs: boot failed: x\n"
		      "# git bisect skip 2222222\n",
	  "AA" },
	{ "skipped for our own trouble",
	  FIRST START "testing commit 2222222\nall runs: infra problem: x\n"
		      "# git bisect skip 2222222\n",
	  "AA" },
	{ "not built",
	  FIRST START "testing commit 2222222\nfailed building 2222222: x\n"
		      "# git bisect skip 2222222\n",
	  "AA" },
	{ "the same kernel",
	  FIRST START "testing commit 2222222\nsame kernel as 1111111\n"
		      "# git bisect good 2222222\n",
	  "AX" },
	{ "no runs", FIRST START "testing commit 2222222\n# git bisect good 2222222\n", "A-" },
	/* "runs: 1": one clean run, however many "all runs" may be elsewhere. */
	{ "as many as are said",
	  FIRST START "testing commit 2222222\nall runs: OK\nruns: 1\n"
		      "# git bisect good 2222222\n",
	  "AU" },
	/* The alias shows itself in 3333333 only, and counts in 2222222. */
	{ "an alias learnt later",
	  FIRST START "testing commit 2222222\nall runs: crashed: BUG: bad in c\n"
		      "# git bisect bad 2222222\n"
		      "testing commit 3333333\nrun #0: crashed: WARNING in a_b\n"
		      "run #1: crashed: WARNING in a_b\nrun #2: crashed: WARNING in a_b\n"
		      "run #3: crashed: BUG: bad in c\n# git bisect bad 3333333\n",
	  "AAA" },
};

static void test_findings(void **state)
{
	static const char letters[] = { [AUDIT_NONE] = '-',
					[AUDIT_AGREES] = 'A',
					[AUDIT_UNPROVEN] = 'U',
					[AUDIT_MISSED] = 'M',
					[AUDIT_ASTRAY] = 'X' };
	const struct policy policy = { .alpha = POLICY_ALPHA, .rate = POLICY_RATE, .min_hits = 1 };
	const struct filter expect = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct bisect_log log;
		struct audit audit;
		struct err err;
		char got[8] = "";

		assert_int_equal(bisect_log_parse(rows[i].log, strlen(rows[i].log), &log, &err), 0);
		assert_int_equal(audit_log(&log, &expect, &policy, &audit, &err), 0);
		for (size_t k = 0; k < audit.n_revisions; k++)
			got[k] = letters[audit.revisions[k].finding];
		if (strcmp(got, rows[i].findings))
			fail_msg("%s: %s, not %s", rows[i].what, got, rows[i].findings);
		audit_free(&audit);
		bisect_log_free(&log);
	}
}

static void test_no_target(void **state)
{
	static const char text[] = "testing commit 1111111\nall runs: ignore: WARNING in a_b\n";
	const struct policy policy = { .alpha = POLICY_ALPHA, .rate = POLICY_RATE, .min_hits = 1 };
	const struct filter expect = { 0 };
	struct bisect_log log;
	struct audit audit;
	struct err err;

	(void)state;
	assert_int_equal(bisect_log_parse(text, strlen(text), &log, &err), 0);
	assert_int_equal(audit_log(&log, &expect, &policy, &audit, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	bisect_log_free(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_no_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
