/*
 * Signatures of kernels' files, remembered from one call of the program to the next: to make one
 * takes unpacking the kernel, 0.3 s of CPU for Debian's.
 *
 * $XDG_CACHE_HOME/kvmrepro/signatures: lines "PROGRAM SHA256 SIGNATURE", the newest last. PROGRAM
 * is which build of kvmrepro made it: what another one calls a signature is not taken.
 * The file is renamed into its place, so of two that write at once one loses its line, and nothing
 * else.
 */
#ifndef SIGNATURE_CACHE_H
#define SIGNATURE_CACHE_H

#include "kernel/image.h"

#include <stdbool.h>

#define SIGNATURE_CACHE_LINES 200

/* Whether it is remembered; the image's file is not looked at. */
bool signature_cache_find(const struct kernel_image *image, char out[SIGNATURE_BYTES]);

/* As kernel_image_sign() without a compiler. A cache that cannot be read or written does without.
 */
int signature_cache_sign(const struct kernel_image *image, char out[SIGNATURE_BYTES],
			 struct err *err);

#endif
