/*
 * What must be ready before trials can run on a kernel: the image, its modules, the reproducers,
 * the guest's file system, an engine that offers what the reproducers need.
 */
#ifndef SESSION_H
#define SESSION_H

#include "base/buf.h"
#include "base/err.h"
#include "catalogue.h"
#include "keeper.h"
#include "kernel/image.h"
#include "kernel/modules.h"
#include "kernel/signature.h"
#include "report/store.h"
#include "reproducer.h"
#include "symbols.h"
#include "trial.h"
#include "vm/accel.h"
#include "vm/engine.h"

#include <stdbool.h>
#include <stddef.h>

/* What the user asked for; strings are borrowed and outlive the session. */
struct session_options {
	const char *kernel;     /* NULL only with the replay engine */
	const char *modules;    /* --modules, or NULL */
	const char *vmlinux;    /* with debug information, or NULL */
	const char *append;     /* more kernel arguments, or NULL */
	const char *cpu;        /* libvirt's name of the guest's CPU, or NULL */
	const char *engine;     /* "auto", "libvirt", "bochs", "replay:DIR" */
	const char *accel;      /* "auto", "kvm", "tcg" */
	const char *connect;    /* libvirt URI, or NULL */
	const char *decompress; /* "host", "guest", or NULL: the host where the guest is emulated */
	const char *const *repros;
	size_t n_repros;                           /* 0: all bundled ones that can run */
	const char *const *expect, *const *ignore; /* titles or /PCRE/s */
	size_t n_expect, n_ignore;
	unsigned duration_s;        /* 0: each one's own */
	unsigned boot_timeout_s;    /* 0: by accelerator */
	unsigned memory_mib, vcpus; /* 0: by engine */
	bool boot_once;             /* trials begin from one boot's kept state */
	bool keep_state;            /* which is one of an earlier call, or is kept for later ones */
	bool no_guest_sandbox;      /* reproducers may forge outcomes (docs/sandbox.md) */
	bool live;
};

struct session {
	struct kernel_image image;
	struct kernel_modules modules;
	struct catalogue catalogue;
	struct reproducers repros;
	struct filter filter;
	struct symbols *symbols; /* NULL without a vmlinux */
	struct buf initramfs;    /* all but the plan */
	struct buf sandbox;      /* the guest's filter; empty without one */
	char *workdir;
	struct keeper keeper; /* of workdir */
	char *kernel_file;    /* in workdir: what is booted; NULL without a kernel */
	char *head_file; /* in workdir: its head, for a VM that is given the rest in its memory, or
			    NULL */
	bool decompressed;               /* it is, on the host (kernel/unpacked.h) */
	char signature[SIGNATURE_BYTES]; /* of the image (kernel/signature.h); "": unknown */
	char *cmdline;
	const struct engine *engine;
	char engine_why[256]; /* why this one, or "" */
	struct engine_config engine_config;
	struct engine_state *engine_state; /* NULL until opened */
	bool joined;                       /* the engine is another session's */
	struct engine_facts facts;
	struct accel accel;
	struct trial_config trial; /* ready for trial_run() */
};

/*
 * Read and check all that the user gave; no VM is started and nothing is connected to. What the
 * compiler printed about a bad .c goes to diag. The session is to be closed in any case.
 */
int session_prepare(const struct session_options *options, struct session *session,
		    struct buf *diag, struct err *err);

/*
 * Open the engine and choose the accelerator, telling which and why on standard error. Where KVM
 * was tried and its canary failed, that boot is kept in the store. ERR_UNSUPPORTED when a
 * reproducer that was asked for needs what nothing here offers.
 */
int session_open_engine(const struct session_options *options, const struct store *store,
			struct session *session, struct err *err);

/*
 * As session_open_engine(), with the engine and the accelerator of host: one
 * that has been opened for another kernel with the same options, and is closed after this one.
 * libvirt's embedded driver can be opened once in a process. index: of this session among those on
 * the engine (host is 0), of count: so that their VMs' numbers differ.
 */
int session_join_engine(const struct session_options *options, struct session *session,
			struct session *host, unsigned index, unsigned count, struct err *err);

/* Text that is another one if other bytes are booted; the caller frees it. */
char *session_kernel_key(const struct session *session);

/* Close and remove all. */
void session_close(struct session *session);

#endif
