/*
 * The payload of a bzImage: the kernel proper, an ELF file, compressed, with the list of its
 * relocations behind it.
 *
 * boot.rst (payload_offset, payload_length) says where it lies and by which first bytes its format
 * is known. Its last four bytes are its decompressed size: gzip's own trailer, and for every other
 * format the build appends them (size_append in scripts/Makefile.lib).
 */
#ifndef KERNEL_PAYLOAD_H
#define KERNEL_PAYLOAD_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

/* A payload that says it is larger is refused: the kernel's own limit is KERNEL_IMAGE_SIZE, 1 GiB
 * (arch/x86/include/asm/page_64_types.h). */
#define KERNEL_PAYLOAD_BYTES (1024UL * 1024 * 1024)

/*
 * Decompress len bytes of payload into out, which must be empty: gzip, bzip2, xz, lzma, lz4, zstd,
 * or not compressed at all. What comes out is exactly as long as the payload says, and at most
 * KERNEL_PAYLOAD_BYTES; never more than that is held. In words that go behind the image's
 * name, ERR_INPUT when it is damaged or too large, ERR_UNSUPPORTED when its format is not known, or
 * LZO.
 */
int kernel_payload_unpack(const void *payload, size_t len, struct buf *out, struct err *err);

#endif
