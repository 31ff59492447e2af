/*
 * Scans /proc for user tasks other than init that still are there and writes of each, up to a few,
 * "PID COMM STATE\nSTACK\n" and a NUL. A child does it, for on a broken kernel reading /proc can
 * itself block for ever.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stuck.h"
#include "task.h"

#define MAX_TOLD    8
#define STACK_BYTES 900
#define PF_KTHREAD  0x00200000UL

/* Whether the task is one to tell of; a kernel thread, a zombie and ourselves are not. */
static bool look(const char *dir, char *comm, size_t comm_size, char *state)
{
	unsigned long flags = 0;
	char path[80], stat[512];
	char *open_paren, *close_paren;

	snprintf(path, sizeof(path), "%s/stat", dir);
	if (read_file(path, stat, sizeof(stat)) <= 0)
		return false;
	open_paren = strchr(stat, '(');
	close_paren = strrchr(stat, ')');
	if (!open_paren || !close_paren ||
	    sscanf(close_paren + 1, " %c %*d %*d %*d %*d %*d %lu", state, &flags) != 2)
		return false;
	*close_paren = '\0';
	snprintf(comm, comm_size, "%s", open_paren + 1);
	return !(flags & PF_KTHREAD) && *state != 'Z' && *state != 'X';
}

static bool tell(int fd, const char *dir, long pid)
{
	char comm[64], path[80], stack[STACK_BYTES + 1], text[STACK_BYTES + 128];
	char state;
	int n;

	if (!look(dir, comm, sizeof(comm), &state))
		return false;
	snprintf(path, sizeof(path), "%s/stack", dir);
	if (read_file(path, stack, sizeof(stack)) < 0)
		stack[0] = '\0';
	n = snprintf(text, sizeof(text), "%ld %c %s\n%s", pid, state, comm, stack);
	return write(fd, text, (size_t)n + 1) > 0;
}

static int scan_threads(int fd, long pid, int told)
{
	char path[64];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	dir = opendir(path);
	while (dir && told < MAX_TOLD && (e = readdir(dir))) {
		long tid = atol(e->d_name);

		if (tid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%ld/task/%ld", pid, tid);
		told += tell(fd, path, tid);
	}
	if (dir)
		closedir(dir);
	return told;
}

static void scan(int fd)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int told = 0;

	while (proc && told < MAX_TOLD && (e = readdir(proc))) {
		long pid = atol(e->d_name);

		if (pid > 1 && pid != getpid())
			told = scan_threads(fd, pid, told);
	}
}

void stuck_open(struct stuck *s)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC))
		return;
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	pid = task_fork(0);
	if (!pid) {
		scan(p[1]);
		_exit(0);
	}
	close(p[1]);
	s->fd = p[0];
	s->used = 0;
	if (pid < 0)
		stuck_close(s);
}

static void send_one(struct agent *a, const struct task *t, char *text)
{
	char *stack = strchr(text, '\n');
	char state[2] = "?", comm[64] = "";
	struct frame f;
	long pid = 0;

	if (!stack)
		return;
	*stack++ = '\0';
	sscanf(text, "%ld %c %63[^\n]", &pid, state, comm);
	frame_begin(&f, a, "stuck");
	if (t->id >= 0)
		frame_num(&f, "id", t->id);
	frame_str(&f, "name", t->name);
	frame_num(&f, "pid", pid);
	frame_str(&f, "comm", comm);
	frame_str(&f, "state", state);
	frame_str(&f, "stack", stack);
	agent_send(a, &f);
}

void stuck_read(struct stuck *s, struct agent *a, const struct task *t)
{
	ssize_t n = read(s->fd, s->text + s->used, sizeof(s->text) - s->used);
	char *at = s->text, *nul;

	if (n == 0)
		stuck_close(s);
	if (n <= 0)
		return;
	s->used += (size_t)n;
	while ((nul = memchr(at, '\0', s->used))) {
		s->used -= (size_t)(nul + 1 - at);
		send_one(a, t, at);
		at = nul + 1;
	}
	memmove(s->text, at, s->used);
}

void stuck_close(struct stuck *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->used = 0;
}
