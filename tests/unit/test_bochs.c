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
#include "vm/domain.h"

#include <stdlib.h>
#include <string.h>

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
	char dir[32];
	char kernel[64], initrd[64], disk[64], rom[64];
};

/* What of a bzImage a boot loader looks at, and an initramfs. */
static void make_files(struct files *f)
{
	char kernel[KERNEL_BYTES], initrd[INITRD_BYTES];
	struct err err;

	strcpy(f->dir, "/tmp/test_bochs.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	snprintf(f->initrd, sizeof(f->initrd), "%s/initrd", f->dir);
	snprintf(f->disk, sizeof(f->disk), "%s/boot.img", f->dir);
	snprintf(f->rom, sizeof(f->rom), "%s/boot.rom", f->dir);
	memset(kernel, 0, SETUP_BYTES);
	memset(kernel + SETUP_BYTES, 'k', KERNEL_BYTES - SETUP_BYTES);
	memset(initrd, 'i', sizeof(initrd));
	kernel[0x1f1] = 1;
	memcpy(kernel + 0x202, "HdrS\x0f\x02", 6);
	kernel[0x211] = 1;
	put32(kernel + 0x22c, 0x7fffffff);
	put32(kernel + 0x258, PREFERRED);
	put32(kernel + 0x260, INIT_BYTES);
	assert_int_equal(fs_write_scratch(f->kernel, kernel, sizeof(kernel), &err), 0);
	assert_int_equal(fs_write_scratch(f->initrd, initrd, sizeof(initrd), &err), 0);
}

static void remove_files(const struct files *f)
{
	struct err err;

	assert_int_equal(fs_rmtree(f->dir, &err), 0);
}

/* The ROM is called if its signature and sum are right, and copies what the disk has to where the
 * header says that it is. */
static void test_boot(void **state)
{
	static const char cmdline[] = "console=ttyS0,115200 x";
	cleanup_buf struct buf disk = BUF_INIT, rom = BUF_INIT;
	struct files f;
	struct err err;
	unsigned char sum = 0;

	(void)state;
	make_files(&f);
	const struct bochs_boot boot = { f.kernel, f.initrd, cmdline, 64 };
	assert_int_equal(bochs_image_write(&boot, f.disk, f.rom, &err), 0);
	assert_int_equal(fs_read(f.rom, 4096, &rom, ERR_HARNESS, &err), 0);
	assert_int_equal(fs_read(f.disk, 1 << 24, &disk, ERR_HARNESS, &err), 0);

	assert_int_equal(rom.len, 512);
	assert_memory_equal(rom.data, "\x55\xaa\x01", 3);
	for (size_t i = 0; i < rom.len; i++)
		sum += (unsigned char)rom.data[i];
	assert_int_equal(sum, 0);
	assert_int_equal(disk.len % (16 * 63 * 512), 0);

	const char *copies = rom.data + 448;
	const char *real = disk.data + (size_t)get32(copies) * 512;
	assert_int_equal(get32(copies + 8), 0x10000);
	assert_int_equal((unsigned char)real[0x210], 0xff);
	assert_int_equal((unsigned char)real[0x211], 0x81);
	assert_string_equal(real + get32(real + 0x228) - 0x10000, cmdline);
	assert_true(get32(real + 0x228) - 0x10000 + 2048 <= get32(copies + 4) * 512);

	assert_memory_equal(disk.data + (size_t)get32(copies + 12) * 512, "kkkk", 4);
	assert_int_equal(get32(copies + 16), 3);
	assert_int_equal(get32(copies + 20), 0x100000);

	assert_memory_equal(disk.data + (size_t)get32(copies + 24) * 512, "iiii", 4);
	assert_int_equal(get32(copies + 28), (INITRD_BYTES + 511) / 512);
	assert_int_equal(get32(copies + 32), get32(real + 0x218));
	assert_int_equal(get32(real + 0x21c), INITRD_BYTES);
	assert_true(get32(real + 0x218) + INITRD_BYTES <= 63U << 20);
	assert_true(get32(real + 0x218) >= PREFERRED + INIT_BYTES);
	assert_int_equal(get32(copies + 40), 0); /* no sectors: the last */
	remove_files(&f);
}

static void test_boot_memory(void **state)
{
	struct files f;
	struct err err;

	(void)state;
	make_files(&f);
	struct bochs_boot boot = { f.kernel, f.initrd, "", 20 };
	assert_int_equal(bochs_image_write(&boot, f.disk, f.rom, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.msg, "need 21 MiB"));
	boot.memory_mib = 21;
	assert_int_equal(bochs_image_write(&boot, f.disk, f.rom, &err), 0);
	remove_files(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),      cmocka_unit_test(test_log),
		cmocka_unit_test(test_version),     cmocka_unit_test(test_boot),
		cmocka_unit_test(test_boot_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
