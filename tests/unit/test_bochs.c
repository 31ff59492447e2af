/* Bochs: its configuration is filled whole, and its words are understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "embed.h"
#include "vm/bochs_image.h"
#include "vm/bochs_log.h"
#include "vm/bochs_rom.h"
#include "vm/domain.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_config(void **state)
{
	const struct domain_word words[] = {
		{ "MODEL", "m" },   { "IPS", "1000000" }, { "MEMORY", "256" }, { "BIOS", "/b" },
		{ "CONSOLE", "7" }, { "PORT", "45678" },  { NULL, NULL },
	};
	cleanup_buf struct buf out = BUF_INIT;
	struct err err;

	(void)state;
	assert_int_equal(domain_fill(embed_bochsrc().data, words, &out, &err), 0);
	assert_null(strchr(out.data, '@'));
	assert_non_null(strstr(out.data, "\nmemory: guest=256, host=256\n"));
	assert_non_null(strstr(out.data, "dev=/dev/fd/7\n"));
	assert_non_null(strstr(out.data, "dev=127.0.0.1:45678\n"));
}

static void test_log(void **state)
{
	static const struct {
		const char *line;
		enum bochs_event event;
		const char *why;
	} rows[] = {
		{ "00000000000i[SYS   ] bx_pc_system_c::Reset(HARDWARE) called", BOCHS_RESET, 0 },
		{ "00337872513i[SYS   ] bx_pc_system_c::Reset(SOFTWARE) called", BOCHS_RESET, 0 },
		{ "00286064919p[ACPI  ] >>PANIC<< ACPI control: soft power off", BOCHS_POWER_OFF,
		  0 },
		{ "00000000000p[      ] >>PANIC<< unknown log function module 'SYS'", BOCHS_PANIC,
		  "unknown log function module 'SYS'" },
		{ "00000000000p[BIOS  ] >>PANIC<< ACPI control: soft power off", BOCHS_PANIC,
		  "ACPI control: soft power off" },
		{ "00000000012p[CPU0  ] no mark", BOCHS_PANIC, "[CPU0  ] no mark" },
		{ "00000000012i[BIOS  ] bx_pc_system_c::Reset(HARDWARE) called", BOCHS_NOTHING, 0 },
		{ "00000000012i[BIOS  ] >>PANIC<< ACPI control: soft power off", BOCHS_NOTHING, 0 },
		{ "i[SYS   ] bx_pc_system_c::Reset(HARDWARE) called", BOCHS_NOTHING, 0 },
		{ "00286064919i[CPU0  ] CPU is in long mode (active)", BOCHS_NOTHING, 0 },
		{ "Bochs is exiting with the following message:", BOCHS_NOTHING, 0 },
		{ "", BOCHS_NOTHING, 0 },
		{ "0", BOCHS_NOTHING, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *why = NULL;

		assert_int_equal(bochs_log_line(rows[i].line, &why), rows[i].event);
		if (rows[i].why)
			assert_string_equal(why, rows[i].why);
	}
}

static void test_version(void **state)
{
	cleanup_free char *found = bochs_version("x\n        Bochs x86 Emulator 2.7\n   Built\n");

	(void)state;
	assert_string_equal(found, "Bochs 2.7");
	assert_null(bochs_version("Bochs x86 Emulator from SVN"));
	assert_null(bochs_version(""));
}

#define SETUP_BYTES  (2 * 512)
#define KERNEL_BYTES (SETUP_BYTES + 2 * 512 + 16)
#define INITRD_BYTES 5000
#define PREFERRED    0x1000000U
#define INIT_BYTES   0x300000U
#define NEEDED_MIB   21 /* both, the initramfs, and the last MiB */

static uint32_t get32(const char *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static void put32(char *p, uint32_t value)
{
	memcpy(p, &value, sizeof(value));
}

struct files {
	char *dir;
	char kernel[80], initrd[80], disk[80], rom[80];
	char image[KERNEL_BYTES]; /* what of a bzImage a boot loader looks at */
};

static void write_kernel(const struct files *f)
{
	struct err err;

	assert_int_equal(fs_write_scratch(f->kernel, f->image, sizeof(f->image), &err), 0);
}

static int make_files(void **state)
{
	struct files *f = xcalloc(1, sizeof(*f));
	char initrd[INITRD_BYTES];
	struct err err;

	*state = f;
	f->dir = xstrdup("/tmp/test_bochs.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	snprintf(f->initrd, sizeof(f->initrd), "%s/initrd", f->dir);
	snprintf(f->disk, sizeof(f->disk), "%s/boot.img", f->dir);
	snprintf(f->rom, sizeof(f->rom), "%s/boot.rom", f->dir);
	memset(f->image + SETUP_BYTES, 'k', KERNEL_BYTES - SETUP_BYTES);
	f->image[0x1f1] = 1;
	memcpy(f->image + 0x202, "HdrS\x0f\x02", 6);
	f->image[0x211] = 1;
	put32(f->image + 0x22c, 0x7fffffff);
	put32(f->image + 0x258, PREFERRED);
	put32(f->image + 0x260, INIT_BYTES);
	write_kernel(f);
	memset(initrd, 'i', sizeof(initrd));
	return fs_write_scratch(f->initrd, initrd, sizeof(initrd), &err);
}

static int remove_files(void **state)
{
	struct files *f = *state;
	struct err err;
	int rc = fs_rmtree(f->dir, &err);

	free(f->dir);
	free(f);
	return rc;
}

/* The ROM is called if its signature and sum are right, and copies what the disk has to where the
 * header says that it is. */
static void test_boot(void **state)
{
	char cmdline[2048];
	cleanup_buf struct buf disk = BUF_INIT, rom = BUF_INIT;
	const struct files *f = *state;
	struct err err;
	unsigned char sum = 0;

	memset(cmdline, 'c', sizeof(cmdline) - 1);
	cmdline[sizeof(cmdline) - 1] = '\0';
	const struct bochs_boot boot = { f->kernel, f->initrd, cmdline, NEEDED_MIB };
	assert_int_equal(bochs_image_write(&boot, f->disk, f->rom, &err), 0);
	assert_int_equal(fs_read(f->rom, 4096, &rom, ERR_HARNESS, &err), 0);
	assert_int_equal(fs_read(f->disk, 1 << 24, &disk, ERR_HARNESS, &err), 0);

	assert_int_equal(rom.len, 1024);
	assert_memory_equal(rom.data, "\x55\xaa\x02", 3);
	for (size_t i = 0; i < rom.len; i++)
		sum += (unsigned char)rom.data[i];
	assert_int_equal(sum, 0);
	assert_int_equal(disk.len % (16 * 63 * 512), 0);

	const char *copies = rom.data + 448;
	const char *real = disk.data + (size_t)get32(copies) * 512;
	assert_int_equal(get32(copies + 8), 0x10000);
	assert_int_equal((unsigned char)real[0x210], 0xff);
	assert_int_equal((unsigned char)real[0x211], 0x81);
	assert_memory_equal(real + 0x1fa, "\xff\xff", 2);
	assert_memory_equal(real + 0x224, "\x00\xde", 2); /* the heap's end: 0xe000 - 0x200 */
	assert_int_equal(get32(real + 0x228), 0x1e000);
	assert_string_equal(real + 0xe000, cmdline);
	assert_int_equal(get32(copies + 4), (0xe000 + 2048) / 512);

	assert_memory_equal(disk.data + (size_t)get32(copies + 12) * 512, "kkkk", 4);
	assert_int_equal(get32(copies + 16), 3);
	assert_int_equal(get32(copies + 20), 0x100000);

	assert_memory_equal(disk.data + (size_t)get32(copies + 24) * 512, "iiii", 4);
	assert_int_equal(get32(copies + 28), (INITRD_BYTES + 511) / 512);
	assert_int_equal(get32(copies + 32), get32(real + 0x218));
	assert_int_equal(get32(real + 0x21c), INITRD_BYTES);
	assert_int_equal(get32(real + 0x218) % 4096, 0);
	assert_true(get32(real + 0x218) + INITRD_BYTES <= (NEEDED_MIB - 1) << 20);
	assert_true(get32(real + 0x218) >= PREFERRED + INIT_BYTES);
	assert_int_equal(get32(copies + 40), 0); /* no sectors: the last */
}

/* What is a hole in the kernel's file is not copied; however many there are, all else is. */
static void test_boot_holes(void **state)
{
	enum {
		STEP = 1 << 20,
		PARTS = 60
	};
	const struct files *f = *state;
	const struct bochs_boot boot = { f->kernel, f->initrd, "c", PARTS + 8 };
	cleanup_buf struct buf disk = BUF_INIT, rom = BUF_INIT;
	cleanup_fd int fd = open(f->kernel, O_RDWR | O_CLOEXEC);
	struct err err;

	for (unsigned i = 1; i <= PARTS; i++)
		assert_int_equal(pwrite(fd, &i, sizeof(i), (off_t)i * STEP), sizeof(i));
	if (lseek(fd, KERNEL_BYTES, SEEK_HOLE) >= PARTS * STEP)
		skip(); /* not here */
	assert_int_equal(bochs_image_write(&boot, f->disk, f->rom, &err), 0);
	assert_int_equal(fs_read(f->rom, 4096, &rom, ERR_HARNESS, &err), 0);
	assert_int_equal(fs_read(f->disk, 1 << 28, &disk, ERR_HARNESS, &err), 0);

	const uint32_t end = 0x100000 - SETUP_BYTES + PARTS * STEP + sizeof(unsigned);
	unsigned seen = 0, n = 0;
	uint64_t copied = 0;
	for (const char *c = rom.data + 448; get32(c + 4); c += 12, n++) {
		uint32_t from = get32(c + 8), bytes = get32(c + 4) * 512;

		if (from < 0x100000 || from >= end)
			continue; /* real mode, initramfs */
		copied += bytes;
		for (unsigned i = 1; i <= PARTS; i++) {
			uint32_t at = 0x100000 - SETUP_BYTES + i * STEP;

			if (at >= from && at < from + bytes)
				seen += get32(disk.data + (size_t)get32(c) * 512 + at - from) == i;
		}
	}
	assert_int_equal(seen, PARTS);
	assert_int_equal(n, BOCHS_COPIES_MAX);
	assert_true(copied < (PARTS - BOCHS_COPIES_MAX + 6) * (uint64_t)STEP);
}

static void test_boot_refused(void **state)
{
	struct files *f = *state;
	struct err err;

	assert_int_equal(bochs_image_check(f->kernel, INITRD_BYTES, NEEDED_MIB - 1, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.msg, "take 21 MiB"));
	assert_int_equal(bochs_image_check(f->kernel, INITRD_BYTES, NEEDED_MIB, &err), 0);

	/* As far as the kernel takes one. */
	put32(f->image + 0x22c, 0x17fffff);
	write_kernel(f);
	assert_int_equal(bochs_image_check(f->kernel, 4 << 20, 1024, &err), 0);
	assert_int_equal(bochs_image_check(f->kernel, 6 << 20, 1024, &err), -1);
	assert_non_null(strstr(err.msg, "too large for this kernel"));

	/* Without init_size in the header, protocol 2.09, its file's size counts; and of
	 * setup_sects 0 means 4, more than this one has. */
	f->image[0x206] = 9;
	write_kernel(f);
	assert_int_equal(bochs_image_check(f->kernel, INITRD_BYTES, 3, &err), 0);
	f->image[0x1f1] = 0;
	write_kernel(f);
	assert_int_equal(bochs_image_check(f->kernel, INITRD_BYTES, 64, &err), -1);
	assert_non_null(strstr(err.msg, "too short"));
}

static void test_boot_setup_too_long(void **state)
{
	struct files *f = *state;
	cleanup_free char *image = xcalloc(1, 256 * 512);
	struct err err;

	memcpy(image, f->image, SETUP_BYTES);
	image[0x1f1] = (char)95;
	assert_int_equal(fs_write_scratch(f->kernel, image, 256 * 512, &err), 0);
	assert_int_equal(bochs_image_check(f->kernel, INITRD_BYTES, 64, &err), 0);
	image[0x1f1] = (char)96;
	assert_int_equal(fs_write_scratch(f->kernel, image, 256 * 512, &err), 0);
	assert_int_equal(bochs_image_check(f->kernel, INITRD_BYTES, 64, &err), -1);
	assert_non_null(strstr(err.msg, "96 sectors of setup code; with Bochs 95 fit"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_version),
		cmocka_unit_test_setup_teardown(test_boot, make_files, remove_files),
		cmocka_unit_test_setup_teardown(test_boot_holes, make_files, remove_files),
		cmocka_unit_test_setup_teardown(test_boot_refused, make_files, remove_files),
		cmocka_unit_test_setup_teardown(test_boot_setup_too_long, make_files, remove_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
