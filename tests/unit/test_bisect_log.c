/* Bisection logs: old and new forms, what is quoted, and lines of no known form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "bisect_log.h"

#include <string.h>

static void read_log(const char *path, struct bisect_log *log)
{
	cleanup_buf struct buf text = BUF_INIT;
	struct err err;

	assert_int_equal(fs_read(path, BISECT_LOG_BYTES, &text, ERR_INPUT, &err), 0);
	assert_int_equal(bisect_log_parse(text.data, text.len, log, &err), 0);
}

static void test_old(void **state)
{
	static const struct {
		char digit;
		const char *name;
		size_t runs;
		bool all;
		enum bisect_word word;
		size_t word_line;
	} rows[] = {
		{ '1', NULL, 10, false, BISECT_BAD, 0 }, /* implied: the search went on */
		{ '2', "v5.3", 1, true, BISECT_BAD, 23 },
		{ '3', "v5.2", 1, true, BISECT_GOOD, 23 },
		{ '4', NULL, 1, true, BISECT_BAD, 29 },
		{ '5', NULL, 10, false, BISECT_BAD, 44 },
		{ '6', NULL, 10, false, BISECT_GOOD, 59 },
	};
	static const enum outcome_kind last[] = { OUTCOME_BOOT_FAILED, OUTCOME_TESTING_FAILED,
						  OUTCOME_INFRA, OUTCOME_OK };
	struct bisect_log log;

	(void)state;
	read_log("tests/data/bisect/old.log", &log);
	assert_int_equal(log.n_revisions, sizeof(rows) / sizeof(*rows));
	for (size_t i = 0; i < log.n_revisions; i++) {
		const struct bisect_revision *r = &log.revisions[i];

		assert_int_equal(strspn(r->hash, (char[]){ rows[i].digit, 0 }), 40);
		assert_string_equal(r->name ? r->name : "", rows[i].name ? rows[i].name : "");
		assert_int_equal(r->n_runs, rows[i].runs);
		assert_int_equal(r->all, rows[i].all);
		assert_int_equal(r->word, rows[i].word);
		assert_int_equal(r->word_line, rows[i].word_line);
		assert_string_equal(r->compiler, "gcc (GCC) 8.1.0");
		assert_non_null(r->signature);
		assert_int_equal(r->made, 0);
	}
	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++)
		assert_int_equal(log.revisions[5].runs[i].outcome.kind, last[i]);
	assert_string_equal(log.revisions[3].subject, "kvm: a change that breaks nothing");
	assert_string_equal(log.revisions[4].runs[9].outcome.title,
			    "KASAN: use-after-free Read in tcp_made_up");
	assert_string_equal(log.culprit, log.revisions[4].hash);
	assert_string_equal(log.culprit_subject, "net: something else");
	assert_string_equal(log.culprit_signature, "55aa");
	assert_string_equal(log.parent_signature, "66aa");
	assert_string_equal(log.crash, "KASAN: use-after-free Read in tcp_made_up");
	assert_int_equal(log.tested, 6);
	assert_false(log.fix);
	assert_int_equal(log.n_strays, 0);
	bisect_log_free(&log);
}

/* In a search for a fix, git's "bad" is the fixed state. */
static void test_new_fix(void **state)
{
	struct bisect_log log;

	(void)state;
	read_log("tests/data/bisect/new-fix.log", &log);
	assert_true(log.fix);
	assert_int_equal(log.n_revisions, 4);
	assert_int_equal(log.revisions[0].word, BISECT_BAD);
	assert_int_equal(log.revisions[1].word, BISECT_GOOD);
	assert_string_equal(log.revisions[1].name, "HEAD");
	assert_int_equal(log.revisions[2].word, BISECT_SKIP);
	assert_string_equal(log.revisions[2].build_failure, "make: *** [vmlinux] Error 1");
	assert_int_equal(log.revisions[3].word, BISECT_GOOD);
	assert_int_equal(log.revisions[0].n_runs, 6);
	assert_true(log.revisions[0].runs[4].ignored);
	assert_string_equal(log.revisions[0].compiler,
			    "gcc (Debian 10.2.1-6) 10.2.1 20210110, GNU ld (GNU Binutils for "
			    "Debian) 2.35.2");
	assert_string_equal(log.culprit, log.revisions[3].hash);
	assert_int_equal(log.n_strays, 2);
	assert_int_equal(log.strays[0].line, 42);
	assert_string_equal(log.strays[0].text, "a line that nobody knows");
	assert_string_equal(log.strays[1].why, "a decision on a revision that was not tested");
	bisect_log_free(&log);
}

#define H "testing commit 1234567\n"

/* Lines that are of no use are named, with their numbers; nothing else changes. */
static void test_strays(void **state)
{
	static const struct {
		const char *text;
		size_t line; /* of the stray; 0: there is none */
	} rows[] = {
		{ H "run #0: OK\n", 0 },
		{ H "run #0: OK\r\n", 0 },
		{ H "run #x: OK\n", 2 },
		{ H "run #0: fine\n", 2 },
		{ H "run #0: crashed: \n", 2 },
		{ H "run #0: OK: why\n", 2 },
		{ H "run #0: OK\nall runs: OK\n", 3 },
		{ H "all runs: OK\nrun #0: OK\n", 3 },
		{ H "all runs: OK\nruns: 3, verdict: good\n", 0 },
		{ H "all runs: OK\nruns: 0\n", 3 },
		{ H "all runs: OK\nruns: 123456789012345678901234567890\n", 3 },
		{ "run #0: OK\n" H, 1 },
		{ "kernel signature: 00\n" H, 1 },
		{ H "testing commit xyz\n", 2 },
		{ H "testing commit 123456789012345678901234567890123456789012345678901234567890"
		    "12345678\n",
		  2 },
		{ H "# git bisect good 1234567\n", 0 },
		{ H "# git bisect good 7654321\n", 2 },
		{ H "# git bisect maybe 1234567\n", 2 },
		{ H "# git bisect start only-one\n", 2 },
		{ H "same kernel as 1234567\n", 2 }, /* only an earlier one can be */
		{ H "testing commit 2345678\nsame kernel as 1234567\n", 0 },
		{ H "1234567 is the first bad commit\nhello\n", 3 },
		{ H "[1234567] subject", 0 },
		{ H "[subject]", 2 },
		{ H "\x1b[2J", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct bisect_log log;
		struct err err;

		assert_int_equal(bisect_log_parse(rows[i].text, strlen(rows[i].text), &log, &err),
				 0);
		if (log.n_strays != (rows[i].line > 0) ||
		    (log.n_strays && log.strays[0].line != rows[i].line))
			fail_msg("row %zu: %zu strays, %s", i, log.n_strays,
				 log.n_strays ? log.strays[0].text : "");
		bisect_log_free(&log);
	}
}

static void test_no_log(void **state)
{
	static const char *const rows[] = { "", "\n", "hello\n", "testing commit \n",
					    "all runs: OK" };
	struct bisect_log log;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(bisect_log_parse(rows[i], strlen(rows[i]), &log, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old),
		cmocka_unit_test(test_new_fix),
		cmocka_unit_test(test_strays),
		cmocka_unit_test(test_no_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
