/*
 * The marks: texts that begin a report. A kernel prints "WARNING: " and "INFO: " before hundreds
 * of harmless lines, so those two count only in the forms that report a defect.
 */
#include "oops/rule.h"

/* kernel/panic.c __warn(), lockdep's headings, the unwinders' complaints about stacks. */
#define WARNING_FORMS                                                                              \
	"^WARNING: (?:CPU: \\d+ PID: \\d+ at |at \\S+:\\d+ |\\S+:\\d+ at |possible "               \
	"(?:circular|recursive|irq) |"                                                             \
	"inconsistent lock state|suspicious RCU usage|bad unlock balance|bad contention|"          \
	"held lock freed|lock held when returning|Nested lock was not|\\S+/\\d+ still has locks|"  \
	"(?:HARDIRQ|SOFTIRQ|RECLAIM_FS)-safe -> |kernel stack |stack recursion |"                  \
	"stack going in the wrong|can't (?:access registers|dereference)|unrecognized unwind)"

/* lockdep before 4.11 and its keys, RCU's stalls, hung tasks, SLUB's history of an object. */
#define INFO_FORMS                                                                                 \
	"^INFO: (?:possible (?:circular|recursive|irq) |inconsistent lock state|"                  \
	"suspicious RCU usage|(?:HARDIRQ|SOFTIRQ|RECLAIM_FS)-safe -> |"                            \
	"trying to register non-static key|rcu_\\S+ (?:self-)?detected (?:expedited )?stall|"      \
	"task |(?:Allocated|Freed) in |Slab 0x|Object 0x)"

const struct oops_mark oops_marks[] = {
	{ "BUG: KASAN:", NULL, 0 },
	{ "BUG: KFENCE:", NULL, 0 },
	{ "BUG: KMSAN:", NULL, 0 },
	{ "BUG: KCSAN:", NULL, 0 },
	{ "BUG: memory leak", NULL, MARK_USER },
	{ "BUG:", NULL, 0 },
	{ "BUG ", "^BUG \\S+ \\([^)]*\\): ", 0 },
	{ "Unable to handle kernel", NULL, 0 },
	{ "kernel BUG at", NULL, MARK_TRAP },
	{ "general protection fault", "^general protection fault[:,]", 0 },
	{ "divide error:", "^divide error: \\d+ \\[#|^divide error: 0000", 0 },
	{ "divide_error:", NULL, 0 },
	{ "stack segment:", NULL, 0 },
	{ "invalid opcode:", "^invalid opcode: 0", MARK_SECOND },
	{ "PANIC: double fault", NULL, MARK_SECOND },
	{ "PANIC: early exception", NULL, 0 },
	{ "Alignment trap", NULL, 0 },
	{ "Unhandled fault:", NULL, MARK_SECOND },
	{ "Internal error:", "^Internal error:.*\\[#\\d+\\]", MARK_SECOND },
	{ "UBSAN:", "^UBSAN: .* in ", 0 },
	{ "WARNING:", WARNING_FORMS, 0 },
	{ "INFO:", INFO_FORMS, 0 },
	{ "hard LOCKUP on cpu", NULL, 0 },
	{ "Kernel panic - not syncing", NULL, MARK_SECOND },
	{ "kernel stack overflow", "^kernel stack overflow \\(", MARK_SECOND },
	{ "rust_kernel: panicked at", NULL, MARK_TRAPS },
	{ "unreferenced object", "^unreferenced object 0x", MARK_USER | MARK_SECOND },
	{ "unregister_netdevice: waiting for", "free\\. Usage count|to become free", 0 },
	{ "VFS: Close: file count is", NULL, 0 },
	{ "VFS: Busy inodes after unmount", NULL, 0 },
	{ "trusty: panic", NULL, 0 },
	{ "Linux version", "^Linux version \\d", MARK_BOOT },
	{ "Booting the kernel", NULL, MARK_BOOT },
	{ "SYZFAIL:", NULL, MARK_USER },
	{ "SYZFATAL:", NULL, MARK_USER },
	{ "fatal error:", NULL, MARK_USER | MARK_LINE },
	{ "panic: runtime error:", NULL, MARK_USER | MARK_LINE },
	{ "FAULT_INJECTION: forcing a failure", NULL, MARK_FOREIGN },
	{ "allocation failure", "^allocation failure: ", MARK_FOREIGN },
};
const size_t oops_n_marks = sizeof(oops_marks) / sizeof(oops_marks[0]);
