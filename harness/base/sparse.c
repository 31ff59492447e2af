/* Sparse files; see sparse.h. */
#include "base/sparse.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

#define BLOCK_BYTES (16 * SPARSE_PAGE_BYTES)

static int block_pages(off_t at, const char *block, size_t len,
		       int (*visit)(void *opaque, off_t at, const char *page, size_t len),
		       void *opaque)
{
	int rc = 0;

	while (len && !rc) {
		size_t n = len < SPARSE_PAGE_BYTES ? len : SPARSE_PAGE_BYTES;

		if (block[0] || memcmp(block, block + 1, n - 1) != 0)
			rc = visit(opaque, at, block, n);
		block += n;
		at += (off_t)n;
		len -= n;
	}
	return rc;
}

int sparse_pages(int fd, int (*visit)(void *opaque, off_t at, const char *page, size_t len),
		 void *opaque)
{
	cleanup_free char *block = xcalloc(1, BLOCK_BYTES);
	off_t at = 0;
	int rc = 0;

	while (!rc && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
		/* A hole may end within a page, on a file system with smaller blocks. */
		at -= at % SPARSE_PAGE_BYTES;
		ssize_t n = pread(fd, block, BLOCK_BYTES, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		rc = block_pages(at, block, (size_t)n, visit, opaque);
		at += n;
	}
	/* ENXIO: no data behind at (lseek(2)). */
	return at < 0 && errno != ENXIO ? -1 : rc;
}
