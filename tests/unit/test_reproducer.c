/* --repro arguments: bundled names, C files through the compiler, ELF files of every kind. */
#include "reproducer.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static char *dir;
static struct catalogue catalogue;

static const char rows[] = "[one]\nneeds=any\nduration=5\nsource=s\nsummary=t\n"
			   "[two]\nneeds=svm\nduration=7\nexpect=BUG\nsource=s\nsummary=t\n";

static int set_up(void **state)
{
	struct err err;

	(void)state;
	return fs_tmpdir(&dir, &err) || catalogue_parse(rows, sizeof(rows) - 1, &catalogue, &err);
}

static int tear_down(void **state)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)state;
	catalogue_free(&catalogue);
	free(dir);
	return rc;
}

static char *put_file(const char *name, const void *data, size_t len)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct err err;

	assert_int_equal(fs_write(path, data, len, &err), 0);
	return path;
}

/* A program with one segment to load, and one more of type second unless that is PT_NULL. */
static size_t make_elf(char *out, uint32_t second)
{
	Elf64_Ehdr head = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	};
	const size_t at = sizeof(head) + 2 * sizeof(Elf64_Phdr);
	const Elf64_Dyn dyn[] = { { .d_tag = DT_NEEDED }, { .d_tag = DT_NULL } };
	const Elf64_Phdr segments[] = {
		{ .p_type = PT_LOAD, .p_filesz = at },
		{ .p_type = second, .p_offset = at, .p_filesz = sizeof(dyn) },
	};

	memcpy(out, &head, sizeof(head));
	memcpy(out + sizeof(head), segments, sizeof(segments));
	memcpy(out + at, dyn, sizeof(dyn));
	return at + sizeof(dyn);
}

#define ELF_ROOM 512

static void resolve(const char *const *args, size_t n, unsigned duration_ms,
		    struct reproducers *out)
{
	cleanup_buf struct buf diag = BUF_INIT;
	struct err err;

	if (reproducers_resolve(args, n, duration_ms, &catalogue, dir, out, &diag, &err))
		fail_msg("%s\n%s", err.msg, diag.data);
	assert_int_equal(diag.len, 0);
}

static void assert_refused(const char *const *args, size_t n, const char *why)
{
	cleanup_buf struct buf diag = BUF_INIT;
	struct reproducers list;
	struct err err;

	assert_int_equal(reproducers_resolve(args, n, 0, &catalogue, dir, &list, &diag, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.msg, why))
		fail_msg("'%s' lacks '%s'", err.msg, why);
}

static void test_bundled(void **state)
{
	static const char *const args[] = { "two", "one", "two" };
	struct reproducers list;

	(void)state;
	resolve(NULL, 0, 0, &list);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.v[0].name, "one");
	assert_int_equal(list.v[0].duration_ms, 5000);
	assert_null(list.v[0].expect);
	assert_string_equal(list.v[1].expect, "BUG");
	assert_int_equal(list.v[1].needs, NEEDS_SVM);
	assert_true(list.v[1].bundled);
	assert_null(list.v[1].elf);
	assert_null(list.v[1].path);
	reproducers_free(&list);
	reproducers_free(&list);
	resolve(args, 2, 3000, &list);
	assert_string_equal(list.v[0].name, "two");
	assert_int_equal(list.v[0].duration_ms, 3000);
	reproducers_free(&list);
	assert_refused(args, 3, "reproducer 'two' is given twice");
}

static void test_unknown(void **state)
{
	static const char *const args[] = { "three" };
	static const char *const file[] = { "/none/x.c" };

	(void)state;
	assert_refused(args, 1,
		       "no such reproducer 'three'; bundled: one, two; or give a .c file or a "
		       "static ELF");
	assert_refused(file, 1, "/none/x.c: No such file");
	assert_refused((const char *const[]){ dir }, 1, "a directory; a reproducer is");
}

static void test_names(void **state)
{
	char elf[ELF_ROOM];
	size_t len = make_elf(elf, PT_NULL);
	cleanup_free char *clash = put_file("one", elf, len);
	cleanup_free char *odd = put_file("a b\xc3\xa9;$(x)", elf, len);
	cleanup_free char *hidden = put_file(".hidden", elf, len);
	cleanup_free char *dash = put_file("-rf", elf, len);
	cleanup_free char *bytes = xasprintf("%0150d", 0);
	cleanup_free char *long_name = put_file(bytes, elf, len);
	const char *const args[] = { clash, clash, odd, hidden, dash, long_name, "one" };
	struct reproducers list;

	(void)state;
	resolve(args, 7, 0, &list);
	assert_string_equal(list.v[0].name, "one-2");
	assert_string_equal(list.v[1].name, "one-3");
	assert_string_equal(list.v[2].name, "a_b_____x_");
	assert_string_equal(list.v[3].name, "_hidden");
	assert_string_equal(list.v[4].name, "_rf");
	assert_true(strlen(list.v[5].name) < 64);
	assert_string_equal(list.v[6].name, "one");
	assert_true(list.v[6].bundled);
	assert_string_equal(list.v[0].path, clash);
	assert_int_equal(list.v[0].elf_bytes, len);
	assert_memory_equal(list.v[0].elf, elf, len);
	assert_int_equal(list.v[0].duration_ms, REPRODUCER_DURATION_MS);
	assert_int_equal(strlen(list.v[0].sha256), 64);
	assert_int_equal(strlen(list.v[0].elf_sha256), 64);
	assert_int_equal(list.v[0].needs, NEEDS_ANY);
	assert_false(list.v[0].bundled);
	reproducers_free(&list);
}

static void test_too_many(void **state)
{
	char elf[ELF_ROOM];
	cleanup_free char *file = put_file("many", elf, make_elf(elf, PT_NULL));
	const char *args[65];

	(void)state;
	for (size_t i = 0; i < 65; i++)
		args[i] = file;
	assert_refused(args, 65, "more than 64 reproducers");
}

static void make_32(Elf64_Ehdr *head)
{
	head->e_ident[EI_CLASS] = ELFCLASS32;
}

static void make_arm(Elf64_Ehdr *head)
{
	head->e_machine = EM_AARCH64;
}

static void make_object(Elf64_Ehdr *head)
{
	head->e_type = ET_REL;
}

static void make_core(Elf64_Ehdr *head)
{
	head->e_type = ET_CORE;
}

static void move_headers(Elf64_Ehdr *head)
{
	head->e_phoff = UINT64_MAX - 8;
}

static void add_headers(Elf64_Ehdr *head)
{
	head->e_phnum = 200;
}

static void no_headers(Elf64_Ehdr *head)
{
	head->e_phnum = 0;
}

static const struct {
	void (*spoil)(Elf64_Ehdr *head);
	uint32_t second;
	const char *why;
} elves[] = {
	{ NULL, PT_INTERP, "a dynamic program; link it with -static" },
	{ NULL, PT_DYNAMIC, "needs shared libraries; link it with -static" },
	{ make_32, PT_NULL, "not an x86-64 program" },
	{ make_arm, PT_NULL, "not an x86-64 program" },
	{ make_object, PT_NULL, "an object file" },
	{ make_core, PT_NULL, "not a program" },
	{ move_headers, PT_NULL, "program headers are outside" },
	{ add_headers, PT_NULL, "program headers are outside" },
	{ no_headers, PT_NULL, "nothing to load" },
};

static void test_elf(void **state)
{
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(elves) / sizeof(elves[0]); i++) {
		char elf[ELF_ROOM];
		size_t len = make_elf(elf, elves[i].second);
		Elf64_Ehdr head;

		memcpy(&head, elf, sizeof(head));
		if (elves[i].spoil)
			elves[i].spoil(&head);
		memcpy(elf, &head, sizeof(head));
		assert_int_equal(reproducer_check_elf("x", elf, len, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		if (!strstr(err.msg, elves[i].why) || strncmp(err.msg, "x: ", 3))
			fail_msg("'%s' lacks '%s'", err.msg, elves[i].why);
	}
	assert_int_equal(reproducer_check_elf("x", "#!/bin/sh\n", 10, &err), -1);
	assert_non_null(strstr(err.msg, "neither a C file"));
}

/* Any length, any bytes. */
static void test_elf_noise(void **state)
{
	char elf[ELF_ROOM];
	struct err err;
	uint32_t x = 3;

	(void)state;
	size_t all = make_elf(elf, PT_NULL);
	for (size_t len = 0; len < all; len++) {
		cleanup_free char *exact = xcalloc(1, len);

		memcpy(exact, elf, len);
		int rc = reproducer_check_elf("x", exact, len, &err);
		assert_true(rc == -1 || len + 2 * sizeof(Elf64_Dyn) >= all);
	}
	for (int round = 0; round < 20000; round++) {
		size_t len = make_elf(elf, round % 2 ? PT_DYNAMIC : PT_NULL);
		cleanup_free char *exact = xcalloc(1, len);

		memcpy(exact, elf, len);
		for (int i = 0; i < 3; i++) {
			x = x * 1664525 + 1013904223;
			exact[4 + (x >> 8) % (len - 4)] = (char)(x >> 24);
		}
		(void)reproducer_check_elf("x", exact, len, &err);
	}
}

static void put_c(const char *name, const char *text, char **path)
{
	*path = put_file(name, text, strlen(text));
}

static void test_compile(void **state)
{
	cleanup_free char *path;
	struct reproducers list;

	(void)state;
	put_c("good.c", "#include <pthread.h>\nint main(void) { return !pthread_self(); }\n",
	      &path);
	setenv("CC", "  cc  -DX=1 -O1 ", 1);
	resolve((const char *const[]){ path }, 1, 0, &list);
	unsetenv("CC");
	assert_string_equal(list.v[0].name, "good");
	assert_string_equal(list.v[0].path, path);
	assert_memory_equal(list.v[0].elf, "\177ELF", 4);
	assert_true(list.v[0].elf_bytes > 1000);
	reproducers_free(&list);
}

static void test_compile_error(void **state)
{
	cleanup_buf struct buf diag = BUF_INIT;
	cleanup_free char *path;
	struct reproducers list;
	struct err err;

	(void)state;
	put_c("bad.c", "int main(void) { return nonsense; }\n", &path);
	const char *const args[] = { "one", path };
	assert_int_equal(reproducers_resolve(args, 2, 0, &catalogue, dir, &list, &diag, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.msg, "does not compile with 'cc -static -pthread'"));
	assert_ptr_equal(strstr(err.msg, path), err.msg);
	assert_non_null(strstr(diag.data, "nonsense"));
	assert_non_null(strstr(diag.data, "bad.c:1:"));
}

static void test_compiler(void **state)
{
	cleanup_free char *path;

	(void)state;
	put_c("x.c", "int main(void) { return 0; }\n", &path);
	setenv("CC", "no-such-compiler -O2", 1);
	assert_refused((const char *const[]){ path }, 1,
		       "cannot run the compiler 'no-such-compiler' ($CC)");
	setenv("CC", "true", 1);
	assert_refused((const char *const[]){ path }, 1, "does not compile");
	/* Which would be a dynamic program. */
	setenv("CC", "cc -shared", 1);
	assert_refused((const char *const[]){ path }, 1, path);
	unsetenv("CC");
}

/* Nothing of a compilation stays behind. */
static void test_no_litter(void **state)
{
	cleanup_free char *tmp = xasprintf("%s/tmp", dir);
	cleanup_free char *path;
	cleanup_buf struct buf diag = BUF_INIT;
	struct reproducers list;
	struct err err;

	(void)state;
	assert_int_equal(mkdir(tmp, 0700), 0);
	put_c("tidy.c", "int main(void) { return 0; }\n", &path);
	const char *const args[] = { path };
	assert_int_equal(reproducers_resolve(args, 1, 0, &catalogue, tmp, &list, &diag, &err), 0);
	reproducers_free(&list);
	assert_int_equal(rmdir(tmp), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bundled),  cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_names),    cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_elf),      cmocka_unit_test(test_elf_noise),
		cmocka_unit_test(test_compile),  cmocka_unit_test(test_compile_error),
		cmocka_unit_test(test_compiler), cmocka_unit_test(test_no_litter),
	};

	return cmocka_run_group_tests_name("reproducer", tests, set_up, tear_down);
}
