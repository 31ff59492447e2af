/* The guest's filter, loaded for real in a child: what it denies on each ABI, and what not. */
#include "sandbox.h"

#include "base/buf.h"
#include "kvmrepro/sandbox.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

#define LIKE_FREE         -1
#define X32_BIT           0x40000000
#define DEV(major, minor) ((major) << 8 | (minor))
#define NOWHERE           ((long)"/no/such/dir/node")

/* Arguments are such that the kernel itself would refuse the call, but otherwise than by EPERM. */
struct call {
	const char *what;
	long number, args[5];
	int want; /* errno; LIKE_FREE: what it gives without the filter */
};

static const struct call calls[] = {
	{ "reboot", SYS_reboot, { 0 }, EPERM },
	{ "kexec_load", SYS_kexec_load, { 0, 99 }, EPERM },
	{ "kexec_file_load", SYS_kexec_file_load, { -1 }, EPERM },
	{ "init_module", SYS_init_module, { 0 }, EPERM },
	{ "finit_module", SYS_finit_module, { -1 }, EPERM },
	{ "delete_module", SYS_delete_module, { 1 }, EPERM },
	{ "iopl", SYS_iopl, { 9 }, EPERM },
	{ "ioperm", SYS_ioperm, { -1, 1, 1 }, EPERM },
	{ "swapon", SYS_swapon, { NOWHERE }, EPERM },
	{ "console off", SYS_syslog, { 6 }, EPERM },
	{ "console level", SYS_syslog, { 8, 0, 99 }, EPERM },
	{ "log read", SYS_syslog, { 3 }, LIKE_FREE },
	{ "bpf detach", SYS_bpf, { BPF_PROG_DETACH }, EPERM },
	{ "bpf fd by id", SYS_bpf, { BPF_PROG_GET_FD_BY_ID }, EPERM },
	{ "bpf map", SYS_bpf, { BPF_MAP_CREATE }, LIKE_FREE },
	{ "mem", SYS_mknod, { NOWHERE, S_IFCHR | 0600, DEV(1, 1) }, EPERM },
	{ "port", SYS_mknod, { NOWHERE, S_IFCHR, DEV(1, 4) }, EPERM },
	{ "kmsg", SYS_mknod, { NOWHERE, S_IFCHR | 0777, DEV(1, 11) }, EPERM },
	{ "tty63", SYS_mknod, { NOWHERE, S_IFCHR, DEV(4, 63) }, LIKE_FREE },
	{ "ttyS0", SYS_mknod, { NOWHERE, S_IFCHR, DEV(4, 64) }, EPERM },
	{ "ttyS1", SYS_mknod, { NOWHERE, S_IFCHR, DEV(4, 65) }, EPERM },
	{ "ttyS191", SYS_mknod, { NOWHERE, S_IFCHR, DEV(4, 255) }, EPERM },
	{ "console", SYS_mknodat, { -1, NOWHERE, S_IFCHR, DEV(5, 1) }, EPERM },
	{ "hvc7", SYS_mknodat, { -1, NOWHERE, S_IFCHR, DEV(229, 7) }, EPERM },
	{ "null", SYS_mknod, { NOWHERE, S_IFCHR, DEV(1, 3) }, LIKE_FREE },
	{ "zero", SYS_mknod, { NOWHERE, S_IFCHR, DEV(1, 5) }, LIKE_FREE },
	{ "kvm", SYS_mknodat, { -1, NOWHERE, S_IFCHR, DEV(10, 232) }, LIKE_FREE },
	{ "loop1", SYS_mknod, { NOWHERE, S_IFBLK, DEV(7, 1) }, LIKE_FREE },
	{ "a block device of such a number",
	  SYS_mknod,
	  { NOWHERE, S_IFBLK, DEV(4, 64) },
	  LIKE_FREE },
	{ "a pipe", SYS_mknod, { NOWHERE, S_IFIFO, DEV(4, 64) }, LIKE_FREE },
	{ "unshare", SYS_unshare, { -1 }, LIKE_FREE },
	{ "mount", SYS_mount, { 0, 0, 0, 0, 0 }, LIKE_FREE },
	{ "io_uring_setup", SYS_io_uring_setup, { 0, 0 }, LIKE_FREE },
	{ "userfaultfd", SYS_userfaultfd, { -1 }, LIKE_FREE },
	{ "x32 getpid", X32_BIT | SYS_getpid, { 0 }, ENOSYS },
};

static void load(void)
{
	struct buf filter = BUF_INIT;
	struct err err;
	struct sock_fprog prog;

	if (sandbox_guest_filter(&filter, &err))
		_exit(2);
	prog.filter = (struct sock_filter *)(void *)filter.data;
	prog.len = (unsigned short)(filter.len / sizeof(*prog.filter));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		_exit(3);
	/* The kernel has its own copy. */
	buf_free(&filter);
}

/* What a child's call gives there: its errno, or 0; -1: a signal ended it. */
static int in_child(bool filtered, int (*call)(const void *), const void *arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (filtered)
			load();
		_exit(call(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int call_64(const void *arg)
{
	const struct call *c = arg;
	const long *a = c->args;

	return syscall(c->number, a[0], a[1], a[2], a[3], a[4]) < 0 ? errno : 0;
}

static int errno_of(const struct call *c, bool filtered)
{
	int got = in_child(filtered, call_64, c);

	assert_true(got >= 0);
	return got;
}

static void test_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		const struct call *c = &calls[i];
		int got = errno_of(c, true);

		if (got != (c->want == LIKE_FREE ? errno_of(c, false) : c->want))
			fail_msg("%s: errno %d, without the filter %d", c->what, got,
				 errno_of(c, false));
	}
}

/* int $0x80: eax number, ebx, ecx, edx. Arguments must fit in 32 bits. */
static int call_i386(const void *arg)
{
	const long *a = arg;
	int rc;

	__asm__ volatile("int $0x80"
			 : "=a"(rc)
			 : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3])
			 : "memory", "r8", "r9", "r10", "r11");
	return -rc & 0xff;
}

static int rc_i386(bool filtered, long number, long a, long b, long c)
{
	return in_child(filtered, call_i386, (long[]){ number, a, b, c });
}

/* Numbers of arch/x86/entry/syscalls/syscall_32.tbl. */
static void test_i386(void **state)
{
	enum {
		REBOOT = 88,
		IOPL = 110,
		MKNOD = 14,
		SETNS = 346
	};
	char *path = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	(void)state;
	assert_ptr_not_equal(path, MAP_FAILED);
	strcpy(path, "/no/such/dir/node");
	if (rc_i386(false, REBOOT, 0, 0, 0) != EINVAL && rc_i386(false, IOPL, 9, 0, 0) != EINVAL)
		skip(); /* no such ABI here */
	assert_int_equal(rc_i386(true, REBOOT, 0, 0, 0), EPERM);
	assert_int_equal(rc_i386(true, IOPL, 9, 0, 0), EPERM);
	assert_int_equal(rc_i386(true, MKNOD, (long)path, S_IFCHR, DEV(4, 65)), EPERM);
	assert_int_equal(rc_i386(true, MKNOD, (long)path, S_IFCHR, DEV(1, 3)), ENOENT);
	assert_int_equal(rc_i386(true, SETNS, -1, 0, 0), EBADF);
	munmap(path, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_i386),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
