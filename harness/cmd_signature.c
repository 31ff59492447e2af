/* kvmrepro signature: what a kernel is, whenever and wherever it was built. */
#include "cmd.h"

#include "base/buf.h"
#include "kernel/image.h"

#include <string.h>

static const struct opt signature_opts[] = { { 0 } };

static int sign(const char *path, char signature[SIGNATURE_BYTES], struct err *err)
{
	struct kernel_image image;

	if (kernel_image_open(path, &image, err))
		return -1;
	int rc = kernel_image_sign(&image, signature, NULL, err);
	kernel_image_free(&image);
	return rc;
}

static int print_signature(void *unused, const char *path, struct err *err)
{
	cleanup_buf struct buf name = BUF_INIT;
	char signature[SIGNATURE_BYTES];

	(void)unused;
	if (sign(path, signature, err))
		return -1;
	buf_add_escaped(&name, path, strlen(path));
	printf("%s  %s\n", signature, name.data);
	return 0;
}

static int signature_main(const void *opts, int argc, char **argv, struct err *err)
{
	(void)opts;
	if (!argc)
		return err_set(err, ERR_INPUT, "signature: which kernel? It takes FILE...");
	return cmd_each(argc, argv, print_signature, NULL, err);
}

const struct cmd cmd_signature = {
	.name = "signature",
	.operands = "KERNEL...",
	.summary = "Print a hash of each kernel's code and data, without version and build time.",
	.opts = signature_opts,
	.opts_bytes = 0,
	.run = signature_main,
};
