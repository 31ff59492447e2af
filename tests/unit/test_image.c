/* The header of a bzImage: a made one is read back, and what is none gets its one line. */
#include "kernel/image.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "kernel/modinfo.h"
#include "kernel/modules.h"
#include "readers.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#define VERSION     "6.1.0-test+ (me@here) #1 SMP Thu Jan 1"
#define SETUP_SECTS 3
#define SETUP_BYTES ((SETUP_SECTS + 1) * 512)
#define SYS_BYTES   4096

static char *dir;

static int make_dir(void **state)
{
	struct err err;

	(void)state;
	return cage_setup(readers, &err) || fs_tmpdir(&dir, &err);
}

static int remove_dir(void **state)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)state;
	free(dir);
	return rc;
}

static void put16(struct buf *b, size_t at, unsigned v)
{
	b->data[at] = (char)v;
	b->data[at + 1] = (char)(v >> 8);
}

static void put32(struct buf *b, size_t at, uint32_t v)
{
	put16(b, at, v & 0xffff);
	put16(b, at + 2, v >> 16);
}

static void make_image(struct buf *b)
{
	cleanup_free char *zeros = xcalloc(1, SETUP_BYTES + SYS_BYTES);

	buf_clear(b);
	buf_add(b, zeros, SETUP_BYTES + SYS_BYTES);
	memcpy(b->data, "MZ", 2);
	b->data[0x1f1] = SETUP_SECTS;
	put32(b, 0x1f4, SYS_BYTES / 16);
	put16(b, 0x1fe, 0xaa55);
	memcpy(b->data + 0x202, "HdrS", 4);
	put16(b, 0x206, 0x020f);
	put16(b, 0x20e, 0x300 - 0x200);
	b->data[0x211] = 1;
	put16(b, 0x236, 1);
	put32(b, 0x248, 100);
	put32(b, 0x24c, 2000);
	memcpy(b->data + 0x300, VERSION, sizeof(VERSION));
}

static int open_bytes(const struct buf *b, struct kernel_image *image, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/image", dir);
	/* A new file each time: ext4 syncs one that is cut and written again. */
	unlink(path);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(b->data, 1, b->len, f), b->len);
	assert_int_equal(fclose(f), 0);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	return kernel_image_read(fd, path, image, err);
}

static void assert_refused(const struct buf *b, const char *why)
{
	struct kernel_image image;
	struct err err;

	assert_int_equal(open_bytes(b, &image, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.msg, why))
		fail_msg("'%s' lacks '%s'", err.msg, why);
	assert_null(strchr(err.msg, '\n'));
	assert_ptr_equal(strstr(err.msg, dir), err.msg);
}

static void test_good(void **state)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct kernel_image image;
	struct err err;

	(void)state;
	make_image(&b);
	assert_int_equal(open_bytes(&b, &image, &err), 0);
	assert_string_equal(image.release, "6.1.0-test+");
	assert_string_equal(image.version, VERSION);
	assert_int_equal(image.size_bytes, SETUP_BYTES + SYS_BYTES);
	assert_int_equal(image.boot_protocol, 0x020f);
	assert_int_equal(image.payload_offset, SETUP_BYTES + 100);
	assert_int_equal(image.payload_bytes, 2000);
	assert_int_equal(strlen(image.sha256), 64);
	assert_int_equal(image.path[0], '/');
	kernel_image_free(&image);
	kernel_image_free(&image);
	/* A signature may follow. */
	buf_adds(&b, "signed");
	assert_int_equal(open_bytes(&b, &image, &err), 0);
	kernel_image_free(&image);
}

/* What a reader tells is what it read. */
static void test_by_reader(void **state)
{
	cleanup_free char *path = xasprintf("%s/image", dir);
	cleanup_buf struct buf b = BUF_INIT;
	struct kernel_image image, told;
	struct err err;

	(void)state;
	make_image(&b);
	assert_int_equal(open_bytes(&b, &image, &err), 0);
	assert_int_equal(kernel_image_open(path, &told, &err), 0);
	assert_string_equal(told.path, path);
	assert_string_equal(told.release, image.release);
	assert_string_equal(told.version, image.version);
	assert_string_equal(told.sha256, image.sha256);
	assert_int_equal(told.size_bytes, image.size_bytes);
	assert_int_equal(told.boot_protocol, image.boot_protocol);
	assert_int_equal(told.setup_bytes, SETUP_BYTES);
	assert_int_equal(told.payload_offset, image.payload_offset);
	assert_int_equal(told.payload_bytes, image.payload_bytes);
	kernel_image_free(&image);
	kernel_image_free(&told);
	/* Errors are its own words. */
	b.data[0x1fe] = 0;
	assert_int_equal(open_bytes(&b, &image, &err), -1);
	assert_int_equal(kernel_image_open(path, &told, &err), -1);
	assert_ptr_equal(strstr(err.msg, path), err.msg);
	assert_int_equal(err.kind, ERR_INPUT);
}

static void test_hash(void **state)
{
	cleanup_free char *path = xasprintf("%s/image", dir);
	cleanup_free char *command = xasprintf("sha256sum %s", path);
	cleanup_buf struct buf b = BUF_INIT;
	struct kernel_image image;
	char want[65] = "";
	struct err err;

	(void)state;
	make_image(&b);
	/* Longer than one piece of the reader's. */
	while (b.len < 300000)
		buf_addf(&b, "%zu", b.len);
	assert_int_equal(open_bytes(&b, &image, &err), 0);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fread(want, 1, 64, f), 64);
	pclose(f);
	assert_string_equal(image.sha256, want);
	kernel_image_free(&image);
}

static void spoil_magic(struct buf *b)
{
	b->data[0x202] = 'h';
}

static void make_small(struct buf *b)
{
	put16(b, 0x236, 0);
}

static void make_zimage(struct buf *b)
{
	b->data[0x211] = 0;
}

static void make_old(struct buf *b)
{
	put16(b, 0x206, 0x0200);
}

static void cut_in_payload(struct buf *b)
{
	b->len -= 1;
}

static void cut_in_header(struct buf *b)
{
	b->len = 0x240;
}

static void move_payload(struct buf *b)
{
	put32(b, 0x24c, 0xffffffff);
}

static void no_version(struct buf *b)
{
	put16(b, 0x20e, 0);
}

static void version_outside(struct buf *b)
{
	put16(b, 0x20e, 0xffff);
}

static void version_without_end(struct buf *b)
{
	memset(b->data + 0x300, 'x', SETUP_BYTES - 0x300);
}

static void version_binary(struct buf *b)
{
	b->data[0x300 + 20] = 0x1b;
}

static void release_walks(struct buf *b)
{
	memcpy(b->data + 0x300, "../../x", 7);
}

static void release_slash(struct buf *b)
{
	b->data[0x303] = '/';
}

static const struct {
	void (*spoil)(struct buf *b);
	const char *why;
} spoilt[] = {
	{ spoil_magic, "an EFI program" },
	{ make_small, "a 32-bit kernel" },
	{ make_zimage, "a zImage" },
	{ make_old, "before 2.6.20" },
	{ cut_in_payload, "truncated: 6143 bytes, but its header says 6144" },
	{ cut_in_header, "truncated" },
	{ move_payload, "payload is outside" },
	{ no_version, "names no version" },
	{ version_outside, "version string is outside" },
	{ version_without_end, "version string is outside" },
	{ version_binary, "is no text" },
	{ release_walks, "no release's name" },
	{ release_slash, "no release's name" },
};

static void test_spoilt(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		cleanup_buf struct buf b = BUF_INIT;

		make_image(&b);
		spoilt[i].spoil(&b);
		assert_refused(&b, spoilt[i].why);
	}
}

static const struct {
	size_t offset;
	const char *magic, *why;
} others[] = {
	{ 0, "", "an empty file" },
	{ 0, "hello\n", "not a kernel image" },
	{ 0, "\177ELF\2\1\1", "in a built tree the bzImage" },
	{ 0, "\x1f\x8b\x08", "gzip" },
	{ 0, "\xfd\x37zXZ", "xz" },
	{ 0, "\x28\xb5\x2f\xfd", "zstd" },
	{ 0x38, "ARM\x64", "an arm64 Image" },
	{ 0, "070701", "cpio" },
	{ 0, "!<arch>\n", "Debian package" },
};

static void test_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		cleanup_buf struct buf b = BUF_INIT;

		while (b.len < others[i].offset)
			buf_addc(&b, '\0');
		buf_adds(&b, others[i].magic);
		assert_refused(&b, others[i].why);
	}
}

static void test_not_files(void **state)
{
	cleanup_free char *none = xasprintf("%s/none", dir);
	cleanup_free char *fifo = xasprintf("%s/fifo", dir);
	struct kernel_module module = { .name = "fifo", .path = fifo, .params = "" };
	const struct kernel_modules modules = { .v = &module, .n = 1 };
	char signature[SIGNATURE_BYTES];
	struct kernel_image image;
	struct modinfo info;
	struct err err;

	(void)state;
	assert_int_equal(kernel_image_open(none, &image, &err), -1);
	assert_non_null(strstr(err.msg, "No such file"));
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(kernel_image_open(dir, &image, &err), -1);
	assert_non_null(strstr(err.msg, "a directory"));
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(kernel_image_open(fifo, &image, &err), -1);
	assert_non_null(strstr(err.msg, "not a regular file"));
	/* Nor is a module's writer waited for. */
	assert_int_equal(modinfo_read(fifo, &info, &err), -1);
	assert_non_null(strstr(err.msg, "not a regular file"));
	assert_int_equal(modules_signature(&modules, signature, &err), -1);
	assert_non_null(strstr(err.msg, "not a regular file"));
}

static void test_too_large(void **state)
{
	cleanup_free char *path = xasprintf("%s/large", dir);
	cleanup_buf struct buf b = BUF_INIT;
	struct kernel_image image;
	struct err err;

	(void)state;
	make_image(&b);
	assert_int_equal(fs_write(path, b.data, b.len, &err), 0);
	assert_int_equal(truncate(path, (off_t)KERNEL_IMAGE_BYTES + 1), 0);
	assert_int_equal(kernel_image_open(path, &image, &err), -1);
	assert_non_null(strstr(err.msg, "over 512 MiB"));
}

/* Any bytes in the header, any length: an answer, no report of the sanitizers'. */
static void test_noise(void **state)
{
	uint32_t x = 12345;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		cleanup_buf struct buf b = BUF_INIT;
		struct kernel_image image;
		struct err err;

		make_image(&b);
		for (int i = 0; i < 4; i++) {
			x = x * 1664525 + 1013904223;
			b.data[0x1f0 + (x >> 8) % 0x160] = (char)(x >> 24);
		}
		x = x * 1664525 + 1013904223;
		if (x >> 31)
			b.len = (x >> 8) % b.len;
		if (!open_bytes(&b, &image, &err))
			kernel_image_free(&image);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_by_reader),
		cmocka_unit_test(test_hash),      cmocka_unit_test(test_spoilt),
		cmocka_unit_test(test_others),    cmocka_unit_test(test_not_files),
		cmocka_unit_test(test_too_large), cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("image", tests, make_dir, remove_dir);
}
