/*
 * Engines: what runs a VM. The rest of the harness sees a VM as three descriptors: the console,
 * the agent line, and events in the VM's life; it never learns who provides them.
 */
#ifndef VM_ENGINE_H
#define VM_ENGINE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum vm_accel {
	ACCEL_NONE,
	ACCEL_KVM,
	ACCEL_TCG
};

/* What the engine needs for a whole run. Strings belong to the caller and outlive the engine. */
struct engine_config {
	const char *uri;    /* libvirt: where to connect; NULL: the embedded driver */
	const char *cpu;    /* libvirt: its name of the guest's CPU; NULL: all that there is */
	const char *replay; /* replay: the directory of a recorded run or trial */
	/* replay: the n_repros names of what its trials ran, in this order; one that the recording
	 * calls otherwise is said. Needed only while open() runs. */
	const char **repros;
	size_t n_repros;
	const char *workdir; /* private directory of the run, absolute; the caller removes it */
	enum vm_accel
		accel; /* libvirt: what the domains use; may change until the first create() */
};

/* Of a kernel's command line, its NUL included: Linux, arch/x86/include/asm/setup.h,
 * COMMAND_LINE_SIZE. */
#define VM_CMDLINE_BYTES 2048

/* One VM to make. Strings belong to the caller and are needed only while create() runs. */
struct vm_spec {
	unsigned number;     /* of the trial; makes names unique in the run */
	const char *kernel;  /* bzImage, absolute path */
	const char *loaded;  /* libvirt alone: an ELF file, absolute path, whose segments lie at
				their physical addresses when the VM starts, and kernel is a head
				without them (kernel/unpacked.h); or NULL */
	const char *initrd;  /* absolute path */
	const char *cmdline; /* below VM_CMDLINE_BYTES; an engine may add to it what its machine
				needs */
	const char *token;   /* of the agent line (kvmrepro/protocol.h); replay answers with it */
	unsigned memory_mib, vcpus;
	bool keepable;        /* keep() may follow */
	bool lasting;         /* and save() after that */
	struct vm_kept *kept; /* begin from this state, of a VM with the same words; or NULL */
};

/* The state of a VM at one moment, from which others can begin. */
struct vm_kept;

/* What can happen to a VM by itself; one byte each on event_fd. */
enum vm_event {
	VM_POWERED_OFF = 'o', /* the guest powered itself off */
	VM_RESET = 'r',       /* the guest reset itself: reboot, triple fault */
	VM_DIED = 'd',        /* the VM's process ended, or lost its VM: the host's trouble */
};

/* A running VM. The descriptors belong to it; all are non-blocking. */
struct vm {
	const struct engine *engine;
	int console_fd; /* read: what the kernel writes to ttyS0; end of file: no more will come */
	int agent_fd;   /* read and write: ttyS1 */
	int event_fd;   /* read: bytes of enum vm_event */
};

/* What the engine says of itself, for run.json. Strings are the engine's own. */
struct engine_facts {
	const char *uri;           /* libvirt's connection, or NULL */
	const char *hypervisor;    /* "QEMU 7.2.22" */
	const char *library;       /* "libvirt 9.0.0", or NULL */
	const char *machine, *cpu; /* as in the domain's definition, or NULL */
};

struct engine_state; /* the engine's own, for a whole run */

struct engine {
	const char *name;
	/* What the evidence calls create()'s definition and stop()'s log; NULL: none. */
	const char *definition_file, *log_file;

	/* Get ready to start VMs. */
	int (*open)(const struct engine_config *config, struct engine_state **out, struct err *err);
	/* All VMs have been stopped. */
	void (*close)(struct engine_state *state);
	void (*facts)(struct engine_state *state, struct engine_facts *out);
	/* Whether VMs with KVM can be had as far as the engine itself knows; why not, if not. NULL:
	 * the engine has no choice of accelerators. */
	bool (*kvm_usable)(struct engine_state *state, char *why, size_t why_bytes);

	/* Make a VM that does not run yet; may be called from several threads. On success
	 * *definition is the text that defines it (the domain's XML), which the caller frees, or
	 * NULL. */
	int (*create)(struct engine_state *state, const struct vm_spec *spec, struct vm **out,
		      char **definition, struct err *err);
	/* Let it run, once. Its descriptors are good from now on. After a failure stop() is still
	 * to be called. */
	int (*start)(struct vm *vm, struct err *err);
	/* For how many milliseconds since it was made the host kept the VM from running though it
	 * could have run; 0: not known. NULL: the engine does not know. */
	int64_t (*starved_ms)(const struct vm *vm);
	/* Whether the VM's process is stopped, by SIGSTOP or the like: it is the host's doing that
	 * nothing comes from it. NULL: the engine does not know. */
	bool (*suspended)(const struct vm *vm);
	/* Halt a VM that was made keepable, and keep its state until forget(); the VM is still to
	 * be stopped, and *out outlives it. Both NULL: the engine cannot. */
	int (*keep)(struct vm *vm, struct vm_kept **out, struct err *err);
	void (*forget)(struct vm_kept *kept);
	/* Whether VMs can still begin from it. NULL: nothing but forget() ends a state. */
	bool (*lasts)(struct vm_kept *kept);
	/*
	 * For states that outlive the program; all NULL: the engine has none. describe(): all that
	 * the state of a VM depends on besides the bytes of kernel and initrd, which the spec need
	 * not name, is added to out, as text: the definition, the programs that run it, the host's
	 * CPU. save(): write a state as files "memory" and "devices" into a directory. load(): take
	 * it from there; what is loaded stays good when the files are unlinked.
	 */
	int (*describe)(struct engine_state *state, const struct vm_spec *spec, struct buf *out,
			struct err *err);
	int (*save)(const struct vm_kept *kept, int dir_fd, struct err *err);
	int (*load)(int dir_fd, unsigned memory_mib, struct vm_kept **out, struct err *err);
	/* End it, whatever its state, and free it. When this returns nothing of it runs. A failure
	 * means that something may still run, and says what. *log: the VM's process and what it
	 * said, which the caller frees, or NULL. */
	int (*stop)(struct vm *vm, char **log, struct err *err);
};

extern const struct engine engine_libvirt, engine_bochs, engine_replay;

#endif
