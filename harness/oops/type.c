/* The type of a crash follows from its title. */
#include "oops/report.h"

#include <string.h>

static const struct {
	const char *prefix, *part, *type;
} types[] = {
	{ "KASAN: invalid-free", NULL, "KASAN-INVALID-FREE" },
	{ "KASAN: double-free", NULL, "KASAN-INVALID-FREE" },
	{ "KASAN: null-ptr-deref Write", NULL, "KASAN-NULL-POINTER-DEREFERENCE-WRITE" },
	{ "KASAN: null-ptr-deref", NULL, "KASAN-NULL-POINTER-DEREFERENCE-READ" },
	{ "KASAN: use-after-free Write", NULL, "KASAN-USE-AFTER-FREE-WRITE" },
	{ "KASAN: slab-use-after-free Write", NULL, "KASAN-USE-AFTER-FREE-WRITE" },
	{ "KASAN: use-after-free", NULL, "KASAN-USE-AFTER-FREE-READ" },
	{ "KASAN: slab-use-after-free", NULL, "KASAN-USE-AFTER-FREE-READ" },
	{ "KASAN: ", " Write in ", "KASAN-WRITE" },
	{ "KASAN: ", NULL, "KASAN-READ" },
	{ "KFENCE: invalid free", NULL, "KFENCE-INVALID-FREE" },
	{ "KFENCE: memory corruption", NULL, "KFENCE-MEMORY-CORRUPTION" },
	{ "KFENCE: use-after-free write", NULL, "KFENCE-USE-AFTER-FREE-WRITE" },
	{ "KFENCE: use-after-free", NULL, "KFENCE-USE-AFTER-FREE-READ" },
	{ "KFENCE: ", " write in ", "KFENCE-WRITE" },
	{ "KFENCE: ", " read in ", "KFENCE-READ" },
	{ "KFENCE: ", NULL, "KFENCE-UNKNOWN" },
	{ "KMSAN: uninit-value", NULL, "KMSAN-UNINIT-VALUE" },
	{ "KMSAN: use-after-free", NULL, "KMSAN-USE-AFTER-FREE-READ" },
	{ "KMSAN: kernel-", "infoleak", "KMSAN-INFO-LEAK" },
	{ "KMSAN: ", NULL, "KMSAN-UNKNOWN" },
	{ "KCSAN: data-race", NULL, "KCSAN-DATARACE" },
	{ "KCSAN: assert: ", NULL, "KCSAN-ASSERT" },
	{ "KCSAN: ", NULL, "KCSAN-UNKNOWN" },
	{ "UBSAN: array-index-out-of-bounds", NULL, "MEMORY_SAFETY_UBSAN" },
	{ "UBSAN: ", NULL, "UBSAN" },
	{ "WARNING: refcount bug", NULL, "REFCOUNT_WARNING" },
	{ "WARNING: locking bug", NULL, "LOCKDEP" },
	{ "WARNING: suspicious RCU usage in", NULL, "LOCKDEP" },
	{ "WARNING: bad unlock balance", NULL, "LOCKDEP" },
	{ "WARNING: held lock freed", NULL, "LOCKDEP" },
	{ "WARNING: bad contention", NULL, "LOCKDEP" },
	{ "WARNING: lock held when", NULL, "LOCKDEP" },
	{ "WARNING: still has locks", NULL, "LOCKDEP" },
	{ "WARNING: nested lock", NULL, "LOCKDEP" },
	{ "WARNING: kernel stack", NULL, "UNKNOWN" },
	{ "WARNING", NULL, "WARNING" },
	{ "possible deadlock", NULL, "LOCKDEP" },
	{ "inconsistent lock state", NULL, "LOCKDEP" },
	{ "BUG: bad unlock balance", NULL, "LOCKDEP" },
	{ "BUG: held lock freed", NULL, "LOCKDEP" },
	{ "BUG: lock held when", NULL, "LOCKDEP" },
	{ "BUG: still has locks", NULL, "LOCKDEP" },
	{ "BUG: spinlock", NULL, "LOCKDEP" },
	{ "BUG: rwlock", NULL, "LOCKDEP" },
	{ "BUG: using ", NULL, "LOCKDEP" },
	{ "BUG: workqueue leaked", NULL, "LOCKDEP" },
	{ "BUG: Invalid wait context", NULL, "LOCKDEP" },
	{ "BUG: sleeping function", NULL, "ATOMIC_SLEEP" },
	{ "BUG: scheduling while atomic", NULL, "ATOMIC_SLEEP" },
	{ "BUG: soft lockup", NULL, "HANG" },
	{ "INFO: rcu detected stall", NULL, "HANG" },
	{ "INFO: task ", NULL, "HANG" },
	{ "BUG: unable to handle kernel NULL", NULL, "NULL-POINTER-DEREFERENCE" },
	{ "BUG: unable to handle kernel ", NULL, "MEMORY_SAFETY_BUG" },
	{ "BUG: corrupted list", NULL, "MEMORY_SAFETY_BUG" },
	{ "BUG: bad usercopy", NULL, "BUG" },
	{ "kernel BUG", NULL, "BUG" },
	{ "memory leak", NULL, "LEAK" },
	{ "unexpected kernel reboot", NULL, "REBOOT" },
	{ "SYZFAIL", NULL, "SYZ_FAILURE" },
	{ "SYZFATAL", NULL, "SYZ_FAILURE" },
	{ "general protection fault", NULL, "DoS" },
	{ "divide error", NULL, "DoS" },
	{ "stack segment", NULL, "DoS" },
	{ "invalid opcode", NULL, "DoS" },
	{ "kernel panic", NULL, "DoS" },
	{ "kernel stack overflow", NULL, "DoS" },
	{ "BUG: stack guard page", NULL, "DoS" },
	{ "PANIC: ", NULL, "DoS" },
	{ "VFS: ", NULL, "DoS" },
	{ "Alignment trap", NULL, "DoS" },
	{ "Unhandled fault", NULL, "DoS" },
	{ "Internal error", NULL, "DoS" },
	{ "go runtime", NULL, "DoS" },
	{ "BUG: Object already free", NULL, "DoS" },
};

const char *oops_type(const char *title)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strncmp(title, types[i].prefix, strlen(types[i].prefix)) &&
		    (!types[i].part || strstr(title, types[i].part)))
			return types[i].type;
	return "UNKNOWN";
}

/* One of the table's rows, or of the rules' own. */
static const char *same(const char *type, const char *known)
{
	return known && !strcmp(type, known) ? known : NULL;
}

const char *oops_type_find(const char *type)
{
	const char *found = same(type, "UNKNOWN");

	for (size_t i = 0; !found && i < sizeof(types) / sizeof(types[0]); i++)
		found = same(type, types[i].type);
	for (size_t i = 0; !found && oops_rule_tables[i]; i++)
		for (const struct oops_rule *r = oops_rule_tables[i]; !found && r->mark; r++)
			found = same(type, r->type);
	return found;
}
