/*
 * Kernels decompressed on the host (kernel/unpacked.h), remembered from one call of the program to
 * the next: to make one takes 0.1 to 1 s of CPU, by how it was packed.
 *
 * $XDG_CACHE_HOME/kvmrepro/unpacked/IMAGE-PROGRAM: the hash of the image, and which build of
 * kvmrepro made it: what another one makes is not taken. They are not changed any more: a call has
 * them under a name of its own, as a hard link, or as a copy on another file system. The ones that
 * were not used for longest go.
 */
#ifndef UNPACK_CACHE_H
#define UNPACK_CACHE_H

#include "kernel/image.h"

#include <stdbool.h>

#define UNPACK_CACHE_FILES 8 /* of 40 MB or so each */

/* Have path be what is remembered of the image. False: there is none that can be used. */
bool unpack_cache_find(const struct kernel_image *image, const char *path);

/* As kernel_unpack(), into the new file path; with share it is remembered, where that can be. */
int unpack_cache_make(const struct kernel_image *image, bool share, const char *path,
		      struct err *err);

#endif
