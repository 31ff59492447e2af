/* Takes all of what can be taken, one kind after the other: what is left must do for init. */
#define _GNU_SOURCE
#include "forge.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define BLOCK_BYTES (1 << 20)
#define FORK_S      3

static char block[BLOCK_BYTES];

static bool fill_file(int fd)
{
	while (write(fd, block, sizeof(block)) > 0)
		;
	return errno == EFBIG; /* the file's limit, not that of all */
}

/* Files as large as may be, until there is no more. */
static void fill(const char *path)
{
	char name[64];
	bool more = true;

	for (int i = 0; more; i++) {
		snprintf(name, sizeof(name), "%s/fill-%d", path, i);
		int fd = open(name, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			return;
		more = fill_file(fd);
		close(fd);
	}
}

static void fill_dev(void)
{
	fill("/dev");
}

static void fill_tmp(void)
{
	fill("/tmp");
}

static void fill_shm(void)
{
	fill("/dev/shm");
}

static void fill_root(void)
{
	fill("");
}

/* File systems of its own, which go with its mounts; the second one has no size. */
static void fill_own(void)
{
	static const char *const types[] = { "tmpfs", "ramfs" };

	unshare(CLONE_NEWNS);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		mkdir("/own", 0700);
		if (!mount(types[i], "/own", types[i], 0, ""))
			fill("/own");
	}
}

/* Empty files: not the blocks run out, but what the kernel keeps of each. */
static void fill_inodes(void)
{
	char name[64];

	for (int i = 0;; i++) {
		snprintf(name, sizeof(name), "/tmp/inode-%d", i);
		int fd = open(name, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			return;
		close(fd);
	}
}

static void take_memfd(void)
{
	int fd;

	do
		fd = memfd_create("fill", 0);
	while (fd >= 0 && fill_file(fd));
}

static void take_memory(int flags)
{
	for (;;) {
		char *at = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS,
				-1, 0);

		if (at == MAP_FAILED)
			return;
		memset(at, 1, BLOCK_BYTES);
	}
}

static void take_shared(void)
{
	take_memory(MAP_SHARED);
}

static void take_private(void)
{
	take_memory(MAP_PRIVATE);
}

/* As many processes as there can be, for a while. */
static void take_pids(void)
{
	time_t end = time(NULL) + FORK_S;

	while (time(NULL) < end) {
		pid_t pid = fork();

		if (!pid) {
			alarm(2 * FORK_S);
			pause();
			_exit(0);
		}
		if (pid < 0)
			sched_yield();
	}
}

/* Of no process, and of no control group. */
static void take_huge_pages(void)
{
	put("/proc/sys/vm/nr_hugepages", "1000000");
}

static const struct {
	const char *name;
	void (*take)(void);
} attempts[] = {
	{ "the root directory", fill_root },
	{ "/dev", fill_dev },
	{ "/tmp", fill_tmp },
	{ "/dev/shm", fill_shm },
	{ "file systems of its own", fill_own },
	{ "inodes", fill_inodes },
	{ "memory in files without a name", take_memfd },
	{ "shared memory", take_shared },
	{ "memory", take_private },
	{ "processes", take_pids },
	{ "huge pages", take_huge_pages }, /* the last one, for they stay */
};

int main(void)
{
	signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
		int status = 0;
		pid_t pid = fork();

		if (!pid) {
			memset(block, 1, sizeof(block));
			attempts[i].take();
			_exit(0);
		}
		waitpid(pid, &status, 0);
		printf("%s: %s\n", attempts[i].name,
		       pid < 0               ? strerror(errno)
		       : WIFSIGNALED(status) ? "killed"
					     : "taken");
		fflush(stdout);
	}
	printf("end: reached\n");
	return 0;
}
