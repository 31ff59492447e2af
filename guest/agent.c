/*
 * The agent line. Needs nothing of the kernel but a tty, ppoll() and signals: no timerfd, eventfd
 * or epoll, which the smallest kernels lack. The harness may read slowly or not at all, so what is
 * sent goes into a queue, and a heartbeat that finds no room is not sent.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "guest.h"

#define QUEUE_BYTES ((size_t)1 << 20)

static void on_child(int sig)
{
	(void)sig;
}

int agent_open(struct agent *a, const char *token)
{
	struct sigaction child = { .sa_handler = on_child };
	struct termios tio;
	sigset_t set;

	*a = (struct agent){ .queue = malloc(QUEUE_BYTES) };
	snprintf(a->token, sizeof(a->token), "%s", token);
	/* Without O_NONBLOCK the open would wait for a carrier. */
	a->fd = open(PROTO_TTY, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (a->fd < 0)
		return -errno;
	if (!a->queue || tcgetattr(a->fd, &tio))
		return -errno;
	cfmakeraw(&tio);
	tio.c_cflag = CS8 | CREAD | CLOCAL;
	cfsetspeed(&tio, B115200);
	if (tcsetattr(a->fd, TCSANOW, &tio))
		return -errno;
	ioctl(a->fd, TIOCEXCL);

	/* Children that end must wake ppoll(), and must not be missed before it. */
	sigaction(SIGCHLD, &child, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return 0;
}

static void put(struct frame *f, char c)
{
	f->text[f->used++] = c;
}

static size_t room(const struct frame *f)
{
	return sizeof(f->text) - 1 - f->used;
}

static void put_text(struct frame *f, const char *text)
{
	size_t n = strlen(text);

	n = n < room(f) ? n : room(f);
	memcpy(f->text + f->used, text, n);
	f->used += n;
}

void frame_begin(struct frame *f, const struct agent *a, const char *verb)
{
	f->used = 0;
	put_text(f, PROTO_MAGIC " ");
	put_text(f, a->token);
	put_text(f, " ");
	put_text(f, verb);
}

void frame_data(struct frame *f, const char *key, const char *data, size_t size)
{
	static const char hex[] = "0123456789ABCDEF";

	if (room(f) < strlen(key) + 2)
		return;
	put(f, ' ');
	put_text(f, key);
	put(f, '=');
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c > 0x20 && c < 0x7f && c != '%') {
			if (room(f) < 1)
				return;
			put(f, (char)c);
		} else {
			if (room(f) < 3)
				return;
			put(f, '%');
			put(f, hex[c >> 4]);
			put(f, hex[c & 15]);
		}
	}
}

void frame_str(struct frame *f, const char *key, const char *value)
{
	frame_data(f, key, value, strlen(value));
}

void frame_num(struct frame *f, const char *key, long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", value);
	frame_str(f, key, text);
}

static void flush(struct agent *a)
{
	while (a->head < a->tail) {
		ssize_t n = write(a->fd, a->queue + a->head, a->tail - a->head);

		if (n <= 0)
			return;
		a->head += (size_t)n;
	}
	a->head = a->tail = 0;
}

bool agent_send(struct agent *a, struct frame *f)
{
	put(f, '\n');
	if (QUEUE_BYTES - a->tail < f->used && a->head) {
		memmove(a->queue, a->queue + a->head, a->tail - a->head);
		a->tail -= a->head;
		a->head = 0;
	}
	if (QUEUE_BYTES - a->tail < f->used)
		return false;
	memcpy(a->queue + a->tail, f->text, f->used);
	a->tail += f->used;
	flush(a);
	return true;
}

size_t agent_unsent(const struct agent *a)
{
	return a->tail - a->head;
}

static void beat(struct agent *a)
{
	struct frame f;
	int64_t now = now_ms();

	if (!a->beating || now < a->next_beat_ms)
		return;
	/* Where the clock leapt (a restored VM, a stalled host) there is nothing to catch up. */
	a->next_beat_ms += PROTO_BEAT_MS;
	if (a->next_beat_ms <= now)
		a->next_beat_ms = now + PROTO_BEAT_MS;
	frame_begin(&f, a, "beat");
	frame_num(&f, "n", (long long)a->beats++);
	frame_num(&f, "ms", now);
	agent_send(a, &f);
}

void agent_beat(struct agent *a, bool on)
{
	a->beating = on;
	a->next_beat_ms = now_ms();
	beat(a);
}

/* Copies the value of KEY=VALUE with its %HH resolved; what is too long is cut off. */
static void take_value(char *to, size_t size, const char *value)
{
	size_t n = 0;

	while (*value && n < size - 1) {
		if (value[0] == '%' && isxdigit((unsigned char)value[1]) &&
		    isxdigit((unsigned char)value[2])) {
			to[n++] = (char)(hex_value(value[1]) << 4 | hex_value(value[2]));
			value += 3;
		} else {
			to[n++] = *value++;
		}
	}
	to[n] = '\0';
}

static void take_line(struct agent *a, char *line)
{
	char *save = NULL;
	char *word = strtok_r(line, " \r", &save);

	if (!word || strncmp(word, "kvmrepro/", 9))
		return;
	if (strcmp(word, PROTO_MAGIC)) {
		a->alien = true;
		return;
	}
	word = strtok_r(NULL, " \r", &save);
	if (!word || strcmp(word, a->token))
		return;
	word = strtok_r(NULL, " \r", &save);
	if (!word || strcmp(word, "go"))
		return;
	while ((word = strtok_r(NULL, " \r", &save))) {
		if (!strncmp(word, "seed=", 5))
			take_value(a->seed, sizeof(a->seed), word + 5);
		else if (!strncmp(word, "run=", 4))
			take_value(a->run, sizeof(a->run), word + 4);
	}
	a->go = true;
}

static void take_byte(struct agent *a, char c)
{
	if (c != '\n') {
		if (a->line_used < sizeof(a->line) - 1)
			a->line[a->line_used++] = c;
		else
			a->line_skip = true;
		return;
	}
	a->line[a->line_used] = '\0';
	if (!a->line_skip)
		take_line(a, a->line);
	a->line_used = 0;
	a->line_skip = false;
}

static void receive(struct agent *a)
{
	char buf[512];
	ssize_t n;

	while ((n = read(a->fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			take_byte(a, buf[i]);
}

void agent_wait(struct agent *a, struct pollfd *fds, int n, int64_t until_ms)
{
	struct pollfd all[AGENT_MAX_FDS + 1];
	struct timespec ts, *timeout = NULL;
	int64_t now = now_ms();
	sigset_t open_mask;

	if (a->beating && (until_ms < 0 || until_ms > a->next_beat_ms))
		until_ms = a->next_beat_ms;
	if (until_ms >= 0) {
		int64_t left = until_ms > now ? until_ms - now : 0;

		ts.tv_sec = left / 1000;
		ts.tv_nsec = left % 1000 * 1000000;
		timeout = &ts;
	}
	all[0].fd = a->fd;
	all[0].events = (short)(POLLIN | (a->head < a->tail ? POLLOUT : 0));
	all[0].revents = 0;
	for (int i = 0; i < n; i++)
		all[i + 1] = fds[i];
	sigemptyset(&open_mask);
	if (ppoll(all, (nfds_t)n + 1, timeout, &open_mask) <= 0)
		for (int i = 0; i <= n; i++)
			all[i].revents = 0;
	if (all[0].revents & POLLIN)
		receive(a);
	if (all[0].revents & POLLOUT)
		flush(a);
	for (int i = 0; i < n; i++)
		fds[i].revents = all[i + 1].revents;
	beat(a);
}

void agent_drain(struct agent *a, int64_t limit_ms)
{
	int64_t until = now_ms() + limit_ms;
	int left = 1;

	while (a->head < a->tail && now_ms() < until)
		agent_wait(a, NULL, 0, until);
	/* The tty says POLLOUT long before its last byte has left, so that ask it every so often.
	 */
	while (!ioctl(a->fd, TIOCOUTQ, &left) && left > 0 && now_ms() < until)
		agent_wait(a, NULL, 0, now_ms() + 1);
	if (!left)
		tcdrain(a->fd); /* the last few, in the UART itself */
}
