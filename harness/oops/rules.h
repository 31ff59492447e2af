/* What the files of the rule tables share: the paths to a function, defined in paths.c. */
#ifndef OOPS_RULES_H
#define OOPS_RULES_H

#include "oops/rule.h"

extern const struct oops_path path_pc, path_bug, path_trace, path_frames, path_list, path_kasan,
	path_kmsan, path_warn, path_warn_usercopy, path_odebug, path_urb, path_refcount, path_proc,
	path_sched, path_stack_chk, path_rust, path_page, path_overflow, path_stall, path_rcu_stall,
	path_hang, path_leak, path_deadlock, path_irq_order, path_usage, path_lock_at,
	path_usercopy;

extern const struct oops_rule oops_rules_bug[], oops_rules_warn[], oops_rules_other[];

#endif
