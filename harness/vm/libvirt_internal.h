/* What the files of the libvirt engine share. libvirt.c: the connection; libvirt_vm.c: one VM;
 * libvirt_keep.c: a VM's state, kept and begun from; libvirt_save.c: such a state as files;
 * libvirt_fork.c: VMs that are forks of one that stands still. */
#ifndef VM_LIBVIRT_INTERNAL_H
#define VM_LIBVIRT_INTERNAL_H

#include "base/buf.h"
#include "vm/engine.h"
#include "vm/forks.h"

#include <libvirt/libvirt.h>
#include <pthread.h>

/* Debian 12's QEMU and all after it, until QEMU drops it six years on. */
#define LIBVIRT_MACHINE "pc-i440fx-7.2"

/* QEMU's name of what libvirt calls "maximum" (-cpu max). */
#define LIBVIRT_MAXIMUM_CPU "max-x86_64-cpu"

/* What each fork of a QEMU gets anew. */
enum libvirt_line {
	LIBVIRT_CONSOLE,
	LIBVIRT_AGENT,
	LIBVIRT_MONITOR,
	LIBVIRT_LOG,
	LIBVIRT_LINES
};

struct libvirt_vm {
	struct vm vm;
	struct engine_state *state;
	struct libvirt_vm *next; /* in state->vms */
	char *name, *dir, *definition;
	virDomainPtr domain;
	int event_write_fd;
	int memory_fd; /* keepable: what its memory is, shared; else -1 */
	pid_t pid;     /* our own child, or 0 */
	bool reaped;   /* it has been waited for */
	bool gone;     /* libvirt has said that it no longer runs */
	/* If its state is to be kept by forks: who makes them, and whether they have it now. */
	struct forks *forks;
	bool given_away;
	/* A fork has no domain: what it begins from, and its own lines (libvirt_fork.c). */
	struct vm_kept *kept;
	int its_fds[LIBVIRT_LINES]; /* until it is started; else -1 */
	int monitor_fd, log_fd;
	bool killed;  /* atomic: by stop() */
	bool reading; /* the thread is there */
	pthread_t reader;
};

struct engine_state {
	const struct engine_config *config;
	virConnectPtr conn;
	char *root, *uri, *hypervisor, *library;
	char *qemu;          /* libvirt's own choice */
	char *emulator;      /* what domains with TCG run */
	unsigned tsc_khz;    /* of this host; 0: not known */
	int fork_library_fd; /* of forks_library(), with its path; or -1 */
	char *fork_library;
	bool embedded;
	bool have_loop, loop_stop;
	pthread_t loop;
	int lifecycle_id, reboot_id;
	unsigned n_created;   /* VMs; atomic */
	pthread_mutex_t lock; /* vms, and gone in each */
	pthread_cond_t gone_cond;
	struct libvirt_vm *vms;
};

/* An error with libvirt's own last words. Returns -1. */
int libvirt_error(struct err *err, const char *what);

/* The <cpu>'s mode in domains. */
const char *libvirt_cpu(const struct engine_config *config);

int libvirt_create(struct engine_state *state, const struct vm_spec *spec, struct vm **out,
		   char **definition, struct err *err);
int libvirt_start(struct vm *vm, struct err *err);
int64_t libvirt_starved_ms(const struct vm *vm);
bool libvirt_suspended(const struct vm *vm);
int libvirt_stop(struct vm *vm, char **log, struct err *err);
int libvirt_keep(struct vm *vm, struct vm_kept **out, struct err *err);
void libvirt_forget(struct vm_kept *kept);
int libvirt_describe(struct engine_state *state, const struct vm_spec *spec, struct buf *out,
		     struct err *err);
int libvirt_save(const struct vm_kept *kept, int dir_fd, struct err *err);
int libvirt_load(int dir_fd, unsigned memory_mib, struct vm_kept **out, struct err *err);

#define KEPT_DEVICES_BYTES ((size_t)64 << 20) /* 0.3 MB is usual */

/* One of two: a VM that stands still, or its memory and the rest. */
struct vm_kept {
	struct libvirt_vm *standing; /* or NULL */
	char *definition, *log;      /* with it: its XML, and what libvirt wrote of it */
	int memory_fd;
	struct buf devices;
};

/* A file of so many bytes that has no name, for a guest's memory. */
int libvirt_memory_open(unsigned memory_mib, int *fd, struct err *err);

/* The name by which QEMU opens a kept state's memory, or one that is to be kept. */
char *libvirt_memory_path(int memory_fd);

/* What a domain's XML names in the file system. */
struct libvirt_paths {
	const char *console, *agent;
	const char *file; /* what its memory is, or NULL */
	const char *fork; /* where it is to be kept by forks: their socket; or NULL */
};

/* The domain's XML. The caller frees *xml. */
int libvirt_define(const struct libvirt_vm *v, const struct vm_spec *spec,
		   const struct libvirt_paths *paths, char **xml, struct err *err);

/* Give a VM that was made from the state (and waits for it) the rest of it; it stays halted. */
int libvirt_feed(struct libvirt_vm *v, const struct vm_kept *kept, struct err *err);

/* One command of QEMU's monitor, through libvirt. */
int libvirt_monitor(struct libvirt_vm *v, const char *command, struct err *err);

/* What libvirt wrote of the domain: QEMU's command line and its messages. NULL: it cannot be had.
 */
char *libvirt_read_log(const struct libvirt_vm *v);

/* Tell the trial. */
void libvirt_post(struct libvirt_vm *v, enum vm_event event);

/* An empty VM in state->vms. */
struct libvirt_vm *libvirt_new_vm(struct engine_state *state);

/* Whether a VM like this is kept by forks. */
bool libvirt_forks(const struct engine_state *state, const struct vm_spec *spec);

/* Parts of keep(), lasts() and forget(), for a VM that is kept by forks. */
int libvirt_halt(struct libvirt_vm *v, struct vm_kept *kept, struct err *err);
bool libvirt_lasts(struct vm_kept *kept);
void libvirt_end_standing(struct vm_kept *kept);

/* Parts of create(), start() and stop(), for a VM that is a fork. */
int libvirt_fork_prepare(struct libvirt_vm *v, struct vm_kept *kept, char **definition,
			 struct err *err);
int libvirt_fork_start(struct libvirt_vm *v, struct err *err);
char *libvirt_fork_stop(struct libvirt_vm *v);

#endif
