/* Picking and spelling functions, cleaning titles; see title.h. */
#include "oops/title.h"
#include "oops/demangle.h"
#include "oops/report.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What hands work to a function, or to a system call's: the frame before it is the work. */
static const char *const dispatchers[] = {
	/* arch entry code: system calls */
	"do_syscall_",
	"do_fast_syscall_",
	"do_int80_syscall",
	"sysenter_dispatch",
	"tracesys_phase2",
	"entry_SYSCALL",
	"entry_SYSENTER",
	"system_call_fastpath",
	"x64_sys_call",
	"ia32_sys_call",
	"el0_svc",
	"invoke_syscall",
	"ret_fast_syscall",
	"system_call_exception",
	"syscall_exit_to",
	/* work, timers, softirqs, threads, IPIs */
	"process_one_work",
	"call_timer_fn",
	"run_timer_softirq",
	"hrtimer_run_queues",
	"do_softirq",
	"handle_softirqs",
	"tasklet_action",
	"rcu_do_batch",
	"rcu_process_callbacks",
	"irq_work_run",
	"smp_call_function",
	"^kthread$",
	"ret_from_fork",
	"cpu_startup_entry",
	"task_work_run",
	"handle_irq_event",
	/* fs/: read_write.c, ioctl.c, open.c, file_table.c; mm/mmap.c */
	"vfs_read",
	"vfs_write",
	"vfs_iter_",
	"do_iter_read",
	"do_iter_write",
	"new_sync_",
	"call_read_iter",
	"call_write_iter",
	"vfs_ioctl",
	"compat_ioctl",
	"do_dentry_open",
	"vfs_open",
	"__fput",
	"mmap_region",
	"call_mmap",
	/* net/: core/dev.c, socket.c, netlink */
	"netif_receive_skb",
	"^sock_sendmsg",
	"^sock_recvmsg",
	"sock_common_",
	"__sys_setsockopt",
	"__sys_getsockopt",
	"rtnetlink_rcv_msg",
	"nfnetlink_rcv_msg",
	"genl_rcv_msg",
	"genl_family_rcv_msg",
	"netlink_rcv_skb",
	"netlink_dump",
	NULL,
};

/* What a hung task's stack is full of. */
static const char *const sleepers[] = {
	"sched",       "_lock",          "_slowlock",   "down",
	"rwsem",       "completion",     "kthread",     "wait",
	"synchronize", "context_switch", "__switch_to", "cancel_delayed_work",
	"rcu_barrier", "mutex",          NULL,
};

static const char *const syscalls[] = { "^sys_", "^SyS_", "_sys_", NULL };

/* Grouped whatever they wait for: these hangs are all over the kernel when RCU or RTNL is stuck. */
static const char *const buckets[] = { "rtnl_lock",       "synchronize_rcu",   "synchronize_srcu",
				       "synchronize_net", "synchronize_sched", NULL };

static bool any_of(const struct func *f, const char *const *rows)
{
	for (size_t i = 0; rows[i]; i++)
		if (func_matches(f, rows[i]))
			return true;
	return false;
}

void oops_pick(enum oops_pick pick, struct oops_picked *p, const struct func *f)
{
	if (p->done)
		return;
	switch (pick) {
	case PICK_FIRST:
		p->best = *f;
		p->done = true;
		break;
	case PICK_STALL:
		if (any_of(f, dispatchers)) {
			p->best = func_has(f, "smp_call_function") || !p->prev.len ? *f : p->prev;
			p->done = true;
		}
		p->prev = *f;
		break;
	case PICK_HANG:
		if (any_of(f, buckets)) {
			p->best = *f;
			p->done = true;
		} else if (!p->best.len && !any_of(f, sleepers)) {
			p->best = *f;
		}
		break;
	}
}

struct func oops_pick_end(enum oops_pick pick, struct oops_picked *p)
{
	/* arm's entry code shows only as the caller of the system call. */
	if (pick == PICK_STALL && !p->done && p->prev.len && any_of(&p->prev, syscalls))
		p->best = p->prev;
	return p->best;
}

/* Wrappers that the kernel's macros put around a system call (include/linux/syscalls.h), and
 * families of functions that are one for a user. In this order, each applied once. */
static const struct spelling {
	const char *prefix, *with;
	bool whole; /* the rest of the name is dropped */
} spellings[] = {
	{ "compat_SyS_", "", false },
	{ "SyS_", "", false },
	{ "SYSC_", "", false },
	{ "__se_sys_", "sys_", false },
	{ "__do_sys_", "sys_", false },
	{ "sys_", "", false },
	{ "__x64_sys_", "sys_", false },
	{ "__ia32_sys_", "sys_", false },
	{ "__arm64_sys_", "sys_", false },
	{ "__riscv_sys_", "sys_", false },
	{ "__s390x_sys_", "sys_", false },
	{ "smp_call_function", "smp_call_function", true },
	{ "synchronize_rcu", "synchronize_rcu", true },
	{ "synchronize_srcu", "synchronize_rcu", true },
	{ "__synchronize_srcu", "synchronize_rcu", true },
	{ "synchronize_net", "synchronize_rcu", true },
	{ "synchronize_sched", "synchronize_rcu", true },
};

size_t oops_name_forms(const struct func *f, char names[4][OOPS_NAME_BYTES])
{
	char forms[4][OOPS_NAME_BYTES];
	size_t n = 0;

	if (!oops_demangle(f->s, f->len, forms[0], OOPS_NAME_BYTES))
		snprintf(forms[0], OOPS_NAME_BYTES, "%.*s", (int)f->len, f->s);
	n++;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]) && n < 4; i++) {
		const struct spelling *s = &spellings[i];
		size_t k = strlen(s->prefix);
		const char *was = forms[n - 1];

		if (strncmp(was, s->prefix, k) || (!s->whole && !was[k]))
			continue;
		snprintf(forms[n], OOPS_NAME_BYTES, "%s%s", s->with, s->whole ? "" : was + k);
		if (strcmp(forms[n], was))
			n++;
	}
	for (size_t i = 0; i < n; i++)
		memcpy(names[i], forms[n - 1 - i], OOPS_NAME_BYTES);
	return n;
}

bool oops_title_has_stamp(const char *title)
{
	for (const char *p = strchr(title, '['); p; p = strchr(p + 1, '[')) {
		struct line l;
		line_parse(p, strlen(p), 0, &l);
		if (l.ctx == LINE_CTX_CONSOLE)
			return true;
	}
	return false;
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* "+0x1f/0x200" at p: its length, or 0. */
static size_t offset_size(const char *p)
{
	size_t i = 0;

	if (strncmp(p, "+0x", 3))
		return 0;
	for (i = 3; isxdigit((unsigned char)p[i]); i++)
		;
	if (strncmp(p + i, "/0x", 3))
		return 0;
	for (i += 3; isxdigit((unsigned char)p[i]); i++)
		;
	return i;
}

/* A number that stands alone at p: hexadecimal of six digits or more is an address, decimal is a
 * count. Returns what it takes of the text, 0: no number. */
static size_t number(const char *p, const char **as)
{
	size_t hex = 0, dec = 0, skip = p[0] == '0' && p[1] == 'x' ? 2 : 0;

	while (isxdigit((unsigned char)p[skip + hex]))
		hex++;
	while (isdigit((unsigned char)p[dec]))
		dec++;
	if (!word_char(p[skip + hex]) && (hex >= 6 || (skip && hex))) {
		*as = "ADDR";
		return skip + hex;
	}
	if (dec && !word_char(p[dec])) {
		*as = "NUM";
		return dec;
	}
	return 0;
}

static void clean_word(struct buf *out, const char *p, size_t *used, char before)
{
	static const struct {
		const char *from, *to;
	} names[] = { { "syz-executor", "syz-executor" }, { "syzkaller", "syzkaller" } };
	const char *as;
	size_t n;

	for (size_t i = 0; i < 2; i++) {
		n = strlen(names[i].from);
		if (strncmp(p, names[i].from, n))
			continue;
		while (isdigit((unsigned char)p[n]) ||
		       ((p[n] == '.' || p[n] == '/' || p[n] == ':') &&
			isdigit((unsigned char)p[n + 1])))
			n++;
		buf_adds(out, names[i].to);
		*used = n;
		return;
	}
	if ((n = offset_size(p))) {
		*used = n;
		return;
	}
	if (*p == ':' && isdigit((unsigned char)p[1])) {
		for (n = 1; isdigit((unsigned char)p[n]) ||
			    (p[n] == ':' && isdigit((unsigned char)p[n + 1]));
		     n++)
			;
		buf_adds(out, ":LINE");
		*used = n;
		return;
	}
	if (!word_char(before) && (n = number(p, &as))) {
		buf_adds(out, before == '#' ? "" : as);
		if (before == '#' && out->len)
			out->data[--out->len] = '\0';
		*used = n;
		return;
	}
	if ((unsigned char)*p < 0x20 || *p == 0x7f)
		buf_addc(out, ' ');
	else
		buf_addc(out, *p);
	*used = 1;
}

char *oops_title_clean(struct buf *b, size_t max)
{
	struct buf out = BUF_INIT;
	const char *p = b->data;
	char before = ' ';

	while (*p && out.len < max) {
		size_t used = 1;
		clean_word(&out, p, &used, before);
		p += used;
		before = p[-1];
	}
	if (out.len > max)
		out.data[out.len = max] = '\0';
	while (out.len && (out.data[out.len - 1] == ' ' || out.data[out.len - 1] == '\t'))
		out.data[--out.len] = '\0';
	buf_free(b);
	return buf_steal(&out);
}

char *oops_executor(const char *comm)
{
	unsigned proc, id;
	int used = 0;

	if (!comm || sscanf(comm, "syz.%9u.%9u%n", &proc, &id, &used) != 2 || comm[used])
		return NULL;
	return xasprintf("proc=%u, id=%u", proc, id);
}
