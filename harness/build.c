/*
 * Building; see build.h. Between us and the program stands a process that waits for it, because a
 * parent that is killed outright can tell nobody: the kernel sends that process SIGTERM then
 * (PR_SET_PDEATHSIG), and it ends the group.
 */
#include "build.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define GRACE_S     1
#define TAIL_BYTES  65536
#define WORDS_BYTES 200

/* What follows runs between fork() and exec() or _exit(): async-signal-safe functions only. */

static _Noreturn void become(const char *paths, const char *const *argv, const sigset_t *before)
{
	sigprocmask(SIG_SETMASK, before, NULL);
	for (const char *path = paths; *path; path += strlen(path) + 1)
		execv(path, (char *const *)argv);
	_exit(127);
}

/* Wait for the child, or for SIGTERM; then end the group. The signals are blocked. */
static int guard(pid_t child, const sigset_t *awaited)
{
	const struct timespec grace = { .tv_sec = GRACE_S };
	int status, sig = sigwaitinfo(awaited, NULL);

	if (sig == SIGTERM) {
		kill(0, SIGTERM); /* blocked here */
		sigset_t child_only;
		sigemptyset(&child_only);
		sigaddset(&child_only, SIGCHLD);
		sigtimedwait(&child_only, NULL, &grace);
		kill(0, SIGKILL);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The signals that are awaited are blocked already; what came since fork() is pending. */
static _Noreturn void supervise(const char *dir, const char *paths, const char *const *argv,
				int log_fd, pid_t parent, const sigset_t *awaited,
				const sigset_t *before)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || chdir(dir))
		_exit(126);
	int null_fd = open("/dev/null", O_RDONLY);
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
	    dup2(log_fd, STDERR_FILENO) < 0)
		_exit(126);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	pid_t child = fork();
	if (!child)
		become(paths, argv, before);
	_exit(child < 0 ? 126 : guard(child, awaited));
}

/* Where a program may be, as execvp() would look for it; each ends in NUL, and the last in two. */
static void find_program(const char *name, struct buf *paths)
{
	const char *path = getenv("PATH");
	cleanup_free char *dirs = xstrdup(path ? path : "/bin:/usr/bin");
	char *rest = dirs;

	for (const char *dir; !strchr(name, '/') && (dir = strsep(&rest, ":"));) {
		buf_addf(paths, "%s/%s", *dir ? dir : ".", name);
		buf_addc(paths, '\0');
	}
	if (strchr(name, '/'))
		buf_add(paths, name, strlen(name) + 1);
	buf_addc(paths, '\0');
}

/*
 * The signals that the child awaits are blocked across fork(): SIGTERM would be lost in the handler
 * that the child has from us, if it came before the child is ready for it.
 */
static pid_t start(const char *dir, const char *const *argv, int log_fd)
{
	cleanup_buf struct buf paths = BUF_INIT;
	sigset_t awaited, before;
	pid_t parent = getpid();

	find_program(argv[0], &paths);
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGTERM);
	sigaddset(&awaited, SIGCHLD);
	sigprocmask(SIG_BLOCK, &awaited, &before);
	pid_t pid = fork();
	if (!pid)
		supervise(dir, paths.data, argv, log_fd, parent, &awaited, &before);
	int saved = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return pid;
}

/* Wait until it has ended. -1: it must be ended, and why. */
static int wait_or_stop(pid_t pid, unsigned limit_ms, struct err *err)
{
	int64_t deadline = clock_ms() + limit_ms;
	cleanup_fd int pid_fd = pidfd_open(pid, 0);
	struct pollfd fds[2] = {
		{ .fd = pid_fd, .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN },
	};

	if (pid_fd < 0)
		return err_errno(err, ERR_HARNESS, "pidfd_open");
	for (;;) {
		int64_t left = deadline - clock_ms();

		if (limit_ms && left <= 0)
			return err_set(err, ERR_INPUT, "it takes longer than %u s",
				       limit_ms / 1000);
		if (poll(fds, 2, limit_ms ? (int)left : -1) < 0 && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "poll");
		if (fds[1].revents & POLLIN)
			return err_set(err, ERR_INTERRUPTED, "interrupted");
		if (fds[0].revents)
			return 0;
	}
}

int build_exec(const char *dir, const char *const *argv, unsigned limit_ms, const char *log_path,
	       int *status, struct err *err)
{
	cleanup_fd int log_fd =
		open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	int how;

	if (log_fd < 0)
		return err_errno(err, ERR_HARNESS, "%s", log_path);
	if (interrupt_signal())
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	pid_t pid = start(dir, argv, log_fd);
	if (pid < 0)
		return err_errno(err, ERR_HARNESS, "fork");
	int rc = wait_or_stop(pid, limit_ms, err);
	if (rc)
		kill(pid, SIGTERM);
	while (waitpid(pid, &how, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, ERR_HARNESS, "waitpid");
	*status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
	return rc;
}

int build_run(const char *dir, const char *command, const char *log_path, int *status,
	      struct err *err)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };

	return build_exec(dir, argv, 0, log_path, status, err);
}

char *build_failure(const char *log_path, const char *command, int status)
{
	cleanup_file FILE *f = fopen(log_path, "re");
	cleanup_free char *tail = xcalloc(1, TAIL_BYTES + 1);
	cleanup_buf struct buf out = BUF_INIT;
	const char *best = NULL;
	char *save = NULL;

	if (f && fseek(f, -TAIL_BYTES, SEEK_END))
		rewind(f);
	tail[f ? fread(tail, 1, TAIL_BYTES, f) : 0] = '\0';
	for (char *l = strtok_r(tail, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (l[strspn(l, " \t\r")])
			best = l;
	if (!best)
		buf_addf(&out, "exit status %d, and it printed nothing: ", status);
	best = best ? best : command;
	size_t n = strcspn(best, "\n");
	buf_add_escaped(&out, best, n < WORDS_BYTES ? n : WORDS_BYTES);
	return buf_steal(&out);
}
