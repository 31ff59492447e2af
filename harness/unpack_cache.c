/* Decompressed kernels that are remembered; see unpack_cache.h. */
#include "unpack_cache.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/sparse.h"
#include "kernel/unpacked.h"
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nobody writes to them. */
#define FILE_MODE 0444

static char *cache_dir(void)
{
	cleanup_free char *base = NULL;
	struct err ignored;

	return fs_xdg("XDG_CACHE_HOME", ".cache", &base, &ignored) ? NULL
								   : xasprintf("%s/unpacked", base);
}

/* NULL: there can be no cache. */
static char *cached_path(const char *dir, const struct kernel_image *image)
{
	cleanup_free char *program = program_id();

	return dir && program ? xasprintf("%s/%s-%s", dir, image->sha256, program) : NULL;
}

/* ---- copies, where a link cannot be ---- */

static int copy_page(void *opaque, off_t at, const char *page, size_t len)
{
	return pwrite(*(int *)opaque, page, len, at) == (ssize_t)len ? 0 : -1;
}

/* Have the new file to hold what from does; it lasts if it is synced. */
static int place(const char *from, const char *to, bool synced)
{
	struct stat st;

	if (!link(from, to))
		return 0;
	if (errno != EXDEV)
		return -1;
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	if (in < 0 || out < 0)
		return -1;
	if (!fstat(in, &st) && !ftruncate(out, st.st_size) && !sparse_pages(in, copy_page, &out) &&
	    (!synced || !fdatasync(out)) && !fchmod(out, FILE_MODE))
		return 0;
	unlink(to);
	return -1;
}

/* ---- the cache ---- */

bool unpack_cache_find(const struct kernel_image *image, const char *path)
{
	static const struct timespec used_now[] = { { .tv_nsec = UTIME_NOW },
						    { .tv_nsec = UTIME_OMIT } };
	cleanup_free char *dir = cache_dir(), *cached = cached_path(dir, image);
	struct stat st;

	if (!cached || stat(cached, &st))
		return false;
	/* What writes to a file sets this, and these have never been written to. */
	if (st.st_mtim.tv_sec || st.st_mtim.tv_nsec) {
		log_info("%s is not used, and taken away: it was written to", cached);
		unlink(cached);
		return false;
	}
	if (place(cached, path, false))
		return false;
	utimensat(AT_FDCWD, cached, used_now, 0);
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
		    (st.st_atim.tv_sec > least.tv_sec ||
		     (st.st_atim.tv_sec == least.tv_sec && st.st_atim.tv_nsec >= least.tv_nsec)))
			continue;
		least = st.st_atim;
		free(*oldest);
		*oldest = xasprintf("%s/%s", path, e->d_name);
	}
	return n;
}

/* It is in the cache whole, or not at all. */
static void remember(const struct kernel_image *image, const char *path)
{
	static const struct timespec never_written[] = { { .tv_nsec = UTIME_NOW }, { 0 } };
	cleanup_free char *dir = cache_dir(), *cached = cached_path(dir, image);
	struct err ignored;
	uint64_t unique;

	if (!cached || fs_mkdirs(dir, &ignored) ||
	    getrandom(&unique, sizeof(unique), 0) != sizeof(unique))
		return;
	cleanup_free char *made = xasprintf("%s/new-%016" PRIx64, dir, unique);
	if (place(path, made, true))
		return;
	if (utimensat(AT_FDCWD, made, never_written, 0) || rename(made, cached))
		unlink(made);
	for (bool gone = true; gone;) {
		cleanup_free char *oldest = NULL;

		gone = survey(dir, &oldest) > UNPACK_CACHE_FILES && !unlink(oldest);
	}
}

int unpack_cache_make(const struct kernel_image *image, bool share, const char *path,
		      struct err *err)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

	if (fd < 0 || fchmod(fd, FILE_MODE))
		return err_errno(err, ERR_HARNESS, "%s", path);
	if (kernel_unpack(image, fd, err)) {
		unlink(path);
		return -1;
	}
	/* Some file systems find only now that they are full. */
	if (share && fdatasync(fd))
		return err_errno(err, ERR_HARNESS, "%s", path);
	if (share)
		remember(image, path);
	return 0;
}
