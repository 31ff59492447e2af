/*
 * A kernel's signature: SHA-256 of its code and data without what differs from one build of the
 * same source to the next. Equal signatures, equal kernels. docs/signature.md says what is left
 * out, why, and what makes two builds of one source differ all the same.
 */
#ifndef KERNEL_SIGNATURE_H
#define KERNEL_SIGNATURE_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

#define SIGNATURE_BYTES 65 /* lower-case hex and its NUL */

/*
 * The signature of a vmlinux, an x86-64 ELF file of len bytes (kernel_payload_unpack()): of the
 * segments that are loaded, and nothing behind them. The bytes are overwritten on the way.
 * ERR_INPUT, in words that go behind the image's name, when it is no such file or damaged.
 */
int kernel_signature(char *vmlinux, size_t len, char out[SIGNATURE_BYTES], struct err *err);

/* The compiler in the kernel's banner (init/version.c): "Linux version RELEASE (USER@HOST)
 * (COMPILER) #1 ..."; NULL if there is none, else the caller frees it. What of it is the linker's
 * is left out. */
char *kernel_compiler(const char *vmlinux, size_t len);

#endif
