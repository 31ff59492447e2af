/* Files and directories; see fs.h. */
#include "base/fs.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

int fs_read_fd(int fd, size_t max_bytes, struct buf *out, enum err_kind kind, struct err *err)
{
	cleanup_buf struct buf got = BUF_INIT;
	char chunk[65536];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, kind, "it cannot be read");
		if (n == 0)
			break;
		if ((size_t)n > max_bytes - got.len)
			return err_set(err, kind, "larger than %zu bytes", max_bytes);
		buf_add(&got, chunk, (size_t)n);
	}
	buf_free(out);
	*out = got;
	got = (struct buf)BUF_INIT;
	return 0;
}

int fs_open(const char *path, enum err_kind kind, struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_errno(err, kind, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, kind, "%s: %s", path,
			       S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	return steal_fd(fd);
}

int fs_read(const char *path, size_t max_bytes, struct buf *out, enum err_kind kind,
	    struct err *err)
{
	cleanup_fd int fd = fs_open(path, kind, err);

	if (fd < 0)
		return -1;
	return fs_read_fd(fd, max_bytes, out, kind, err) ? err_context(err, "%s", path) : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_file(const char *path, const void *data, size_t len, mode_t mode, bool lasts,
		      struct err *err)
{
	cleanup_free char *tmp = xasprintf("%s.XXXXXX.tmp", path);
	cleanup_fd int fd = mkostemps(tmp, strlen(".tmp"), O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, ERR_HARNESS, "%s", path);
	if (write_all(fd, data, len) || fchmod(fd, mode) || (lasts && fdatasync(fd)) ||
	    rename(tmp, path)) {
		err_errno(err, ERR_HARNESS, "%s", path);
		unlink(tmp);
		return -1;
	}
	return 0;
}

int fs_write(const char *path, const void *data, size_t len, struct err *err)
{
	return write_file(path, data, len, 0644, true, err);
}

int fs_write_scratch(const char *path, const void *data, size_t len, struct err *err)
{
	return write_file(path, data, len, 0644, false, err);
}

int fs_write_program(const char *path, const void *data, size_t len, struct err *err)
{
	return write_file(path, data, len, 0755, true, err);
}

int fs_write_gz(const char *path, const void *data, size_t len, struct err *err)
{
	/* windowBits 15 + 16: a gzip header and trailer (zlib.h, deflateInit2). */
	z_stream z = { 0 };

	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(err, ERR_HARNESS, "%s: zlib cannot start", path);
	uLong bound = deflateBound(&z, len);
	cleanup_free char *packed = xcalloc(1, bound);
	z.next_in = (Bytef *)data;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)packed;
	z.avail_out = (uInt)bound;
	int rc = len > UINT32_MAX ? Z_BUF_ERROR : deflate(&z, Z_FINISH);
	size_t n = z.total_out;
	deflateEnd(&z);
	if (rc != Z_STREAM_END)
		return err_set(err, ERR_HARNESS, "%s: zlib cannot compress %zu bytes", path, len);
	return fs_write(path, packed, n, err);
}

int fs_mkdirs(const char *path, struct err *err)
{
	cleanup_free char *p = xstrdup(path);

	for (char *s = p + 1;; s++) {
		if (*s && *s != '/')
			continue;
		char was = *s;
		*s = '\0';
		if (mkdir(p, 0755) && errno != EEXIST)
			return err_errno(err, ERR_HARNESS, "%s", p);
		*s = was;
		if (!was)
			return 0;
	}
}

int fs_tmpdir(char **out, struct err *err)
{
	const char *base = getenv("TMPDIR");
	cleanup_free char *dir =
		xasprintf("%s/kvmrepro-XXXXXX", base && *base == '/' ? base : "/tmp");

	if (!mkdtemp(dir))
		return err_errno(err, ERR_HARNESS, "%s", dir);
	*out = steal(dir);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path) && errno != ENOENT ? -1 : 0;
}

int fs_rmtree(const char *path, struct err *err)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
		return err_errno(err, ERR_HARNESS, "cannot remove %s", path);
	return 0;
}

bool fs_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

bool fs_is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

int fs_xdg(const char *var, const char *fallback, char **out, struct err *err)
{
	const char *dir = getenv(var), *home = getenv("HOME");

	if (dir && *dir == '/')
		*out = xasprintf("%s/kvmrepro", dir);
	else if (home && *home == '/')
		*out = xasprintf("%s/%s/kvmrepro", home, fallback);
	else
		return err_set(err, ERR_INPUT, "neither $%s nor $HOME names a directory", var);
	return 0;
}
