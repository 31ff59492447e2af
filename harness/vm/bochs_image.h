/* The CD that Bochs boots: isolinux, the kernel, its initramfs and its command line. */
#ifndef VM_BOCHS_IMAGE_H
#define VM_BOCHS_IMAGE_H

#include "base/err.h"

/* Debian's isolinux and syslinux-common. */
#define ISOLINUX_BIN "/usr/lib/ISOLINUX/isolinux.bin"
#define LDLINUX_C32  "/usr/lib/syslinux/modules/bios/ldlinux.c32"

/* Write an ISO 9660 image with an El Torito boot record to path. cmdline is one line of printable
 * ASCII; ERR_INPUT if isolinux would cut it. */
int bochs_image_write(const char *path, const char *kernel, const char *initrd, const char *cmdline,
		      struct err *err);

/* Write the option ROM that boots at once; the BIOS alone would wait three virtual seconds for
 * somebody to press F12. */
int bochs_rom_write(const char *path, struct err *err);

#endif
