/*
 * Functions that are never to blame: they report, lock, allocate, copy or convert on behalf of
 * whoever called them. A row names a part of a function's name; '^' pins it to the beginning and
 * '$' to the end. Sorted by what they do; the kernel's file is named where it is one file.
 */
#include "oops/frame.h"

#include <string.h>

static const char *const skipped[] = {
	/* sanitizers: mm/kasan, mm/kmsan, mm/kfence, kernel/kcsan, lib/ubsan.c */
	"kasan", "kmsan", "kcsan", "__asan", "__msan", "__tsan", "__hwasan", "__sanitizer",
	"ubsan", "handle_overflow", "print_address_description", "kunit_try_catch", "check_memory_region",
	"instrument_", "__no_kasan",
	/* dumping and panicking: lib/dump_stack.c, kernel/panic.c, arch's traps */
	"dump_stack", "dump_backtrace", "print_tainted", "show_stack", "print_report", "panic", "report_bug",
	"fixup_bug", "handle_bug", "warn_slowpath", "__warn", "warn_alloc", "_exc_", "^exc_",
	"^asm_exc", "invalid_op", "do_error_trap", "do_trap", "^die$", "^__die", "^oops_",
	"bug_handler", "brk_handler", "do_debug_exception", "^do_el", "^el1_", "^el1h_",
	"program_check_exception", "program_check_common", "do_program_check",
	"__do_kernel_fault", "do_bad_area", "do_mem_abort", "do_translation_fault",
	"ref_tracker", "unwind_backtrace", "walk_stackframe", "__fortify", "do_tag_check_fault", "__rela_dyn_start", "rust_helper_BUG", "fortify_", "object_err",
	"print_trailer", "slab_err", "__stack_chk_fail", "rust_begin_unwind",
	/* lockdep: kernel/locking/lockdep.c */
	"lockdep", "lock_acquire", "lock_release", "register_lock_class", "reacquire_held_locks",
	"print_circular_bug", "check_noncircular", "check_prev", "validate_chain", "mark_lock",
	"perf_trace", "debug_check_no_locks", "print_lock", "print_usage", "print_held",
	"lock_downgrade", "hlock_class", "lookup_chain_cache", "check_wait_context", "find_held_lock",
	"check_usage", "check_irq_usage", "__lock_acquire", "__lock_release", "mark_held_locks", "trace_hardirqs", "trace_softirqs", "print_unlock_imbalance",
	"print_freed_lock", "assign_lock_key", "lock_set_",
	/* locks */
	"spin_lock", "spin_unlock", "spin_trylock", "spin_bug", "spin_dump", "raw_spin",
	"read_lock", "read_unlock", "write_lock", "write_unlock", "rwlock_bug", "_bh_enable",
	"mutex_lock", "mutex_unlock", "mutex_trylock", "down_read", "down_write", "up_read",
	"up_write", "^down", "^up$", "percpu_rwsem", "percpu_down", "__rt_", "rtlock",
	"rt_mutex", "rt_spin", "rwsem", "lock_sock", "release_sock", "seqcount", "seqprop",
	"mutex_", "osq_", "dec_and_lock", "ww_mutex",
	/* object debugging: lib/debugobjects.c */
	"debug_object", "debug_print_object", "timer_is_static_object", "work_is_static_object",
	"debug_check_no_obj", "__debug_", "debug_timer", "debug_work",
	/* counters: lib/refcount.c, include/linux/atomic */
	"refcount", "^kref_", "atomic_", "atomic64_", "^fetch_", "arch_atomic",
	/* might_sleep and friends: kernel/sched/core.c */
	"might_sleep", "might_resched", "might_fault", "__schedule_bug", "schedule_debug",
	"check_preemption_disabled", "debug_smp_processor_id", "__this_cpu_preempt_check",
	"smp_processor_id",
	/* strings and memory: lib/string.c, lib/vsprintf.c */
	"memcpy", "memset", "memcmp", "memmove", "memchr", "memscan", "strcmp", "strncmp",
	"strcpy", "strncpy", "strlcpy", "strscpy", "strlen", "strnlen", "strstr", "strnstr",
	"strchr", "strrchr", "strcat", "strcasecmp", "strncasecmp", "strdup", "strndup",
	"memdup", "string", "^pointer$", "snprintf", "sprintf", "scnprintf", "kasprintf", "kvasprintf",
	"printk", "va_format", "dev_info", "dev_notice", "dev_warn", "dev_err", "dev_alert",
	"dev_crit", "dev_emerg",
	/* user memory */
	"copy_to_user", "copy_from_user", "copy_user", "put_user", "get_user", "clear_user",
	"copyin", "copyout", "check_heap_object", "check_object_size", "usercopy_abort", "copy_to_iter", "copy_from_iter", "copy_page_to_iter",
	"copy_page_from_iter", "iterate_and_advance",
	/* the driver model and sysfs, on behalf of a driver: drivers/base, lib/kobject*.c, fs/sysfs */
	"kobject_", "kset_", "^sysfs_", "^dpm_sysfs", "add_uevent_var", "^device_", "^devres_", "^put_device",
	"^get_device", "device_unregister", "^__device_", "^__unregister_client$", "^i2c_del_adapter$",
	/* lists, bits, trees */
	"list_add", "list_del", "list_replace", "list_move", "list_splice", "list_empty",
	"list_entry_valid", "test_bit", "set_bit", "clear_bit", "change_bit",
	"test_and_", "find_first_", "find_next_", "rb_", "rbtree",
	"^xas_", "^xa_", "find_lock_entries", "truncate_inode_pages", "read_once", "write_once",
	/* allocators: mm/slab*.c, mm/page_alloc.c, mm/util.c */
	"alloc_page", "k?malloc", "kmalloc", "kzalloc", "kcalloc", "vmalloc", "vzalloc",
	"krealloc", "kmem_cache", "slab_alloc", "slab_free", "allocate_slab", "new_slab", "kfree",
	"kvfree", "kvmalloc", "cache_alloc", "cache_grow", "slab_post_alloc", "slab_pre_alloc",
	"___cache_free", "__cache_free", "mempool_", "should_fail",
	/* work and timers waited for by a caller */
	"flush_work", "flush_workqueue", "__flush_", "drain_workqueue", "destroy_workqueue",
	"cancel_work", "cancel_delayed_work", "queue_work", "queue_delayed_work",
	"try_to_grab_pending", "del_timer", "timer_delete", "^add_timer", "mod_timer",
	"lock_timer_base", "try_to_del_timer", "sk_stop_timer",
	/* RCU's own */
	"rcu_read_lock", "rcu_read_unlock", "rcu_lock_", "rcu_is_watching",
	/* port and memory mapped I/O */
	"^inb", "^inw", "^inl", "^outb", "^outw", "^outl", "ioread", "iowrite", "logic_in", "logic_out", "__raw_read", "__raw_write", "^readb", "^readl",
	"^writel", "^writeb",
	/* a USB message sent for a driver: drivers/usb/core/message.c, urb.c */
	"^usb_start_wait_urb$", "^usb_control_msg", "^usb_bulk_msg$", "^usb_interrupt_msg$",
	"^usb_kill_urb$", "^usb_submit_urb$",
	/* sockets' buffers freed by a caller */
	"skb_panic", "skb_over_panic", "skb_under_panic",
	/* thunks */
	"_indirect_thunk", "__x86_return", "^__fentry", "ftrace_", "^trace_",
	/* entering the kernel */
	"^entry_", "^ret_from_", "restore_regs",
	/* the unwinder's own */
	"stack_trace_", "save_stack", "stack_depot", "arch_stack_walk",
	/* mounts and files let go of by a caller */
	"fast_dput", "^dput$", "^iput$", "drop_nlink", "__put_task_struct",
};

bool func_matches(const struct func *f, const char *row)
{
	size_t n = strlen(row);

	if (row[0] == '^') {
		row++;
		n--;
		if (n && row[n - 1] == '$')
			return f->len == n - 1 && !memcmp(f->s, row, n - 1);
		return f->len >= n && !memcmp(f->s, row, n);
	}
	return memmem(f->s, f->len, row, n);
}

bool frame_skipped(const struct func *f)
{
	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++)
		if (func_matches(f, skipped[i]))
			return true;
	return false;
}
