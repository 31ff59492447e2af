/* The builder of newc archives, on libarchive; see initramfs.h. */
#include "kernel/initramfs.h"

#include "base/cleanup.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct initramfs {
	struct archive *archive;
	struct buf bytes;
	char **paths; /* of all entries so far, without the first '/' */
	size_t n_paths;
};

static la_ssize_t append(struct archive *a, void *cookie, const void *data, size_t len)
{
	struct initramfs *fs = cookie;

	(void)a;
	buf_add(&fs->bytes, data, len);
	return (la_ssize_t)len;
}

static int archive_failed(struct initramfs *fs, struct err *err)
{
	const char *why = archive_error_string(fs->archive);

	return err_set(err, ERR_HARNESS, "initramfs: %s", why ? why : "libarchive failed");
}

int initramfs_new(bool gzip, struct initramfs **out, struct err *err)
{
	struct initramfs *fs = xcalloc(1, sizeof(*fs));

	fs->bytes = (struct buf)BUF_INIT;
	fs->archive = archive_write_new();
	/* gzip's own header would hold the time of day. */
	if (!fs->archive || archive_write_set_format_cpio_newc(fs->archive) ||
	    archive_write_set_bytes_in_last_block(fs->archive, 1) ||
	    (gzip && (archive_write_add_filter_gzip(fs->archive) ||
		      archive_write_set_filter_option(fs->archive, "gzip", "timestamp", NULL))) ||
	    archive_write_open(fs->archive, fs, NULL, append, NULL)) {
		archive_failed(fs, err);
		initramfs_free(fs);
		return -1;
	}
	*out = fs;
	return 0;
}

void initramfs_free(struct initramfs *fs)
{
	if (!fs)
		return;
	/* Freeing an archive in mid-file closes it, which appends. */
	archive_write_free(fs->archive);
	buf_free(&fs->bytes);
	for (size_t i = 0; i < fs->n_paths; i++)
		free(fs->paths[i]);
	free(fs->paths);
	free(fs);
}

static bool has_path(const struct initramfs *fs, const char *path)
{
	for (size_t i = 0; i < fs->n_paths; i++)
		if (!strcmp(fs->paths[i], path))
			return true;
	return false;
}

static bool path_ok(const char *path)
{
	if (path[0] != '/' || !path[1])
		return false;
	for (const char *p = path; *p;) {
		size_t len = strcspn(++p, "/");

		if (!len || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		for (size_t i = 0; i < len; i++)
			if (p[i] < 0x21 || p[i] > 0x7e)
				return false;
		p += len;
	}
	return true;
}

/* One entry; its path has no '/' before it. data: a file's bytes. */
static int add(struct initramfs *fs, const char *path, struct archive_entry *entry,
	       const void *data, size_t len, struct err *err)
{
	bool dir = archive_entry_filetype(entry) == AE_IFDIR;

	archive_entry_set_pathname(entry, path);
	archive_entry_set_size(entry, (la_int64_t)len);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_nlink(entry, dir ? 2 : 1);
	if (archive_write_header(fs->archive, entry) ||
	    (len && archive_write_data(fs->archive, data, len) != (la_ssize_t)len))
		return archive_failed(fs, err);
	fs->paths = xrealloc(fs->paths, (fs->n_paths + 1) * sizeof(*fs->paths));
	fs->paths[fs->n_paths++] = xstrdup(path);
	return 0;
}

/* The kernel drops what has no directory to go to, without a word. */
static int add_parents(struct initramfs *fs, const char *path, struct err *err)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		cleanup_free char *parent = xstrndup(path, (size_t)(slash - path));

		if (has_path(fs, parent))
			continue;
		struct archive_entry *entry = archive_entry_new();
		archive_entry_set_mode(entry, S_IFDIR | 0755);
		int rc = add(fs, parent, entry, NULL, 0, err);
		archive_entry_free(entry);
		if (rc)
			return -1;
	}
	return 0;
}

/* Takes entry. */
static int add_entry(struct initramfs *fs, const char *path, struct archive_entry *entry,
		     const void *data, size_t len, struct err *err)
{
	int rc = 0;

	if (!path_ok(path))
		rc = err_set(err, ERR_HARNESS, "initramfs: bad path '%s'", path);
	else if (has_path(fs, path + 1))
		rc = err_set(err, ERR_HARNESS, "initramfs: %s is there twice", path);
	else if (add_parents(fs, path + 1, err) || add(fs, path + 1, entry, data, len, err))
		rc = -1;
	archive_entry_free(entry);
	return rc;
}

int initramfs_add_file(struct initramfs *fs, const char *path, mode_t mode, const void *data,
		       size_t len, struct err *err)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_mode(entry, S_IFREG | mode);
	return add_entry(fs, path, entry, data, len, err);
}

int initramfs_add_symlink(struct initramfs *fs, const char *path, const char *target,
			  struct err *err)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_mode(entry, S_IFLNK | 0777);
	archive_entry_set_symlink(entry, target);
	return add_entry(fs, path, entry, NULL, 0, err);
}

int initramfs_add_chardev(struct initramfs *fs, const char *path, mode_t mode, unsigned major,
			  unsigned minor, struct err *err)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_mode(entry, S_IFCHR | mode);
	archive_entry_set_rdev(entry, makedev(major, minor));
	return add_entry(fs, path, entry, NULL, 0, err);
}

int initramfs_finish(struct initramfs *fs, struct buf *out, struct err *err)
{
	int rc = 0;

	if (archive_write_close(fs->archive))
		rc = archive_failed(fs, err);
	else {
		buf_free(out);
		*out = fs->bytes;
		fs->bytes = (struct buf)BUF_INIT;
	}
	initramfs_free(fs);
	return rc;
}
