/* One module file: what its sections and its .modinfo say. */
#ifndef KERNEL_MODINFO_H
#define KERNEL_MODINFO_H

#include "base/buf.h"
#include "base/err.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>

struct modinfo_dep {
	char *name; /* as module_name() makes it */
	bool soft;  /* to be loaded before if it is there */
};

struct modinfo {
	char *release;               /* the first word of vermagic */
	struct modinfo_dep *depends; /* n_depends, soft ones first; no name twice */
	size_t n_depends;
};

/* Dependencies that one module may list. */
#define MODINFO_MAX_DEPENDS 256

/* Read the module at path, which may be compressed. ERR_INPUT when it is none. The caller gives out
 * to modinfo_free(). */
int modinfo_read(const char *path, struct modinfo *out, struct err *err);

/* The same of a module's bytes, decompressed; the error names no file. It is this and
 * module_unpack() that a reader (cage.h) does for modinfo_read(). */
int modinfo_parse(const struct buf *module, struct modinfo *out, struct err *err);
int module_unpack(const void *data, size_t len, struct buf *out, struct err *err);

/* May be called on a zeroed struct; leaves one. */
void modinfo_free(struct modinfo *info);

/*
 * The section headers of a module's bytes, all of them within the bytes, and its ELF header in
 * head. NULL when it is no relocatable x86-64 ELF or damaged; else the caller frees them.
 */
Elf64_Shdr *module_sections(const struct buf *module, Elf64_Ehdr *head);

/* A section's name, among the names; "" if it has none that ends there. */
const char *module_section_name(const struct buf *module, const Elf64_Shdr *names,
				const Elf64_Shdr *s);

/* Whether a module can be called so: the name goes into the plan and into a path in the guest. */
bool module_name_ok(const char *s, size_t len);

/* The kernel's name of a module: '-' is '_'. The caller frees it. */
char *module_name(const char *s, size_t len);

#endif
