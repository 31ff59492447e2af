/*
 * libFuzzer target for what reads a bzImage's payload: decompression, signature, and the file that
 * is booted. The first byte says whether the rest is a payload or a vmlinux. The same bytes must
 * give the same signature, and the size limit must hold.
 */
#include "kernel/payload.h"
#include "kernel/signature.h"
#include "kernel/unpacked.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int out_fd; /* 0: not yet */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sign_vmlinux(const char *vmlinux, size_t len)
{
	char first[SIGNATURE_BYTES], again[SIGNATURE_BYTES];
	char *copy = malloc(len + 1);
	struct err err;

	memcpy(copy, vmlinux, len);
	if (!kernel_signature(copy, len, first, &err)) {
		if (strspn(first, "0123456789abcdef") != SIGNATURE_BYTES - 1)
			abort();
		memcpy(copy, vmlinux, len);
		if (kernel_signature(copy, len, again, &err) || strcmp(first, again))
			abort();
	} else if (!err.msg[0]) {
		abort();
	}
	free(copy);
}

/* What is written lies in the file as in memory, of which a GiB is the end. */
static void unpack_vmlinux(const char *vmlinux, size_t len)
{
	char head[1024] = { 0 };
	struct stat st;
	struct err err;

	head[0x206] = 0x0f;
	head[0x207] = 2;
	head[0x236] = 0x7f;
	if (ftruncate(out_fd, 0))
		abort();
	if (!kernel_unpack_write(head, sizeof(head), vmlinux, len, out_fd, &err) &&
	    (fstat(out_fd, &st) || st.st_size > (1 << 30)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT;
	struct err err;

	if (!size)
		return 0;
	if (!out_fd)
		out_fd = memfd_create("kernel", MFD_CLOEXEC);
	if (data[0] & 1) {
		unpack_vmlinux((const char *)data + 1, size - 1);
		sign_vmlinux((const char *)data + 1, size - 1);
		return 0;
	}
	if (!kernel_payload_unpack(data + 1, size - 1, &out, &err)) {
		if (out.len > KERNEL_PAYLOAD_BYTES)
			abort();
		sign_vmlinux(out.data, out.len);
	} else if (out.len) {
		abort();
	}
	buf_free(&out);
	return 0;
}
