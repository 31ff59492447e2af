/*
 * A reproducer runs under a keeper: a child of init that is PID 1 of a PID namespace (where the
 * kernel has them) with its own mounts, so that the reproducer sees neither init nor what others
 * left behind. The keeper starts it, reports how its first process ended, and stays until all its
 * descendants have ended too; a reproducer that daemonizes has its full time. Killing does not
 * depend on any of that (see task.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mounts.h"
#include "runner.h"
#include "sandbox.h"
#include "task.h"

#define PUMP_MS 20000

/* What the keeper tells init. */
struct report {
	int error;    /* of exec(), or 0 */
	int status;   /* from wait() */
	bool uncaged; /* error is the sandbox's: nothing was run */
};

struct running {
	struct task task;
	const struct plan_repro *repro;
	int out_fd;    /* what it prints; -1 once closed */
	int report_fd; /* from the keeper */
	struct report report;
	bool reported;
	size_t dropped;
	size_t held, sent; /* of text */
	char why[64];      /* the keeper could not be started */
	char text[PROTO_OUTPUT_BYTES];
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

/* The reproducer's first process. Comes back only where exec() fails, with its errno. */
static int become(const struct plan_repro *r, int out)
{
	static char *const env[] = { "PATH=/sbin:/usr/sbin:/bin:/usr/bin", "HOME=/", "TERM=dumb",
				     NULL };
	char *argv[] = { r->path, NULL };
	char dir[128];
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsid();
	snprintf(dir, sizeof(dir), "/tmp/%s", r->name);
	mkdir(dir, 0777);
	if (chdir(dir))
		return errno;
	set_limits();
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	umask(022);
	execve(r->path, argv, env);
	return errno;
}

/* Returns 0 or a positive errno. */
static int cage(struct plan_repro *r, const char *sandbox)
{
	static char path[128];
	int rc = sandbox_load(sandbox);

	if (!rc)
		rc = mounts_own_root(r->path, r->name);
	snprintf(path, sizeof(path), "/repro/%s", r->name);
	r->path = path;
	return -rc;
}

static void keep(const struct plan_repro *r, int out, int report_fd)
{
	struct report report = { 0 };
	int status, exec_pipe[2];
	pid_t first, pid;

	/* Without a PID namespace: what loses its father comes here, not to init. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe2(exec_pipe, O_CLOEXEC))
		return;
	first = fork();
	if (!first) {
		int error = become(r, out);

		if (write(exec_pipe[1], &error, sizeof(error)) < 0)
			_exit(126);
		_exit(127);
	}
	close(out);
	close(exec_pipe[1]);
	if (first < 0)
		report.error = errno;
	else if (read(exec_pipe[0], &report.error, sizeof(report.error)) < 0)
		report.error = errno;
	close(exec_pipe[0]);
	while ((pid = wait(&status)) > 0 || errno == EINTR) {
		if (pid != first)
			continue;
		report.status = status;
		if (write(report_fd, &report, sizeof(report)) < 0)
			return;
	}
	if (first < 0 && write(report_fd, &report, sizeof(report)) < 0)
		return;
}

/* The keeper is a program of its own: a fork of init would show its copy of the token to the
 * reproducer, in /proc/1/mem. */
static void __attribute__((noreturn))
become_keeper(const struct plan_repro *r, const char *sandbox, int out, int report_fd)
{
	char out_text[12], report_text[12];

	snprintf(out_text, sizeof(out_text), "%d", out);
	snprintf(report_text, sizeof(report_text), "%d", report_fd);
	fcntl(out, F_SETFD, 0);
	fcntl(report_fd, F_SETFD, 0);
	execl("/init", "/init", RUNNER_KEEPER, r->name, r->path, out_text, report_text, sandbox,
	      NULL);
	_exit(127);
}

void runner_keep(char **argv)
{
	struct plan_repro r = { .name = argv[2], .path = argv[3] };
	int out = atoi(argv[4]), report_fd = atoi(argv[5]);
	const char *sandbox = argv[6];
	struct report report = { .uncaged = true };

	fcntl(out, F_SETFD, FD_CLOEXEC);
	fcntl(report_fd, F_SETFD, FD_CLOEXEC);
	/* The keeper too: what it holds goes when its mounts do, and the kernel would rather panic
	 * than go without memory that nobody can be killed for. */
	write_file("/proc/self/oom_score_adj", "1000");
	if (*sandbox)
		report.error = cage(&r, sandbox);
	else
		mounts_private();
	if (!report.error)
		keep(&r, out, report_fd);
	else if (write(report_fd, &report, sizeof(report)) < 0)
		return;
}

static void __attribute__((noreturn)) refuse(int report_fd, int error)
{
	const struct report report = { .error = error, .uncaged = true };

	_exit(write(report_fd, &report, sizeof(report)) < 0);
}

/* Starts the keeper, in namespaces as the kernel has them. */
static const char *start(struct running *run, const char *sandbox)
{
	static const unsigned long flags[] = { CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS,
					       CLONE_NEWPID | CLONE_NEWNS, CLONE_NEWNS };
	int out[2], report[2];
	pid_t pid = -EINVAL;

	if (pipe2(out, O_CLOEXEC))
		return strerror(errno);
	if (pipe2(report, O_CLOEXEC)) {
		close(out[0]);
		close(out[1]);
		return strerror(errno);
	}
	for (int i = 0; i < 3 && (pid == -EINVAL || pid == -EPERM); i++)
		pid = task_fork(flags[i]);
	if (!pid) {
		mounts_mend_devices();
		int rc = sandbox ? sandbox_limit_memory() : 0;
		if (rc)
			refuse(report[1], -rc);
		become_keeper(run->repro, sandbox ? sandbox : "", out[1], report[1]);
	}
	close(out[1]);
	close(report[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(report[0], F_SETFL, O_NONBLOCK);
	run->task.pid = pid;
	run->out_fd = out[0];
	run->report_fd = report[0];
	return pid < 0 ? strerror(-pid) : NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A third of a frame, for each byte may become three. */
#define CHUNK_BYTES ((PROTO_FRAME_BYTES - 128) / 3)

/*
 * What it printed is held until the line is nearly idle: a slow line full of output would keep a
 * heartbeat waiting for seconds.
 */
static void pump(struct guest *g, struct running *run)
{
	while (run->sent < run->held && agent_unsent(&g->agent) < PROTO_FRAME_BYTES / 2) {
		size_t left = run->held - run->sent;
		size_t n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
		struct frame f;

		frame_begin(&f, &g->agent, "output");
		frame_num(&f, "id", run->task.id);
		frame_data(&f, "data", run->text + run->sent, n);
		agent_send(&g->agent, &f);
		run->sent += n;
	}
}

/* Reads what it printed, at most one buffer, so that heartbeats go on. False: nothing was there. */
static bool drain(struct running *run)
{
	size_t room = sizeof(run->text) - run->held;
	char surplus[16384];
	ssize_t n;

	if (run->out_fd < 0)
		return false;
	n = read(run->out_fd, room ? run->text + run->held : surplus,
		 room ? room : sizeof(surplus));
	if (!n)
		close_fd(&run->out_fd);
	if (n <= 0)
		return false;
	if (room)
		run->held += (size_t)n;
	else
		run->dropped += (size_t)n;
	return true;
}

/* Sends the rest. A harness that does not take it within the time is not to hold up the end. */
static void pump_all(struct guest *g, struct running *run)
{
	int64_t end = now_ms() + PUMP_MS;

	/* Bounded, for a process that could not be killed may print on. */
	for (size_t left = 64; left && drain(run); left--)
		;
	pump(g, run);
	while (run->sent < run->held && now_ms() < end) {
		agent_wait(&g->agent, NULL, 0, end);
		pump(g, run);
	}
	run->dropped += run->held - run->sent;
}

static void hear(struct running *run)
{
	ssize_t n = read(run->report_fd, &run->report, sizeof(run->report));

	if (n == sizeof(run->report))
		run->reported = true;
	else if (n >= 0 || errno != EAGAIN)
		close_fd(&run->report_fd);
}

static void watch(struct guest *g, struct running *run, int64_t end)
{
	while (!task_gone(g, &run->task) && now_ms() < end) {
		struct pollfd fds[2] = {
			{ .fd = run->out_fd, .events = POLLIN },
			{ .fd = run->report_fd, .events = POLLIN },
		};

		agent_wait(&g->agent, fds, 2, end);
		if (fds[0].revents)
			drain(run);
		pump(g, run);
		if (fds[1].revents)
			hear(run);
	}
}

static void send_why(struct frame *f, const struct running *run)
{
	char why[128];

	snprintf(why, sizeof(why), "%s%s", run->report.uncaged ? "the sandbox: " : "",
		 *run->why ? run->why : strerror(run->report.error));
	frame_str(f, "why", why);
}

/* `killed` is NULL where it ended by itself. */
static void send_end(struct guest *g, const struct running *run, const char *killed, int64_t ms)
{
	int status = run->reported ? run->report.status : run->task.status;
	struct frame f;

	if (run->dropped) {
		frame_begin(&f, &g->agent, "dropped");
		frame_num(&f, "id", run->task.id);
		frame_num(&f, "bytes", (long long)run->dropped);
		agent_send(&g->agent, &f);
	}
	frame_begin(&f, &g->agent, "end");
	frame_num(&f, "id", run->task.id);
	if (killed) {
		frame_str(&f, "how", killed);
	} else if (*run->why || run->report.error) {
		frame_str(&f, "how", "failed");
		send_why(&f, run);
	} else if (WIFSIGNALED(status)) {
		frame_str(&f, "how", "signal");
		frame_num(&f, "code", WTERMSIG(status));
	} else {
		frame_str(&f, "how", "exit");
		frame_num(&f, "code", WEXITSTATUS(status));
	}
	frame_num(&f, "ms", ms);
	agent_send(&g->agent, &f);
}

static bool can_run(struct guest *g, int id)
{
	const struct plan_repro *r = &g->plan.repros[id];
	bool svm = !strcmp(r->needs, "svm"), vmx = !strcmp(r->needs, "vmx");
	char why[64] = "";
	struct frame f;

	if ((svm && !g->svm) || (vmx && !g->vmx))
		snprintf(why, sizeof(why), "needs %s, the CPU has %s", r->needs,
			 g->svm   ? "svm"
			 : g->vmx ? "vmx"
				  : "neither svm nor vmx");
	else if ((svm || vmx) && !g->nested)
		snprintf(why, sizeof(why), "needs %s, KVM does not offer it to guests", r->needs);
	if (!*why)
		return true;
	frame_begin(&f, &g->agent, "skip");
	frame_num(&f, "id", id);
	frame_str(&f, "name", r->name);
	frame_str(&f, "why", why);
	agent_send(&g->agent, &f);
	return false;
}

void runner_run(struct guest *g, int id)
{
	const struct plan_repro *r = &g->plan.repros[id];
	static struct running run;
	int64_t begin, ms;
	struct frame f;
	const char *why, *killed = NULL;

	if (!can_run(g, id))
		return;
	run = (struct running){ .task = { .name = r->name, .id = id }, .repro = r };
	frame_begin(&f, &g->agent, "start");
	frame_num(&f, "id", id);
	frame_str(&f, "name", r->name);
	agent_send(&g->agent, &f);
	begin = now_ms();
	why = start(&run, g->plan.sandbox);
	if (!why)
		watch(g, &run, begin + r->duration_ms);
	ms = now_ms() - begin;
	if (why)
		snprintf(run.why, sizeof(run.why), "%s", why);
	else if (!task_gone(g, &run.task))
		killed = task_end(g, &run.task) ? "timeout" : "stuck";
	else
		kill(-1, SIGKILL);
	if (!why)
		hear(&run);
	pump_all(g, &run);
	close_fd(&run.out_fd);
	close_fd(&run.report_fd);
	send_end(g, &run, killed, ms);
}
