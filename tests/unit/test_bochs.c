/* Bochs: its configuration is filled whole, and its words are understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "embed.h"
#include "vm/bochs_image.h"
#include "vm/bochs_log.h"
#include "vm/domain.h"

#include <stdlib.h>
#include <string.h>

static void test_config(void **state)
{
	const struct domain_word words[] = {
		{ "MODEL", "m" },    { "IPS", "1000000" }, { "MEMORY", "256" }, { "BIOS", "/b" },
		{ "VGABIOS", "/v" }, { "CONSOLE", "7" },   { "PORT", "45678" }, { NULL, NULL },
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

static void test_cmdline_too_long(void **state)
{
	char cmdline[2048];
	struct err err;

	(void)state;
	memset(cmdline, 'a', sizeof(cmdline) - 1);
	cmdline[sizeof(cmdline) - 1] = '\0';
	assert_int_equal(bochs_image_write("/nonexistent/boot.iso", "/k", "/i", cmdline, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_cmdline_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
