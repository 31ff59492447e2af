/* The disk from which Bochs's VM has its kernel, and the ROM that fetches it from there. */
#ifndef VM_BOCHS_IMAGE_H
#define VM_BOCHS_IMAGE_H

#include "base/err.h"

#include <stdint.h>

/* One VM's. The kernel is a bzImage for x86-64, and whole (kernel_image_open() has seen it);
 * cmdline is below VM_CMDLINE_BYTES. */
struct bochs_boot {
	const char *kernel, *initrd; /* files */
	const char *cmdline;
	unsigned memory_mib;
};

/* ERR_INPUT where this kernel cannot be booted so, with an initramfs of that size. */
int bochs_image_check(const char *kernel, uint64_t initrd_bytes, unsigned memory_mib,
		      struct err *err);

/* Write the disk, and the ROM that goes with it. */
int bochs_image_write(const struct bochs_boot *boot, const char *disk, const char *rom,
		      struct err *err);

#endif
