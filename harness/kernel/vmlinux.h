/*
 * The ELF file that a bzImage's payload is: what of it a boot loads (elf(5)).
 */
#ifndef KERNEL_VMLINUX_H
#define KERNEL_VMLINUX_H

#include "base/err.h"

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define VMLINUX_SEGMENTS 64 /* at most; a kernel has five or so */

struct vmlinux {
	uint64_t entry; /* physical: a payload's vmlinux is entered without paging of its own */
	Elf64_Phdr loads[VMLINUX_SEGMENTS]; /* PT_LOAD, in the file's order; each is in the file */
	size_t n;                           /* at least 1 */
	uint64_t end; /* of segments and section headers: what follows is the list of relocations */
};

/* In words that go behind the image's name, ERR_UNSUPPORTED where data is no x86-64 ELF file, and
 * ERR_INPUT where it is not whole. */
int vmlinux_read(const char *data, size_t len, struct vmlinux *out, struct err *err);

#endif
