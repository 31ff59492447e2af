/* Families of titles: the seeds' runs, stacks of real reports, and what must not be taken in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "family.h"

#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof(*(table)))

static size_t add(struct family *f, const char *title, const char *report, bool expected)
{
	const struct outcome o = { title ? OUTCOME_CRASHED : OUTCOME_OK, (char *)title };
	const struct family_run run = { .outcome = &o, .expected = expected, .report = report };

	return family_add(f, &run);
}

static void add_many(struct family *f, size_t n, const char *title, bool expected)
{
	for (size_t i = 0; i < n; i++)
		add(f, title, NULL, expected);
}

static enum kinship kin(const struct family *f, const char *title)
{
	const struct outcome o = { OUTCOME_CRASHED, (char *)title };

	return family_kin(f, &o);
}

#define REFCOUNT "WARNING: refcount bug in sk_psock_get"
#define VERDICT  "WARNING: refcount bug in bpf_exec_tx_verdict"
#define ENTER    "WARNING in enter_vmx_operation"
#define FREE     "WARNING in free_loaded_vmcs"
#define HUNG     "INFO: task hung in synchronize_rcu"
#define GPF      "general protection fault in kvm_coalesced_mmio_init"

/* One kernel's runs: hits of the target, of another title, clean ones; what the other is then. */
static void test_alias(void **state)
{
	static const struct {
		const char *target, *other;
		size_t hits, others, clean;
		enum kinship kin;
	} rows[] = {
		{ REFCOUNT, VERDICT, 19, 1, 0, KIN_ALIAS }, /* seed 002, first kernel */
		{ ENTER, FREE, 8, 2, 0, KIN_ALIAS },        /* seed 003, 7a324b3f0535 */
		{ ENTER, FREE, 9, 1, 0, KIN_ALIAS },        /* seed 003, e61cf2e3a5b4 */
		{ HUNG, GPF, 9, 1, 0, KIN_ALIAS },          /* seed 001, first kernel */
		{ GPF, HUNG, 1, 9, 0, KIN_OTHER },          /* the same: it does not dominate */
		/* Seeds 002 and 004: never beside the target. */
		{ REFCOUNT, "WARNING in kvm_wait", 0, 6, 3, KIN_OTHER },
		{ "kernel BUG at arch/x86/kvm/mmu.c:LINE!",
		  "WARNING in __static_key_slow_dec_cpuslocked", 0, 1, 9, KIN_OTHER },
		/* Too few; clean runs are not the target's; names of no crash. */
		{ ENTER, FREE, 2, 0, 0, KIN_OTHER },
		{ ENTER, FREE, 2, 1, 0, KIN_OTHER },
		{ ENTER, FREE, 3, 1, 0, KIN_ALIAS },
		{ ENTER, FREE, 3, 2, 0, KIN_OTHER },
		{ ENTER, FREE, 6, 1, 3, KIN_OTHER },
		{ ENTER, TITLE_LOST_CONNECTION, 9, 1, 0, KIN_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct family f = { 0 };

		add_many(&f, rows[i].others, rows[i].other, false);
		add_many(&f, rows[i].clean, NULL, false);
		add_many(&f, rows[i].hits, rows[i].target, true);
		if (kin(&f, rows[i].other) != rows[i].kin)
			fail_msg("row %zu: %s", i, kinship_name(kin(&f, rows[i].other)));
		family_free(&f);
	}
}

/* What was learnt on one kernel counts on the next, where the target never shows. */
static void test_known(void **state)
{
	struct family first = { 0 }, next = { 0 };

	(void)state;
	add_many(&first, 8, ENTER, true);
	size_t alias = add(&first, FREE, NULL, false);
	add(&first, TITLE_REBOOT, NULL, false);
	assert_int_equal(family_match(&first, alias, false), MATCH_TARGET);
	family_know_all(&next, &first);
	assert_int_equal(next.n, 2);
	alias = add(&next, FREE, NULL, false);
	assert_int_equal(family_match(&next, alias, false), MATCH_TARGET);
	size_t other = add(&next, "WARNING in kvm_wait", NULL, false);
	assert_int_equal(family_match(&next, other, false), MATCH_NONE);
	add_many(&next, 10, NULL, false);
	assert_int_equal(kin(&next, FREE), KIN_ALIAS);
	family_free(&first);
	family_free(&next);
}

/* An alias only as long as the target dominates. */
static void test_alias_lost(void **state)
{
	struct family f = { 0 };

	(void)state;
	add_many(&f, 3, ENTER, true);
	size_t other = add(&f, FREE, NULL, false);
	assert_int_equal(family_match(&f, other, false), MATCH_TARGET);
	add(&f, NULL, NULL, false);
	assert_int_equal(family_match(&f, other, false), MATCH_NONE);
	family_free(&f);
}

#define ENTRY                                                                                      \
	" __x64_sys_ioctl+0x83a/0x14d0\n x64_sys_call+0x920/0x9a0\n do_syscall_64+0x2f/0x50\n"     \
	" entry_SYSCALL_64_after_hwframe+0x4b/0xb5\nRIP: 0033:0x43e3fb\n </TASK>\n"
#define FAULT                                                                                      \
	" direct_page_fault+0x1d0c/0x2870\n kvm_tdp_page_fault+0x4b/0x190\n"                       \
	" kvm_mmu_page_fault+0x260/0x1d90\n npf_interception+0x1ad/0x2f0\n"                        \
	" svm_handle_exit+0x3ac/0x810\n vcpu_run+0x22a6/0x5180\n"                                  \
	" kvm_arch_vcpu_ioctl_run+0x3df/0x18c0\n kvm_vcpu_ioctl+0x4f4/0xcd0\n"
#define BUG_AT "kernel BUG at arch/x86/kvm/mmu/mmu.c:3099!\nRIP: 0010:"

/* As kernel 6.1 prints seed 004's bug; the same where two functions had other names; where the
 * crashing one was inlined; another BUG that the same exit handler leads to. */
static const char adjust[] = BUG_AT "kvm_mmu_hugepage_adjust+0x1c/0x80\nCall Trace:\n <TASK>\n"
				    " kvm_tdp_mmu_map+0xaa/0x1640\n" FAULT ENTRY;
static const char renamed[] = BUG_AT "transparent_hugepage_adjust+0x1c/0x80\nCall Trace:\n"
				     " __direct_map+0xaa/0x1640\n" FAULT ENTRY;
static const char inlined[] = BUG_AT "kvm_tdp_mmu_map+0xaa/0x1640\nCall Trace:\n" FAULT ENTRY;
static const char other_exit[] = BUG_AT
	"pause_filter+0x1/0x2\nCall Trace:\n"
	" ? report_bug+0x1/0x2\n pause_interception+0x1ad/0x2f0\n svm_handle_exit+0x3ac/0x810\n"
	" vcpu_run+0x22a6/0x5180\n kvm_arch_vcpu_ioctl_run+0x3df/0x18c0\n"
	" kvm_vcpu_ioctl+0x4f4/0xcd0\n" ENTRY;
static const char shallow[] = BUG_AT "kvm_vcpu_ioctl+0x1/0x2\nCall Trace:\n" ENTRY;

static void test_stack(void **state)
{
	static const struct {
		const char *report, *stack;
	} rows[] = {
		{ adjust, "kvm_mmu_hugepage_adjust kvm_tdp_mmu_map direct_page_fault "
			  "kvm_tdp_page_fault kvm_mmu_page_fault npf_interception svm_handle_exit "
			  "vcpu_run kvm_arch_vcpu_ioctl_run kvm_vcpu_ioctl" },
		{ shallow, "kvm_vcpu_ioctl" },
		{ "no trace here\n", NULL },
		{ "", NULL },
		/* Seed 004's last report: the trap is in the midst of the trace. */
		{ "Call Trace:\n __dump_stack lib/dump_stack.c:77 [inline]\n"
		  " dump_stack+0x109/0x15a lib/dump_stack.c:113\n"
		  " panic+0x1c6/0x36b kernel/panic.c:184\n"
		  " __warn.cold.8+0x120/0x168 kernel/panic.c:536\n"
		  " invalid_op+0x14/0x20 arch/x86/entry/entry_64.S:992\n"
		  "RIP: 0010:__static_key_slow_dec_cpuslocked+0xd2/0xf0 kernel/jump_label.c:196\n"
		  "RSP: 0018:ffff88009283fc68 EFLAGS: 00010286\n"
		  "RBP: ffff88009283fc80 R08: ffffed0015da4f89 R09: ffffed0015da4f88\n"
		  " __static_key_slow_dec kernel/jump_label.c:215 [inline]\n"
		  " static_key_slow_dec+0x4c/0x80 kernel/jump_label.c:229\n"
		  " kvm_arch_vcpu_uninit+0x15f/0x1a0 arch/x86/kvm/x86.c:8673\n"
		  " __fput+0x232/0x780 fs/file_table.c:209\n",
		  "__static_key_slow_dec_cpuslocked static_key_slow_dec kvm_arch_vcpu_uninit" },
		/* What the interrupt came upon is not its stack; the second trace is another's. */
		{ "Call Trace:\n <IRQ>\n apic_a+0x1/0x2\n apic_b+0x1/0x2\n </IRQ>\n <TASK>\n"
		  " innocent+0x1/0x2\n </TASK>\nCall Trace:\n other+0x1/0x2\n",
		  "apic_a apic_b" },
		{ "RIP: 0010:first+0x1/0x2\nCall Trace:\n a+0x1/0x2\n </TASK>\n"
		  "RIP: 0010:second+0x1/0x2\n",
		  "first a" },
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		cleanup_free char *stack = family_stack(rows[i].report);

		if (!stack != !rows[i].stack || (stack && strcmp(stack, rows[i].stack)))
			fail_msg("row %zu: '%s'", i, stack ? stack : "(none)");
	}
}

static void test_renamed(void **state)
{
	static const struct {
		const char *title, *report;
		enum kinship kin;
	} rows[] = {
		{ "kernel BUG in transparent_hugepage_adjust", renamed, KIN_RENAMED },
		{ "kernel BUG in kvm_tdp_mmu_map", inlined, KIN_RENAMED },
		/* Of another kind, whatever its stack. */
		{ "WARNING in transparent_hugepage_adjust", renamed, KIN_OTHER },
		{ "kernel BUG in pause_filter", other_exit, KIN_OTHER },
		/* No stack to compare: only the name speaks. */
		{ "kernel BUG in __kvm_mmu_hugepage_adjust", NULL, KIN_POSSIBLE },
		{ "kernel BUG in __kvm_mmu_hugepage_adjust", shallow, KIN_POSSIBLE },
		{ "kernel BUG in kvm_mmu_page_fault", NULL, KIN_OTHER },
		{ "kernel BUG in kvm_wait", shallow, KIN_OTHER },
		{ "kernel BUG at mm/slub.c:LINE!", NULL, KIN_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct family first = { 0 }, next = { 0 };

		add(&first, "kernel BUG in kvm_mmu_hugepage_adjust", adjust, true);
		family_know_all(&next, &first);
		size_t member = add(&next, rows[i].title, rows[i].report, false);
		if (next.v[member].kin != rows[i].kin)
			fail_msg("row %zu: %s", i, kinship_name(next.v[member].kin));
		family_free(&first);
		family_free(&next);
	}
}

/* A corrupted report's stack says nothing; a later whole one does. */
static void test_corrupted(void **state)
{
	const struct outcome o = { OUTCOME_CRASHED, "kernel BUG in transparent_hugepage_adjust" };
	const struct family_run cut = { .outcome = &o, .report = renamed, .corrupted = true };
	struct family f = { 0 };

	(void)state;
	add(&f, "kernel BUG in kvm_mmu_hugepage_adjust", adjust, true);
	family_add(&f, &cut);
	assert_int_equal(family_kin(&f, &o), KIN_OTHER);
	add(&f, o.title, renamed, false);
	assert_int_equal(family_kin(&f, &o), KIN_RENAMED);
	family_free(&f);
}

/* Titles of one crash in other words are one member; a boot failure by an alias's title counts;
 * what
 * --expect does not call a hit is none for its title alone. */
static void test_match(void **state)
{
	const struct outcome boot = { OUTCOME_BOOT_FAILED, FREE }, infra = { OUTCOME_INFRA, ENTER };
	struct family f = { 0 };

	(void)state;
	add_many(&f, 9, "kernel BUG at arch/x86/kvm/mmu/mmu.c:LINE!", true);
	size_t moved = add(&f, "kernel BUG at arch/x86/kvm/mmu.c:LINE!", NULL, false);
	assert_int_equal(moved, 0);
	assert_int_equal(family_match(&f, moved, true), MATCH_TARGET);
	assert_int_equal(family_match(&f, moved, false), MATCH_NONE);
	family_know(&f, FREE, NULL, NULL, KIN_ALIAS);
	size_t member = family_add(&f, &(struct family_run){ .outcome = &boot });
	assert_int_equal(family_match(&f, member, false), MATCH_TARGET);
	assert_int_equal(f.v[member].seen, 0);
	assert_true(family_add(&f, &(struct family_run){ .outcome = &infra }) == FAMILY_NONE);
	assert_int_equal(family_match(&f, FAMILY_NONE, false), MATCH_NONE);
	family_free(&f);
}

/* A guest that never says the same twice. */
static void test_many_titles(void **state)
{
	struct family f = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		cleanup_free char *title = xasprintf("WARNING in f%d", i);

		add(&f, title, NULL, false);
	}
	assert_int_equal(f.n, FAMILY_MAX);
	family_free(&f);
}

static void test_names(void **state)
{
	enum kinship k;

	(void)state;
	assert_int_equal(kinship_of("renamed", &k), 0);
	assert_int_equal(k, KIN_RENAMED);
	assert_int_equal(kinship_of("cousin", &k), -1);
	assert_string_equal(kinship_name(KIN_ALIAS), "alias");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alias),      cmocka_unit_test(test_known),
		cmocka_unit_test(test_alias_lost), cmocka_unit_test(test_stack),
		cmocka_unit_test(test_renamed),    cmocka_unit_test(test_corrupted),
		cmocka_unit_test(test_match),      cmocka_unit_test(test_many_titles),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
