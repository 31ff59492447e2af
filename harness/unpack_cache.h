/*
 * Kernels decompressed on the host (kernel/unpacked.h), remembered from one call of the program to
 * the next: to make one takes 0.1 to 1 s of CPU, by how it was packed.
 *
 * $XDG_CACHE_HOME/kvmrepro/unpacked/IMAGE-VERSION: the hash of the image, and of what else it
 * depends on. They are not changed any more: a call has them under a name of its own, as a hard
 * link. The ones that were not used for longest go.
 */
#ifndef UNPACK_CACHE_H
#define UNPACK_CACHE_H

#include "kernel/image.h"

#include <stdbool.h>

#define UNPACK_CACHE_FILES 8 /* of 40 MB or so each */

/* Have path be what is remembered of the image. False: there is none, or not in path's file
 * system. */
bool unpack_cache_find(const struct kernel_image *image, const char *path);

/* As kernel_unpack(), into the new file path; with share it is remembered, where that can be. */
int unpack_cache_make(const struct kernel_image *image, bool share, const char *path,
		      struct err *err);

#endif
