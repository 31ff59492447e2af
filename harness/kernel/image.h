/*
 * A kernel image file: is it one that can be booted here, and what does its header say.
 *
 * The format is the x86 boot protocol's (Documentation/arch/x86/boot.rst in the kernel's tree);
 * the image is a bzImage as built, or a distribution's vmlinuz, which is the same.
 */
#ifndef KERNEL_IMAGE_H
#define KERNEL_IMAGE_H

#include "base/err.h"
#include "kernel/signature.h"

#include <stdbool.h>
#include <stdint.h>

/* A larger file is refused: no bzImage comes near, and it is read whole for its hash. */
#define KERNEL_IMAGE_BYTES (512ULL * 1024 * 1024)

struct kernel_image {
	char *path;    /* absolute, symbolic links resolved */
	char *copy;    /* where the same bytes are, to be read in path's stead; NULL: nowhere */
	char *release; /* "6.1.0-50-cloud-amd64": what uname -r will say; safe as a file name */
	char *version; /* the header's whole version string, printable ASCII, release first */
	uint64_t size_bytes;
	char sha256[65];         /* of the whole file, lower-case hex */
	unsigned boot_protocol;  /* 0x020f is 2.15 */
	uint64_t setup_bytes;    /* where the part in protected mode begins */
	uint64_t payload_offset; /* from the start of the file: the compressed vmlinux; */
	uint64_t payload_bytes;  /* 0 where the header does not say (protocol before 2.08) */
};

/*
 * Check the file at path and fill out, which the caller gives to kernel_image_free(). The file is
 * read once from start to end, in pieces. ERR_INPUT with one line that begins with path when it is
 * missing, unreadable, cut short or no x86-64 bzImage: the line says what it is instead, where that
 * can be told (vmlinux, gzip, an arm64 Image, ...).
 */
int kernel_image_open(const char *path, struct kernel_image *out, struct err *err);

/* The same of what fd is open on, called name in errors and in out->path; fd can seek. It is this
 * that a reader (cage.h) does for kernel_image_open(). */
int kernel_image_read(int fd, const char *name, struct kernel_image *out, struct err *err);

/* Whether a release can be a file's name (it becomes part of paths), and a version is text. */
bool kernel_release_ok(const char *release);
bool kernel_version_ok(const char *version);

/*
 * The signature of the image's kernel (kernel/signature.h); its file is read again. *compiler, if
 * compiler is not NULL: what its banner says that compiled it, which the caller frees, or NULL; it
 * is set even if there is no signature. ERR_INPUT, with a line that begins with the image's path,
 * when the payload cannot be read.
 */
int kernel_image_sign(const struct kernel_image *image, char out[SIGNATURE_BYTES], char **compiler,
		      struct err *err);

/* May be called on a zeroed struct; leaves one. */
void kernel_image_free(struct kernel_image *image);

#endif
