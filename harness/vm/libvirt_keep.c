/*
 * A VM's state, kept and begun from.
 *
 * The guest's memory is a file without a name, which the VM whose state is to be kept maps shared
 * and those that begin from it map private: nothing is ever copied but the pages that a guest
 * writes to. What is left of a state is its devices', 0.3 MB, which QEMU sends as a migration that
 * leaves the shared memory out (capability x-ignore-shared). libvirt has no word for that, so it is
 * said to QEMU's monitor through libvirt. This is for KVM, for a daemon's VMs and for states that
 * are kept as files; libvirt_fork.c has what is quicker.
 */
#include "vm/libvirt_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "interrupt.h"
#include "vm/listener.h"

#include <errno.h>
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MIGRATE_LIMIT_MS 20000

int libvirt_memory_open(unsigned memory_mib, int *fd, struct err *err)
{
	cleanup_fd int f = memfd_create("kvmrepro-guest-memory", MFD_CLOEXEC);

	if (f < 0 || ftruncate(f, (off_t)memory_mib << 20))
		return err_errno(err, ERR_HARNESS, "a guest's memory");
	*fd = steal_fd(f);
	return 0;
}

char *libvirt_memory_path(int memory_fd)
{
	return xasprintf("/proc/%d/fd/%d", (int)getpid(), memory_fd);
}

/* One command of QEMU's monitor (docs/interop/qmp-spec of QEMU). status: where its reply must say
 * "status", that; else NULL. */
static int monitor_status(struct libvirt_vm *v, const char *command, const char *status,
			  struct err *err)
{
	char *text = NULL;

	if (virDomainQemuMonitorCommand(v->domain, command, &text, 0) < 0)
		return libvirt_error(err, "QEMU's monitor");
	json_t *reply = json_loads(text, 0, NULL);
	const json_t *error = json_object_get(reply, "error");
	const char *desc = json_string_value(json_object_get(error, "desc"));
	int rc = error || !reply ? err_set(err, ERR_HARNESS, "QEMU's monitor: %s",
					   desc ? desc : "no sense in its reply")
				 : 0;
	const char *is =
		json_string_value(json_object_get(json_object_get(reply, "return"), "status"));
	if (!rc && status && (!is || strcmp(is, status)))
		rc = err_set(err, ERR_HARNESS, "QEMU's monitor: '%.40s' where '%s' was expected",
			     is ? is : "nothing", status);
	json_decref(reply);
	free(text);
	return rc;
}

int libvirt_monitor(struct libvirt_vm *v, const char *command, struct err *err)
{
	return monitor_status(v, command, NULL, err);
}

static int leave_memory_out(struct libvirt_vm *v, struct err *err)
{
	return libvirt_monitor(
		v,
		"{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":["
		"{\"capability\":\"x-ignore-shared\",\"state\":true}]}}",
		err);
}

/* "migrate" or "migrate-incoming" over a socket; the path is ours and needs no escapes in JSON, or
 * QEMU says that there is no such file. */
static int migrate(struct libvirt_vm *v, const char *verb, const char *path, struct err *err)
{
	cleanup_free char *command =
		xasprintf("{\"execute\":\"%s\",\"arguments\":{\"uri\":\"unix:%s\"}}", verb, path);

	return libvirt_monitor(v, command, err);
}

/* Wait until fd is ready for events, or nothing may be waited for any longer. */
static int wait_for(int fd, short events, int64_t deadline_ms, struct err *err)
{
	struct pollfd p[] = {
		{ .fd = fd, .events = events },
		{ .fd = interrupt_fd(), .events = POLLIN },
	};

	for (;;) {
		int64_t left = deadline_ms - clock_ms();

		if (left <= 0)
			return err_set(err, ERR_HARNESS, "QEMU takes too long over a VM's state");
		if (poll(p, 2, (int)left) < 0) {
			if (errno == EINTR)
				continue;
			return err_errno(err, ERR_HARNESS, "poll");
		}
		if (p[1].revents)
			return err_set(err, ERR_INTERRUPTED, "interrupted");
		if (p[0].revents)
			return 0;
	}
}

static int read_all(int fd, struct buf *out, int64_t deadline_ms, struct err *err)
{
	char chunk[65536];

	for (;;) {
		if (wait_for(fd, POLLIN, deadline_ms, err))
			return -1;
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return 0;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "reading a VM's state");
		if (n > 0)
			buf_add(out, chunk, (size_t)n);
		if (out->len > KEPT_DEVICES_BYTES)
			return err_set(err, ERR_HARNESS,
				       "QEMU sends more than %zu MB of a VM's state: it does not "
				       "leave the memory out",
				       KEPT_DEVICES_BYTES >> 20);
	}
}

static int take_state(struct libvirt_vm *v, struct buf *devices, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/state", v->dir);
	int64_t deadline = clock_ms() + MIGRATE_LIMIT_MS;
	cleanup_fd int listen_fd = -1, fd = -1;

	if (libvirt_monitor(v, "{\"execute\":\"stop\"}", err) || leave_memory_out(v, err) ||
	    listener_open(path, !v->state->embedded, &listen_fd, err) ||
	    migrate(v, "migrate", path, err) ||
	    listener_accept(listen_fd, path, v->vm.event_fd, deadline, &fd, err) ||
	    read_all(fd, devices, deadline, err))
		return -1;
	return monitor_status(v, "{\"execute\":\"query-migrate\"}", "completed", err);
}

static int keep_memory(struct libvirt_vm *v, struct vm_kept *kept, struct err *err)
{
	if (take_state(v, &kept->devices, err))
		return -1;
	kept->memory_fd = steal_fd(v->memory_fd);
	return 0;
}

int libvirt_keep(struct vm *vm, struct vm_kept **out, struct err *err)
{
	struct libvirt_vm *v = (struct libvirt_vm *)vm;
	struct vm_kept *kept = xcalloc(1, sizeof(*kept));

	kept->memory_fd = -1;
	kept->devices = (struct buf)BUF_INIT;
	if (v->forks ? libvirt_halt(v, kept, err) : keep_memory(v, kept, err)) {
		libvirt_forget(kept);
		return -1;
	}
	*out = kept;
	return 0;
}

void libvirt_forget(struct vm_kept *kept)
{
	if (kept->standing)
		libvirt_end_standing(kept);
	cleanup_fd_(&kept->memory_fd);
	buf_free(&kept->devices);
	free(kept->definition);
	free(kept->log);
	free(kept);
}

static int connect_to(const char *path, int *fd, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	/* The sockets of the serial lines beside it were no shorter, and fitted. */
	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	cleanup_fd int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&addr, sizeof(addr)))
		return err_errno(err, ERR_HARNESS, "%s", path);
	*fd = steal_fd(s);
	return 0;
}

int libvirt_feed(struct libvirt_vm *v, const struct vm_kept *kept, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/state", v->dir);
	cleanup_fd int fd = -1;
	int64_t deadline = clock_ms() + MIGRATE_LIMIT_MS;
	size_t done = 0;

	if (leave_memory_out(v, err) || migrate(v, "migrate-incoming", path, err) ||
	    connect_to(path, &fd, err))
		return -1;
	while (done < kept->devices.len) {
		if (wait_for(fd, POLLOUT, deadline, err))
			return -1;
		ssize_t n = send(fd, kept->devices.data + done, kept->devices.len - done,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_errno(err, ERR_HARNESS, "QEMU does not take a VM's state");
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}
