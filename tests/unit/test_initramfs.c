/* The initramfs, read back by libarchive. */
#include "kernel/initramfs.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "embed.h"
#include "kernel/modules.h"
#include "kvmrepro/protocol.h"
#include "readers.h"
#include "reproducer.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

/* One line an entry: "drwxr-xr-x path", "-rwxr-xr-x path SIZE", "lrwxrwxrwx path -> target",
 * "crw------- path MAJOR:MINOR". The bytes of the file named want go to content. */
static char *list(const struct buf *cpio, const char *want, struct buf *content)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	struct buf out = BUF_INIT;

	assert_int_equal(archive_read_support_format_cpio(a), ARCHIVE_OK);
	assert_int_equal(archive_read_support_filter_gzip(a), ARCHIVE_OK);
	assert_int_equal(archive_read_open_memory(a, cpio->data, cpio->len), ARCHIVE_OK);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
		buf_addf(&out, "%s%s", archive_entry_strmode(e), archive_entry_pathname(e));
		if (archive_entry_filetype(e) == AE_IFREG)
			buf_addf(&out, " %d", (int)archive_entry_size(e));
		if (archive_entry_filetype(e) == AE_IFLNK)
			buf_addf(&out, " -> %s", archive_entry_symlink(e));
		if (archive_entry_filetype(e) == AE_IFCHR)
			buf_addf(&out, " %d:%d", (int)archive_entry_rdevmajor(e),
				 (int)archive_entry_rdevminor(e));
		buf_addc(&out, '\n');
		assert_int_equal(archive_entry_mtime(e), 0);
		assert_int_equal(archive_entry_uid(e), 0);
		assert_int_equal(archive_entry_gid(e), 0);
		if (!want || strcmp(want, archive_entry_pathname(e)))
			continue;
		for (int64_t left = archive_entry_size(e); left;) {
			char chunk[4096];
			la_ssize_t n = archive_read_data(a, chunk, sizeof(chunk));

			assert_true(n > 0);
			buf_add(content, chunk, (size_t)n);
			left -= n;
		}
	}
	assert_int_equal(archive_read_free(a), ARCHIVE_OK);
	return buf_steal(&out);
}

static void make(bool gzip, struct buf *out)
{
	struct initramfs *fs;
	struct err err;

	assert_int_equal(initramfs_new(gzip, &fs, &err), 0);
	assert_int_equal(initramfs_add_file(fs, "/a/b/file", 0640, "hello", 5, &err), 0);
	assert_int_equal(initramfs_add_file(fs, "/a/dir/empty", 0600, NULL, 0, &err), 0);
	assert_int_equal(initramfs_add_symlink(fs, "/link", "a/b/file", &err), 0);
	assert_int_equal(initramfs_add_chardev(fs, "/dev/console", 0600, 5, 1, &err), 0);
	assert_int_equal(initramfs_finish(fs, out, &err), 0);
}

static void test_builder(void **state)
{
	(void)state;
	for (int gzip = 0; gzip < 2; gzip++) {
		cleanup_buf struct buf cpio = BUF_INIT, again = BUF_INIT, content = BUF_INIT;

		make(gzip, &cpio);
		cleanup_free char *entries = list(&cpio, "a/b/file", &content);
		assert_string_equal(entries, "drwxr-xr-x a\n"
					     "drwxr-xr-x a/b\n"
					     "-rw-r----- a/b/file 5\n"
					     "drwxr-xr-x a/dir\n"
					     "-rw------- a/dir/empty 0\n"
					     "lrwxrwxrwx link -> a/b/file\n"
					     "drwxr-xr-x dev\n"
					     "crw------- dev/console 5:1\n");
		assert_string_equal(content.data, "hello");
		make(gzip, &again);
		assert_int_equal(again.len, cpio.len);
		assert_memory_equal(again.data, cpio.data, cpio.len);
		assert_memory_equal(cpio.data, gzip ? "\x1f\x8b" : "070701", 2);
	}
}

static void test_bad_paths(void **state)
{
	static const char *const bad[] = {
		"",    "/",    "a",     "//a",       "/a/",    "/./a",         "/a/../b",
		"/..", "/a b", "/a\nb", "/\xc3\xa9", "/there", "/there/x/../y"
	};
	struct initramfs *fs;
	struct err err;

	(void)state;
	assert_int_equal(initramfs_new(false, &fs, &err), 0);
	assert_int_equal(initramfs_add_symlink(fs, "/there", "a", &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!initramfs_add_file(fs, bad[i], 0644, "x", 1, &err))
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(initramfs_add_file(fs, "/a/...", 0644, "x", 1, &err), 0);
	initramfs_free(fs);
	initramfs_free(NULL);
}

static char *module_file(void)
{
	struct err err;
	char *dir;

	assert_int_equal(fs_tmpdir(&dir, &err), 0);
	cleanup_free char *path = xasprintf("%s/kvm.ko", dir);
	assert_int_equal(fs_write(path, "module bytes", 12, &err), 0);
	return dir;
}

static void check_base(const struct buf *base)
{
	cleanup_buf struct buf init = BUF_INIT;
	cleanup_free char *entries = list(base, "init", &init);
	cleanup_free char *want = xasprintf("drwxr-xr-x dev\n"
					    "crw------- dev/console 5:1\n"
					    "crw-rw-rw- dev/null 1:3\n"
					    "-rwxr-xr-x init %zu\n"
					    "drwxr-xr-x kvmrepro\n"
					    "-rw------- kvmrepro/sandbox 8\n"
					    "drwxr-xr-x lib\n"
					    "drwxr-xr-x lib/modules\n"
					    "-rw-r--r-- lib/modules/kvm.ko 12\n"
					    "-rw-r--r-- lib/modules/kvm_amd.ko 12\n"
					    "drwxr-xr-x repro\n"
					    "lrwxrwxrwx repro/create-vm -> /init\n"
					    "-rwxr-xr-x repro/mine 4\n",
					    embed_guest().size);
	assert_string_equal(entries, want);
	assert_int_equal(init.len, embed_guest().size);
	assert_memory_equal(init.data, embed_guest().data, init.len);
}

static void check_plan(const struct buf *plan)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_free char *plan_entries = list(plan, "kvmrepro/plan", &text);
	assert_int_equal(
		strncmp(plan_entries, "drwxr-xr-x kvmrepro\n-rw------- kvmrepro/plan ", 45), 0);
	assert_string_equal(text.data, "token " TOKEN "\n"
				       "detector_ms 20000\n"
				       "stuck_ms 30000\n"
				       "sandbox /kvmrepro/sandbox\n"
				       "module /lib/modules/kvm.ko\n"
				       "module /lib/modules/kvm_amd.ko nested=1\n"
				       "repro create-vm svm 5000 /repro/create-vm\n"
				       "repro mine any 10000 /repro/mine\n");
}

static void test_guest(void **state)
{
	cleanup_free char *dir = module_file();
	cleanup_free char *path = xasprintf("%s/kvm.ko", dir);
	struct kernel_module list_of_modules[] = {
		{ .name = (char *)"kvm", .path = path, .params = "" },
		{ .name = (char *)"kvm_amd", .path = path, .params = "nested=1" },
	};
	struct kernel_modules modules = { .v = list_of_modules, .n = 2 };
	struct reproducer repros[] = {
		{ .name = (char *)"create-vm",
		  .duration_ms = 5000,
		  .bundled = true,
		  .needs = NEEDS_SVM },
		{ .name = (char *)"mine",
		  .duration_ms = 10000,
		  .elf = (char *)"ELF!",
		  .elf_bytes = 4 },
	};
	const struct buf sandbox = { .data = (char *)"filter!!", .len = 8 };
	struct initramfs_spec spec = {
		.token = TOKEN,
		.sandbox = &sandbox,
		.detector_ms = 20000,
		.stuck_ms = 30000,
		.modules = &modules,
		.repros = repros,
		.n_repros = 2,
	};
	cleanup_buf struct buf all = BUF_INIT, base = BUF_INIT, plan = BUF_INIT;
	struct err err;

	(void)state;
	assert_int_equal(initramfs_build(&spec, &all, &err), 0);
	assert_int_equal(initramfs_build_base(&spec, &base, &err), 0);
	assert_int_equal(initramfs_build_plan(&spec, &plan, &err), 0);
	assert_int_equal(base.len % 4, 0);
	assert_int_equal(all.len, base.len + plan.len);
	assert_memory_equal(all.data, base.data, base.len);
	assert_memory_equal(all.data + base.len, plan.data, plan.len);

	check_base(&base);
	check_plan(&plan);
	fs_rmtree(dir, &err);
}

static void test_guest_errors(void **state)
{
	struct kernel_module gone = { .name = (char *)"kvm",
				      .path = (char *)"/none/kvm.ko",
				      .params = "" };
	struct kernel_modules modules = { .v = &gone, .n = 1 };
	struct initramfs_spec spec = { .token = "short" };
	cleanup_buf struct buf out = BUF_INIT;
	struct err err;

	(void)state;
	assert_int_equal(initramfs_build(&spec, &out, &err), -1);
	assert_non_null(strstr(err.msg, "token"));
	spec.token = TOKEN;
	spec.modules = &modules;
	assert_int_equal(initramfs_build(&spec, &out, &err), -1);
	assert_non_null(strstr(err.msg, "/none/kvm.ko"));
	spec.modules = NULL;
	spec.n_repros = PROTO_MAX_REPROS + 1;
	assert_int_equal(initramfs_build_plan(&spec, &out, &err), -1);
	assert_int_equal(out.len, 0);
}

static int start_readers(void **state)
{
	struct err err;

	(void)state;
	return cage_setup(readers, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builder),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_guest),
		cmocka_unit_test(test_guest_errors),
	};

	return cmocka_run_group_tests_name("initramfs", tests, start_readers, NULL);
}
