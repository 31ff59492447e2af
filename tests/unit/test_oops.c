/* The classifier as a whole: rules' tables, streaming, several reports, matching, bad input. */
#include "base/buf.h"
#include "oops/match.h"
#include "oops/oops.h"
#include "oops/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define CPU   "CPU: 0 PID: 7 Comm: a.out Not tainted 6.1.0 #1\n"
#define TRACE "Call Trace:\n <TASK>\n kvm_vcpu_ioctl+0x1/0x2\n do_syscall_64+0x3b/0x90\n </TASK>\n"
#define END   "---[ end trace 0000000000000000 ]---\n"
#define RULER "==================================================================\n"
#define WARN                                                                                       \
	"WARNING: CPU: 0 PID: 7 at kernel/a.c:1 kvm_wait+0x1/0x2\n" CPU                            \
	"RIP: 0010:kvm_wait+0x1/0x2\n" TRACE END
#define GPF "general protection fault: 0000 [#1] SMP\n" CPU "RIP: 0010:kvm_wait+0x1/0x2\n" TRACE END

static void rules(void **state)
{
	struct oops_regexes rx;

	(void)state;
	oops_regexes_init(&rx);
	for (size_t t = 0; oops_rule_tables[t]; t++) {
		for (const struct oops_rule *r = oops_rule_tables[t]; r->mark; r++) {
			bool known = false;
			for (size_t i = 0; i < oops_n_marks; i++)
				known |= !strcmp(oops_marks[i].text, r->mark);
			if (!known || !r->source || !r->title)
				fail_msg("row \"%s\" \"%s\"", r->mark, r->re);
			if (!oops_compiles(&rx, r->re) || (r->also && !oops_compiles(&rx, r->also)))
				fail_msg("pattern of \"%s\" \"%s\"", r->mark, r->re);
			if (strstr(r->title, "$F") && !r->path)
				fail_msg("no path to $F in \"%s\"", r->title);
		}
	}
	for (size_t i = 0; i < oops_n_marks; i++)
		if (oops_marks[i].only && !oops_compiles(&rx, oops_marks[i].only))
			fail_msg("pattern of mark \"%s\"", oops_marks[i].text);
	oops_regexes_free(&rx);
}

/* What a console says, and the title that it gets; NULL: none. */
static const struct {
	const char *text, *title;
} titles[] = {
	{ WARN, "WARNING in kvm_wait" },
	{ GPF, "general protection fault in kvm_wait" },
	{ "Oops: " GPF, "general protection fault in kvm_wait" },
	{ "WARNING: at kernel/a.c:1 kvm_wait+0x1/0x2()\n" CPU TRACE, "WARNING in kvm_vcpu_ioctl" },
	{ "WARNING: CPU: 0 PID: 7 at /build/linux/lib/refcount.c:28 "
	  "refcount_warn_saturate+0x1/0x2\n" CPU
	  "RIP: 0010:refcount_warn_saturate+0x1/0x2\n" TRACE END,
	  "WARNING: refcount bug in kvm_vcpu_ioctl" },
	{ "BUG: KASAN: use-after-free in kvm_get_bus include/linux/kvm_host.h:5 [inline]\n"
	  "BUG: KASAN: use-after-free in kvm_io_bus_read+0x1/0x2 virt/kvm/kvm_main.c:9\n"
	  "Read of size 8 at addr ffff888 by task a.out/7\n" CPU TRACE RULER,
	  "KASAN: use-after-free Read in kvm_io_bus_read" },
	{ "BUG: Bad rss-counter state mm:00000000 type:MM_FILEPAGES val:1\n",
	  "BUG: Bad rss-counter state" },
	{ "BUG: non-zero pgtables_bytes on freeing mm: 4096\n",
	  "BUG: non-zero pgtables_bytes on freeing mm" },
	{ "BUG: sleeping function called from invalid context at a.c:1\nin_atomic(): 1\n" CPU TRACE,
	  "BUG: sleeping function called from invalid context in kvm_vcpu_ioctl" },
	{ "BUG: scheduling while atomic: a.out/7/0x00000002\n" CPU TRACE,
	  "BUG: scheduling while atomic in kvm_vcpu_ioctl" },
	{ "BUG: using smp_processor_id() in preemptible [00000000] code: a.out/7\n" CPU TRACE,
	  "BUG: using smp_processor_id() in preemptible code in kvm_vcpu_ioctl" },
	{ "BUG: spinlock recursion on CPU#0, a.out/7\n" CPU TRACE,
	  "BUG: spinlock recursion in kvm_vcpu_ioctl" },
	{ "BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[7]\n"
	  "     preempt=0x00000000 lock=1->0 RCU=0->0 workfn=async_pf_execute\n"
	  "     last function: async_pf_execute\n" CPU TRACE,
	  "BUG: workqueue leaked lock or atomic in async_pf_execute" },
	{ "BUG kmalloc-32 (Not tainted): Poison overwritten\n" CPU TRACE,
	  "BUG: Poison overwritten" },
	{ "BUG: MAX_LOCKDEP_ENTRIES too low!\n", "BUG: MAX_LOCKDEP_ENTRIES too low!" },
	{ "WARNING: held lock freed!\n6.1.0 Not tainted\n-------------------------\n"
	  "a.out/7 is freeing memory 0-1, with a lock still held there!\n"
	  "ffff888 (&x->lock){+.+.}-{2:2}, at: kvm_put_kvm+0x1/0x2\n" CPU TRACE,
	  "WARNING: held lock freed in kvm_put_kvm" },
	{ "WARNING: bad unlock balance detected!\n6.1.0 Not tainted\n-----\n"
	  "a.out/7 is trying to release lock (&x->lock) at:\n"
	  "[<ffffffff81234567>] kvm_put_kvm+0x1/0x2\nbut there are no more locks to release!\n" CPU
		  TRACE,
	  "WARNING: bad unlock balance in kvm_put_kvm" },
	{ "[ BUG: Invalid wait context ]\n6.1.0 Not tainted\n-----\n" CPU TRACE,
	  "WARNING: locking bug in kvm_vcpu_ioctl" },
	{ "WARNING: inconsistent lock state\n6.1.0 Not tainted\n-----\n"
	  "inconsistent {SOFTIRQ-ON-W} -> {IN-SOFTIRQ-W} usage.\n"
	  "a.out/7 [HC0[0]:SC1[1]:HE1:SE0] takes:\n"
	  "ffff888 (&x->lock){+.?.}-{2:2}, at: kvm_put_kvm+0x1/0x2\n" CPU TRACE,
	  "inconsistent lock state in kvm_put_kvm" },
	{ "Kernel panic - not syncing: Fatal machine check on current CPU\n",
	  "kernel panic: Fatal machine check on current CPU" },
	{ "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: "
	  "kvm_wait+0x1/0x2\n",
	  "kernel panic: stack is corrupted in kvm_wait" },
	{ "VFS: Busy inodes after unmount of loop0 (ext4)\n",
	  "VFS: Busy inodes after unmount (use-after-free)" },
	{ "BUG: Bad page state in process a.out  pfn:1234\npage:1 refcount:0\n" CPU
	  "Call Trace:\n <TASK>\n dump_stack_lvl+0x1/0x2\n bad_page+0x1/0x2\n"
	  " free_unref_page+0x1/0x2\n kvm_free_memslot+0x1/0x2\n </TASK>\n",
	  "BUG: Bad page state in kvm_free_memslot" },
	{ "BUG: TASK stack guard page was hit at 1 (stack is 2..3)\n" CPU
	  "RIP: 0010:kvm_wait+0x1/0x2\n" TRACE END,
	  "BUG: stack guard page was hit in kvm_vcpu_ioctl" },
	{ "------------[ cut here ]------------\nUBSAN: array-index-out-of-bounds in a.c:1:2\n" CPU
		  TRACE "---[ end trace ]---\n",
	  "UBSAN: array-index-out-of-bounds in kvm_vcpu_ioctl" },
	{ "SYZFAIL: failed to mmap\n", "SYZFAIL: failed to mmap" },
	{ "fatal error: all goroutines are asleep - deadlock!\n", "go runtime error" },
	{ "unregister_netdevice: waiting for lo to become free. Usage count = 2\n",
	  "unregister_netdevice: waiting for DEV to become free" },
	{ "[    1.0] BUG: [    1.1] cut\n", "BUG: [    NUM.NUM] cut" },
	{ "WARNING: Unprivileged eBPF is enabled with eIBRS on\n", NULL },
	{ "WARNING: CPU frequency is high\n", NULL },
	{ "INFO: lockdep is turned off.\n", NULL },
	{ "INFO: NMI handler (x) took too long to run: 2.277 msecs\n", NULL },
	{ "[    1.0] ODEBUG: selftest passed\n", NULL },
	{ "[    1.0] fuse: Unknown parameter 'BUG: x'\n", NULL },
	{ "[    1.0] a.out: started\na program says BUG: no\n", NULL },
	{ "[    1.0] traps: a.out[7] general protection fault ip:1 sp:2 error:0\n", NULL },
	{ "XFS (vda): Internal error x\n", NULL },
	{ "gcc: fatal error: no input files\n", NULL },
	{ "Linux version 6.1.0\n", NULL },
	{ "\n\n\n", NULL },
};

static struct oops *feed(const char *text, size_t len, size_t piece, size_t keep)
{
	struct oops *o = oops_new(keep);

	for (size_t at = 0; at < len; at += piece)
		oops_feed(o, text + at, len - at < piece ? len - at : piece);
	oops_finish(o);
	return o;
}

static void named(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(titles); i++) {
		for (size_t piece = 1; piece < 2000; piece *= 11) {
			struct oops *o = feed(titles[i].text, strlen(titles[i].text), piece, 1);
			const struct oops_report *r = oops_get(o, 0);
			if (!r != !titles[i].title)
				fail_msg("%s: %s", titles[i].text, r ? r->title : "nothing");
			if (r)
				assert_string_equal(r->title, titles[i].title);
			oops_free(o);
		}
	}
}

/* A report, and the first of its lines after which it is complete. */
static const struct {
	const char *before, *last;
} ends[] = {
	{ "WARNING: CPU: 0 PID: 7 at kernel/a.c:1 kvm_wait+0x1/0x2\nRIP: "
	  "0010:kvm_wait+0x1/0x2\n" TRACE,
	  END },
	{ "general protection fault: 0000 [#1] SMP\nRIP: 0010:kvm_wait+0x1/0x2\n" TRACE, END },
	{ "BUG: KASAN: use-after-free in kvm_wait+0x1/0x2\nRead of size 8 at addr ffff8880\n" CPU
		  TRACE "\nAllocated by task 7:\n kvm_create+0x1/0x2\n\n",
	  RULER },
	{ "WARNING: suspicious RCU usage\n6.1.0\n-----\na.c:1 suspicious rcu_dereference_check() "
	  "usage!\n"
	  "\nstack backtrace:\n" CPU "Call Trace:\n <TASK>\n kvm_dev_ioctl+0x1/0x2\n",
	  " </TASK>\n" },
	{ "WARNING: suspicious RCU usage\n6.1.0\n-----\na.c:1 suspicious rcu_dereference_check() "
	  "usage!\n"
	  "\nstack backtrace:\n" CPU "Call Trace:\n kvm_dev_ioctl+0x1/0x2\n",
	  "an unrelated line\n" },
	{ "INFO: task a.out:7 blocked for more than 120 seconds.\n"
	  "Call Trace:\n <TASK>\n schedule+0x1/0x2\n kvm_vm_ioctl+0x1/0x2\n",
	  " </TASK>\n" },
	{ "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [a.out:7]\n" CPU
	  "RIP: 0010:kvm_wait+0x1/0x2\nCall Trace:\n <TASK>\n kvm_vcpu_ioctl+0x1/0x2\n "
	  "do_syscall_64+0x1/0x2\n",
	  " </TASK>\n" },
	{ "Kernel panic - not syncing: sysrq triggered crash\n" CPU TRACE,
	  "---[ end Kernel panic - not syncing: sysrq triggered crash ]---\n" },
	{ "", "BUG: Bad rss-counter state mm:00000000 type:MM_FILEPAGES val:1\n" },
	{ "[    1.0] alive\n", "[    0.000000] Linux version 6.1.0\n" },
};

static void completed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(ends); i++) {
		struct oops *o = oops_new(1);
		oops_feed(o, ends[i].before, strlen(ends[i].before));
		if (oops_state(o) == OOPS_COMPLETE)
			fail_msg("too early: %s", ends[i].before);
		oops_feed(o, ends[i].last, strlen(ends[i].last));
		if (oops_state(o) != OOPS_COMPLETE || oops_count(o) != 1)
			fail_msg("not complete: %s%s", ends[i].before, ends[i].last);
		char *title = xstrdup(oops_get(o, 0)->title);
		oops_finish(o);
		assert_string_equal(oops_get(o, 0)->title, title);
		free(title);
		oops_free(o);
	}
}

static void several(void **state)
{
	static const char text[] =
		WARN "quiet\n" GPF "Kernel panic - not syncing: Fatal exception\n";

	(void)state;
	struct oops *o = feed(text, sizeof(text) - 1, sizeof(text), 8);
	assert_int_equal(oops_count(o), 2);
	assert_string_equal(oops_get(o, 0)->title, "WARNING in kvm_wait");
	assert_string_equal(oops_get(o, 1)->title, "general protection fault in kvm_wait");
	assert_true(oops_get(o, 1)->panicked);
	assert_int_equal(oops_get(o, 0)->start, 0);
	assert_int_equal(oops_get(o, 1)->start, strstr(text, "general") - text);
	oops_drop(o, 1);
	assert_int_equal(oops_count(o), 1);
	assert_string_equal(oops_get(o, 0)->title, "general protection fault in kvm_wait");
	oops_free(o);
	o = feed(text, sizeof(text) - 1, 1, 1);
	assert_int_equal(oops_count(o), 1);
	assert_true(oops_get(o, 0)->panicked);
	oops_free(o);
}

/* Noise on the line: the report goes on behind it. */
static void noisy(void **state)
{
	static const char text[] = "BUG: scheduling while atomic: a\0b/7/0x2\n" CPU TRACE;

	(void)state;
	struct oops *o = feed(text, sizeof(text) - 1, 5, 1);
	assert_string_equal(oops_get(o, 0)->title,
			    "BUG: scheduling while atomic in kvm_vcpu_ioctl");
	assert_non_null(strstr(oops_get(o, 0)->text, "a?b/7"));
	assert_non_null(strstr(oops_get(o, 0)->text, "</TASK>"));
	oops_free(o);
}

static void matched(void **state)
{
	static const struct {
		const char *expect, *title;
		bool yes;
	} rows[] = {
		{ "WARNING in kvm_wait", "WARNING in kvm_wait", true },
		{ "WARNING in kvm_wait", "WARNING in kvm_wait_x", false },
		{ "WARNING in kvm_wait (2)", "WARNING in kvm_wait", true },
		{ "Re: [syzbot] [kvm?] WARNING in kvm_wait (2)", "WARNING in kvm_wait", true },
		{ "kernel BUG at arch/x86/kvm/mmu.c:LINE!",
		  "kernel BUG at arch/x86/kvm/mmu/mmu.c:LINE!", true },
		{ "kernel BUG at arch/x86/kvm/mmu.c:695!", "kernel BUG at arch/x86/kvm/mmu.c:LINE!",
		  true },
		{ "kernel BUG at arch/x86/kvm/mmu.c:LINE!",
		  "kernel BUG at arch/x86/kvm/x86.c:LINE!", false },
		{ "KASAN: use-after-free Read in f", "KASAN: slab-use-after-free Read in f", true },
		{ "KASAN: use-after-free Read in f", "KASAN: slab-use-after-free Write in f",
		  false },
		{ "/^WARNING in kvm_/", "WARNING in kvm_wait", true },
		{ "/kvm_.*dead/", "WARNING in kvm_wait", false },
		{ "/", "WARNING in kvm_wait", false },
		{ "re: a title like a mail in f", "re: a title like a mail in f", true },
	};
	struct oops_matcher *m;
	struct err err;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(oops_matcher_new(rows[i].expect, &m, &err), 0);
		if (oops_matcher_test_title(m, rows[i].title) != rows[i].yes)
			fail_msg("%s / %s", rows[i].expect, rows[i].title);
		oops_matcher_free(m);
	}
	assert_int_equal(oops_matcher_new("/(/", &m, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(oops_matcher_new("", &m, &err), -1);
}

/* CPU time, so that a busy machine makes no difference. */
static int64_t cpu_ms(void)
{
	return (int64_t)clock() * 1000 / CLOCKS_PER_SEC;
}

/* A megabyte of one thing; the time for two megabytes must not be four times as long. */
static int64_t time_of(const char *head, const char *unit, size_t bytes)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, head);
	while (b.len < bytes)
		buf_adds(&b, unit);
	int64_t start = cpu_ms();
	struct oops *o = feed(b.data, b.len, b.len, SIZE_MAX);
	int64_t took = cpu_ms() - start;
	oops_free(o);
	buf_free(&b);
	return took;
}

static void linear(void **state)
{
	static const struct {
		const char *head, *unit;
	} rows[] = {
		{ "", "[" },
		{ "", "BUG:" },
		{ "[    1.0] BUG: x\n", "[    1.0] [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n" },
		{ "BUG: x\nCall Trace:\n", " kvm_wait+0x1/0x2\n" },
		{ "INFO: rcu_sched self-detected stall on CPU\napic_timer_interrupt+0x1/0x2\n",
		  " kvm_wait+0x1/0x2\n" },
		{ "", "------------[ cut here ]------------\nWARNING: CPU: 0 PID: 7 at a.c:1 "
		      "f+0x1/0x2\n" },
		{ "",
		  "WARNING: CPU: 0 PID: 7 at a.c:1 f+0x1/0x2\nCall Trace:\n kvm_wait+0x1/0x2\n" },
		{ "", "BUG: Bad rss-counter state\n" },
		{ "BUG: KASAN: a in b\n", "Call Trace:\n" },
		{ "BUG: x\n", "[<ffffffff81234567>] " },
		{ "", "Kernel panic - not syncing: x\n" },
		{ "", "FAULT_INJECTION: forcing a failure\n" },
		{ "BUG: KASAN: use-after-free in _R", "NvNvNvNv" },
		{ "", "\n" },
		{ "possible deadlock BUG: x\n", "WARNING: BUG: INFO: " },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		int64_t one = time_of(rows[i].head, rows[i].unit, 1 << 20);
		int64_t two = time_of(rows[i].head, rows[i].unit, 2 << 20);
		if (two > 3 * one + 500 || two > 20000)
			fail_msg("%s: %lld ms, twice as much %lld ms", rows[i].unit, (long long)one,
				 (long long)two);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),   cmocka_unit_test(named), cmocka_unit_test(completed),
		cmocka_unit_test(several), cmocka_unit_test(noisy), cmocka_unit_test(matched),
		cmocka_unit_test(linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
