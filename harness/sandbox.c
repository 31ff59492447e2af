/*
 * Seccomp filters, made with libseccomp.
 *
 * The guest's denies what no KVM reproducer needs and what could forge an outcome, and lets all
 * else through: a call that is not in the table reaches the kernel as if there were no filter. What
 * is denied says EPERM, as to a program without the capability, on both of the kernel's ABIs. The
 * third, x32, is in no kernel by default: its numbers say ENOSYS, as there.
 */
#include "sandbox.h"

#include "base/cleanup.h"
#include "kvmrepro/sandbox.h"

#include <errno.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANY_ARGUMENT -1

/* syslog(2) has no names for user space (include/linux/syslog.h). */
enum {
	SYSLOG_CONSOLE_OFF = 6,
	SYSLOG_CONSOLE_ON = 7,
	SYSLOG_CONSOLE_LEVEL = 8,
};

static const struct denied {
	const char *name;
	int argument; /* ANY_ARGUMENT, or the number of the one that must be value */
	unsigned value;
} denied[] = {
	/* End the trial, or begin another kernel. */
	{ "reboot", ANY_ARGUMENT, 0 },
	{ "kexec_load", ANY_ARGUMENT, 0 },
	{ "kexec_file_load", ANY_ARGUMENT, 0 },
	/* Become the kernel, or take KVM from the next reproducer. */
	{ "init_module", ANY_ARGUMENT, 0 },
	{ "finit_module", ANY_ARGUMENT, 0 },
	{ "delete_module", ANY_ARGUMENT, 0 },
	/* Speak through the UARTs' ports. */
	{ "iopl", ANY_ARGUMENT, 0 },
	{ "ioperm", ANY_ARGUMENT, 0 },
	/* Make the console silent. */
	{ "syslog", 0, SYSLOG_CONSOLE_OFF },
	{ "syslog", 0, SYSLOG_CONSOLE_ON },
	{ "syslog", 0, SYSLOG_CONSOLE_LEVEL },
	/* There is no disk; a file as swap lets init's memory leave it. */
	{ "swapon", ANY_ARGUMENT, 0 },
	/* Take off the programs that init attached (guest/bpf.c). */
	{ "bpf", 0, BPF_PROG_DETACH },
	{ "bpf", 0, BPF_PROG_GET_FD_BY_ID },
};

/* The system calls that make a node, and which of their arguments is its mode; the next is what. */
static const struct maker {
	const char *name;
	unsigned mode;
} makers[] = {
	{ "mknod", 1 },
	{ "mknodat", 2 },
};

#define EPERM_ACTION SCMP_ACT_ERRNO(EPERM)

static int failed(int rc, struct err *err)
{
	return err_set(err, ERR_HARNESS, "libseccomp: %s", strerror(-rc));
}

static int number_of(const char *name)
{
	return seccomp_syscall_resolve_name(name);
}

static int deny(scmp_filter_ctx filter, struct err *err)
{
	for (size_t i = 0; i < sizeof(denied) / sizeof(*denied); i++) {
		const struct denied *d = &denied[i];
		const bool any = d->argument == ANY_ARGUMENT;
		struct scmp_arg_cmp is =
			SCMP_CMP32((unsigned)(any ? 0 : d->argument), SCMP_CMP_EQ, d->value);
		int rc =
			seccomp_rule_add_array(filter, EPERM_ACTION, number_of(d->name), !any, &is);

		if (rc)
			return failed(rc, err);
	}
	return 0;
}

/* The greatest run of numbers from low that one mask tells, within low to high. */
static unsigned run_of(unsigned low, unsigned high)
{
	unsigned n = 1;

	while (!(low & (2 * n - 1)) && low + 2 * n - 1 <= high)
		n *= 2;
	return n;
}

/* The kernel takes the device as 12 bits of major between 8 and 12 of minor. */
static int deny_nodes(scmp_filter_ctx filter, const struct maker *m, const struct sandbox_device *d,
		      struct err *err)
{
	for (unsigned low = d->low, n; low <= d->high; low += n) {
		n = run_of(low, d->high);
		int rc = seccomp_rule_add(filter, EPERM_ACTION, number_of(m->name), 2,
					  SCMP_CMP32(m->mode, SCMP_CMP_MASKED_EQ, S_IFMT, S_IFCHR),
					  SCMP_CMP32(m->mode + 1, SCMP_CMP_MASKED_EQ, ~(n - 1),
						     (unsigned)d->major << 8 | low));

		if (rc)
			return failed(rc, err);
	}
	return 0;
}

static int fill(scmp_filter_ctx filter, struct err *err)
{
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));

	if (!rc)
		rc = seccomp_arch_add(filter, SCMP_ARCH_X86);
	/* A tree instead of a chain: a call that is let through costs a few comparisons. */
	if (!rc)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc)
		return failed(rc, err);
	for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++)
		for (size_t j = 0; j < SANDBOX_N_DEVICES; j++)
			if (deny_nodes(filter, &makers[i], &sandbox_devices[j], err))
				return -1;
	return deny(filter, err);
}

/* libseccomp before 2.6 writes to descriptors only. */
static int export(scmp_filter_ctx filter, struct buf *out, struct err *err)
{
	cleanup_fd int fd = memfd_create("filter", MFD_CLOEXEC);
	char chunk[4096];
	ssize_t n;

	if (fd < 0)
		return err_errno(err, ERR_HARNESS, "memfd_create");
	int rc = seccomp_export_bpf(filter, fd);
	if (rc)
		return failed(rc, err);
	if (lseek(fd, 0, SEEK_SET))
		return err_errno(err, ERR_HARNESS, "the filter");
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	return n < 0 ? err_errno(err, ERR_HARNESS, "the filter") : 0;
}

int sandbox_guest_filter(struct buf *out, struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (!filter)
		return err_set(err, ERR_HARNESS, "libseccomp: no filter can be made");
	int rc = fill(filter, err) || export(filter, out, err) ? -1 : 0;
	seccomp_release(filter);
	return rc;
}
