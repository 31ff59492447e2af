/* The classifier's readers of lines, frames and names: one row a case. */
#include "base/buf.h"
#include "oops/demangle.h"
#include "oops/frame.h"
#include "oops/line.h"
#include "oops/scan.h"
#include "oops/title.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void lines(void **state)
{
	static const struct {
		const char *raw, *text;
		uint64_t ctx;
	} rows[] = {
		{ "plain", "plain", LINE_CTX_USER },
		{ "[   12.345678] text", "text", LINE_CTX_CONSOLE },
		{ "[   12.345678][  T123] text", "text", 123 << 8 | 'T' },
		{ "[   12.345678][    C1] text", "text", 1 << 8 | 'C' },
		{ "[    0.000000]  indented", " indented", LINE_CTX_CONSOLE },
		{ "[12345.000000] text \r", "text", LINE_CTX_CONSOLE },
		{ "<4>[    1.000000] text", "text", LINE_CTX_CONSOLE },
		{ "<4>text", "text", LINE_CTX_CONSOLE },
		{ "[ T77] text", "text", 77 << 8 | 'T' },
		{ "debian login: [    1.000000] text", "text", LINE_CTX_CONSOLE },
		{ "** 5 printk messages dropped ** [    1.0] text", "text", LINE_CTX_CONSOLE },
		{ "Nov 20 23:59:01 host kernel: [    1.0] text", "text", LINE_CTX_CONSOLE },
		{ "[    1.000000] host kernel: text", "text", LINE_CTX_CONSOLE },
		{ "kern  :warn  : [    1.0] text", "text", LINE_CTX_CONSOLE },
		{ "[ 1] text", "[ 1] text", LINE_CTX_USER },
		{ "a [    1.0] text", "a [    1.0] text", LINE_CTX_USER },
		{ "", "", LINE_CTX_USER },
		{ "[", "[", LINE_CTX_USER },
		{ "[    1.0]", "", LINE_CTX_CONSOLE },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct line l;
		line_parse(rows[i].raw, strlen(rows[i].raw), 0, &l);
		assert_int_equal(l.len, strlen(rows[i].text));
		assert_memory_equal(l.s, rows[i].text, l.len);
		assert_int_equal(l.ctx, rows[i].ctx);
	}
}

static void frames(void **state)
{
	static const struct {
		const char *line, *name;
	} rows[] = {
		{ " kvm_wait+0xc3/0xe0", "kvm_wait" },
		{ " kvm_wait+0xc3/0xe0 [kvm]", "kvm_wait" },
		{ " kvm_wait.isra.0+0xc3/0xe0", "kvm_wait" },
		{ " kvm_wait.cold+0x3/0x7", "kvm_wait" },
		{ " [<ffffffff81234567>] kvm_wait+0xc3/0xe0", "kvm_wait" },
		{ " [<ffffffff81234567>] ? kvm_wait+0xc3/0xe0", "kvm_wait" },
		{ " ? kvm_wait+0xc3/0xe0", "kvm_wait" },
		{ " <IRQ>  [<ffffffff81234567>] dump_stack+0x45/0x6c", "dump_stack" },
		{ "[c000000003f0fb10] [c0000000000fa2a4] vcpu_load+0x44/0x80", "vcpu_load" },
		{ "[c000000003f0fb10] [c0000000000fa2a4] .vcpu_load+0x44/0x80", "vcpu_load" },
		{ "[<ffffffff8002a3c4>] kvm_riscv_vcpu_enter+0x2c/0x90", "kvm_riscv_vcpu_enter" },
		{ "([<00000000001f1e2c>] show_stack+0x5c/0x70)", "show_stack" },
		{ "[<c0112f40>] (unwind_backtrace) from [<c010d0b4>] (show_stack+0x10/0x14)",
		  "unwind_backtrace" },
		{ "[<c0112f40>] (tty_close+0x1/0x2) from [<c010d0b4>] (release+0x10/0x14)",
		  "tty_close" },
		{ " unwind_backtrace from show_stack+0x10/0x14", "unwind_backtrace" },
		{ " kvm_get_bus include/linux/kvm_host.h:534 [inline]", NULL },
		{ " 0xffffffff81234567", NULL },
		{ "RIP: 0010:kvm_wait+0xc3/0xe0", NULL },
		{ "Call Trace:", NULL },
		{ " kvm_wait+0xc3", NULL },
		{ " kvm_wait+0x/0xe0", NULL },
		{ "", NULL },
		{ " [<", NULL },
		{ " <", NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct func f;
		bool is = frame_parse(rows[i].line, strlen(rows[i].line), &f);
		if (is != (rows[i].name != NULL))
			fail_msg("%s", rows[i].line);
		if (is)
			assert_true(func_is(&f, rows[i].name));
	}
}

static void program_counters(void **state)
{
	static const struct {
		const char *line, *name;
	} rows[] = {
		{ "RIP: 0010:kvm_wait+0xc3/0xe0", "kvm_wait" },
		{ "RIP: 0010:[<ffffffff81234567>]  [<ffffffff81234567>] kvm_wait+0x1/0x2",
		  "kvm_wait" },
		{ "RIP  [<ffffffff81234567>] kvm_wait+0x1/0x2", "kvm_wait" },
		{ "IP: kvm_wait+0x1/0x2", "kvm_wait" },
		{ "EIP: kvm_wait+0x1/0x2", "kvm_wait" },
		{ "PC is at kvm_wait+0x1/0x2", "kvm_wait" },
		{ "pc : kvm_wait+0x1/0x2", "kvm_wait" },
		{ "pc : [<ffffffc000d394c4>] lr : [<ffffffc000d394c4>] pstate: 200001c5", NULL },
		{ "NIP [c000000000b5a1f4] kvm_wait+0x34/0x1c0", "kvm_wait" },
		{ "epc : kvm_wait+0x2c/0x90", "kvm_wait" },
		{ "epc   : 80123456 kvm_wait+0x2c/0x90", "kvm_wait" },
		{ "Krnl PSW : 0704c00180000000 00000000001f1e2c (kvm_wait+0x2/0x4)", "kvm_wait" },
		{ "   ERA: 9000000000223a10 kvm_wait+0x2/0x4", "kvm_wait" },
		{ "RIP: 0033:0x7f0d2a51d0ab", NULL },
		{ "RIP: 0010:", NULL },
		{ "NIP [", NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct func f;
		bool is = frame_pc(rows[i].line, strlen(rows[i].line), &f);
		if (is != (rows[i].name != NULL))
			fail_msg("%s", rows[i].line);
		if (is)
			assert_true(func_is(&f, rows[i].name));
	}
}

static void demangled(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "_RNvC5crate4main", "crate::main" },
		{ "_RNvNtC5crate3mod4func", "crate::mod::func" },
		{ "_RNvMNtC5crate3modNtB2_6Struct3new", "<crate::mod::Struct>::new" },
		{ "_RNvXC5crateNtC5crate1SNtC5crate1T3run", "<crate::S as crate::T>::run" },
		{ "_RNCNvC5crate4main0B3_", "crate::main::{closure}" },
		{ "_RINvC5crate4funclE", "crate::func" },
		{ "_RNvMC5crateRh3len", "<&u8>::len" },
		{ "_RNvMC5crateSh3len", "<[u8]>::len" },
		{ "_ZN4core9panicking5panic17h0123456789abcdefE", "core::panicking::panic" },
		{ "_Z4funciii", "func" },
		{ "kvm_wait", NULL },
		{ "_R", NULL },
		{ "_RNvC5", NULL },
		{ "_RNvC99999999999999999999crate", NULL },
		{ "_RB_", NULL },
		{ "_RNvB0_B_B_", NULL },
		{ "_ZN", NULL },
		{ "_Z", NULL },
		{ "_Znwm", NULL },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		size_t n = oops_demangle(rows[i].from, strlen(rows[i].from), out, sizeof(out));
		assert_int_equal(n != 0, rows[i].to != NULL);
		if (n)
			assert_string_equal(out, rows[i].to);
	}
	assert_int_equal(oops_demangle("_RNvC5crate4main", 16, out, 5), 0);
}

static void cleaned(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "kernel BUG at mm/slab.c:4339!", "kernel BUG at mm/slab.c:LINE!" },
		{ "a.c:1:2", "a.c:LINE" },
		{ "func+0x1052/0x2d80 at addr ffff88004ec29b58", "func at addr ADDR" },
		{ "age=624 cpu=0 pid=3", "age=NUM cpu=NUM pid=NUM" },
		{ "ip6_fragment x86_64 kfence-17", "ip6_fragment x86_64 kfence-NUM" },
		{ "stuck on CPU#3", "stuck on CPU" },
		{ "subclass: 4294967295", "subclass: ADDR" },
		{ "task syz-executor.12/34 in", "task syz-executor in" },
		{ "trailing \t ", "trailing" },
		{ "con\033trol", "con trol" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct buf b = BUF_INIT;
		buf_adds(&b, rows[i].from);
		char *t = oops_title_clean(&b, 120);
		assert_string_equal(t, rows[i].to);
		free(t);
	}
	struct buf b = BUF_INIT;
	for (int i = 0; i < 500; i++)
		buf_addc(&b, 'x');
	char *t = oops_title_clean(&b, 120);
	assert_int_equal(strlen(t), 120);
	free(t);
}

static void spelled(void **state)
{
	static const struct {
		const char *raw, *first;
		size_t n;
	} rows[] = {
		{ "kvm_wait", "kvm_wait", 1 },
		{ "__x64_sys_rmdir", "sys_rmdir", 2 },
		{ "SyS_rmdir", "rmdir", 2 },
		{ "__se_sys_mremap", "mremap", 3 },
		{ "compat_SyS_mount", "mount", 2 },
		{ "smp_call_function_many", "smp_call_function", 2 },
		{ "sys_", "sys_", 1 },
		{ "synchronize_srcu", "synchronize_rcu", 2 },
	};
	char names[4][OOPS_NAME_BYTES];

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct func f = { rows[i].raw, strlen(rows[i].raw) };
		assert_int_equal(oops_name_forms(&f, names), rows[i].n);
		assert_string_equal(names[0], rows[i].first);
		assert_string_equal(names[rows[i].n - 1], rows[i].raw);
	}
}

static void executors(void **state)
{
	(void)state;
	char *e = oops_executor("syz.3.20");
	assert_string_equal(e, "proc=3, id=20");
	free(e);
	assert_null(oops_executor("syz-executor"));
	assert_null(oops_executor("syz.3."));
	assert_null(oops_executor("syz.3.20x"));
	assert_null(oops_executor(NULL));
}

static void skipped(void **state)
{
	static const char *const yes[] = { "dump_stack_lvl",         "kasan_report", "lock_acquire",
					   "_raw_spin_lock_irqsave", "__mutex_lock", "memcpy",
					   "refcount_warn_saturate", "kfree",        "_printk" };
	static const char *const no[] = {
		"kvm_wait",      "nested_svm_vmexit",      "iput_final",
		"schedule_tail", "mptcp_pm_del_add_timer", "kvm_vm_ioctl_set_memory_region"
	};

	(void)state;
	for (size_t i = 0; i < N(yes); i++)
		assert_true(frame_skipped(&(struct func){ yes[i], strlen(yes[i]) }));
	for (size_t i = 0; i < N(no); i++)
		assert_false(frame_skipped(&(struct func){ no[i], strlen(no[i]) }));
}

/* The scan finds a word at every place in a buffer, whatever its alignment, and nothing else. */
static void scanned(void **state)
{
	static const char *const words[] = { "BUG:", "WARNING:", "Kernel panic",
					     "Unable to handle" };
	struct scan s;
	char text[200];

	(void)state;
	scan_init(&s, words, N(words));
	for (size_t w = 0; w < N(words); w++) {
		size_t n = strlen(words[w]);
		for (size_t at = 0; at + n <= sizeof(text); at++) {
			memset(text, 'B', sizeof(text));
			memcpy(text + at, words[w], n);
			size_t from = 0;
			assert_int_equal(scan_find(&s, text, sizeof(text), &from), at);
			assert_int_equal(scan_find(&s, text, sizeof(text), &from), sizeof(text));
			from = 0;
			assert_int_equal(scan_find(&s, text, at + n - 1, &from), at + n - 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(frames),
		cmocka_unit_test(program_counters),
		cmocka_unit_test(demangled),
		cmocka_unit_test(cleaned),
		cmocka_unit_test(spelled),
		cmocka_unit_test(executors),
		cmocka_unit_test(skipped),
		cmocka_unit_test(scanned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
