/* The domain's template: words, escapes, refusals; and that the real one is filled whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "embed.h"
#include "vm/domain.h"

#include <string.h>

static void test_fill(void **state)
{
	const struct domain_word words[] = { { "NAME", "a<b>&'\"c" }, { "X", "" }, { NULL, NULL } };
	cleanup_buf struct buf out = BUF_INIT;
	struct err err;

	(void)state;
	assert_int_equal(domain_fill("<n>@NAME@</n>@X@.", words, &out, &err), 0);
	assert_string_equal(out.data, "<n>a&lt;b&gt;&amp;&apos;&quot;c</n>.");
}

static void test_refuse(void **state)
{
	const struct domain_word words[] = { { "BAD", "a\nb" }, { NULL, NULL } };
	static const char *const templates[] = { "@OTHER@", "a @ b", "@BAD", "@BAD@", "@" };
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(templates) / sizeof(*templates); i++) {
		cleanup_buf struct buf out = BUF_INIT;

		assert_int_equal(domain_fill(templates[i], words, &out, &err), -1);
	}
}

static void test_leave_out(void **state)
{
	const struct domain_word words[] = { { "NO", NULL }, { "YES", "y" }, { NULL, NULL } };
	cleanup_buf struct buf out = BUF_INIT;
	struct err err;

	(void)state;
	assert_int_equal(domain_fill("a\n@YES@ @NO@ b\n@YES@\n@NO@", words, &out, &err), 0);
	assert_string_equal(out.data, "a\ny\n");
}

static void fill_real(const char *file, const char *fork, const char *model, struct buf *out)
{
	const struct domain_word words[] = {
		{ "TYPE", "qemu" },
		{ "NAME", "n" },
		{ "MEMORY", "1" },
		{ "VCPUS", "2" },
		{ "MACHINE", "pc" },
		{ "KERNEL", "/k" },
		{ "LOADED", model ? NULL : "/v" },
		{ "INITRD", "/i" },
		{ "CMDLINE", "c" },
		{ "CPU", model ? NULL : "maximum" },
		{ "EMULATOR", "/q" },
		{ "CONSOLE", "/c" },
		{ "AGENT", "/a" },
		{ "FILE", file },
		{ "SHARE", "on" },
		{ "FORK", fork },
		{ "LIBRARY", "/l" },
		{ "INCOMING", NULL },
		{ "MODEL", model },
		{ "WITHOUT", model ? NULL : "disable" },
		{ "WITH", model ? NULL : "force" },
		{ "FORCED", model ? NULL : "max-x86_64-cpu" },
		{ NULL, NULL },
	};
	struct err err;

	assert_int_equal(domain_fill(embed_domain_xml().data, words, out, &err), 0);
	assert_null(strchr(out->data, '@'));
	assert_non_null(strstr(out->data, "<vcpu>2</vcpu>"));
	assert_int_equal(!strstr(out->data, "'loader,file=/v'"), model != NULL);
}

static void test_real(void **state)
{
	cleanup_buf struct buf out = BUF_INIT, kept = BUF_INIT, named = BUF_INIT;
	cleanup_buf struct buf forked = BUF_INIT;

	(void)state;
	fill_real(NULL, NULL, NULL, &out);
	assert_null(strstr(out.data, "mem-path"));
	assert_non_null(strstr(out.data, "<cpu mode='maximum'>"));
	assert_non_null(strstr(out.data, "policy='force' name='invtsc'"));
	assert_non_null(strstr(out.data, "policy='disable' name='erms'"));
	assert_non_null(strstr(out.data, "max-x86_64-cpu.x-force-features=on"));
	fill_real(NULL, NULL, "EPYC", &named);
	assert_null(strstr(named.data, "feature policy"));
	assert_null(strstr(named.data, "x-force-features"));
	assert_non_null(strstr(named.data, ">EPYC</model>"));
	assert_null(strstr(named.data, "maximum"));
	fill_real("/f", NULL, NULL, &kept);
	assert_non_null(strstr(kept.data, "mem-path=/f,share=on"));
	assert_null(strstr(kept.data, "-incoming"));
	assert_null(strstr(kept.data, "KVMREPRO_FORK"));
	fill_real(NULL, "/s", NULL, &forked);
	assert_non_null(strstr(forked.data, "name='KVMREPRO_FORK' value='/s'"));
	assert_non_null(strstr(forked.data, "name='KVMREPRO_FORK_LIBRARY' value='/l'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_leave_out),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
