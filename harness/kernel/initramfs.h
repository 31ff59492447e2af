/*
 * The guest's file system, in memory: a builder for newc cpio archives (Documentation/driver-api/
 * early-userspace/buffer-format.rst in the kernel's tree), and kvmrepro's own guest made with it.
 *
 * The same input gives the same bytes: times and owners are 0, order is the caller's.
 */
#ifndef KERNEL_INITRAMFS_H
#define KERNEL_INITRAMFS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct kernel_modules;
struct reproducer;

struct initramfs;

/* An empty archive; gzip: compress it. The caller ends it with initramfs_finish() or
 * initramfs_free(). */
int initramfs_new(bool gzip, struct initramfs **out, struct err *err);
void initramfs_free(struct initramfs *fs);

/*
 * Add one entry. path is absolute, ASCII, without "." or ".." or "//"; it must not be there yet.
 * Missing parents are added as directories of mode 0755. mode: permission bits.
 */
int initramfs_add_file(struct initramfs *fs, const char *path, mode_t mode, const void *data,
		       size_t len, struct err *err);
int initramfs_add_symlink(struct initramfs *fs, const char *path, const char *target,
			  struct err *err);
int initramfs_add_chardev(struct initramfs *fs, const char *path, mode_t mode, unsigned major,
			  unsigned minor, struct err *err);

/* End the archive, put its bytes into out, which must be empty, and free fs (on error too). */
int initramfs_finish(struct initramfs *fs, struct buf *out, struct err *err);

/* What one trial's guest holds. Everything is borrowed for the time of the call. */
struct initramfs_spec {
	const char *token;    /* PROTO_TOKEN_CHARS hex digits, this trial's own */
	unsigned detector_ms; /* see the plan in kvmrepro/protocol.h */
	unsigned stuck_ms;
	const struct buf *sandbox; /* the filter (sandbox.h); NULL: reproducers run without */
	const struct kernel_modules *modules; /* NULL: none */
	const struct reproducer *repros;      /* n_repros of them; the n-th has id n */
	size_t n_repros;                      /* at most PROTO_MAX_REPROS */
	bool gzip; /* smaller for a slow way to the guest; costs time under TCG */
};

/*
 * The whole initramfs: /init, /dev/console, /dev/null, the plan, the filter, /lib/modules/NAME.ko,
 * /repro/NAME (bundled: a symbolic link to /init). out must be empty.
 *
 * It is the base followed by the plan, and the two can be had apart: the base (all but the plan:
 * token, detector_ms and stuck_ms are not looked at) is the same for all trials of a run and holds
 * nearly all the bytes; the kernel unpacks archives that follow one another as if they were one.
 */
int initramfs_build(const struct initramfs_spec *spec, struct buf *out, struct err *err);
int initramfs_build_base(const struct initramfs_spec *spec, struct buf *out, struct err *err);
int initramfs_build_plan(const struct initramfs_spec *spec, struct buf *out, struct err *err);

#endif
