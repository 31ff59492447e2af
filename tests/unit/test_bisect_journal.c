/* The journal: what is stored comes back, damage is refused, and the log that it makes is read by
 * the reader of logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "bisect.h"
#include "bisect_log.h"

#include <stdlib.h>
#include <string.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccc"

static char *dir;

static int setup(void **state)
{
	struct err err;

	(void)state;
	return fs_tmpdir(&dir, &err);
}

static int teardown(void **state)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)state;
	free(dir);
	return rc;
}

/* A search between A (bad) and B (good), with C not built; of a commit whose subject is no UTF-8.
 */
static void fill(struct bisect_journal *j, bool fix)
{
	struct bisect_step *s;

	*j = (struct bisect_journal){
		.dir = xstrdup(dir),
		.argv = json_pack("[s, s]", "--good=x", "--bad=y"),
		.cwd = xstrdup("/"),
		.tree = xstrdup("/tree"),
		.start = xstrdup("main"),
		.bad = xstrdup(A),
		.good = xstrdup(B),
		.fix = fix,
		.target = xstrdup("WARNING in a_b"),
		.known_hits = 3,
		.known_runs = 4,
	};
	family_know(&j->family, "WARNING in a_b", "WARNING", "a_b c_d e_f", KIN_TARGET);
	family_know(&j->family, "BUG: bad in c", "", NULL, KIN_ALIAS);
	s = bisect_journal_add(j, A);
	s->dir = xstrdup("revisions/001");
	s->subject = xstrdup("not \xff UTF-8");
	s->compiler = xstrdup("gcc (Debian) 12");
	s->signature = xstrdup("00aa");
	s->judged = s->told = true;
	s->verdict = VERDICT_BAD;
	s->lines = xstrdup("run #0: OK\nrun #1: crashed: WARNING in a_b\n");
	s->reason = xstrdup("why");
	s->runs = 2;
	s->hits = 1;
	s->hidden = 0.25;
	s->runs_dir = xstrdup("revisions/001/runs");
	s->confirm_dir = xstrdup("revisions/001/confirm-2");
	s = bisect_journal_add(j, B);
	s->dir = xstrdup("revisions/002");
	s->signature = xstrdup("00bb");
	s->judged = s->told = true;
	s->verdict = VERDICT_GOOD;
	s->lines = xstrdup("all runs: OK\n");
	s->runs = 7;
	s->said = xstrdup("Bisecting: 0 revisions left to test after this (roughly 0 steps)\n[" C
			  "] subject\n");
	s = bisect_journal_add(j, C);
	s->dir = xstrdup("revisions/003");
	s->build_failure = xstrdup("no such luck");
	s->told = true;
}

static void test_round_trip(void **state)
{
	struct bisect_journal j, k;
	struct err err;

	(void)state;
	fill(&j, false);
	assert_int_equal(bisect_journal_store(&j, &err), 0);
	assert_int_equal(bisect_journal_load(dir, &k, &err), 0);
	assert_true(json_equal(j.argv, k.argv));
	assert_string_equal(k.tree, "/tree");
	assert_string_equal(k.target, "WARNING in a_b");
	assert_int_equal(k.known_hits, 3);
	assert_int_equal(k.n_steps, 3);
	assert_int_equal(k.steps[0].verdict, VERDICT_BAD);
	assert_int_equal(k.steps[1].verdict, VERDICT_GOOD);
	assert_int_equal(k.steps[2].verdict, VERDICT_SKIP);
	assert_true(k.steps[0].hidden == 0.25);
	assert_string_equal(k.steps[0].subject, "not \\xff UTF-8");
	assert_null(k.steps[2].signature);
	assert_string_equal(k.steps[0].runs_dir, "revisions/001/runs");
	assert_string_equal(k.steps[0].confirm_dir, "revisions/001/confirm-2");
	assert_null(k.steps[1].runs_dir);
	assert_int_equal(k.family.n, 2);
	assert_int_equal(k.family.v[1].kin, KIN_ALIAS);
	assert_string_equal(k.family.v[0].stack, "a_b c_d e_f");
	assert_ptr_equal(bisect_journal_find(&k, C), &k.steps[2]);
	assert_null(bisect_journal_find(&k, "dddd"));
	/* argv stays the same object, for the options point into it. */
	json_t *argv = k.argv;
	assert_int_equal(bisect_journal_reload(&k, &err), 0);
	assert_ptr_equal(k.argv, argv);
	bisect_journal_free(&j);
	bisect_journal_free(&k);
}

/* A revision's runs stay where the journal says; those behind a verdict that was withdrawn go
 * elsewhere. */
static void test_run_dirs(void **state)
{
	struct bisect_journal j = { .dir = dir };
	struct bisect b = { .j = &j };
	struct bisect_step then = { .dir = "made" }, later = then;
	cleanup_free char *made = xasprintf("%s/made/runs", dir);
	cleanup_free char *run = xasprintf("%s/run.json", made);
	struct err err;
	bool resume;

	(void)state;
	bisect_choose_dir(&b, &then, "runs", &then.runs_dir);
	assert_string_equal(then.runs_dir, "made/runs");
	char *path = bisect_run_dir(&b, then.runs_dir, &resume);
	assert_string_equal(path, made);
	assert_false(resume);
	free(path);
	assert_int_equal(fs_mkdirs(made, &err), 0);
	assert_int_equal(fs_write(run, "{}", 2, &err), 0);
	bisect_choose_dir(&b, &then, "runs", &then.runs_dir);
	assert_string_equal(then.runs_dir, "made/runs");
	free(bisect_run_dir(&b, then.runs_dir, &resume));
	assert_true(resume);
	bisect_choose_dir(&b, &later, "runs", &later.runs_dir);
	assert_string_equal(later.runs_dir, "made/runs-2");
	free(bisect_run_dir(&b, later.runs_dir, &resume));
	assert_false(resume);
	free(then.runs_dir);
	free(later.runs_dir);
}

static void test_damaged(void **state)
{
	static const char *const rows[] = {
		"",
		"{",
		"[]",
		"{\"version\": 1}",
		"{\"version\": 2}",
		"{\"version\": 1, \"cwd\": 5, \"tree\": \"\", \"start\": \"\", \"good\": \"\", "
		"\"bad\": \"\"}",
		"{\"version\": 1, \"cwd\": \"\", \"tree\": \"\", \"start\": \"\", \"good\": \"\", "
		"\"bad\": "
		"\"\", \"steps\": [{}]}",
		"{\"version\": 1, \"cwd\": \"\", \"tree\": \"\", \"start\": \"\", \"good\": \"\", "
		"\"bad\": "
		"\"\", \"steps\": [7]}",
	};
	cleanup_buf struct buf path = BUF_INIT;
	struct bisect_journal j;
	struct err err;

	(void)state;
	buf_addf(&path, "%s/journal.json", dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(fs_write(path.data, rows[i], strlen(rows[i]), &err), 0);
		assert_int_equal(bisect_journal_load(dir, &j, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
	}
}

static void test_log(void **state)
{
	(void)state;
	for (int fix = 0; fix < 2; fix++) {
		cleanup_buf struct buf text = BUF_INIT;
		struct bisect_journal j;
		struct bisect_log log;
		struct err err;

		fill(&j, fix);
		bisect_journal_log(&j, &text);
		assert_int_equal(bisect_log_parse(text.data, text.len, &log, &err), 0);
		assert_int_equal(log.n_strays, 0);
		assert_int_equal(log.fix, fix);
		assert_int_equal(log.n_revisions, 3);
		assert_int_equal(log.revisions[0].word, BISECT_BAD);
		assert_int_equal(log.revisions[1].word, BISECT_GOOD);
		assert_int_equal(log.revisions[2].word, BISECT_SKIP);
		assert_int_equal(log.revisions[1].made, 7);
		assert_string_equal(log.revisions[0].compiler, "gcc (Debian) 12");
		assert_string_equal(log.revisions[2].subject, "subject");
		assert_string_equal(log.revisions[2].build_failure, "no such luck");
		bisect_log_free(&log);
		bisect_journal_free(&j);
	}
}

static void test_time(void **state)
{
	static const struct {
		long ms;
		const char *text;
	} rows[] = {
		{ 0, "0.0s" },           { 2450, "2.4s" },
		{ 60000, "1m0.0s" },     { 4 * 3600000L + 8 * 60000 + 35600, "4h8m35.6s" },
		{ 3600000, "1h0m0.0s" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cleanup_buf struct buf text = BUF_INIT;

		bisect_time_text(rows[i].ms, &text);
		assert_string_equal(text.data, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_dirs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log, setup, teardown),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
