/*
 * Mounts. A mount that fails is a kernel without that file system, and nobody's error: what needs
 * it will say so itself.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest.h"
#include "kvmrepro/sandbox.h"
#include "mounts.h"
#include "task.h"

/* Of the memory that there is; an inode, its name and what else it takes are about 1 KiB. */
#define BYTES_PER_INODE 65536

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

/*
 * What is in it is no process's, and stays when the kernel has killed all processes for it, and
 * then it panics: so all such file systems together, with what the kernel keeps of each file, are
 * far less than there is.
 */
static int mount_limited(const char *type, const char *where, unsigned long flags,
			 const char *options)
{
	struct sysinfo info = { 0 };
	char all[96];

	sysinfo(&info);
	snprintf(all, sizeof(all), "%s,nr_inodes=%llu", options,
		 (unsigned long long)info.totalram * info.mem_unit / BYTES_PER_INODE);
	return mount(type, where, type, flags, all);
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
		mount_limited("tmpfs", "/dev", 0, "size=5%,mode=0755");
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
	mount_limited("devtmpfs", "/dev", MS_REMOUNT, "size=5%");
	symlink("/proc/self/fd", "/dev/fd");
	/* It takes as long as all mounts together, nearly all of it waiting: init need not. */
	if (!task_fork(0)) {
		loopback_up();
		_exit(0);
	}
}

static bool is_sandbox_device(dev_t device)
{
	for (size_t i = 0; i < SANDBOX_N_DEVICES; i++)
		if (major(device) == sandbox_devices[i].major &&
		    minor(device) >= sandbox_devices[i].low &&
		    minor(device) <= sandbox_devices[i].high)
			return true;
	return false;
}

/* Of the table above: those that this kernel has and a reproducer may have. */
static bool standard[sizeof(nodes) / sizeof(*nodes)];

static bool is_node(size_t i)
{
	struct stat st;

	return !lstat(nodes[i].path, &st) && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(nodes[i].major, nodes[i].minor);
}

void mounts_mend_devices(void)
{
	int dev = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char buf[2048];
	ssize_t n;

	while (dev >= 0 && (n = getdents64(dev, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e = (const struct dirent64 *)(buf + at);

			if (e->d_type == DT_REG)
				unlinkat(dev, e->d_name, 0);
			at += e->d_reclen;
		}
	if (dev >= 0)
		close(dev);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		if (!standard[i] || is_node(i))
			continue;
		unlink(nodes[i].path);
		mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor));
	}
}

void mounts_hide_devices(void)
{
	DIR *dev = opendir("/dev");
	struct dirent *e;
	struct stat st;

	while (dev && (e = readdir(dev)))
		if (e->d_type == DT_CHR && !fstatat(dirfd(dev), e->d_name, &st, 0) &&
		    is_sandbox_device(st.st_rdev))
			unlinkat(dirfd(dev), e->d_name, 0);
	if (dev)
		closedir(dev);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++)
		standard[i] = is_node(i);
}

void mounts_private(void)
{
	mount("proc", "/proc", "proc", 0, "");
	mount_limited("tmpfs", "/tmp", 0, "size=30%");
	mount_limited("tmpfs", "/dev/shm", 0, "size=10%");
	mount("mqueue", "/dev/mqueue", "mqueue", 0, "");
}

/* In the new root. */
static int bind_program(const char *program, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "repro/%s", name);
	if (mkdir("repro", 0755))
		return -1;
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	if (fd < 0)
		return -1;
	close(fd);
	if (mount(program, path, NULL, MS_BIND, NULL))
		return -1;
	return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}

/* A tenth of the memory, in this IPC namespace. */
static void limit_shared_memory(void)
{
	struct sysinfo info = { 0 };
	char pages[32];

	sysinfo(&info);
	snprintf(pages, sizeof(pages), "%lu\n",
		 info.totalram / 10 * info.mem_unit / (unsigned long)sysconf(_SC_PAGESIZE));
	write_file("/proc/sys/kernel/shmall", pages);
}

int mounts_own_root(const char *program, const char *name)
{
	static const char root[] = "/kvmrepro/root";

	mkdir(root, 0755);
	if (mount_limited("tmpfs", root, 0, "size=5%,mode=0755") &&
	    mount("ramfs", root, "ramfs", 0, "mode=0755"))
		return -errno;
	if (chdir(root) || mkdir("dev", 0755) || mkdir("sys", 0755) || mkdir("proc", 0755) ||
	    mkdir("tmp", 01777) || mount("/dev", "dev", NULL, MS_BIND | MS_REC, NULL) ||
	    mount("/sys", "sys", NULL, MS_BIND | MS_REC, NULL) || bind_program(program, name) ||
	    mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return -errno;
	mounts_private();
	limit_shared_memory();
	return 0;
}
