/* The cage of a reader; see confine.h. */
#include "confine.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SANITIZED /* sanitizers make system calls of their own */

int confine(const struct confine_limits *limits, struct err *err)
{
	(void)limits, (void)err;
	return 0;
}

#else

#define OPEN_FILES 8 /* no call makes one; poll() refuses to look at more than this */

/* All that is allowed. What follows in parentheses is read by tests/cli/confine.t. */
static const int allowed[] = {
	/* what is open */
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(poll),
	/* memory; mmap and mprotect: not executable, see below */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	/* time, where the vDSO does not tell it */
	SCMP_SYS(clock_gettime),
	/* the end; poll() again after SIGCONT */
	SCMP_SYS(exit_group),
	SCMP_SYS(restart_syscall),
};

/* Never above what the user allows already. */
static int limit(int resource, rlim_t value, struct err *err)
{
	struct rlimit was;

	if (getrlimit((__rlimit_resource_t)resource, &was))
		return err_errno(err, ERR_HARNESS, "rlimit");
	/* SIGXCPU comes at the soft limit, and says what happened; SIGKILL at the hard one. */
	rlim_t hard = value + (resource == RLIMIT_CPU);
	const struct rlimit r = { value < was.rlim_cur ? value : was.rlim_cur,
				  hard < was.rlim_max ? hard : was.rlim_max };
	return setrlimit((__rlimit_resource_t)resource, &r) ? err_errno(err, ERR_HARNESS, "rlimit")
							    : 0;
}

static int set_limits(const struct confine_limits *l, struct err *err)
{
	if (limit(RLIMIT_AS, l->memory_bytes, err) || limit(RLIMIT_CORE, 0, err) ||
	    limit(RLIMIT_NOFILE, OPEN_FILES, err) ||
	    (!l->writes_file && limit(RLIMIT_FSIZE, 0, err)) ||
	    (l->cpu_s && limit(RLIMIT_CPU, l->cpu_s, err)))
		return -1;
	return 0;
}

/*
 * What each version of Landlock's interface can forbid (Documentation/userspace-api/landlock.rst):
 * all of it is. The headers of the machine that builds may be older than its kernel.
 */
static const struct landlock_row {
	long abi;
	size_t attr_bytes; /* of struct landlock_ruleset_attr then */
	uint64_t fs, net, scoped;
} landlock_rows[] = {
	{ 6, 24, 0xffff, 3, 3 }, { 5, 16, 0xffff, 3, 0 }, { 4, 16, 0x7fff, 3, 0 },
	{ 3, 8, 0x7fff, 0, 0 },  { 2, 8, 0x3fff, 0, 0 },  { 1, 8, 0x1fff, 0, 0 },
};

#define LANDLOCK_VERSION 1U /* the flag LANDLOCK_CREATE_RULESET_VERSION */

static int forbid_files(struct err *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
	const struct landlock_row *row = landlock_rows;

	if (abi < 1)
		return 0; /* this kernel has none, or it is off */
	while (row->abi > abi)
		row++;
	const uint64_t attr[] = { row->fs, row->net, row->scoped };
	int fd = (int)syscall(SYS_landlock_create_ruleset, attr, row->attr_bytes, 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0)) {
		err_errno(err, ERR_HARNESS, "landlock");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

static int add_rules(scmp_filter_ctx filter)
{
	static const int mapping[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
	const struct scmp_arg_cmp plain = SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp exec = SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(allowed) / sizeof(*allowed); i++) {
		if (allowed[i] == mapping[0] || allowed[i] == mapping[1]) {
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 1, plain);
			if (!rc)
				rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), allowed[i], 1,
						      exec);
			continue;
		}
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	}
	return rc;
}

static int forbid_calls(struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = filter ? add_rules(filter) : -ENOMEM;

	if (!rc)
		rc = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	errno = -rc;
	return rc ? err_errno(err, ERR_HARNESS, "seccomp") : 0;
}

int confine(const struct confine_limits *limits, struct err *err)
{
	if (getenv(CONFINE_OFF))
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_errno(err, ERR_HARNESS, "no_new_privs");
	if (forbid_files(err) || set_limits(limits, err))
		return -1;
	return forbid_calls(err);
}

#endif
