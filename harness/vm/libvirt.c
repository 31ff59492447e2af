/*
 * The libvirt engine: QEMU domains, by default through the embedded driver, with KVM or TCG.
 *
 * libvirt calls back from its event loop, which a thread of ours runs; a domain's events go as
 * single bytes into a pipe that the trial polls. The embedded driver daemonizes QEMU; as a
 * subreaper the harness becomes its parent, so a kill and a wait for exactly that pid end a VM at
 * once, where virDomainDestroy alone takes 1.5 s (it polls for a zombie that PID 1 must reap).
 */
#include "vm/libvirt_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "vm/affinity.h"
#include "vm/embed_root.h"
#include "vm/emulator.h"
#include "vm/tsc.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

int libvirt_error(struct err *err, const char *what)
{
	virErrorPtr e = virGetLastError();

	return err_set(err, ERR_HARNESS, "%s: %s", what,
		       e && e->message ? e->message : "libvirt gave no reason");
}

static void keep_quiet(void *opaque, virErrorPtr e)
{
	(void)opaque, (void)e; /* every error is returned and told by the caller */
}

const char *libvirt_cpu(const struct engine_config *config)
{
	if (config->cpu)
		return config->cpu;
	return config->accel == ACCEL_KVM ? "host-passthrough" : "maximum";
}

static int check_cpu(struct engine_state *state, struct err *err)
{
	const char *cpu = state->config->cpu;
	char **names = NULL;
	bool known = !cpu;
	int n = cpu ? virConnectGetCPUModelNames(state->conn, "x86_64", &names, 0) : 0;

	if (n < 0)
		return libvirt_error(err, "libvirt's CPU models");
	for (int i = 0; i < n; i++) {
		known |= !strcmp(names[i], cpu);
		free(names[i]);
	}
	free(names);
	if (known)
		return 0;
	return err_set(err, ERR_INPUT,
		       "--cpu: libvirt knows no CPU '%s'; 'virsh cpu-models x86_64' lists them",
		       cpu);
}

/* ---- events ---- */

static struct libvirt_vm *find_vm(struct engine_state *state, virDomainPtr domain)
{
	const char *name = virDomainGetName(domain);

	for (struct libvirt_vm *v = state->vms; v; v = v->next)
		if (name && !strcmp(v->name, name))
			return v;
	return NULL;
}

void libvirt_post(struct libvirt_vm *v, enum vm_event event)
{
	char byte = (char)event;

	/* One that stands still has nobody to tell. */
	if (v->event_write_fd >= 0 && write(v->event_write_fd, &byte, 1) < 0)
		log_verbose("%s: event lost, the pipe is full", v->name);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail,
			void *opaque)
{
	struct engine_state *state = opaque;

	(void)conn;
	pthread_mutex_lock(&state->lock);
	struct libvirt_vm *v = find_vm(state, domain);
	if (v && event == VIR_DOMAIN_EVENT_SHUTDOWN)
		libvirt_post(v, VM_POWERED_OFF);
	if (v && event == VIR_DOMAIN_EVENT_STOPPED) {
		v->gone = true;
		pthread_cond_broadcast(&state->gone_cond);
		libvirt_post(v, detail == VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN ? VM_POWERED_OFF
									    : VM_DIED);
	}
	pthread_mutex_unlock(&state->lock);
	return 0;
}

static void on_reboot(virConnectPtr conn, virDomainPtr domain, void *opaque)
{
	struct engine_state *state = opaque;

	(void)conn;
	pthread_mutex_lock(&state->lock);
	struct libvirt_vm *v = find_vm(state, domain);
	if (v)
		libvirt_post(v, VM_RESET);
	pthread_mutex_unlock(&state->lock);
}

static void *run_loop(void *opaque)
{
	struct engine_state *state = opaque;

	while (!__atomic_load_n(&state->loop_stop, __ATOMIC_ACQUIRE))
		if (virEventRunDefaultImpl() < 0)
			break;
	return NULL;
}

static void on_wake(int timer, void *opaque)
{
	(void)timer, (void)opaque;
}

static int start_loop(struct engine_state *state, struct err *err)
{
	if (virEventRegisterDefaultImpl() < 0)
		return libvirt_error(err, "libvirt's event loop");
	int rc = pthread_create(&state->loop, NULL, run_loop, state);
	if (rc) {
		errno = rc;
		return err_errno(err, ERR_HARNESS, "pthread_create");
	}
	state->have_loop = true;
	return 0;
}

static void stop_loop(struct engine_state *state)
{
	if (!state->have_loop)
		return;
	__atomic_store_n(&state->loop_stop, true, __ATOMIC_RELEASE);
	int timer = virEventAddTimeout(0, on_wake, NULL, NULL);
	pthread_join(state->loop, NULL);
	if (timer >= 0)
		virEventRemoveTimeout(timer);
}

/* ---- the connection ---- */

static char *version_text(const char *name, unsigned long v)
{
	return xasprintf("%s %lu.%lu.%lu", name, v / 1000000, v / 1000 % 1000, v % 1000);
}

static int learn_versions(struct engine_state *state, struct err *err)
{
	unsigned long lib, hv;

	if (virGetVersion(&lib, NULL, NULL) < 0 || virConnectGetVersion(state->conn, &hv) < 0)
		return libvirt_error(err, "no usable QEMU");
	state->library = version_text("libvirt", lib);
	state->hypervisor = version_text("QEMU", hv);
	return 0;
}

/* The emulator that libvirt would take: the <path> of the domain's capabilities (libvirt,
 * formatdomaincaps). */
static int learn_emulator(struct engine_state *state, struct err *err)
{
	char *xml = virConnectGetDomainCapabilities(state->conn, NULL, "x86_64", LIBVIRT_MACHINE,
						    "qemu", 0);
	const char *path = xml ? strstr(xml, "<path>") : NULL;
	const char *end = path ? strstr(path, "</path>") : NULL;

	if (!end) {
		free(xml);
		return libvirt_error(err,
				     "no usable QEMU for x86_64 with machine " LIBVIRT_MACHINE);
	}
	path += strlen("<path>");
	state->qemu = xstrndup(path, (size_t)(end - path));
	free(xml);
	if (!state->embedded) {
		state->emulator = xstrdup(state->qemu);
		return 0;
	}
	if (emulator_single_thread(state->qemu, state->config->workdir, &state->emulator, err))
		return -1;
	/* Have libvirt ask it now for what it can do; see connect_to(). */
	xml = virConnectGetDomainCapabilities(state->conn, state->emulator, "x86_64",
					      LIBVIRT_MACHINE, "qemu", 0);
	bool usable = xml;
	free(xml);
	return usable ? 0 : libvirt_error(err, state->emulator);
}

/*
 * The embedded driver takes what it knows of QEMU from its cache only where the host's CPUID is the
 * same to the last bit. A CPU's own number (its APIC ID) is part of that, so on two CPUs every
 * other start asked QEMU for everything anew, which takes 4 s for each of three programs.
 */
static virConnectPtr open_on_one_cpu(const char *uri)
{
	struct affinity was;

	affinity_narrow(&was);
	virConnectPtr conn = virConnectOpen(uri);
	affinity_restore(&was);
	return conn;
}

static int connect_to(struct engine_state *state, struct err *err)
{
	if (state->embedded) {
		state->root = xasprintf("%s/libvirt", state->config->workdir);
		if (embed_root_make(state->root, err))
			return -1;
		state->uri = embed_root_uri(state->root);
	} else {
		state->uri = xstrdup(state->config->uri);
		/* The daemon's QEMU, perhaps of another user, must reach its lines. */
		if (chmod(state->config->workdir, 0711))
			return err_errno(err, ERR_HARNESS, "%s", state->config->workdir);
	}
	state->conn = state->embedded ? open_on_one_cpu(state->uri) : virConnectOpen(state->uri);
	if (!state->conn) {
		libvirt_error(err, state->embedded ? "libvirt's embedded QEMU driver" : state->uri);
		return -1;
	}
	state->lifecycle_id = virConnectDomainEventRegisterAny(
		state->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
		VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), state, NULL);
	state->reboot_id =
		virConnectDomainEventRegisterAny(state->conn, NULL, VIR_DOMAIN_EVENT_ID_REBOOT,
						 VIR_DOMAIN_EVENT_CALLBACK(on_reboot), state, NULL);
	if (state->lifecycle_id < 0 || state->reboot_id < 0)
		return libvirt_error(err, "libvirt's domain events");
	state->tsc_khz = tsc_khz();
	if (learn_versions(state, err) || learn_emulator(state, err) || check_cpu(state, err))
		return -1;
	/* Only now: the QEMUs that libvirt has probed so far are not ours to wait for, and it would
	 * sit out 40 s for each of them. */
	if (state->embedded && prctl(PR_SET_CHILD_SUBREAPER, 1))
		return err_errno(err, ERR_HARNESS, "cannot become a subreaper");
	return 0;
}

static void libvirt_close(struct engine_state *state)
{
	if (state->conn) {
		if (state->lifecycle_id >= 0)
			virConnectDomainEventDeregisterAny(state->conn, state->lifecycle_id);
		if (state->reboot_id >= 0)
			virConnectDomainEventDeregisterAny(state->conn, state->reboot_id);
		virConnectClose(state->conn);
	}
	stop_loop(state);
	pthread_cond_destroy(&state->gone_cond);
	pthread_mutex_destroy(&state->lock);
	free(state->root);
	free(state->uri);
	free(state->hypervisor);
	free(state->library);
	free(state->qemu);
	free(state->emulator);
	cleanup_fd_(&state->fork_library_fd);
	free(state->fork_library);
	free(state);
}

/*
 * libvirt's own log goes to a file of the run, not to the user (docs of virLogSetFromEnv): its
 * errors come back from its calls. The file goes by its number, for a blank or a colon ends a path
 * there; and libvirt's children, which would open it anew, are not told.
 */
static int redirect_log(const char *workdir, struct err *err)
{
	static const char name[] = "LIBVIRT_LOG_OUTPUTS";
	cleanup_free char *path = xasprintf("%s/libvirt.log", workdir);
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cleanup_free char *where = xasprintf("3:file:/proc/self/fd/%d", fd);
	bool own = !getenv(name);

	if (fd < 0)
		return err_errno(err, ERR_HARNESS, "%s", path);
	if ((own && setenv(name, where, 1)) || virInitialize() < 0)
		return libvirt_error(err, "libvirt");
	if (own)
		unsetenv(name);
	return 0;
}

static int libvirt_open(const struct engine_config *config, struct engine_state **out,
			struct err *err)
{
	struct engine_state *state = xcalloc(1, sizeof(*state));
	pthread_condattr_t attr;

	state->config = config;
	state->embedded = !config->uri;
	state->lifecycle_id = state->reboot_id = -1;
	state->fork_library_fd = state->embedded ? forks_library(&state->fork_library) : -1;
	pthread_mutex_init(&state->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&state->gone_cond, &attr);
	pthread_condattr_destroy(&attr);
	virSetErrorFunc(NULL, keep_quiet);
	if (redirect_log(config->workdir, err) || start_loop(state, err) ||
	    connect_to(state, err)) {
		libvirt_close(state);
		return -1;
	}
	*out = state;
	return 0;
}

static void libvirt_facts(struct engine_state *state, struct engine_facts *out)
{
	*out = (struct engine_facts){
		.uri = state->uri,
		.hypervisor = state->hypervisor,
		.library = state->library,
		.machine = LIBVIRT_MACHINE,
		.cpu = libvirt_cpu(state->config),
	};
}

/* libvirt's word: QEMU here runs KVM domains, with the host's CPU passed through. */
static bool libvirt_kvm_usable(struct engine_state *state, char *why, size_t why_bytes)
{
	char *xml = virConnectGetDomainCapabilities(state->conn, NULL, "x86_64", LIBVIRT_MACHINE,
						    "kvm", 0);
	bool usable = xml && strstr(xml, "<mode name='host-passthrough' supported='yes'");
	struct err err;

	if (!xml) {
		libvirt_error(&err, "libvirt");
		snprintf(why, why_bytes, "%.200s", err.msg);
	} else if (!usable) {
		snprintf(why, why_bytes, "libvirt cannot pass the host's CPU to a KVM domain");
	}
	free(xml);
	return usable;
}

const struct engine engine_libvirt = {
	.name = "libvirt",
	.definition_file = "domain.xml",
	.log_file = "qemu.log",
	.open = libvirt_open,
	.close = libvirt_close,
	.facts = libvirt_facts,
	.kvm_usable = libvirt_kvm_usable,
	.create = libvirt_create,
	.start = libvirt_start,
	.starved_ms = libvirt_starved_ms,
	.suspended = libvirt_suspended,
	.keep = libvirt_keep,
	.forget = libvirt_forget,
	.lasts = libvirt_lasts,
	.describe = libvirt_describe,
	.save = libvirt_save,
	.load = libvirt_load,
	.stop = libvirt_stop,
};
