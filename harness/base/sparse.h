/* Sparse files: the pages that hold something. */
#ifndef BASE_SPARSE_H
#define BASE_SPARSE_H

#include <stddef.h>
#include <sys/types.h>

#define SPARSE_PAGE_BYTES 4096

/*
 * Call visit for each page of the file that is not all zero, in order: at is its offset, a multiple
 * of SPARSE_PAGE_BYTES; len is less than that at the end of the file only. A hole and zeros are the
 * same. Returns 0, or -1 with errno set, or what visit returned if that was not 0.
 */
int sparse_pages(int fd, int (*visit)(void *opaque, off_t at, const char *page, size_t len),
		 void *opaque);

#endif
