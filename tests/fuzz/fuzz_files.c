/*
 * libFuzzer target for files that a user names: the first byte says which. A kernel image's header,
 * a module, a program.
 */
#include "kernel/image.h"
#include "kernel/modinfo.h"
#include "reproducer.h"

#include "base/cleanup.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_module(const uint8_t *data, size_t size)
{
	cleanup_buf struct buf module = BUF_INIT;
	struct modinfo info;
	struct err err;

	if (module_unpack(data, size, &module, &err) || modinfo_parse(&module, &info, &err))
		return;
	for (size_t i = 0; i < info.n_depends; i++)
		if (strpbrk(info.depends[i].name, "-/"))
			abort();
	modinfo_free(&info);
}

/* A kernel's header is read from a file, for its hash in pieces. */
static void use_image(const uint8_t *data, size_t size)
{
	cleanup_fd int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct kernel_image image;
	struct err err;

	if (fd < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if (kernel_image_read(fd, "x", &image, &err)) {
		if (strncmp(err.msg, "x: ", 3) != 0)
			abort();
		return;
	}
	if (image.payload_offset > image.size_bytes ||
	    image.payload_bytes > image.size_bytes - image.payload_offset ||
	    strlen(image.sha256) != 64 || !kernel_release_ok(image.release) ||
	    !kernel_version_ok(image.version))
		abort();
	kernel_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err;

	if (!size)
		return 0;
	if (*data % 3 == 0)
		use_image(data + 1, size - 1);
	else if (*data % 3 == 1)
		use_module(data + 1, size - 1);
	else
		reproducer_check_elf("x", data + 1, size - 1, &err);
	return 0;
}
