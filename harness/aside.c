/* Work in a process aside; see aside.h. */
#include "aside.h"

#include "base/cleanup.h"
#include "cage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static _Noreturn void be_child(int (*work)(void *opaque, struct err *err), void *opaque,
			       int report_fd, pid_t parent)
{
	struct err err;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	if (!cage_renew(&err) && !work(opaque, &err))
		_exit(0);
	/* A pipe takes so little at once. */
	_exit(write(report_fd, &err, sizeof(err)) == sizeof(err) ? 1 : 2);
}

int aside_run(int (*work)(void *opaque, struct err *err), void *opaque, struct err *err)
{
	cleanup_fd int in = -1, out = -1;
	pid_t parent = getpid();
	int ends[2], status;
	struct err its;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC))
		return err_errno(err, ERR_HARNESS, "pipe2");
	in = ends[0];
	out = ends[1];
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(err, ERR_HARNESS, "fork");
	if (!pid)
		be_child(work, opaque, out, parent);
	close(steal_fd(out));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, ERR_HARNESS, "waitpid");
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	while ((n = read(in, &its, sizeof(its))) < 0 && errno == EINTR)
		;
	if (n == sizeof(its)) {
		*err = its;
		return -1;
	}
	if (WIFSIGNALED(status))
		return err_set(err, ERR_HARNESS,
			       "the process that ran the trials died of signal %d",
			       WTERMSIG(status));
	return err_set(err, ERR_HARNESS, "the process that ran the trials ended with %d",
		       WEXITSTATUS(status));
}
