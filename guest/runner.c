/*
 * A reproducer runs under a keeper (keeper.h), a child of init in namespaces of its own.
 *
 * All that can run here are made ready before init says "ready", so that in trials that begin from
 * a kept state that work is done once: each stands before its first instruction, until its turn
 * comes. Without PID namespaces it is the first one alone, for there its end is that of all (see
 * task.c). What waits is in no memory group yet, which another could get at.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper.h"
#include "mounts.h"
#include "runner.h"
#include "sandbox.h"
#include "task.h"

#define PUMP_MS    20000
#define PREPARE_MS 10000 /* what takes longer goes on beside what comes next */
#define MEND_MS    10000

struct running {
	struct task task;
	const struct plan_repro *repro;
	int out_fd;    /* what it prints; -1 once closed */
	int report_fd; /* from the keeper */
	int go_fd;     /* to it */
	struct keeper_report report;
	bool ready, started, reported; /* KEEPER_READY, _STARTED and _ENDED have come */
	size_t dropped;
	size_t held, sent; /* of text */
	char why[64];      /* the keeper could not be started */
	char *text;        /* PROTO_OUTPUT_BYTES, which one after the other has */
};

static struct running *running_of(int id)
{
	static struct running running[PROTO_MAX_REPROS];

	return &running[id];
}

/* The keeper is a program of its own: a fork of init would show its copy of the token to the
 * reproducer, in /proc/1/mem. */
static void __attribute__((noreturn))
become_keeper(const struct plan_repro *r, const char *sandbox, const int *fds)
{
	char text[3][12];

	for (int i = 0; i < 3; i++) {
		snprintf(text[i], sizeof(text[i]), "%d", fds[i]);
		fcntl(fds[i], F_SETFD, 0);
	}
	execl("/init", "/init", KEEPER, r->name, r->path, text[0], text[1], text[2], sandbox, NULL);
	_exit(127);
}

/* Starts the keeper, in namespaces as the kernel has them. fds: its output, report and go. */
static void start_keeper(struct running *run, const char *sandbox, const int *fds)
{
	static const unsigned long flags[] = { CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS,
					       CLONE_NEWPID | CLONE_NEWNS, CLONE_NEWNS };
	pid_t pid = -EINVAL;

	for (int i = 0; i < 3 && (pid == -EINVAL || pid == -EPERM); i++) {
		pid = task_fork(flags[i]);
		run->task.apart = flags[i] & CLONE_NEWPID;
	}
	if (!pid)
		become_keeper(run->repro, sandbox ? sandbox : "", fds);
	run->task.pid = pid;
}

/* Starts the keeper, which goes as far as it can without "go". */
static void start(struct guest *g, struct running *run, int id)
{
	static char text[PROTO_OUTPUT_BYTES];
	const struct plan_repro *r = &g->plan.repros[id];
	int out[2] = { -1, -1 }, report[2] = { -1, -1 }, go[2] = { -1, -1 };

	*run = (struct running){ .task = { .name = r->name, .id = id }, .repro = r, .text = text };
	if (pipe2(out, O_CLOEXEC) || pipe2(report, O_CLOEXEC) || pipe2(go, O_CLOEXEC))
		run->task.pid = -errno;
	else
		start_keeper(run, g->plan.sandbox, (const int[]){ out[1], report[1], go[0] });
	close(out[1]);
	close(report[1]);
	close(go[0]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(report[0], F_SETFL, O_NONBLOCK);
	run->out_fd = out[0];
	run->report_fd = report[0];
	run->go_fd = go[1];
	if (run->task.pid < 0)
		snprintf(run->why, sizeof(run->why), "%s", strerror(-run->task.pid));
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
	size_t room = PROTO_OUTPUT_BYTES - run->held;
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
	struct keeper_report report;
	ssize_t n;

	while ((n = read(run->report_fd, &report, sizeof(report))) == sizeof(report)) {
		run->ready |= report.event == KEEPER_READY;
		run->started |= report.event == KEEPER_STARTED;
		run->reported |= report.event == KEEPER_ENDED;
		run->report = report;
	}
	if (n >= 0 || errno != EAGAIN)
		close_fd(&run->report_fd);
}

/* Until it has ended or its time is over, or (NULL: not) *enough is true. */
static void watch(struct guest *g, struct running *run, int64_t end, const bool *enough)
{
	while (!task_gone(g, &run->task) && now_ms() < end && !(enough && *enough)) {
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
	} else if (!run->started) {
		frame_str(&f, "how", "failed");
		frame_str(&f, "why", "it was ended before its first instruction");
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

/* Why it cannot run here, or an empty text. */
static void lacks(const struct guest *g, const struct plan_repro *r, char *why, size_t size)
{
	bool svm = !strcmp(r->needs, "svm"), vmx = !strcmp(r->needs, "vmx");

	*why = '\0';
	if ((svm && !g->svm) || (vmx && !g->vmx))
		snprintf(why, size, "needs %s, the CPU has %s", r->needs,
			 g->svm   ? "svm"
			 : g->vmx ? "vmx"
				  : "neither svm nor vmx");
	else if ((svm || vmx) && !g->nested)
		snprintf(why, size, "needs %s, KVM does not offer it to guests", r->needs);
}

static bool can_run(struct guest *g, int id)
{
	const struct plan_repro *r = &g->plan.repros[id];
	char why[64];
	struct frame f;

	lacks(g, r, why, sizeof(why));
	if (!*why)
		return true;
	frame_begin(&f, &g->agent, "skip");
	frame_num(&f, "id", id);
	frame_str(&f, "name", r->name);
	frame_str(&f, "why", why);
	agent_send(&g->agent, &f);
	return false;
}

static void close_fds(struct running *run)
{
	close_fd(&run->out_fd);
	close_fd(&run->report_fd);
	close_fd(&run->go_fd);
}

/* From those that wait for their turn. False: it is none of them. */
static bool withdraw(struct guest *g, const struct task *t)
{
	struct task **at = &g->ready;

	while (*at && *at != t)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = t->next;
	return true;
}

static void discard(struct guest *g, struct running *run)
{
	close_fds(run);
	if (run->task.pid > 0)
		task_end(g, &run->task);
}

void runner_discard(struct guest *g)
{
	while (g->ready) {
		struct running *run = running_of(g->ready->id);

		withdraw(g, &run->task);
		discard(g, run);
	}
}

void runner_prepare(struct guest *g)
{
	char why[64];

	for (int id = 0; id < g->plan.n_repros; id++) {
		struct running *run = running_of(id);

		lacks(g, &g->plan.repros[id], why, sizeof(why));
		if (*why)
			continue;
		start(g, run, id);
		run->task.next = g->ready;
		g->ready = &run->task;
		if (!*run->why)
			watch(g, run, now_ms() + PREPARE_MS, &run->ready);
		/* One that is not ready in time would not be the last. */
		if (!run->task.apart || !(run->ready || run->reported || *run->why))
			break;
	}
}

/* Whether it is still what it was made: ready, on the way, or refused, which is its result. */
static bool is_as_made(struct guest *g, struct running *run)
{
	bool gone = task_gone(g, &run->task);

	hear(run);
	return run->reported ? !run->ready : !gone && !*run->why;
}

/* What was made ready, or is now. */
static struct running *take(struct guest *g, int id)
{
	struct running *run = running_of(id);
	bool made;

	if (g->ran)
		helper_run(g, mounts_mend_devices, MEND_MS);
	made = withdraw(g, &run->task);
	if (made && !is_as_made(g, run)) {
		discard(g, run);
		made = false;
	}
	if (!made) {
		if (g->ready && !g->ready->apart)
			runner_discard(g);
		start(g, run, id);
	}
	g->ran = true;
	return run;
}

/* Lets it go, until it is on its way. Nobody reads the word where the keeper has failed. */
static void let_go(struct guest *g, struct running *run, int64_t end)
{
	if (write(run->go_fd, g->groups ? KEEPER_GO_GROUPED : KEEPER_GO, 1) != 1)
		close_fd(&run->go_fd);
	watch(g, run, end, &run->started);
	hear(run);
}

void runner_run(struct guest *g, int id)
{
	int64_t begin, ms, end;
	struct frame f;
	const char *killed = NULL;

	if (!can_run(g, id))
		return;
	frame_begin(&f, &g->agent, "start");
	frame_num(&f, "id", id);
	frame_str(&f, "name", g->plan.repros[id].name);
	agent_send(&g->agent, &f);
	struct running *run = take(g, id);

	begin = now_ms();
	end = begin + g->plan.repros[id].duration_ms;
	if (!*run->why)
		let_go(g, run, end);
	/* Killed when its turn had come, and not by itself. */
	if (!run->started && !run->reported && task_gone(g, &run->task)) {
		discard(g, run);
		start(g, run, id);
		if (!*run->why)
			let_go(g, run, end);
	}
	if (!*run->why)
		watch(g, run, end, NULL);
	ms = now_ms() - begin;
	if (!*run->why) {
		if (!task_gone(g, &run->task))
			killed = task_end(g, &run->task) ? "timeout" : "stuck";
		else if (!run->task.apart)
			task_kill(&run->task); /* what the kernel has started for it */
		hear(run);
	}
	pump_all(g, run);
	close_fds(run);
	send_end(g, run, killed, ms);
}
