/*
 * VMs that are forks of one that stands still (forks.h): QEMU's state is copied as it is, and with
 * it what has been translated of the guest's code, which a restored VM would translate anew. It is
 * for TCG alone, as KVM's VMs belong to one process, and for QEMUs that are our own children.
 *
 * libvirt knows the VM that stands still, paused, and nothing of its forks. Their monitors are ours
 * (QMP, docs/interop/qmp-spec of QEMU): they are told there to go on, and tell of resets and of the
 * guest's end.
 */
#include "vm/libvirt_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "vm/fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a domain's name, in that of its directory (libvirt, virDomainDefGetShortName()). */
#define SHORT_NAME_CHARS 20

#define LOG_BYTES          ((size_t)1 << 20) /* of a fork's messages; more are not kept */
#define MONITOR_LINE_BYTES ((size_t)1 << 16)

#define STOPS 20
#define LOOKS 25 /* a QEMU that was stopped is quiet at the second or third */

bool libvirt_forks(const struct engine_state *state, const struct vm_spec *spec)
{
	return spec->keepable && !spec->lasting && state->fork_library &&
	       state->config->accel == ACCEL_TCG;
}

/* ---- the VM that stands still ---- */

static void name_file(const struct stat *st, struct fork_line *out)
{
	out->by = FORK_BY_INODE;
	out->device = st->st_dev;
	out->inode = st->st_ino;
}

/* What QEMU knows its lines as. */
static int name_lines(const struct libvirt_vm *v, struct fork_line lines[LIBVIRT_LINES],
		      struct err *err)
{
	struct fork_line *agent = &lines[LIBVIRT_AGENT], *monitor = &lines[LIBVIRT_MONITOR];
	struct sockaddr_un *addr = (struct sockaddr_un *)&monitor->name;
	cleanup_free char *log = xasprintf("%s/log/qemu/%s.log", v->state->root, v->name);
	cleanup_free char *path =
		xasprintf("%s/lib/qemu/domain-%u-%.*s/monitor.sock", v->state->root,
			  virDomainGetID(v->domain), SHORT_NAME_CHARS, v->name);
	struct stat console_st, log_st;

	agent->by = FORK_BY_PEER;
	agent->name_bytes = sizeof(agent->name);
	if (fstat(v->vm.console_fd, &console_st) || stat(log, &log_st) ||
	    getsockname(v->vm.agent_fd, (struct sockaddr *)&agent->name, &agent->name_bytes))
		return err_errno(err, ERR_HARNESS, "QEMU's lines");
	name_file(&console_st, &lines[LIBVIRT_CONSOLE]);
	name_file(&log_st, &lines[LIBVIRT_LOG]);
	if (strlen(path) >= sizeof(addr->sun_path))
		return err_set(err, ERR_HARNESS, "%s: longer than a socket's name may be", path);
	monitor->by = FORK_BY_NAME;
	monitor->held = true; /* libvirt would kill it */
	addr->sun_family = AF_UNIX;
	strcpy(addr->sun_path, path);
	monitor->name_bytes =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	return 0;
}

/* A VM of its own for what stands still, as v is stopped when the boot has ended. */
static struct libvirt_vm *take_over(struct libvirt_vm *v)
{
	struct libvirt_vm *s = libvirt_new_vm(v->state);

	pthread_mutex_lock(&v->state->lock);
	char *name = s->name;
	s->name = v->name;
	v->name = name;
	s->gone = v->gone;
	s->domain = steal(v->domain);
	v->given_away = true;
	pthread_mutex_unlock(&v->state->lock);
	s->dir = steal(v->dir);
	s->forks = steal(v->forks);
	s->pid = v->pid;
	return s;
}

/*
 * Stop the guest and its clocks. QEMU 7.2's one thread for all vCPUs enables timers before each
 * turn, also when "stop" has just disabled them; its main loop then waits again and again for the
 * next one, at a time that never comes. Seen in 5 of 133 stops, of the test kernel lean on two
 * CPUs.
 */
static int stop_guest(struct libvirt_vm *v, struct err *err)
{
	if (!v->pid)
		return err_set(err, ERR_HARNESS, "its QEMU is no child of ours");
	for (int i = 0; i < STOPS; i++) {
		if (libvirt_monitor(v, "{\"execute\":\"stop\"}", err))
			return -1;
		if (forks_quiet(v->pid, LOOKS))
			return 0;
		if (libvirt_monitor(v, "{\"execute\":\"cont\"}", err))
			return -1;
	}
	return err_set(err, ERR_HARNESS, "its process does not fall quiet");
}

int libvirt_halt(struct libvirt_vm *v, struct vm_kept *kept, struct err *err)
{
	struct fork_halt halt = { .threads = true, .n_lines = LIBVIRT_LINES };

	if (stop_guest(v, err) || name_lines(v, halt.lines, err) ||
	    forks_halt(v->forks, v->pid, &halt, err))
		return -1;
	kept->definition = xstrdup(v->definition);
	kept->log = libvirt_read_log(v);
	kept->standing = take_over(v);
	return 0;
}

bool libvirt_lasts(struct vm_kept *kept)
{
	return !kept->standing || forks_lasts(kept->standing->forks);
}

void libvirt_end_standing(struct vm_kept *kept)
{
	struct libvirt_vm *s = steal(kept->standing);
	cleanup_free char *log = NULL;
	struct err err;

	forks_free(steal(s->forks));
	s->reaped = true;
	if (libvirt_stop(&s->vm, &log, &err))
		log_error("%s", err.msg);
}

/* ---- forks ---- */

/* Our ends and its. QEMU's own are not to block. */
static int make_lines(struct libvirt_vm *v, struct err *err)
{
	int console[2], agent[2], monitor[2], events[2];

	if (pipe2(console, O_CLOEXEC | O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "pipe");
	v->vm.console_fd = console[0];
	v->its_fds[LIBVIRT_CONSOLE] = console[1];
	if (fcntl(console[0], F_SETPIPE_SZ, FIFO_BYTES) < 0)
		log_verbose("%s: a small pipe for the console", v->name);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, agent))
		return err_errno(err, ERR_HARNESS, "socketpair");
	v->vm.agent_fd = agent[0];
	v->its_fds[LIBVIRT_AGENT] = agent[1];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor))
		return err_errno(err, ERR_HARNESS, "socketpair");
	v->monitor_fd = monitor[0];
	v->its_fds[LIBVIRT_MONITOR] = monitor[1];
	if (pipe2(events, O_CLOEXEC | O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "pipe");
	v->vm.event_fd = events[0];
	v->event_write_fd = events[1];
	v->log_fd = memfd_create("kvmrepro-qemu.log", MFD_CLOEXEC);
	if (v->log_fd >= 0)
		v->its_fds[LIBVIRT_LOG] = fcntl(v->log_fd, F_DUPFD_CLOEXEC, 0);
	if (v->its_fds[LIBVIRT_LOG] < 0 || fcntl(monitor[1], F_SETFL, O_NONBLOCK))
		return err_errno(err, ERR_HARNESS, "QEMU's lines");
	return 0;
}

int libvirt_fork_prepare(struct libvirt_vm *v, struct vm_kept *kept, char **definition,
			 struct err *err)
{
	v->kept = kept;
	if (make_lines(v, err))
		return -1;
	*definition = xstrdup(kept->definition);
	return 0;
}

/* A line of its monitor: an event, or a reply to what we said. */
static void take_line(struct libvirt_vm *v, const char *line)
{
	json_t *o = json_loads(line, 0, NULL);
	const char *event = json_string_value(json_object_get(o, "event"));

	if (event && !strcmp(event, "RESET"))
		libvirt_post(v, VM_RESET);
	if (event && !strcmp(event, "SHUTDOWN"))
		libvirt_post(v, VM_POWERED_OFF);
	if (!o || json_object_get(o, "error")) {
		dprintf(v->log_fd, "kvmrepro: QEMU's monitor: %.200s\n", line);
		libvirt_post(v, VM_DIED);
	}
	json_decref(o);
}

/* Until its end. It is stop() that reaps it, so that the pid stays ours until then. */
static void *read_monitor(void *opaque)
{
	struct libvirt_vm *v = opaque;
	cleanup_buf struct buf pending = BUF_INIT;
	char chunk[4096], *nl;
	siginfo_t info;

	while (pending.len < MONITOR_LINE_BYTES) {
		ssize_t n = read(v->monitor_fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_add(&pending, chunk, (size_t)n);
		while ((nl = memchr(pending.data, '\n', pending.len))) {
			*nl = '\0';
			take_line(v, pending.data);
			buf_consume(&pending, (size_t)(nl + 1 - pending.data));
		}
	}
	if (!waitid(P_PID, (id_t)v->pid, &info, WEXITED | WNOWAIT) &&
	    !__atomic_load_n(&v->killed, __ATOMIC_ACQUIRE))
		dprintf(v->log_fd, "kvmrepro: QEMU %s %d\n",
			info.si_code == CLD_EXITED ? "exited with status" : "was ended by signal",
			info.si_status);
	libvirt_post(v, VM_DIED);
	return NULL;
}

int libvirt_fork_start(struct libvirt_vm *v, struct err *err)
{
	static const char go[] = "{\"execute\":\"cont\"}\n";

	if (forks_make(v->kept->standing->forks, v->its_fds, &v->pid, err))
		return -1;
	for (size_t i = 0; i < LIBVIRT_LINES; i++)
		close(steal_fd(v->its_fds[i]));
	errno = pthread_create(&v->reader, NULL, read_monitor, v);
	if (errno)
		return err_errno(err, ERR_HARNESS, "pthread_create");
	v->reading = true;
	if (send(v->monitor_fd, go, strlen(go), MSG_NOSIGNAL) != (ssize_t)strlen(go))
		return err_errno(err, ERR_HARNESS, "QEMU's monitor");
	return 0;
}

char *libvirt_fork_stop(struct libvirt_vm *v)
{
	cleanup_buf struct buf own = BUF_INIT;
	char chunk[4096];
	ssize_t n;

	__atomic_store_n(&v->killed, true, __ATOMIC_RELEASE);
	if (v->pid)
		kill(v->pid, SIGKILL);
	if (v->reading)
		pthread_join(v->reader, NULL);
	while (v->pid && waitpid(v->pid, NULL, 0) < 0 && errno == EINTR)
		;
	while (own.len < LOG_BYTES &&
	       (n = pread(v->log_fd, chunk, sizeof(chunk), (off_t)own.len)) > 0)
		buf_add(&own, chunk, (size_t)n);
	return xasprintf("%skvmrepro: that VM stands still; this one is a fork of it\n%s",
			 v->kept->log ? v->kept->log : "", own.len ? own.data : "");
}
