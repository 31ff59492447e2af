/*
 * Kernel modules: where a kernel's lie, and which must be loaded in which order to have KVM.
 *
 * Nothing that depmod makes is needed: a package that was unpacked and never installed, and a tree
 * that was built and never installed, do as well as /lib/modules. Dependencies come from each
 * module's own .modinfo ("depends", and the "pre:" part of "softdep"; modprobe.d(5)).
 */
#ifndef KERNEL_MODULES_H
#define KERNEL_MODULES_H

#include "base/buf.h"
#include "base/err.h"
#include "kernel/signature.h"

#include <stdbool.h>
#include <stddef.h>

struct kernel_image;

/* Limits on what a tree may hold; past them it is refused. */
#define MODULE_BYTES        (256UL * 1024 * 1024) /* one module, decompressed */
#define MODULES_MAX         32      /* in one closure; the guest's init takes no more */
#define MODULES_MAX_ENTRIES 1000000 /* files and directories walked */

struct kernel_module {
	char *name;         /* "kvm_amd": '_', as the kernel names it */
	char *path;         /* the file on the host; may end in .ko.xz, .ko.zst or .ko.gz */
	const char *params; /* "nested=1", or "" */
};

/* A module that has no file. */
struct kernel_module_absent {
	char *name;
	bool builtin; /* modules.builtin lists it; otherwise it is built in or was never built */
};

struct kernel_modules {
	char *dir;               /* where they were found; NULL: no directory, no modules */
	struct kernel_module *v; /* n of them, in load order: each after all it depends on */
	size_t n;
	struct kernel_module_absent *absent; /* wanted or depended on, n_absent of them */
	size_t n_absent;
};

/* What KVM wants: kvm, kvm_amd, kvm_intel; NULL ends it. */
extern const char *const modules_for_kvm[];

/*
 * Find the modules directory of image. given is the user's --modules DIR or NULL; it may be the
 * directory itself, a tree that was built, or a root with (usr/)lib/modules/RELEASE in it. Without
 * it, in this order: the built tree of which the image is TREE/arch/x86/boot/bzImage; the root of
 * which it is ROOT/boot/FILE or ROOT/FILE; and the host's own root. *out is NULL when there is
 * none, else the caller frees it. ERR_INPUT when given is no directory.
 */
int modules_find_dir(const struct kernel_image *image, const char *given, char **out,
		     struct err *err);

/*
 * The closure of wanted (NULL ends the list; '-' and '_' are equal) over what lies below dir, which
 * may be NULL: then all of wanted is absent. A module that modules.builtin lists is absent even if
 * a stale file is there. ERR_INPUT when a module is unreadable or was built for another release
 * than image's. The caller gives out to kernel_modules_free().
 */
int modules_closure(const struct kernel_image *image, const char *dir, const char *const *wanted,
		    struct kernel_modules *out, struct err *err);

/* Both steps for KVM: modules_find_dir(), then modules_closure() of modules_for_kvm. ERR_INPUT
 * when given holds no module at all. */
int modules_for_image(const struct kernel_image *image, const char *given,
		      struct kernel_modules *out, struct err *err);

/* May be called on a zeroed struct; leaves one. */
void kernel_modules_free(struct kernel_modules *modules);

/* The module's bytes, decompressed and without debug information (module_strip_debug()), into out,
 * which must be empty. At most MODULE_BYTES. */
int module_read(const char *path, struct buf *out, struct err *err);

/*
 * Take the DWARF sections out of a module's bytes (a relocatable ELF64): a built tree's modules are
 * ten times as large with them, and the guest would hold them in memory. Bytes that are no such ELF
 * stay as they are. A signature at the end is dropped with them.
 */
void module_strip_debug(struct buf *module);

/*
 * The signature of the modules in their order: SHA-256 of names, parameters, and sections without
 * build ids, debug information and release; a cryptographic signature behind a module does not
 * count (docs/signature.md). ERR_INPUT when one cannot be read.
 */
int modules_signature(const struct kernel_modules *modules, char out[SIGNATURE_BYTES],
		      struct err *err);

#endif
