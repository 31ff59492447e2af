/*
 * Every process in the guest descends from init, which is PID 1: so kill(-1) reaches all of them
 * but init, in one pass that no fork() slips through, whatever sessions, namespaces and fathers
 * they gave themselves, and needs neither /proc nor cgroups. Whoever's father dies becomes init's
 * child, so all are gone when wait() says that there is no child.
 *
 * The same holds within a PID namespace: nobody in it outlives its PID 1, who is not reaped before
 * all others are gone. A reproducer in one of its own is ended so, and those that wait for their
 * turn stay; but one that has not gone within a second may have its PID 1 held (by a tracer, say),
 * and then everything is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stuck.h"
#include "task.h"

#define STUCK_EVERY_MS 1000

pid_t task_fork(unsigned long flags)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0UL);
	sigset_t none;

	if (pid < 0)
		return -errno;
	if (pid > 0)
		return pid;
	sigaction(SIGCHLD, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpriority(PRIO_PROCESS, 0, 0);
	return 0;
}

static void note(struct task *t, pid_t pid, int status)
{
	if (pid != t->pid || t->reaped)
		return;
	t->status = status;
	t->reaped = true;
}

bool task_gone(struct guest *g, struct task *t)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		note(t, pid, status);
		for (struct task *r = g->ready; r; r = r->next)
			note(r, pid, status);
	}
	if (pid < 0 && errno == ECHILD)
		g->orphans = false;
	return t->reaped && (pid < 0 || g->orphans || t->apart);
}

void task_kill(const struct task *t)
{
	if (!t->apart)
		kill(-1, SIGKILL);
	else if (!t->reaped)
		kill(t->pid, SIGKILL);
}

/* How many tasks there are, kernel threads and all; needs no /proc. */
static unsigned int count_tasks(void)
{
	struct sysinfo info = { 0 };

	sysinfo(&info);
	return info.procs;
}

bool task_end(struct guest *g, struct task *t)
{
	struct stuck stuck = { .fd = -1 };
	int64_t end = now_ms() + g->plan.stuck_ms;
	int64_t next = now_ms() + STUCK_EVERY_MS;
	unsigned int fewest = ~0u;
	bool all = !t->apart; /* all were killed a while ago */

	task_kill(t);
	while (!task_gone(g, t) && now_ms() < end) {
		struct pollfd fd = { .fd = stuck.fd, .events = POLLIN };

		if (now_ms() >= next) {
			unsigned int tasks = count_tasks();

			/* Thousands take their time to die, but get fewer. */
			if (tasks < fewest)
				end = now_ms() + g->plan.stuck_ms;
			fewest = tasks < fewest ? tasks : fewest;
			next += STUCK_EVERY_MS;
			/* Also ends the last scan, should it hang in what it looks at. */
			stuck_close(&stuck);
			kill(-1, SIGKILL);
			if (all)
				stuck_open(&stuck);
			all = true;
			continue;
		}
		agent_wait(&g->agent, &fd, stuck.fd >= 0, next < end ? next : end);
		if (fd.revents)
			stuck_read(&stuck, &g->agent, t);
	}
	stuck_close(&stuck);
	if (task_gone(g, t))
		return true;
	g->orphans = true;
	return false;
}

/* The output of a child, cut into lines for whoever wants them. */
struct lines {
	int fd;
	size_t used;
	void (*line)(void *to, char *text);
	void *to;
	char buf[1024];
};

/* Takes what is there. A line that fills the buffer is cut. */
static void read_lines(struct lines *l)
{
	ssize_t n = -1;

	while (l->fd >= 0 &&
	       (n = read(l->fd, l->buf + l->used, sizeof(l->buf) - 1 - l->used)) > 0) {
		char *at = l->buf, *nl;

		l->used += (size_t)n;
		l->buf[l->used] = '\0';
		while ((nl = strchr(at, '\n'))) {
			*nl = '\0';
			l->line(l->to, at);
			at = nl + 1;
		}
		l->used -= (size_t)(at - l->buf);
		memmove(l->buf, at, l->used);
	}
	if (l->fd >= 0 && !n) {
		close(l->fd);
		l->fd = -1;
	}
}

const char *task_run(struct guest *g, const char *name, void (*work)(const void *arg, int fd),
		     const void *arg, int64_t limit_ms, void (*line)(void *to, char *text),
		     void *to)
{
	static char why[128];
	struct task t = { .name = name, .id = -1 };
	struct lines l = { .line = line, .to = to };
	int64_t end = now_ms() + limit_ms;
	int p[2];

	if (pipe2(p, O_CLOEXEC))
		return strerror(errno);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	l.fd = p[0];
	t.pid = task_fork(0);
	if (!t.pid) {
		work(arg, p[1]);
		_exit(0);
	}
	close(p[1]);
	while (t.pid > 0 && !task_gone(g, &t) && now_ms() < end) {
		struct pollfd fd = { .fd = l.fd, .events = POLLIN };

		agent_wait(&g->agent, &fd, l.fd >= 0, end);
		read_lines(&l);
	}
	read_lines(&l);
	if (l.fd >= 0)
		close(l.fd);
	if (t.pid < 0)
		return strerror(-t.pid);
	if (!task_gone(g, &t)) {
		bool gone = task_end(g, &t);

		snprintf(why, sizeof(why), "%s did not end within %lld s%s", name,
			 (long long)limit_ms / 1000, gone ? "" : ", nor when it was killed");
		return why;
	}
	if (WIFSIGNALED(t.status)) {
		snprintf(why, sizeof(why), "%s was killed by signal %d", name, WTERMSIG(t.status));
		return why;
	}
	return NULL;
}
