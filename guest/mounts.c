/*
 * Mounts. A mount that fails is a kernel without that file system, and nobody's error: what needs
 * it will say so itself.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest.h"
#include "mounts.h"
#include "task.h"

struct mount_row {
	const char *type;
	const char *where;
	const char *options;
};

static const struct mount_row rest[] = {
	{ "devpts", "/dev/pts", "ptmxmode=0666" },
	{ "tmpfs", "/dev/shm", "" },
	{ "mqueue", "/dev/mqueue", "" },
	{ "hugetlbfs", "/dev/hugepages", "" },
	{ "tmpfs", "/tmp", "" },
	{ "debugfs", "/sys/kernel/debug", "" },
	{ "tracefs", "/sys/kernel/tracing", "" },
	{ "securityfs", "/sys/kernel/security", "" },
	{ "configfs", "/sys/kernel/config", "" },
	{ "cgroup2", "/sys/fs/cgroup", "" },
	{ "fusectl", "/sys/fs/fuse/connections", "" },
	{ "binfmt_misc", "/proc/sys/fs/binfmt_misc", "" },
};

/* For kernels without devtmpfs: the nodes whose numbers are fixed. */
static const struct {
	const char *path;
	unsigned int major, minor;
} nodes[] = {
	{ "/dev/null", 1, 3 },       { "/dev/zero", 1, 5 },    { "/dev/full", 1, 7 },
	{ "/dev/random", 1, 8 },     { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
	{ "/dev/console", 5, 1 },    { "/dev/ptmx", 5, 2 },    { PROTO_TTY, 4, 65 },
	{ "/dev/kvm", 10, 232 },     { "/dev/fuse", 10, 229 }, { "/dev/vhost-net", 10, 238 },
	{ "/dev/net/tun", 10, 200 },
};

static int mount_row(const struct mount_row *row)
{
	mkdir(row->where, 0755);
	return mount(row->type, row->where, row->type, 0, row->options);
}

void mounts_early(void)
{
	static const struct mount_row early[] = {
		{ "devtmpfs", "/dev", "mode=0755" },
		{ "proc", "/proc", "" },
		{ "sysfs", "/sys", "" },
	};

	umask(0);
	mount_row(&early[1]);
	mount_row(&early[2]);
	if (mount_row(&early[0])) {
		mkdir("/dev/net", 0755);
		for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++)
			mknod(nodes[i].path, S_IFCHR | 0666,
			      makedev(nodes[i].major, nodes[i].minor));
	}
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (!ioctl(fd, SIOCGIFFLAGS, &ifr)) {
		ifr.ifr_flags |= IFF_UP | IFF_RUNNING;
		ioctl(fd, SIOCSIFFLAGS, &ifr);
	}
	close(fd);
}

/*
 * Whether the kernel has the type now. To mount one that it has not makes it look for a module
 * through /sbin/modprobe, a process each.
 */
static bool known(const char *filesystems, const char *type)
{
	size_t n = strlen(type);

	for (const char *at = filesystems; (at = strstr(at, type)); at += n)
		if (at > filesystems && at[-1] == '\t' && at[n] == '\n')
			return true;
	return false;
}

void mounts_all(void)
{
	char filesystems[4096];
	bool listed = read_file("/proc/filesystems", filesystems, sizeof(filesystems)) > 0;

	for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++)
		if (!listed || known(filesystems, rest[i].type))
			mount_row(&rest[i]);
	symlink("/proc/self/fd", "/dev/fd");
	/* It takes as long as all mounts together, nearly all of it waiting: init need not. */
	if (!task_fork(0)) {
		loopback_up();
		_exit(0);
	}
}

void mounts_hide_consoles(void)
{
	static const char *const hidden[] = { "console", "kmsg", "mem", "kmem",
					      "port",    "ttyS", "hvc", "ttyprintk" };
	char path[64];

	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
		snprintf(path, sizeof(path), "/dev/%s", hidden[i]);
		unlink(path);
		for (int n = 0; n < 8; n++) {
			snprintf(path, sizeof(path), "/dev/%s%d", hidden[i], n);
			unlink(path);
		}
	}
}

void mounts_private(void)
{
	mount("proc", "/proc", "proc", 0, "");
	mount("tmpfs", "/tmp", "tmpfs", 0, "");
	mount("tmpfs", "/dev/shm", "tmpfs", 0, "");
}
