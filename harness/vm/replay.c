/*
 * The replay engine: a recorded trial in place of a VM, for what no emulator can be made to do.
 *
 * It takes what a run leaves as evidence: DIR/console.log.gz and DIR/agent.log.gz (the agent's
 * frames and the VM's events, each with the number of console bytes that came before it). DIR may
 * be one trial's directory, played for every trial, or a run's, whose trial-000, trial-001, ...
 * are played in turn. Time is not replayed: everything comes as fast as it is read, but what
 * follows init's "ready" waits for the harness's "go".
 */
#include "vm/engine.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "kvmrepro/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <zlib.h>

#define AGENT_LOG_BYTES (64 * 1024 * 1024)
#define NAME_CHARS      127 /* longer than the guest's names of reproducers */

struct engine_state {
	const struct engine_config *config;
};

struct replay_vm {
	struct vm vm;
	pthread_t player;
	bool playing;
	gzFile console;
	uint64_t fed_bytes;
	struct buf log; /* agent.log, uncompressed */
	char token[PROTO_TOKEN_CHARS + 1];
	int console_peer, agent_peer, event_peer; /* the player's ends */
};

/* DIR/NAME.gz, or DIR/NAME as it is (zlib reads both). */
static char *find_log(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s.gz", dir, name);

	if (!fs_exists(path))
		path[strlen(path) - 3] = '\0';
	return path;
}

static char *trial_dir(const char *base, unsigned number)
{
	return xasprintf("%s/trial-%03u", base, number);
}

static gzFile open_log(const char *path, struct err *err)
{
	int fd = fs_open(path, ERR_INPUT, err);

	if (fd < 0)
		return NULL;
	gzFile gz = gzdopen(fd, "rb");
	if (!gz) {
		err_errno(err, ERR_HARNESS, "%s", path);
		close(fd);
	}
	return gz;
}

static int load_log(const char *path, struct buf *out, struct err *err)
{
	gzFile gz = open_log(path, err);
	char chunk[65536];
	int n;

	if (!gz)
		return -1;
	while ((n = gzread(gz, chunk, sizeof(chunk))) > 0 && out->len < AGENT_LOG_BYTES)
		buf_add(out, chunk, (size_t)n);
	gzclose(gz);
	return n < 0 ? err_set(err, ERR_INPUT, "%s: damaged gzip data", path) : 0;
}

/* Whether what the recorded trial ran has the names that it will be told under; if not, that is
 * said. */
static bool check_names(const struct engine_config *config, const char *dir)
{
	cleanup_free char *path = find_log(dir, "agent.log");
	cleanup_buf struct buf log = BUF_INIT;
	char *rest, *line, name[NAME_CHARS + 1];
	struct err ignored; /* the trial will tell */
	unsigned id;

	if (!fs_exists(path) || load_log(path, &log, &ignored))
		return true;
	rest = log.data;
	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%*u %*u %*[a-z] id=%u name=%127s", &id, name) != 2 ||
		    id >= config->n_repros || !strcmp(name, config->repros[id]))
			continue;
		log_info("%s: %s ran there, and is called %s here: --repro is to name what was "
			 "recorded, in that order",
			 path, name, config->repros[id]);
		return false;
	}
	return true;
}

/* One line for all trials: they ran the same. */
static void check_recording(const struct engine_config *config)
{
	for (unsigned i = 0;; i++) {
		cleanup_free char *dir = trial_dir(config->replay, i);
		bool there = fs_exists(dir);

		if (!check_names(config, there || i ? dir : config->replay) || !there)
			return;
	}
}

static int replay_open(const struct engine_config *config, struct engine_state **out,
		       struct err *err)
{
	cleanup_free char *console = find_log(config->replay, "console.log");
	cleanup_free char *trials = trial_dir(config->replay, 0);

	if (!config->replay[0])
		return err_set(err, ERR_INPUT, "--engine replay:DIR needs a recorded run's DIR");
	if (!fs_is_dir(config->replay))
		return fs_exists(config->replay)
			       ? err_set(err, ERR_INPUT, "%s: not a directory", config->replay)
			       : err_errno(err, ERR_INPUT, "%s", config->replay);
	if (!fs_exists(console) && !fs_is_dir(trials))
		return err_set(err, ERR_INPUT, "%s: no recorded trial (console.log.gz) is in it",
			       config->replay);
	check_recording(config);
	struct engine_state *state = xcalloc(1, sizeof(*state));
	state->config = config;
	*out = state;
	return 0;
}

static void replay_close(struct engine_state *state)
{
	free(state);
}

static void replay_facts(struct engine_state *state, struct engine_facts *out)
{
	(void)state;
	*out = (struct engine_facts){ .hypervisor = "replay" };
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Feed the console up to its byte number until. */
static int feed(struct replay_vm *v, uint64_t until)
{
	char chunk[65536];

	while (v->fed_bytes < until) {
		uint64_t want = until - v->fed_bytes;
		int n = gzread(v->console, chunk,
			       want < sizeof(chunk) ? (unsigned)want : sizeof(chunk));

		if (n <= 0)
			return n;
		if (send_all(v->console_peer, chunk, (size_t)n))
			return -1;
		v->fed_bytes += (uint64_t)n;
	}
	return 0;
}

static bool is_ready(const char *frame)
{
	static const char verb[] = "ready";
	const size_t len = sizeof(verb) - 1;

	return !strncmp(frame, verb, len) && (!frame[len] || frame[len] == ' ');
}

/* Wait for a whole line from the harness. */
static int await_go(struct replay_vm *v)
{
	char c;

	do {
		ssize_t n = read(v->agent_peer, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
	} while (c != '\n');
	return 0;
}

/* Play one line of agent.log, "MS CONSOLE_BYTES FRAME", "MS CONSOLE_BYTES !EVENT", or, in one made
 * by hand, "MS CONSOLE_BYTES <MAGIC FRAME" for one of another protocol. Returns 1 after an event, 0
 * after a frame, -1 when the harness is gone or the line makes no sense. */
static int play_line(struct replay_vm *v, char *line)
{
	cleanup_buf struct buf frame = BUF_INIT;
	char *text = strchr(line, ' ');

	if (!text)
		return 0;
	uint64_t until = strtoull(text + 1, &text, 10);
	if (*text != ' ' || feed(v, until))
		return -1;
	text++;
	if (*text == '!')
		return write(v->event_peer, text + 1, 1) == 1 ? 1 : -1;
	const char *magic = *text == '<' ? strsep(&text, " ") + 1 : PROTO_MAGIC;
	buf_addf(&frame, "%s %s %s\n", magic, v->token, text ? text : "");
	if (send_all(v->agent_peer, frame.data, frame.len))
		return -1;
	return text && is_ready(text) ? await_go(v) : 0;
}

static void *play(void *opaque)
{
	struct replay_vm *v = opaque;
	char *rest = v->log.data, *line;
	bool ended = false;

	while ((line = strsep(&rest, "\n"))) {
		int rc = play_line(v, line);

		if (rc < 0)
			return NULL;
		ended |= rc > 0;
	}
	feed(v, UINT64_MAX);
	if (ended) {
		shutdown(v->console_peer, SHUT_RDWR);
		shutdown(v->agent_peer, SHUT_RDWR);
	}
	return NULL;
}

static int load(struct replay_vm *v, const char *base, unsigned number, struct err *err)
{
	cleanup_free char *dir = trial_dir(base, number);
	const char *from = fs_exists(dir) ? dir : base;
	cleanup_free char *console = find_log(from, "console.log");
	cleanup_free char *agent = find_log(from, "agent.log");

	if (from == base && !fs_exists(console))
		return err_set(err, ERR_INPUT, "%s: trial %u was not recorded", base, number);
	v->console = open_log(console, err);
	if (!v->console)
		return -1;
	return load_log(agent, &v->log, err);
}

static int make_lines(struct replay_vm *v, struct err *err)
{
	int console[2], agent[2], events[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console))
		return err_errno(err, ERR_HARNESS, "socketpair");
	v->vm.console_fd = console[0];
	v->console_peer = console[1];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent))
		return err_errno(err, ERR_HARNESS, "socketpair");
	v->vm.agent_fd = agent[0];
	v->agent_peer = agent[1];
	if (pipe2(events, O_CLOEXEC | O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "pipe");
	v->vm.event_fd = events[0];
	v->event_peer = events[1];
	if (fcntl(v->vm.console_fd, F_SETFL, O_NONBLOCK) ||
	    fcntl(v->vm.agent_fd, F_SETFL, O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "fcntl");
	return 0;
}

static int replay_stop(struct vm *vm, char **log, struct err *err)
{
	struct replay_vm *v = (struct replay_vm *)vm;
	int *const fds[] = { &vm->console_fd,  &vm->agent_fd,  &vm->event_fd,
			     &v->console_peer, &v->agent_peer, &v->event_peer };

	(void)err;
	*log = NULL;
	if (v->playing) {
		/* Whatever the player waits for ends with this. */
		shutdown(vm->console_fd, SHUT_RDWR);
		shutdown(vm->agent_fd, SHUT_RDWR);
		pthread_join(v->player, NULL);
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		cleanup_fd_(fds[i]);
	if (v->console)
		gzclose(v->console);
	buf_free(&v->log);
	free(v);
	return 0;
}

static int replay_create(struct engine_state *state, const struct vm_spec *spec, struct vm **out,
			 char **definition, struct err *err)
{
	struct replay_vm *v = xcalloc(1, sizeof(*v));
	struct err ignored;
	char *log;

	v->vm = (struct vm){ &engine_replay, -1, -1, -1 };
	v->console_peer = v->agent_peer = v->event_peer = -1;
	v->log = (struct buf)BUF_INIT;
	snprintf(v->token, sizeof(v->token), "%s", spec->token);
	int rc = load(v, state->config->replay, spec->number, err);
	if (!rc)
		rc = make_lines(v, err);
	if (rc) {
		replay_stop(&v->vm, &log, &ignored);
		return -1;
	}
	*definition = NULL;
	*out = &v->vm;
	return 0;
}

static int replay_start(struct vm *vm, struct err *err)
{
	struct replay_vm *v = (struct replay_vm *)vm;

	errno = pthread_create(&v->player, NULL, play, v);
	if (errno)
		return err_errno(err, ERR_HARNESS, "pthread_create");
	v->playing = true;
	return 0;
}

const struct engine engine_replay = {
	.name = "replay",
	.open = replay_open,
	.close = replay_close,
	.facts = replay_facts,
	.create = replay_create,
	.start = replay_start,
	.stop = replay_stop,
};
