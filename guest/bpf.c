/*
 * A reproducer may mount procfs, and syzbot's do: what is mounted over a file, or read-only, does
 * not keep it from the file. A program at the root cgroup is asked each time, whatever the path,
 * and also for what the kernel itself runs on a reproducer's behalf (core_pattern and its like).
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"
#include "kvmrepro/sandbox.h"

#define NAME_BYTES 64
#define MAX_INSNS  1024

/* What may not be written: every sysctl whose path below /proc/sys begins so. */
static const char *const sysctls[] = {
	/* What the console shows, and what makes the kernel panic or keeps it from it. */
	"kernel/printk",
	"kernel/panic",
	"kernel/oops_",
	"kernel/warn_limit",
	"kernel/ftrace_dump_on_oops",
	"kernel/tracepoint_printk",
	"kernel/traceoff_on_warning",
	"kernel/unknown_nmi_panic",
	"vm/panic_on_oom",
	/* The detectors, which init has set. */
	"kernel/hung_task_",
	"kernel/watchdog",
	"kernel/nmi_watchdog",
	"kernel/soft_watchdog",
	"kernel/softlockup_",
	"kernel/hardlockup_",
	"kernel/max_rcu_stall_to_panic",
	/* Real-time tasks that take all of the CPUs' time would take init's. */
	"kernel/sched_rt_",
	/* Programs that the kernel would run outside of the sandbox. */
	"kernel/core_p",
	"kernel/modprobe",
	"kernel/hotplug",
	"kernel/poweroff_cmd",
	"kernel/usermodehelper/",
};

struct program {
	struct bpf_insn insns[MAX_INSNS];
	unsigned n;
};

static void add(struct program *p, unsigned char code, unsigned char dst, unsigned char src,
		short off, int imm)
{
	if (p->n < MAX_INSNS)
		p->insns[p->n] = (struct bpf_insn){ .code = code,
						    .dst_reg = dst & 15,
						    .src_reg = src & 15,
						    .off = off,
						    .imm = imm };
	p->n++;
}

static void add_load64(struct program *p, unsigned char reg, uint64_t value)
{
	add(p, BPF_LD | BPF_DW | BPF_IMM, reg, 0, 0, (int)(uint32_t)value);
	add(p, 0, 0, 0, 0, (int)(uint32_t)(value >> 32));
}

static void add_return(struct program *p, int value)
{
	add(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value);
	add(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The jumps from first to here go to here. */
static void land(struct program *p, unsigned first)
{
	for (unsigned i = first; i < p->n && i < MAX_INSNS; i++)
		if (p->insns[i].code == (BPF_JMP | BPF_JNE | BPF_X) ||
		    p->insns[i].code == (BPF_JMP | BPF_JNE | BPF_K) ||
		    p->insns[i].code == (BPF_JMP | BPF_JLT | BPF_K) ||
		    p->insns[i].code == (BPF_JMP | BPF_JGT | BPF_K))
			p->insns[i].off = (short)(p->n - i - 1);
}

/* Deny where the name on the stack begins so: eight bytes at a time, the last ones under a mask. */
static void add_prefix(struct program *p, const char *prefix)
{
	const size_t len = strlen(prefix);
	const unsigned first = p->n;

	for (size_t at = 0; at < len; at += 8) {
		const size_t n = len - at < 8 ? len - at : 8;
		uint64_t want = 0;

		memcpy(&want, prefix + at, n);
		add(p, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_10,
		    (short)((int)at - NAME_BYTES), 0);
		if (n < 8) {
			add_load64(p, BPF_REG_2, ~(~(uint64_t)0 << 8 * n));
			add(p, BPF_ALU64 | BPF_AND | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
		}
		add_load64(p, BPF_REG_2, want);
		add(p, BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
	}
	add_return(p, 0);
	land(p, first);
}

static int call_bpf(int command, union bpf_attr *attr)
{
	const long rc = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return rc < 0 ? -errno : (int)rc;
}

/* Others may attach theirs besides; what one denies is denied. */
static int attach(struct program *p, int cgroup_fd, enum bpf_prog_type type,
		  enum bpf_attach_type where)
{
	union bpf_attr attr = {
		.prog_type = type,
		.expected_attach_type = where,
		.insns = (uintptr_t)p->insns,
		.insn_cnt = p->n,
		.license = (uintptr_t) "GPL",
	};
	int fd, rc;

	if (p->n > MAX_INSNS)
		return -E2BIG;
	fd = call_bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		return fd;
	attr = (union bpf_attr){
		.target_fd = (uint32_t)cgroup_fd,
		.attach_bpf_fd = (uint32_t)fd,
		.attach_type = where,
		.attach_flags = BPF_F_ALLOW_MULTI,
	};
	rc = call_bpf(BPF_PROG_ATTACH, &attr);
	close(fd);
	return rc;
}

int bpf_guard_sysctls(int cgroup_fd)
{
	static struct program p;
	const unsigned char word = BPF_LDX | BPF_MEM | BPF_W;

	add(&p, word, BPF_REG_2, BPF_REG_1, offsetof(struct bpf_sysctl, write), 0);
	add(&p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0, 0);
	add_return(&p, 1);
	land(&p, 0);
	for (int at = -NAME_BYTES; at < 0; at += 8)
		add(&p, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, (short)at, 0);
	add(&p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0);
	add(&p, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -NAME_BYTES);
	add(&p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, NAME_BYTES);
	add(&p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0);
	add(&p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sysctl_get_name);
	for (size_t i = 0; i < sizeof(sysctls) / sizeof(*sysctls); i++)
		add_prefix(&p, sysctls[i]);
	add_return(&p, 1);
	return attach(&p, cgroup_fd, BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_CGROUP_SYSCTL);
}

int bpf_guard_devices(int cgroup_fd)
{
	static struct program p;
	const unsigned char word = BPF_LDX | BPF_MEM | BPF_W;
	unsigned first;

	/* access_type: the access in the upper half, the kind of device in the lower. */
	add(&p, word, BPF_REG_4, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
	add(&p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_4, 0, 0, 0xffff);
	add(&p, word, BPF_REG_2, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
	add(&p, word, BPF_REG_3, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
	for (size_t i = 0; i < SANDBOX_N_DEVICES; i++) {
		const struct sandbox_device *d = &sandbox_devices[i];

		first = p.n;
		add(&p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, BPF_DEVCG_DEV_CHAR);
		add(&p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0, d->major);
		add(&p, BPF_JMP | BPF_JLT | BPF_K, BPF_REG_3, 0, 0, d->low);
		add(&p, BPF_JMP | BPF_JGT | BPF_K, BPF_REG_3, 0, 0, d->high);
		add_return(&p, 0);
		land(&p, first);
	}
	add_return(&p, 1);
	return attach(&p, cgroup_fd, BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE);
}
