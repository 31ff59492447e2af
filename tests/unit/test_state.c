/* The state file: what is added is found, by question; nothing is lost to another program or to a
 * file that cannot be read. */
#include "state.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static char *dir;

static int make_dir(void **opaque)
{
	struct err err;

	(void)opaque;
	return fs_tmpdir(&dir, &err);
}

static int remove_dir(void **opaque)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)opaque;
	free(dir);
	return rc;
}

static struct state *open_state(const char *path)
{
	struct state *state;
	struct err err;

	if (state_open(path, &state, &err))
		fail_msg("%s", err.msg);
	return state;
}

static json_t *ask(const char *expect)
{
	return json_pack("{s:[s], s:{s:i}}", "expect", expect, "vm", "vcpus", 2);
}

static const struct policy policy = { POLICY_BAYES, 0.01, 0.5, 1, 0, 0 };

/* A kernel that crashed in hits of n runs, by titles that may not be UTF-8. */
static int add_booted(struct state *state, const json_t *question, const char *key, size_t hits,
		      size_t n, bool boot_once, struct err *err)
{
	static char title[] = "WARNING in kvm_\xff";
	cleanup_free struct outcome *outcomes = xcalloc(n, sizeof(*outcomes));
	cleanup_free enum match *matches = xcalloc(n, sizeof(*matches));
	const struct decision decision = { .verdict = hits ? VERDICT_BAD : VERDICT_GOOD };
	struct family family = { 0 };

	for (size_t i = 0; i < hits; i++) {
		outcomes[i] = (struct outcome){ OUTCOME_CRASHED, title };
		matches[i] = MATCH_TARGET;
	}
	family_know(&family, "WARNING in alias", "WARNING", "a b c", KIN_ALIAS);
	family_know(&family, "WARNING in other", "WARNING", NULL, KIN_OTHER);
	const struct state_entry entry = {
		key,     "6.1.0", "/evidence", boot_once, outcomes,
		matches, n,       &family,     &policy,   &decision,
	};
	int rc = state_add(state, question, &entry, err);
	family_free(&family);
	return rc;
}

static int add(struct state *state, const json_t *question, const char *key, size_t hits, size_t n,
	       struct err *err)
{
	return add_booted(state, question, key, hits, n, false, err);
}

static void add_ok(struct state *state, const json_t *question, const char *key, size_t hits,
		   size_t n)
{
	struct err err;

	if (add(state, question, key, hits, n, &err))
		fail_msg("%s", err.msg);
}

static void assert_rate(const struct state *state, const json_t *question, size_t hits, size_t runs)
{
	size_t h, n;

	state_rate(state, question, false, &h, &n);
	assert_int_equal(h, hits);
	assert_int_equal(n, runs);
}

static size_t runs_of(const struct state *state, const json_t *question, const char *key)
{
	struct state_kernel kernel;

	if (!state_find(state, question, false, key, &kernel))
		return 0;
	size_t n = kernel.n;
	assert_non_null(kernel.judged);
	assert_string_equal(kernel.evidence, "/evidence");
	state_kernel_free(&kernel);
	return n;
}

static void test_kept(void **opaque)
{
	cleanup_free char *path = xasprintf("%s/kept", dir);
	json_t *question = ask("WARNING in kvm"), *other = ask("BUG");
	struct state *state = open_state(path);
	struct state_kernel kernel;
	struct family family = { 0 };

	(void)opaque;
	assert_int_equal(runs_of(state, question, "one"), 0);
	assert_rate(state, question, 0, 0);
	add_ok(state, question, "one", 3, 10);
	add_ok(state, question, "two", 0, 7);
	state_close(state);

	state = open_state(path);
	assert_true(state_find(state, question, false, "one", &kernel));
	assert_int_equal(kernel.n, 10);
	assert_int_equal(kernel.outcomes[2].kind, OUTCOME_CRASHED);
	assert_string_equal(kernel.outcomes[2].title, "WARNING in kvm_\\xff");
	assert_int_equal(kernel.matches[2], MATCH_TARGET);
	assert_int_equal(kernel.outcomes[3].kind, OUTCOME_OK);
	assert_null(kernel.outcomes[3].title);
	state_kernel_free(&kernel);
	/* Good kernels say nothing of the rate, other questions nothing at all. */
	assert_rate(state, question, 3, 10);
	assert_rate(state, other, 0, 0);
	assert_int_equal(runs_of(state, other, "one"), 0);
	assert_int_equal(runs_of(state, question, "three"), 0);
	state_titles(state, question, &family);
	assert_int_equal(family.n, 1);
	assert_string_equal(family.v[0].title, "WARNING in alias");
	assert_string_equal(family.v[0].stack, "a b c");
	assert_int_equal(family.v[0].kin, KIN_ALIAS);
	family_free(&family);
	assert_true(state_holds(state, question, "one", "/evidence"));
	assert_false(state_holds(state, question, "one", "/other"));
	assert_false(state_holds(state, question, "three", "/evidence"));
	assert_false(state_holds(state, other, "one", "/evidence"));
	/* Judged again: all of its runs count. */
	add_ok(state, question, "one", 1, 10);
	assert_int_equal(runs_of(state, question, "one"), 20);
	assert_rate(state, question, 4, 20);
	state_close(state);
	json_decref(question);
	json_decref(other);
}

/* What one boot's state showed says nothing where each trial is to boot; the other way round it
 * does. A kernel that was good once and bad later is bad, with all of its runs. */
static void test_boots(void **opaque)
{
	cleanup_free char *path = xasprintf("%s/boots", dir);
	json_t *question = ask("WARNING in kvm");
	struct state *state = open_state(path);
	struct state_kernel kernel;
	struct err err;
	size_t hits, runs;

	(void)opaque;
	assert_int_equal(add_booted(state, question, "one", 0, 4, true, &err), 0);
	assert_false(state_find(state, question, false, "one", &kernel));
	state_rate(state, question, true, &hits, &runs);
	assert_int_equal(runs, 0);
	add_ok(state, question, "one", 2, 3);
	assert_int_equal(runs_of(state, question, "one"), 3);
	assert_rate(state, question, 2, 3);
	assert_true(state_find(state, question, true, "one", &kernel));
	assert_int_equal(kernel.n, 7);
	state_kernel_free(&kernel);
	state_rate(state, question, true, &hits, &runs);
	assert_int_equal(hits, 2);
	assert_int_equal(runs, 7);
	state_close(state);
	json_decref(question);
}

/* Two programs that opened the same file, and a later one. */
static void test_shared(void **opaque)
{
	cleanup_free char *path = xasprintf("%s/shared", dir);
	json_t *question = ask("WARNING in kvm");
	struct state *a = open_state(path), *b = open_state(path);

	(void)opaque;
	add_ok(a, question, "a", 1, 2);
	add_ok(b, question, "b", 1, 2);
	add_ok(a, question, "b", 1, 2);
	state_close(a);
	state_close(b);
	a = open_state(path);
	assert_int_equal(runs_of(a, question, "a"), 2);
	assert_int_equal(runs_of(a, question, "b"), 4);
	state_close(a);
	json_decref(question);
}

/* Members that this version does not know stay. */
static void test_unknown_members(void **opaque)
{
	static const char text[] = "{\"kvmrepro_state\": 1, \"note\": \"mine\", \"questions\": []}";
	cleanup_free char *path = xasprintf("%s/members", dir);
	cleanup_buf struct buf now = BUF_INIT;
	json_t *question = ask("x");
	struct err err;

	(void)opaque;
	assert_int_equal(fs_write(path, text, sizeof(text) - 1, &err), 0);
	struct state *state = open_state(path);
	add_ok(state, question, "one", 0, 1);
	state_close(state);
	assert_int_equal(fs_read(path, 10000, &now, ERR_INPUT, &err), 0);
	assert_non_null(strstr(now.data, "\"note\": \"mine\""));
	json_decref(question);
}

static void assert_refused(const char *text, const char *why)
{
	cleanup_free char *path = xasprintf("%s/refused", dir);
	cleanup_buf struct buf now = BUF_INIT;
	struct state *state;
	struct err err;

	assert_int_equal(fs_write(path, text, strlen(text), &err), 0);
	assert_int_equal(state_open(path, &state, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_ptr_equal(strstr(err.msg, path), err.msg);
	if (!strstr(err.msg, why))
		fail_msg("'%s' lacks '%s'", err.msg, why);
	assert_int_equal(fs_read(path, 10000, &now, ERR_INPUT, &err), 0);
	assert_string_equal(now.data, text);
}

#define FILE_OF(kernels)                                                                           \
	"{\"kvmrepro_state\": 1, \"questions\": [{\"question\": {}, \"titles\": [], \"kernels\": " \
	"{\"k\": {\"judgements\": " kernels "}}}]}"

static void test_refused(void **opaque)
{
	(void)opaque;
	assert_refused("{", "no state file, or damaged: line 1");
	assert_refused("[1]", "not a state file");
	assert_refused("{}", "not a state file");
	assert_refused("{\"kvmrepro_state\": \"1\"}", "not a state file");
	assert_refused("{\"kvmrepro_state\": 1, \"kvmrepro_state\": 1}", "duplicate");
	assert_refused("{\"kvmrepro_state\": 99}", "a state file of version 99");
	assert_refused("{\"kvmrepro_state\": 1}", "its questions make no sense");
	assert_refused("{\"kvmrepro_state\": 1, \"questions\": [7]}", "a question makes no sense");
	assert_refused(FILE_OF("7"), "judgements makes no sense");
	assert_refused(FILE_OF("[]"), "judgements makes no sense");
	assert_refused(FILE_OF("[{}]"), "a judgement makes no sense");
	assert_refused(FILE_OF("[{\"judged\": \"\", \"verdict\": \"bad\", \"runs\": 1}]"), "runs");
	assert_refused(FILE_OF("[{\"judged\": \"\", \"verdict\": \"bad\", \"runs\": [{\"kind\": "
			       "\"crashed\", \"match\": \"target\"}]}]"),
		       "a run makes no sense");
	assert_refused(FILE_OF("[{\"judged\": \"\", \"verdict\": \"bad\", \"runs\": [{\"kind\": "
			       "\"ok\", \"match\": \"target\"}]}]"),
		       "a run makes no sense");
}

/* It became unreadable after it was opened: it stays, and that is said. */
static void test_damaged_meanwhile(void **opaque)
{
	cleanup_free char *path = xasprintf("%s/meanwhile", dir);
	cleanup_buf struct buf now = BUF_INIT;
	json_t *question = ask("x");
	struct state *state = open_state(path);
	struct err err;

	(void)opaque;
	assert_int_equal(fs_write(path, "half a fi", 9, &err), 0);
	assert_int_equal(add(state, question, "one", 0, 1, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(fs_read(path, 10000, &now, ERR_INPUT, &err), 0);
	assert_string_equal(now.data, "half a fi");
	state_close(state);
	json_decref(question);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),    cmocka_unit_test(test_boots),
		cmocka_unit_test(test_shared),  cmocka_unit_test(test_unknown_members),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_damaged_meanwhile),
	};

	return cmocka_run_group_tests_name("state", tests, make_dir, remove_dir);
}
