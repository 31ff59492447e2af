/*
 * libFuzzer target for what reads a bzImage's payload: decompression and signature. The first byte
 * says whether the rest is a payload or a vmlinux. The same bytes must
 * give the same signature, and the size limit must hold.
 */
#include "kernel/payload.h"
#include "kernel/signature.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT;
	struct err err;

	if (!size)
		return 0;
	if (data[0] & 1) {
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
