/* The disk that Bochs boots, and the ROM that boots it: no boot loader, no CD. */
#ifndef VM_BOCHS_IMAGE_H
#define VM_BOCHS_IMAGE_H

#include "base/err.h"

/* One VM's. A kernel is a bzImage for x86-64 and whole (kernel_image_open() has seen it); cmdline
 * is below VM_CMDLINE_BYTES. */
struct bochs_boot {
	const char *kernel, *initrd; /* files */
	const char *cmdline;
	unsigned memory_mib;
};

/* Write the disk, and the ROM that goes with it. ERR_INPUT where the memory is too small for the
 * kernel and its initramfs. */
int bochs_image_write(const struct bochs_boot *boot, const char *disk, const char *rom,
		      struct err *err);

#endif
