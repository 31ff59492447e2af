/*
 * The keeper sees to it that a reproducer sees neither init nor what others left behind: mounts of
 * its own, limits, the sandbox's filter. It starts it, reports how its first process ended, and
 * stays until all its descendants have ended too; a reproducer that daemonizes has its full time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "keeper.h"
#include "mounts.h"
#include "sandbox.h"

struct keeper {
	const char *name;
	const char *path;    /* of the program, as the reproducer's root has it */
	const char *sandbox; /* empty: none */
	int out_fd, report_fd, go_fd;
};

static void set_limits(void)
{
	/* As syzkaller's, but for those that would only get in the way of a bigger program. */
	static const struct {
		int what;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_FSIZE, 136 << 20 },
		{ RLIMIT_MEMLOCK, 32 << 20 },
		{ RLIMIT_NOFILE, 1024 },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct rlimit lim = { limits[i].value, limits[i].value };

		setrlimit(limits[i].what, &lim);
	}
}

/*
 * The reproducer's first process. It is traced, and stops before its execve() and behind it. Comes
 * back only where that fails, with its errno.
 */
static int become(const struct keeper *k)
{
	static char *const env[] = { "PATH=/sbin:/usr/sbin:/bin:/usr/bin", "HOME=/", "TERM=dumb",
				     NULL };
	char *argv[] = { (char *)k->path, NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char dir[128];

	setsid();
	snprintf(dir, sizeof(dir), "/tmp/%s", k->name);
	mkdir(dir, 0777);
	if (chdir(dir))
		return errno;
	set_limits();
	dup2(null, 0);
	dup2(k->out_fd, 1);
	dup2(k->out_fd, 2);
	umask(022);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
		return errno;
	execve(k->path, argv, env);
	return errno;
}

/* Returns 0 or a positive errno. */
static int cage(struct keeper *k)
{
	static char path[128];
	int rc = sandbox_load(k->sandbox);

	if (!rc)
		rc = mounts_own_root(k->path, k->name);
	snprintf(path, sizeof(path), "/repro/%s", k->name);
	k->path = path;
	return -rc;
}

/*
 * From its first stop on it ends with us: it must never run untold. Returns 0 or an errno; one that
 * has ended is left to be waited for.
 */
static int tether(pid_t first)
{
	siginfo_t info;
	int error;

	if (waitid(P_PID, (id_t)first, &info, WEXITED | WSTOPPED | WNOWAIT))
		return errno;
	if (info.si_code != CLD_TRAPPED)
		return 0;
	if (!ptrace(PTRACE_SETOPTIONS, first, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC) &&
	    !ptrace(PTRACE_CONT, first, NULL, NULL))
		return 0;
	error = errno;
	kill(first, SIGKILL);
	return error;
}

/* Where init does not hear, it has given us up. */
static void tell(const struct keeper *k, const struct keeper_report *report)
{
	if (write(k->report_fd, report, sizeof(*report)) < 0)
		_exit(0);
}

static void on_child(int sig)
{
	(void)sig;
}

/* Waits for the word. '\0': it will not come, or the reproducer has been ended meanwhile. */
static char await_word(const struct keeper *k, pid_t first)
{
	const struct sigaction child = { .sa_handler = on_child };
	struct pollfd fd = { .fd = k->go_fd, .events = POLLIN };
	sigset_t set, open_mask;
	int status;
	char word;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &open_mask);
	sigaction(SIGCHLD, &child, NULL);
	tell(k, &(struct keeper_report){ .event = KEEPER_READY });
	do {
		if (waitpid(first, &status, WNOHANG) == first && !WIFSTOPPED(status))
			return '\0';
	} while (ppoll(&fd, 1, NULL, &open_mask) <= 0);
	return read(k->go_fd, &word, 1) == 1 ? word : '\0';
}

/*
 * Lets it go at its first instruction when the word comes. True, and its status, where it has ended
 * before it was ready.
 */
static bool let_go(const struct keeper *k, pid_t first, int *status)
{
	struct keeper_report report = { .event = KEEPER_ENDED };
	char word;

	for (;;) {
		if (waitpid(first, status, 0) != first || !WIFSTOPPED(*status))
			return true;
		if (*status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
			break;
		/* An execve() that cannot go back kills by a signal, in older kernels so. */
		ptrace(PTRACE_CONT, first, NULL, WSTOPSIG(*status));
	}
	word = await_word(k, first);
	if (!word)
		_exit(0); /* init makes another one */
	if (word == *KEEPER_GO_GROUPED)
		report.error = -sandbox_limit_memory(first);
	report.uncaged = report.error;
	if (!report.error && ptrace(PTRACE_DETACH, first, NULL, NULL))
		report.error = errno;
	if (!report.error)
		report.event = KEEPER_STARTED;
	tell(k, &report);
	if (report.error)
		_exit(0);
	return false;
}

static void keep(const struct keeper *k)
{
	struct keeper_report report = { .event = KEEPER_ENDED };
	bool ended;
	int status, exec_pipe[2] = { -1, -1 };
	pid_t first = -1, pid;

	/* Without a PID namespace: what loses its father comes here, not to init. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!pipe2(exec_pipe, O_CLOEXEC))
		first = fork();
	if (!first) {
		int error = become(k);

		if (write(exec_pipe[1], &error, sizeof(error)) < 0)
			_exit(126);
		_exit(127);
	}
	report.error = first < 0 ? errno : tether(first);
	close(k->out_fd);
	close(exec_pipe[1]);
	if (!report.error && read(exec_pipe[0], &report.error, sizeof(report.error)) < 0)
		report.error = errno;
	close(exec_pipe[0]);
	ended = first < 0 || let_go(k, first, &report.status);
	close(k->go_fd);
	if (ended)
		tell(k, &report);
	while ((pid = wait(&status)) > 0 || errno == EINTR) {
		if (pid != first)
			continue;
		report.status = status;
		tell(k, &report);
	}
}

static int inherited(const char *text)
{
	int fd = atoi(text);

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

void keeper_main(char **argv)
{
	struct keeper k = {
		.name = argv[2],
		.path = argv[3],
		.out_fd = inherited(argv[4]),
		.report_fd = inherited(argv[5]),
		.go_fd = inherited(argv[6]),
		.sandbox = argv[7],
	};
	struct keeper_report report = { .event = KEEPER_ENDED, .uncaged = true };

	/* The keeper too: what it holds goes when its mounts do, and the kernel would rather panic
	 * than go without memory that nobody can be killed for. */
	write_file("/proc/self/oom_score_adj", "1000");
	if (*k.sandbox)
		report.error = cage(&k);
	else
		mounts_private();
	if (!report.error)
		keep(&k);
	else
		tell(&k, &report);
}
