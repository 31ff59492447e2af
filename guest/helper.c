/* The thread reads a byte, does the job and writes a byte, for init can poll a pipe. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "guest.h"

#define STACK_BYTES (64 * 1024) /* locked, as all of init is */

static void *serve(void *arg)
{
	struct helper *h = arg;
	char c;

	while (read(h->ask[0], &c, 1) == 1) {
		h->job();
		if (write(h->told[1], "", 1) != 1)
			break;
	}
	return NULL;
}

void helper_start(struct helper *h)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (pipe2(h->ask, O_CLOEXEC) || pipe2(h->told, O_CLOEXEC))
		return;
	fcntl(h->told[0], F_SETFL, O_NONBLOCK);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	h->there = h->idle = !pthread_create(&thread, &attr, serve, h);
	pthread_attr_destroy(&attr);
}

static bool is_idle(struct helper *h)
{
	char c;

	if (!h->idle)
		h->idle = read(h->told[0], &c, 1) == 1;
	return h->idle;
}

bool helper_run(struct guest *g, void (*job)(void), int64_t limit_ms)
{
	struct helper *h = &g->helper;
	int64_t end = now_ms() + limit_ms;

	if (!h->there || !is_idle(h))
		return false;
	h->job = job;
	h->idle = false;
	if (write(h->ask[1], "", 1) != 1)
		return false;
	while (!is_idle(h) && now_ms() < end) {
		struct pollfd fd = { .fd = h->told[0], .events = POLLIN };

		agent_wait(&g->agent, &fd, 1, end);
	}
	return h->idle;
}
