/* Decompressed kernels that are remembered; see unpack_cache.h. */
#include "unpack_cache.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "kernel/unpacked.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *cache_dir(void)
{
	cleanup_free char *base = NULL;
	struct err ignored;

	return fs_xdg("XDG_CACHE_HOME", ".cache", &base, &ignored) ? NULL
								   : xasprintf("%s/unpacked", base);
}

static char *cached_path(const char *dir, const struct kernel_image *image)
{
	char version[SHA256_HEX_BYTES];

	kernel_unpack_version(version);
	return xasprintf("%s/%s-%.16s", dir, image->sha256, version);
}

bool unpack_cache_find(const struct kernel_image *image, const char *path)
{
	cleanup_free char *dir = cache_dir();

	if (!dir)
		return false;
	cleanup_free char *cached = cached_path(dir, image);
	if (link(cached, path))
		return false;
	utimensat(AT_FDCWD, cached, NULL, 0); /* used now */
	return true;
}

/* How many there are; *oldest, which the caller frees, is the one not used for longest. */
static size_t survey(const char *path, char **oldest)
{
	cleanup_dir DIR *dir = opendir(path);
	const struct dirent *e;
	struct timespec least = { 0 };
	struct stat st;
	size_t n = 0;

	*oldest = NULL;
	while (dir && (e = readdir(dir))) {
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode))
			continue;
		n++;
		if (*oldest &&
		    (st.st_mtim.tv_sec > least.tv_sec ||
		     (st.st_mtim.tv_sec == least.tv_sec && st.st_mtim.tv_nsec >= least.tv_nsec)))
			continue;
		least = st.st_mtim;
		free(*oldest);
		*oldest = xasprintf("%s/%s", path, e->d_name);
	}
	return n;
}

/* It is in the cache whole, or not at all. */
static void remember(const struct kernel_image *image, int fd, const char *path)
{
	cleanup_free char *dir = cache_dir();
	struct err ignored;

	if (!dir || fs_mkdirs(dir, &ignored) || fdatasync(fd))
		return;
	cleanup_free char *cached = cached_path(dir, image);
	if (link(path, cached))
		return; /* there already, or another file system */
	for (bool gone = true; gone;) {
		cleanup_free char *oldest = NULL;

		gone = survey(dir, &oldest) > UNPACK_CACHE_FILES && !unlink(oldest);
	}
}

int unpack_cache_make(const struct kernel_image *image, bool share, const char *path,
		      struct err *err)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	if (fd < 0)
		return err_errno(err, ERR_HARNESS, "%s", path);
	if (kernel_unpack(image, fd, err)) {
		unlink(path);
		return -1;
	}
	if (share)
		remember(image, fd, path);
	return 0;
}
