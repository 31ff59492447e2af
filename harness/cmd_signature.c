/* kvmrepro signature: what a kernel is, whenever and wherever it was built. */
#include "cmd.h"

#include "base/buf.h"
#include "base/log.h"
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

/* As sha256sum does it: a file that cannot be read keeps no other from its line. */
static int signature_main(const void *opts, int argc, char **argv, struct err *err)
{
	int status = 0;

	(void)opts;
	if (!argc)
		return err_set(err, ERR_INPUT, "signature: which kernel? It takes FILE...");
	for (int i = 0; i < argc; i++) {
		cleanup_buf struct buf name = BUF_INIT;
		char signature[SIGNATURE_BYTES];

		if (sign(argv[i], signature, err)) {
			log_error("%s", err->msg);
			status = EXIT_USAGE;
			continue;
		}
		buf_add_escaped(&name, argv[i], strlen(argv[i]));
		printf("%s  %s\n", signature, name.data);
	}
	return status;
}

const struct cmd cmd_signature = {
	.name = "signature",
	.operands = "KERNEL...",
	.summary = "Print a hash of each kernel's code and data, without version and build time.",
	.opts = signature_opts,
	.opts_bytes = 0,
	.run = signature_main,
};
