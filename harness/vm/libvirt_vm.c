/* One domain of the libvirt engine, from its definition to its end. */
#include "vm/libvirt_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "embed.h"
#include "vm/domain.h"
#include "vm/fifo.h"
#include "vm/listener.h"
#include "vm/starved.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECT_LIMIT_MS 10000 /* QEMU opens its lines before libvirt says it is there */
#define REAP_MS          20
#define GONE_LIMIT_MS    10000         /* libvirt notices a dead QEMU within 205 ms */
#define LOG_BYTES        (1024 * 1024) /* of QEMU and its messages; a longer log is not kept */

static void free_vm(struct libvirt_vm *v)
{
	int *const fds[] = { &v->vm.console_fd,  &v->vm.agent_fd, &v->vm.event_fd,
			     &v->event_write_fd, &v->memory_fd,   &v->monitor_fd,
			     &v->log_fd };
	struct err err;

	if (v->domain)
		virDomainFree(v->domain);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		cleanup_fd_(fds[i]);
	for (size_t i = 0; i < LIBVIRT_LINES; i++)
		cleanup_fd_(&v->its_fds[i]);
	forks_free(v->forks);
	if (v->dir && fs_rmtree(v->dir, &err))
		log_error("%s", err.msg);
	free(v->dir);
	free(v->definition);
	free(v->name);
	free(v);
}

static void list_add(struct libvirt_vm *v)
{
	pthread_mutex_lock(&v->state->lock);
	v->next = v->state->vms;
	v->state->vms = v;
	pthread_mutex_unlock(&v->state->lock);
}

static void list_remove(struct libvirt_vm *v)
{
	pthread_mutex_lock(&v->state->lock);
	for (struct libvirt_vm **p = &v->state->vms; *p; p = &(*p)->next)
		if (*p == v) {
			*p = v->next;
			break;
		}
	pthread_mutex_unlock(&v->state->lock);
}

/* For QEMU, which ends a value at a comma. */
static char *doubled_commas(const char *path)
{
	struct buf out = BUF_INIT;

	for (; *path; path++) {
		buf_addc(&out, *path);
		if (*path == ',')
			buf_addc(&out, ',');
	}
	return buf_steal(&out);
}

int libvirt_define(const struct libvirt_vm *v, const struct vm_spec *spec,
		   const struct libvirt_paths *paths, char **xml, struct err *err)
{
	enum vm_accel accel = v->state->config->accel;
	const char *cpu = v->state->config->cpu;
	bool tuned = accel == ACCEL_TCG && !cpu;
	char memory[16], vcpus[16];
	cleanup_buf struct buf text = BUF_INIT;
	/* A VM that begins from a state has all in its memory. */
	cleanup_free char *loaded =
		spec->loaded && !spec->kept ? doubled_commas(spec->loaded) : NULL;

	snprintf(memory, sizeof(memory), "%u", spec->memory_mib);
	snprintf(vcpus, sizeof(vcpus), "%u", spec->vcpus);
	const struct domain_word words[] = {
		{ "TYPE", accel == ACCEL_KVM ? "kvm" : "qemu" },
		{ "NAME", v->name },
		{ "MEMORY", memory },
		{ "VCPUS", vcpus },
		{ "MACHINE", LIBVIRT_MACHINE },
		{ "KERNEL", spec->kernel },
		{ "LOADED", loaded },
		{ "INITRD", spec->initrd },
		{ "CMDLINE", spec->cmdline },
		{ "CPU", cpu ? NULL : libvirt_cpu(v->state->config) },
		{ "MODEL", cpu },
		{ "WITHOUT", tuned ? "disable" : NULL },
		{ "WITH", tuned ? "force" : NULL },
		{ "FORCED", tuned ? LIBVIRT_MAXIMUM_CPU : NULL },
		{ "EMULATOR", accel == ACCEL_KVM ? v->state->qemu : v->state->emulator },
		{ "CONSOLE", paths->console },
		{ "AGENT", paths->agent },
		{ "FILE", paths->file },
		{ "FORK", paths->fork },
		{ "LIBRARY", v->state->fork_library },
		{ "SHARE", spec->kept ? "off" : "on" },
		{ "INCOMING", spec->kept ? "defer" : NULL },
		{ NULL, NULL },
	};
	if (domain_fill(embed_domain_xml().data, words, &text, err))
		return -1;
	*xml = buf_steal(&text);
	return 0;
}

/* The pid of a QEMU that the embedded driver has just started, if it is our child as it should
 * be; 0 else, and virDomainDestroy must do. */
static pid_t find_pid(const struct libvirt_vm *v)
{
	cleanup_free char *path = xasprintf("%s/run/qemu/%s.pid", v->state->root, v->name);
	cleanup_buf struct buf text = BUF_INIT;
	siginfo_t info;
	struct err err;

	if (!v->state->embedded || fs_read(path, 32, &text, ERR_HARNESS, &err))
		return 0;
	pid_t pid = (pid_t)strtol(text.data, NULL, 10);
	if (pid <= 1 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT))
		return 0;
	return pid;
}

struct birth {
	const struct libvirt_vm *v;
	bool over; /* atomic */
};

/* A QEMU that ends before libvirt has said that it is there: nobody else reaps it, and libvirt
 * would wait 40 s for that. */
static void *reap_stillborn(void *opaque)
{
	struct birth *birth = opaque;
	siginfo_t info = { 0 };

	while (!info.si_pid && !__atomic_load_n(&birth->over, __ATOMIC_ACQUIRE)) {
		pid_t pid = find_pid(birth->v);

		if (pid && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG))
			break;
		poll(NULL, 0, REAP_MS);
	}
	return NULL;
}

/*
 * What QEMU said before it ended. libvirt tells it only if it finds QEMU gone, and not yet a
 * zombie, when it cannot reach its monitor. Of its log are not QEMU's: libvirt's own lines, and the
 * command, all of whose lines but the last end with a backslash.
 */
static void add_last_words(const struct libvirt_vm *v, struct err *err)
{
	cleanup_free char *log = libvirt_read_log(v);
	const struct err told = *err;
	const char *last = NULL;
	bool command = false;
	char *rest = NULL;

	for (char *line = log ? strtok_r(log, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		bool own = !command && !strstr(line, ": starting up libvirt") &&
			   !strstr(line, ": shutting down, reason=");

		command = line[strlen(line) - 1] == '\\';
		if (own && !command)
			last = line;
	}
	if (last && !strstr(told.msg, last))
		err_set(err, told.kind, "%s; QEMU's last words: %s", told.msg, last);
}

static int create(struct libvirt_vm *v, const char *xml, struct err *err)
{
	unsigned flags = v->state->embedded ? 0 : VIR_DOMAIN_START_AUTODESTROY;
	struct birth birth = { v, false };
	pthread_t reaper;

	bool reaping = v->state->embedded && !pthread_create(&reaper, NULL, reap_stillborn, &birth);
	v->domain = virDomainCreateXML(v->state->conn, xml, flags | VIR_DOMAIN_START_PAUSED);
	__atomic_store_n(&birth.over, true, __ATOMIC_RELEASE);
	if (reaping)
		pthread_join(reaper, NULL);
	if (!v->domain) {
		v->gone = true;
		libvirt_error(err, "libvirt cannot start the VM");
		add_last_words(v, err);
		return -1;
	}
	v->pid = find_pid(v);
	return 0;
}

/*
 * A kernel that has to find out how fast its TSC is does so wrong where the host is too busy to run
 * it at the right moments: seen was one with a twentieth of the frequency, whose clock ran twenty
 * times too fast, and which reported a stall. What stands in the user's own words comes later, and
 * holds. No state depends on it, and it is not in a state's key: a measure may differ each time.
 */
static char *make_cmdline(const struct engine_state *state, const struct vm_spec *spec)
{
	cleanup_free char *all = xasprintf("tsc_early_khz=%u %s", state->tsc_khz, spec->cmdline);

	if (state->config->accel == ACCEL_TCG && state->tsc_khz && strlen(all) < VM_CMDLINE_BYTES)
		return steal(all);
	return xstrdup(spec->cmdline);
}

static int launch(struct libvirt_vm *v, const struct vm_spec *spec, char **definition,
		  struct err *err)
{
	cleanup_free char *console = xasprintf("%s/console", v->dir);
	cleanup_free char *agent = xasprintf("%s/agent", v->dir);
	cleanup_free char *cmdline = make_cmdline(v->state, spec);
	cleanup_fd int agent_fd = -1;
	cleanup_free char *xml = NULL, *file = NULL, *fork = NULL;
	bool other_user = !v->state->embedded;
	struct vm_spec words = *spec;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "pipe");
	words.cmdline = cmdline;
	v->vm.event_fd = ends[0];
	v->event_write_fd = ends[1];
	if (fs_mkdirs(v->dir, err))
		return -1;
	if (libvirt_forks(v->state, spec)) {
		fork = xasprintf("%s/fork", v->dir);
		v->forks = forks_new(fork, err);
		if (!v->forks)
			return -1;
	} else if (spec->keepable && libvirt_memory_open(spec->memory_mib, &v->memory_fd, err)) {
		return -1;
	}
	int memory_fd = spec->kept ? spec->kept->memory_fd : v->memory_fd;
	if (memory_fd >= 0)
		file = libvirt_memory_path(memory_fd);
	const struct libvirt_paths paths = { console, agent, file, fork };
	if (fifo_open(console, other_user, &v->vm.console_fd, err) ||
	    listener_open(agent, other_user, &agent_fd, err) ||
	    libvirt_define(v, &words, &paths, &xml, err) || create(v, xml, err))
		return -1;
	int64_t deadline = clock_ms() + CONNECT_LIMIT_MS;
	if (listener_accept(agent_fd, agent, ends[0], deadline, &v->vm.agent_fd, err))
		return -1;
	/* QEMU opens its lines in their order, before it serves its monitor. */
	fifo_unlink(console);
	if (spec->kept && libvirt_feed(v, spec->kept, err))
		return -1;
	v->definition = xstrdup(xml);
	*definition = steal(xml);
	return 0;
}

struct libvirt_vm *libvirt_new_vm(struct engine_state *state)
{
	struct libvirt_vm *v = xcalloc(1, sizeof(*v));

	v->vm = (struct vm){ &engine_libvirt, -1, -1, -1 };
	v->event_write_fd = v->memory_fd = v->monitor_fd = v->log_fd = -1;
	for (size_t i = 0; i < LIBVIRT_LINES; i++)
		v->its_fds[i] = -1;
	v->state = state;
	/* Not the trial's number, which the boot that is kept and a second attempt have too:
	 * libvirt says that a VM is gone before it gives its name free. */
	v->name = xasprintf("kvmrepro-%d-%u", (int)getpid(),
			    __atomic_fetch_add(&state->n_created, 1, __ATOMIC_RELAXED));
	list_add(v);
	return v;
}

int libvirt_create(struct engine_state *state, const struct vm_spec *spec, struct vm **out,
		   char **definition, struct err *err)
{
	struct libvirt_vm *v = libvirt_new_vm(state);
	cleanup_free char *log = NULL;
	struct err later;
	int rc;

	if (spec->kept && spec->kept->standing) {
		rc = libvirt_fork_prepare(v, spec->kept, definition, err);
	} else {
		v->dir = xasprintf("%s/%u", state->config->workdir, spec->number);
		rc = launch(v, spec, definition, err);
	}
	if (rc) {
		if (libvirt_stop(&v->vm, &log, &later))
			log_error("%s", later.msg);
		return -1;
	}
	*out = &v->vm;
	return 0;
}

int libvirt_start(struct vm *vm, struct err *err)
{
	struct libvirt_vm *v = (struct libvirt_vm *)vm;

	if (v->kept)
		return libvirt_fork_start(v, err);
	return virDomainResume(v->domain) < 0 ? libvirt_error(err, "libvirt cannot run the VM") : 0;
}

int64_t libvirt_starved_ms(const struct vm *vm)
{
	const struct libvirt_vm *v = (const struct libvirt_vm *)vm;

	return v->pid ? starved_ms(v->pid) : 0;
}

bool libvirt_suspended(const struct vm *vm)
{
	const struct libvirt_vm *v = (const struct libvirt_vm *)vm;

	return v->pid && starved_by_stop(v->pid);
}

/* Whether libvirt has said within limit_ms that the VM is gone. */
static bool wait_gone(struct libvirt_vm *v, int64_t limit_ms)
{
	int64_t until = clock_ms() + limit_ms;
	struct timespec ts = { until / 1000, until % 1000 * 1000000 };

	pthread_mutex_lock(&v->state->lock);
	while (!v->gone)
		if (pthread_cond_timedwait(&v->state->gone_cond, &v->state->lock, &ts))
			break;
	bool gone = v->gone;
	pthread_mutex_unlock(&v->state->lock);
	return gone;
}

char *libvirt_read_log(const struct libvirt_vm *v)
{
	cleanup_free char *path = xasprintf("%s/log/qemu/%s.log", v->state->root, v->name);
	struct buf text = BUF_INIT;
	struct err err;

	if (!v->state->embedded || fs_read(path, LOG_BYTES, &text, ERR_HARNESS, &err))
		return NULL;
	return buf_steal(&text);
}

static void remove_log(const struct libvirt_vm *v)
{
	cleanup_free char *path = xasprintf("%s/log/qemu/%s.log", v->state->root, v->name);

	if (v->state->embedded)
		unlink(path);
}

/* End its process, and have libvirt take note. */
static int end_domain(struct libvirt_vm *v, struct err *err)
{
	if (v->pid && !v->reaped) {
		kill(v->pid, SIGKILL);
		while (waitpid(v->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (!wait_gone(v, v->pid ? GONE_LIMIT_MS : 0) && v->domain &&
	    virDomainDestroy(v->domain) < 0 && !wait_gone(v, GONE_LIMIT_MS))
		return libvirt_error(err, "libvirt cannot end the VM");
	return 0;
}

int libvirt_stop(struct vm *vm, char **log, struct err *err)
{
	struct libvirt_vm *v = (struct libvirt_vm *)vm;
	int rc = 0;

	*log = NULL;
	if (v->kept) {
		*log = libvirt_fork_stop(v);
	} else if (!v->given_away) {
		rc = end_domain(v, err);
		*log = libvirt_read_log(v);
		remove_log(v);
	}
	list_remove(v);
	free_vm(v);
	return rc;
}
