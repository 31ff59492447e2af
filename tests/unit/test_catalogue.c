/* The catalogue's parser, and that the bundled one fits the files beside it. */
#include "catalogue.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define ROW(name) "[" name "]\nneeds = any\nduration = 5\nsource = s\nsummary = t\n"

static void test_good(void **state)
{
	static const char text[] = "# head\n\n[a-1]\nneeds = svm\nduration=10\n"
				   "expect\t=  WARNING in kvm_wait \n"
				   "source = 0123 (\"x = y\")\nsummary = one line\n\n"
				   "# more\n[b]\nneeds=vmx\nduration = 3600\nsource=s\nsummary=t";
	struct catalogue c;
	struct err err;

	(void)state;
	assert_int_equal(catalogue_parse(text, strlen(text), &c, &err), 0);
	assert_int_equal(c.n, 2);
	assert_string_equal(c.rows[0].name, "a-1");
	assert_int_equal(c.rows[0].needs, NEEDS_SVM);
	assert_int_equal(c.rows[0].duration_ms, 10000);
	assert_string_equal(c.rows[0].expect, "WARNING in kvm_wait");
	assert_string_equal(c.rows[0].source, "0123 (\"x = y\")");
	assert_string_equal(c.rows[0].summary, "one line");
	assert_null(c.rows[1].expect);
	assert_int_equal(c.rows[1].needs, NEEDS_VMX);
	assert_int_equal(c.rows[1].duration_ms, 3600000);
	assert_ptr_equal(catalogue_find(&c, "b"), &c.rows[1]);
	assert_null(catalogue_find(&c, "c"));
	assert_string_equal(repro_needs_name(NEEDS_ANY), "any");
	catalogue_free(&c);
	catalogue_free(&c);
}

static const struct {
	const char *text, *why;
} bad[] = {
	{ "needs = any\n", "catalogue:1: a key before the first section" },
	{ "\nhello\n", "catalogue:2: neither" },
	{ "[a]\n = x\n", "catalogue:2: no such key" },
	{ "[a]\nneeds any = x\n", "catalogue:2: neither" },
	{ "[a]\nneed = any\n", "catalogue:2: no such key 'need'" },
	{ "[a]\nneeds = tdx\n", "catalogue:2: needs is any, svm or vmx, not 'tdx'" },
	{ "[a]\nneeds =\n", "catalogue:2: 'needs' has no value" },
	{ "[a]\nneeds = any\nneeds = any\n", "catalogue:3: 'needs' is there twice" },
	{ "[a]\nexpect = x\nexpect = y\n", "catalogue:3: 'expect' is there twice" },
	{ "[a]\nduration = 0\n", "catalogue:2: duration is 1 to 3600 seconds, not '0'" },
	{ "[a]\nduration = 3601\n", "catalogue:2: duration" },
	{ "[a]\nduration = 99999999999999999999\n", "catalogue:2: duration" },
	{ "[a]\nduration = -1\n", "catalogue:2: duration" },
	{ "[a]\nduration = 10s\n", "catalogue:2: duration" },
	{ "[a]\nduration = 1.5\n", "catalogue:2: duration" },
	{ "[]\n", "catalogue:1: a section's name" },
	{ "[a\n", "catalogue:1: a section's name" },
	{ "[A]\n", "catalogue:1: a section's name" },
	{ "[a/b]\n", "catalogue:1: a section's name" },
	{ "[a] x\n", "catalogue:1: a section's name" },
	{ "[a]]\n", "catalogue:1: a section's name" },
	{ ROW("a") ROW("a"), "catalogue:6: [a] is there twice" },
	{ "[a]\nneeds = any\n" ROW("b"), "catalogue:3: [a] ends without 'duration'" },
	{ "[a]\nneeds = any\nduration = 1\nsource = x\n", "[a] ends without 'summary'" },
	{ "[a]\nsource = \x1b[31m\n", "catalogue:2: a control character" },
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct catalogue c;
		struct err err;

		if (!catalogue_parse(bad[i].text, strlen(bad[i].text), &c, &err))
			fail_msg("taken: %s", bad[i].text);
		assert_int_equal(err.kind, ERR_HARNESS);
		if (!strstr(err.msg, bad[i].why))
			fail_msg("'%s' lacks '%s'", err.msg, bad[i].why);
	}
}

static void test_too_many(void **state)
{
	cleanup_buf struct buf text = BUF_INIT;
	struct catalogue c;
	struct err err;

	(void)state;
	for (int i = 0; i < 65; i++)
		buf_addf(&text, "[r%d]\nneeds=any\nduration=1\nsource=s\nsummary=t\n", i);
	assert_int_equal(catalogue_parse(text.data, text.len, &c, &err), -1);
	assert_non_null(strstr(err.msg, "catalogue:321: more than 64 sections"));
}

/* The text is not NUL-terminated, and any byte may be in it. */
static void test_noise(void **state)
{
	static const char text[] = "# c\n" ROW("a") "expect = e\n" ROW("b");
	uint32_t x = 1;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		size_t len = sizeof(text) - 1;
		struct catalogue c;
		struct err err;

		x = x * 1664525 + 1013904223;
		len = x >> 31 ? len : (x >> 8) % len;
		cleanup_free char *exact = xcalloc(1, len);
		memcpy(exact, text, len);
		for (int i = 0; len && i < 2; i++) {
			x = x * 1664525 + 1013904223;
			exact[(x >> 8) % len] = (char)(x >> 24);
		}
		if (!catalogue_parse(exact, len, &c, &err))
			catalogue_free(&c);
	}
}

/* A row for each file and a file for each row. Unit tests run at the root of the tree. */
static void test_bundled(void **state)
{
	struct catalogue c;
	struct err err;

	(void)state;
	if (catalogue_bundled(&c, &err))
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < c.n; i++) {
		cleanup_free char *path = xasprintf("repro/%s.c", c.rows[i].name);

		if (!fs_exists(path))
			fail_msg("%s is missing", path);
	}
	cleanup_dir DIR *d = opendir("repro");
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		size_t len = strlen(e->d_name);

		if (len < 3 || strcmp(e->d_name + len - 2, ".c"))
			continue;
		cleanup_free char *name = xstrndup(e->d_name, len - 2);
		if (!catalogue_find(&c, name))
			fail_msg("repro/catalogue lacks [%s]", name);
	}
	catalogue_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),     cmocka_unit_test(test_bad),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_noise),
		cmocka_unit_test(test_bundled),
	};

	return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}
