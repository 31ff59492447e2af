/* Each means is tried, and what the kernel does not have is told. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "bpf.h"
#include "mounts.h"
#include "sandbox.h"

#define CGROUPS       "/sys/fs/cgroup"
#define CONSOLE_LEVEL 8 /* of syslog(2): all messages but debugging ones reach the console */

/*
 * Files of sysfs, which lets nobody write what nobody has the permission to, not even root; the
 * mode holds for each mount of it. None is needed by a reproducer, and each could hide a report or
 * stop the machine.
 */
static const char *const closed[] = {
	"/sys/module/printk/parameters/ignore_loglevel",
	"/sys/module/kernel/parameters/panic",
	"/sys/module/kernel/parameters/panic_on_warn",
	"/sys/module/kernel/parameters/panic_print",
	"/sys/module/kernel/parameters/pause_on_oops",
	"/sys/module/rcupdate/parameters/rcu_cpu_stall_suppress",
	"/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout",
	"/sys/module/workqueue/parameters/watchdog_thresh",
	"/sys/class/tty/ttyS0/console",
	"/sys/bus/platform/drivers/serial8250/unbind",
	"/sys/bus/pnp/drivers/serial/unbind",
	"/sys/power/state",
	"/sys/power/autosleep",
	"/sys/power/disk",
	"/sys/kernel/uevent_helper",
};

/* The programs that the kernel itself runs have no capabilities, so that one of a reproducer's,
 * should it come to be run so, is as powerless as the reproducer. */
static void disarm_helpers(void)
{
	write_file("/proc/sys/kernel/usermodehelper/bset", "0 0\n");
	write_file("/proc/sys/kernel/usermodehelper/inheritable", "0 0\n");
}

/* A filter that cannot be read is refused otherwise than one that cannot be had. */
static bool has_seccomp(void)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) && errno == EFAULT;
}

static bool has_pid_namespaces(void)
{
	return !access("/proc/self/ns/pid", F_OK);
}

/* Again before each reproducer, for one can take it back. */
static bool has_memory_groups(void)
{
	return !write_file(CGROUPS "/cgroup.subtree_control", "+memory\n");
}

static bool is_gone(const char *path)
{
	return access(path, F_OK) && errno == ENOENT;
}

const char *sandbox_raise(bool *groups)
{
	static char lacks[128];
	int cgroup = open(CGROUPS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t used = 0;

	disarm_helpers();
	*groups = has_memory_groups();
	const struct {
		const char *name;
		bool there;
	} means[] = {
		{ "seccomp", has_seccomp() },
		{ "PID namespace", has_pid_namespaces() },
		{ "sysrq removal", is_gone("/proc/sysrq-trigger") },
		{ "kcore removal", is_gone("/proc/kcore") },
		{ "device guard", !bpf_guard_devices(cgroup) },
		{ "sysctl guard", !bpf_guard_sysctls(cgroup) },
		{ "memory guard", *groups },
	};

	if (cgroup >= 0)
		close(cgroup);
	klogctl(CONSOLE_LEVEL, NULL, CONSOLE_LEVEL);
	for (size_t i = 0; i < sizeof(closed) / sizeof(*closed); i++)
		chmod(closed[i], 0444);
	mounts_hide_devices();
	for (size_t i = 0; i < sizeof(means) / sizeof(*means); i++)
		if (!means[i].there)
			used += (size_t)snprintf(lacks + used, sizeof(lacks) - used, "%s%s",
						 used ? ", " : "without ", means[i].name);
	return used ? lacks : "full";
}

/* The group has a name that the reproducers before could not know, nor prepare. */
int sandbox_limit_memory(pid_t child)
{
	struct sysinfo info = { 0 };
	char dir[64], path[96], bytes[32];
	unsigned long long name = 0;

	if (!has_memory_groups())
		return 0; /* said when the guest was ready */
	if (getrandom(&name, sizeof(name), GRND_NONBLOCK) < 0 && errno != EAGAIN)
		return -errno;
	sysinfo(&info);
	unsigned long long free = (unsigned long long)info.freeram * info.mem_unit;
	unsigned long long kept = (unsigned long long)info.totalram * info.mem_unit / 8;
	snprintf(dir, sizeof(dir), CGROUPS "/reproducer-%016llx", name);
	if (mkdir(dir, 0755))
		return -errno;
	snprintf(path, sizeof(path), "%s/memory.max", dir);
	snprintf(bytes, sizeof(bytes), "%llu\n", free > 2 * kept ? free - kept : kept);
	int rc = write_file(path, bytes);
	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	snprintf(bytes, sizeof(bytes), "%d\n", (int)child);
	rc = rc ? rc : write_file(path, "0\n");
	return rc ? rc : write_file(path, bytes);
}

int sandbox_load(const char *path)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	struct sock_fprog prog = { .filter = filter };
	int n = read_file(path, (char *)filter, sizeof(filter));

	if (n <= 0)
		return n ? n : -ENODATA;
	prog.len = (unsigned short)((size_t)n / sizeof(*filter));
	if (!has_seccomp())
		return 0; /* said when the guest was ready */
	/* Speculation stays as it is for a program without a filter, where the kernel can. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) &&
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return -errno;
	return 0;
}
