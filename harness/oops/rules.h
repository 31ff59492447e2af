/* What the files of the rule tables share: the paths to a function, defined in paths.c. */
#ifndef OOPS_RULES_H
#define OOPS_RULES_H

#include "oops/rule.h"

extern const struct oops_path path_pc, path_trace, path_frames, path_kasan, path_stall, path_hang,
	path_leak, path_unlock, path_lock_at, path_deadlock, path_usercopy, path_warn, path_panic;

extern const struct oops_rule oops_rules_bug[], oops_rules_warn[], oops_rules_other[];

#endif
