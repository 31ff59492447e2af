/*
 * The Bochs engine: an interpreter of a whole PC whose CPU has Intel's VMX, on any host. It is the
 * harness's own child and dies with it. A thread for each VM reads what Bochs says of itself and
 * turns it into events; Bochs's exit status tells nothing (see bochs_log.c).
 */
#include "vm/engine.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "embed.h"
#include "vm/bochs_image.h"
#include "vm/bochs_internal.h"
#include "vm/bochs_log.h"
#include "vm/domain.h"
#include "vm/starved.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Debian's bochs and bochsbios. */
#define PROGRAM    "/usr/bin/bochs-bin"
#define PLUGIN_DIR "/usr/lib/x86_64-linux-gnu/bochs/plugins"
#define BIOS_FILE  "/usr/share/bochs/BIOS-bochs-latest"

#define MODEL "corei7_haswell_4770"

/* Instructions in a virtual second. At 10 million a kernel with KASAN and lockdep soft-locks; more
 * than that makes waiting dear. */
#define IPS "50000000"

#define CONNECT_LIMIT_MS 30000         /* Bochs connects 0.3 s of CPU after its start */
#define LOG_BYTES        (1024 * 1024) /* of Bochs's words; more are not kept */

struct engine_state {
	const struct engine_config *config;
	struct bochs_spawner *spawner;
	int library_fd; /* of forks_library(), with its path; or -1 */
	char *library;
	char *hypervisor;
	bool told; /* that its display can be reached */
};

/* ---- what Bochs says ---- */

static void post(struct bochs_vm *v, enum vm_event event)
{
	char byte = (char)event;

	if (write(v->event_write_fd, &byte, 1) < 0)
		log_verbose("bochs: event lost, the pipe is full");
}

static void take_line(struct bochs_vm *v, const char *line)
{
	const char *why;

	switch (bochs_log_line(line, &why)) {
	case BOCHS_RESET:
		if (v->resets++)
			post(v, VM_RESET);
		break;
	case BOCHS_POWER_OFF:
		v->powered_off = true;
		post(v, VM_POWERED_OFF);
		break;
	case BOCHS_PANIC:
		if (!v->panic[0])
			snprintf(v->panic, sizeof(v->panic), "%s", why);
		break;
	case BOCHS_NOTHING:
		break;
	}
}

/* The log's whole lines, from what has come; the rest stays in pending. */
static void take_lines(struct bochs_vm *v, struct buf *pending)
{
	char *nl;

	while ((nl = memchr(pending->data, '\n', pending->len))) {
		*nl = '\0';
		take_line(v, pending->data);
		buf_consume(pending, (size_t)(nl + 1 - pending->data));
	}
	if (pending->len > BOCHS_LINE_BYTES)
		buf_clear(pending);
}

static void *read_log(void *opaque)
{
	struct bochs_vm *v = opaque;
	cleanup_buf struct buf pending = BUF_INIT;
	char chunk[4096];
	siginfo_t info;

	for (;;) {
		ssize_t n = read(v->log_fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (v->log.len < LOG_BYTES)
			buf_add(&v->log, chunk, (size_t)n);
		buf_add(&pending, chunk, (size_t)n);
		take_lines(v, &pending);
	}
	if (__atomic_load_n(&v->given_away, __ATOMIC_ACQUIRE)) {
		buf_adds(&v->log, "kvmrepro: Bochs stands still, trials are forks of it\n");
		return NULL;
	}
	/* It is stop() that reaps it, so that the pid stays ours until then. */
	if (waitid(P_PID, (id_t)v->child.pid, &info, WEXITED | WNOWAIT))
		info = (siginfo_t){ 0 };
	buf_addf(&v->log, "kvmrepro: Bochs %s %d%s\n",
		 info.si_code == CLD_EXITED ? "exited with status" : "was ended by signal",
		 info.si_status,
		 __atomic_load_n(&v->killed, __ATOMIC_ACQUIRE) ? " (kvmrepro's, at the trial's end)"
							       : "");
	if (!v->powered_off)
		post(v, VM_DIED);
	return NULL;
}

/* ---- the engine ---- */

/* What Bochs says of itself; it also ends at once with a word if it cannot be run at all. */
static int learn_version(struct engine_state *state, struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	FILE *f = popen(PROGRAM " --help cpu 2>&1 </dev/null", "re");
	char chunk[4096];
	size_t n;

	if (!f)
		return err_errno(err, ERR_HARNESS, PROGRAM);
	while (text.len < LOG_BYTES && (n = fread(chunk, 1, sizeof(chunk), f)))
		buf_add(&text, chunk, n);
	pclose(f);
	state->hypervisor = bochs_version(text.data);
	if (!state->hypervisor || !strstr(text.data, "\n" MODEL "\n"))
		return err_set(err, ERR_UNSUPPORTED, PROGRAM " has no CPU model " MODEL);
	return 0;
}

static void bochs_close(struct engine_state *state)
{
	bochs_spawner_free(state->spawner);
	cleanup_fd_(&state->library_fd);
	free(state->library);
	free(state->hypervisor);
	free(state);
}

static int bochs_open(const struct engine_config *config, struct engine_state **out,
		      struct err *err)
{
	static const struct {
		const char *file, *package;
	} needed[] = {
		{ PROGRAM, "bochs" },
		{ PLUGIN_DIR "/libbx_rfb_gui.so", "bochs" },
		{ BIOS_FILE, "bochsbios" },
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!fs_exists(needed[i].file))
			return err_set(err, ERR_UNSUPPORTED,
				       "Bochs cannot be run: %s is missing (Debian's package %s)",
				       needed[i].file, needed[i].package);
	struct engine_state *state = xcalloc(1, sizeof(*state));
	state->config = config;
	state->library_fd = -1;
	if (learn_version(state, err) || !(state->spawner = bochs_spawner_new(err))) {
		bochs_close(state);
		return -1;
	}
	state->library_fd = forks_library(&state->library);
	*out = state;
	return 0;
}

static void bochs_facts(struct engine_state *state, struct engine_facts *out)
{
	*out = (struct engine_facts){
		.hypervisor = state->hypervisor,
		.machine = "i440fx",
		.cpu = MODEL,
	};
}

/* ---- one VM ---- */

static int configure(struct bochs_vm *v, const struct vm_spec *spec, int console_fd,
		     struct err *err)
{
	cleanup_free char *path = xasprintf("%s/bochsrc", v->dir);
	cleanup_free char *debugger = xasprintf("%s/rc", v->dir);
	cleanup_buf struct buf text = BUF_INIT;
	char memory[16], console[16], port[16];

	snprintf(memory, sizeof(memory), "%u", spec->memory_mib);
	snprintf(console, sizeof(console), "%d", console_fd);
	snprintf(port, sizeof(port), "%u", v->child.port);
	const struct domain_word words[] = {
		{ "MODEL", MODEL },    { "IPS", IPS },         { "MEMORY", memory },
		{ "BIOS", BIOS_FILE }, { "CONSOLE", console }, { "PORT", port },
		{ NULL, NULL },
	};
	/* Debian's Bochs is built with its debugger, which waits to be told to continue. */
	if (domain_fill(embed_bochsrc().data, words, &text, err) ||
	    fs_write(path, text.data, text.len, err) || fs_write(debugger, "c\n", 2, err))
		return -1;
	v->definition = buf_steal(&text);
	return 0;
}

static int make_pipes(struct bochs_vm *v, int *console_write_fd, int *log_write_fd, struct err *err)
{
	int console[2], log[2], events[2];

	if (pipe2(console, O_CLOEXEC))
		return err_errno(err, ERR_HARNESS, "pipe");
	v->vm.console_fd = console[0];
	*console_write_fd = console[1];
	if (pipe2(log, O_CLOEXEC))
		return err_errno(err, ERR_HARNESS, "pipe");
	v->log_fd = log[0];
	*log_write_fd = log[1];
	if (pipe2(events, O_CLOEXEC | O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "pipe");
	v->vm.event_fd = events[0];
	v->event_write_fd = events[1];
	/* Only our end: Bochs is to wait when nobody reads. */
	if (fcntl(v->vm.console_fd, F_SETFL, O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "fcntl");
	return 0;
}

static int begin_reading(struct bochs_vm *v, struct err *err)
{
	errno = pthread_create(&v->reader, NULL, read_log, v);
	if (errno)
		return err_errno(err, ERR_HARNESS, "pthread_create");
	v->reading = true;
	return 0;
}

/* A VM that boots. */
static int prepare(struct engine_state *state, struct bochs_vm *v, const struct vm_spec *spec,
		   struct err *err)
{
	v->dir = xasprintf("%s/%u", state->config->workdir, spec->number);
	cleanup_free char *disk = xasprintf("%s/boot.img", v->dir);
	cleanup_free char *rom = xasprintf("%s/boot.rom", v->dir);
	cleanup_fd int console_write_fd = -1, log_write_fd = -1;

	const struct bochs_boot boot = { spec->kernel, spec->initrd, spec->cmdline,
					 spec->memory_mib };

	if (make_pipes(v, &console_write_fd, &log_write_fd, err) || fs_mkdirs(v->dir, err) ||
	    bochs_image_write(&boot, disk, rom, err))
		return -1;
	cleanup_free char *socket = xasprintf("%s/fork", v->dir);
	cleanup_free char *preload =
		xasprintf("LD_PRELOAD=%s", state->library ? state->library : "");
	cleanup_free char *variable = xasprintf(FORK_VARIABLE "=%s", socket);
	const char *const more[] = { preload, variable, NULL };
	if (spec->keepable && state->library && !(v->forks = forks_new(socket, err)))
		return -1;
	const struct bochs_wish wish = { PROGRAM, v->dir, console_write_fd, log_write_fd,
					 v->forks ? more : NULL };
	if (bochs_prepare(state->spawner, &wish, &v->child, err) ||
	    configure(v, spec, console_write_fd, err))
		return -1;
	return begin_reading(v, err);
}

/* A VM that begins from a state: start() makes its process. */
static int prepare_fork(struct bochs_vm *v, struct vm_kept *kept, struct err *err)
{
	int line[2];

	v->kept = kept;
	v->definition = xstrdup(bochs_kept_definition(kept));
	v->resets = 1; /* the one that a PC begins with is not in its log */
	if (make_pipes(v, &v->its_fds[BOCHS_CONSOLE], &v->its_fds[BOCHS_LOG], err))
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line))
		return err_errno(err, ERR_HARNESS, "socketpair");
	v->vm.agent_fd = line[0];
	v->its_fds[BOCHS_AGENT] = line[1];
	if (fcntl(line[0], F_SETFL, O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "fcntl");
	return 0;
}

static int bochs_stop(struct vm *vm, char **log, struct err *err)
{
	struct bochs_vm *v = (struct bochs_vm *)vm;
	int *const fds[] = {
		&vm->console_fd,     &vm->agent_fd,   &vm->event_fd,  &v->log_fd,
		&v->event_write_fd,  &v->its_fds[0],  &v->its_fds[1], &v->its_fds[2],
		&v->child.listen_fd, &v->child.go_fd,
	};
	int rc = 0;

	if (v->child.pid) {
		__atomic_store_n(&v->killed, true, __ATOMIC_RELEASE);
		kill(v->child.pid, SIGKILL);
	}
	if (v->reading)
		pthread_join(v->reader, NULL);
	while (v->child.pid && waitpid(v->child.pid, NULL, 0) < 0 && errno == EINTR)
		;
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		cleanup_fd_(fds[i]);
	forks_free(v->forks);
	if (v->panic[0])
		log_verbose("bochs: %s", v->panic);
	*log = v->log.len ? buf_steal(&v->log) : NULL;
	if (v->dir && fs_rmtree(v->dir, err))
		rc = -1;
	buf_free(&v->log);
	free(v->dir);
	free(v->definition);
	free(v);
	return rc;
}

/* Say it once in a run. */
static void tell_exposure(struct engine_state *state, const struct bochs_vm *v)
{
	if (!v->child.isolated && !__atomic_exchange_n(&state->told, true, __ATOMIC_RELAXED))
		log_info("bochs: no network namespace can be had here: while a VM runs, its "
			 "display can be reached from outside (VNC, ports 5900 to 5949)");
}

static int bochs_create(struct engine_state *state, const struct vm_spec *spec, struct vm **out,
			char **definition, struct err *err)
{
	struct bochs_vm *v = xcalloc(1, sizeof(*v));
	struct err later;

	v->vm = (struct vm){ &engine_bochs, -1, -1, -1 };
	v->child = (struct bochs_child){ .listen_fd = -1, .go_fd = -1 };
	v->log_fd = v->event_write_fd = -1;
	for (size_t i = 0; i < BOCHS_LINES; i++)
		v->its_fds[i] = -1;
	v->log = (struct buf)BUF_INIT;
	if (spec->kept ? prepare_fork(v, spec->kept, err) : prepare(state, v, spec, err)) {
		cleanup_free char *log = NULL;

		if (bochs_stop(&v->vm, &log, &later))
			log_error("%s", later.msg);
		if (log)
			log_verbose("bochs: %s", log);
		return -1;
	}
	if (!spec->kept)
		tell_exposure(state, v);
	*definition = xstrdup(v->definition);
	*out = &v->vm;
	return 0;
}

static int bochs_start(struct vm *vm, struct err *err)
{
	struct bochs_vm *v = (struct bochs_vm *)vm;

	if (v->kept)
		return bochs_fork(v, err) ? -1 : begin_reading(v, err);
	if (bochs_go(&v->child, err))
		return -1;
	return bochs_accept(&v->child, clock_ms() + CONNECT_LIMIT_MS, &vm->agent_fd, err);
}

static int64_t bochs_starved_ms(const struct vm *vm)
{
	const struct bochs_vm *v = (const struct bochs_vm *)vm;

	return v->child.pid ? starved_ms(v->child.pid) : 0;
}

static bool bochs_suspended(const struct vm *vm)
{
	const struct bochs_vm *v = (const struct bochs_vm *)vm;

	return v->child.pid && starved_by_stop(v->child.pid);
}

const struct engine engine_bochs = {
	.name = "bochs",
	.definition_file = "bochsrc",
	.log_file = "bochs.log",
	.open = bochs_open,
	.close = bochs_close,
	.facts = bochs_facts,
	.create = bochs_create,
	.start = bochs_start,
	.starved_ms = bochs_starved_ms,
	.suspended = bochs_suspended,
	.keep = bochs_keep,
	.forget = bochs_forget,
	.lasts = bochs_lasts,
	.stop = bochs_stop,
};
