/*
 * A kernel decompressed on the host.
 *
 * It is a bzImage as well. Its setup code is the kernel's own; in place of the decompressor is
 * code of ours (entry.S) that jumps to the vmlinux, and this lies in the file where it is to
 * lie in memory, so that whatever loads a bzImage loads it whole. It is a sparse file: between the
 * segments are holes. And it is an ELF file, whose segments are the vmlinux's with their physical
 * addresses: a VM that is given these in its memory needs no more than the head as its kernel, and
 * neither holes nor BSS are read and copied.
 *
 * To the kernel it is a boot without a random base (nokaslr), but that it randomizes its memory
 * regions where it was built to: docs/boot.md.
 */
#ifndef KERNEL_UNPACKED_H
#define KERNEL_UNPACKED_H

#include "base/err.h"
#include "base/sha256.h"
#include "kernel/image.h"

#include <stdbool.h>

/* Write the image, decompressed, into out_fd, an empty regular file. Errors begin with the image's
 * path: ERR_UNSUPPORTED where only its own decompressor can boot it, ERR_INPUT where it is damaged.
 */
int kernel_unpack(const struct kernel_image *image, int out_fd, struct err *err);

/* Have the new file head_path be the beginning of such a file: setup code, of setup_bytes as the
 * image has it, and entry. */
int kernel_unpacked_head(const char *path, size_t setup_bytes, const char *head_path,
			 struct err *err);

/* Whether these kernel arguments hold one that is the decompressor's to obey. */
bool kernel_unpack_heeds(const char *cmdline);

/* What else than the image's bytes the result depends on: a hash, which another build of the
 * program may have, too. */
void kernel_unpack_version(char out[SHA256_HEX_BYTES]);

/* In a reader: head, of head_bytes, is the image up to its protected-mode part; vmlinux is its
 * payload, decompressed. */
int kernel_unpack_write(const char *head, size_t head_bytes, const char *vmlinux, size_t len,
			int out_fd, struct err *err);

#endif
