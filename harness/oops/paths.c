/* The ways through a report to the function to blame; see rule.h. */
#include "oops/rules.h"

static const struct oops_step pc_then_trace[] = {
	{ STEP_PC, NULL }, { STEP_TRACE, NULL }, { STEP_FRAMES, NULL }, { STEP_END, NULL }
};
/* A warning is a trap: what trapped is shown by its program counter, before the trace or, where
 * the warning made the kernel panic, inside panic()'s trace. */
static const struct oops_step trapped[] = {
	{ STEP_MATCH, "^\\s*(?:RIP: 0010:|RIP: e030:|EIP: |pc : |PC is at |epc : |NIP \\[|"
		      "--- interrupt: [0-9a-f]+ at " RE_FUNC ")" },
	{ STEP_FRAMES, NULL },
	{ STEP_END, NULL }
};
static const struct oops_step stack_chk[] = { { STEP_HERE, " in: ([a-zA-Z_][a-zA-Z0-9_$.]*)\\+0x" },
					      { STEP_TRACE, NULL },
					      { STEP_FRAMES, NULL },
					      { STEP_END, NULL } };
static const struct oops_step trace[] = { { STEP_TRACE, NULL },
					  { STEP_FRAMES, NULL },
					  { STEP_END, NULL } };
static const struct oops_step frames[] = { { STEP_FRAMES, NULL }, { STEP_END, NULL } };
/* The heading names the function; it may be one that only works for its caller. */
static const struct oops_step here_then_trace[] = { { STEP_HERE, " in " RE_FUNC },
						    { STEP_TRACE, NULL },
						    { STEP_FRAMES, NULL },
						    { STEP_END, NULL } };
#define LOCK_AT "at: (?:" RE_PC " +)?" RE_FUNC
static const struct oops_step lock_at[] = { { STEP_MATCH, LOCK_AT }, { STEP_END, NULL } };
/* The lock that is wanted, the lock that is held, then the chain between them. */
static const struct oops_step two_locks[] = { { STEP_MATCH, LOCK_AT }, { STEP_MATCH, LOCK_AT },
					      { STEP_FRAMES, NULL },   { STEP_TRACE, NULL },
					      { STEP_FRAMES, NULL },   { STEP_END, NULL } };
static const struct oops_step lock_then_trace[] = {
	{ STEP_MATCH, LOCK_AT }, { STEP_TRACE, NULL }, { STEP_FRAMES, NULL }, { STEP_END, NULL }
};
static const struct oops_step irq_safe[] = { { STEP_MATCH, "which became [A-Z_]+-irq-safe at:" },
					     { STEP_FRAMES, NULL },
					     { STEP_END, NULL } };
/* What the timer interrupt of the stall's report interrupted. */
#define TIMER_IRQ                                                                                  \
	"apic_timer_interrupt|^\\s*(?:\\[.*?\\] +)?el1h?(?:_64)?_irq\\+|Exception stack\\(|"       \
	"__irq_svc|decrementer_common|--- interrupt: 900 at|ret_from_exception|ext_int_handler"
static const struct oops_step interrupted[] = { { STEP_MATCH, TIMER_IRQ },
						{ STEP_FRAMES, NULL },
						{ STEP_END, NULL } };

const struct oops_path path_pc = { pc_then_trace, trace, PICK_FIRST, NULL };
const struct oops_path path_bug = { pc_then_trace, trace, PICK_FIRST,
				    "^_*p?skb_|^assertfail|^folio_" };
const struct oops_path path_trace = { trace, NULL, PICK_FIRST, NULL };
const struct oops_path path_frames = { frames, NULL, PICK_FIRST, NULL };
const struct oops_path path_list = { trace, NULL, PICK_FIRST, "kobject|put_device|device_del" };
const struct oops_path path_kasan = { here_then_trace, trace, PICK_FIRST, NULL };
const struct oops_path path_kmsan = {
	frames, NULL, PICK_FIRST,
	"alloc_skb|netlink_ack|netlink_rcv_skb|_(?:en|de)crypt$|^crypto_|^aes|"
	"^chacha|^sha\\d"
};
const struct oops_path path_warn = { trapped, trace, PICK_FIRST, NULL };
const struct oops_path path_odebug = {
	trapped, trace, PICK_FIRST, "^k?v?free|^kvfree|vunmap|timer_|^rcu_|_rcu$|work_|percpu_"
};
const struct oops_path path_urb = { trapped, trace, PICK_FIRST,
				    "usb_submit_urb|usb_start_wait_urb|usb_(?:bulk|control|"
				    "interrupt|internal_control)_msg" };
const struct oops_path path_refcount = { trapped, trace, PICK_FIRST, NULL };
const struct oops_path path_proc = { trapped, trace, PICK_FIRST, "^_*proc_" };
const struct oops_path path_sched = { trace, NULL, PICK_FIRST, "schedule|rwsem|wait_for" };
const struct oops_path path_stack_chk = { stack_chk, NULL, PICK_FIRST, NULL };
const struct oops_path path_rust = { trace, NULL, PICK_FIRST,
				     "^core::|^__rustc|^rust_(?:begin|panic|helper)" };
const struct oops_path path_page = { trace, NULL, PICK_FIRST,
				     "page|folio|pagevec|^free_|^__free|zap_|unmap_" };
const struct oops_path path_overflow = { pc_then_trace, trace, PICK_STALL, NULL };
const struct oops_path path_stall = { pc_then_trace, trace, PICK_STALL, NULL };
const struct oops_path path_rcu_stall = { interrupted, NULL, PICK_STALL, "rcu" };
const struct oops_path path_hang = { trace, NULL, PICK_HANG, NULL };
const struct oops_path path_leak = {
	trace, frames, PICK_FIRST,
	"alloc|kmemleak|create_object|kobject|list_lru|pcpu|percpu|dup|^idr_|"
	"radix_tree"
};
const struct oops_path path_deadlock = { two_locks, trace, PICK_FIRST, "process_one_work|flush_" };
const struct oops_path path_irq_order = { irq_safe, two_locks, PICK_FIRST, NULL };
const struct oops_path path_usage = { lock_then_trace, trace, PICK_FIRST, NULL };
const struct oops_path path_lock_at = { lock_at, trace, PICK_FIRST, NULL };
const struct oops_path path_usercopy = { trace, NULL, PICK_FIRST, "usercopy|__check" };
const struct oops_path path_warn_usercopy = { trapped, trace, PICK_FIRST, "usercopy|__check" };
