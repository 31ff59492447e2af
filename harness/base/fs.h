/* Files and directories: whole reads with a limit, whole writes, private trees. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* A descriptor to read a regular file by; anything else is an error of kind, and is not waited for
 * (a FIFO without a writer would be). */
int fs_open(const char *path, enum err_kind kind, struct err *err);

/* Read all of path, a regular file, into out, which must be empty; more than max_bytes is an error
 * of kind. */
int fs_read(const char *path, size_t max_bytes, struct buf *out, enum err_kind kind,
	    struct err *err);

/* The same from a descriptor; the error names no file. */
int fs_read_fd(int fd, size_t max_bytes, struct buf *out, enum err_kind kind, struct err *err);

/* Make path hold exactly data: written beside it, synced, renamed. Whole or not at all. */
int fs_write(const char *path, const void *data, size_t len, struct err *err);

/* As fs_write(), not synced: in a directory that does not outlive the program. */
int fs_write_scratch(const char *path, const void *data, size_t len, struct err *err);

/* As fs_write(), executable. */
int fs_write_program(const char *path, const void *data, size_t len, struct err *err);

/* As fs_write(), through zlib (gzip format, RFC 1952). */
int fs_write_gz(const char *path, const void *data, size_t len, struct err *err);

/* mkdir -p, mode 0755. */
int fs_mkdirs(const char *path, struct err *err);

/* A new directory of mode 0700 under $TMPDIR (or /tmp), its name "kvmrepro-XXXXXX". The caller
 * frees *out, after fs_rmtree(). */
int fs_tmpdir(char **out, struct err *err);

/* Remove path and all below it; symbolic links are not followed, what is gone already is fine. */
int fs_rmtree(const char *path, struct err *err);

bool fs_exists(const char *path);

/* Whether path is a directory, or leads to one. */
bool fs_is_dir(const char *path);

/*
 * An XDG base directory (XDG Base Directory Specification 0.8) with "/kvmrepro" behind it:
 * $VAR, or $HOME/fallback where VAR is unset, empty or not absolute. The caller frees it.
 */
int fs_xdg(const char *var, const char *fallback, char **out, struct err *err);

#endif
