/*
 * Building a revision; see bisect.h. The kernel and the modules that it needs are copied to where
 * the evidence is: the tree belongs to the next revision as soon as this one is built.
 */
#include "bisect.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "build.h"
#include "git.h"
#include "kernel/image.h"
#include "kernel/modules.h"
#include "kernel/signature.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <string.h>
#include <unistd.h>

/* Where an image must lie for its modules to be looked for in the tree (kernel/modules.h). */
#define KEPT_IMAGE "kernel/arch/x86/boot/bzImage"

char *bisect_kernel_path(const struct bisect *b, const struct bisect_step *s)
{
	return xasprintf("%s/%s/" KEPT_IMAGE, b->j->dir, s->dir);
}

/*
 * The kernel of the revision before must never be taken for this one's. A tracked file stays, for
 * it is git's.
 */
static int remove_stale(const struct bisect *b, const char *path, struct err *err)
{
	int status;

	if (git(b->j->tree, NULL, &status, err, "ls-files", "--error-unmatch", "--",
		b->config->kernel))
		return -1;
	if (status)
		unlink(path);
	return 0;
}

static int copy_file(const char *from, const char *to, size_t max_bytes, struct err *err)
{
	cleanup_buf struct buf bytes = BUF_INIT;

	if (fs_read(from, max_bytes, &bytes, ERR_INPUT, err))
		return -1;
	return fs_write(to, bytes.data, bytes.len, err);
}

/* signature: of the modules, or "" where there are none. */
static int keep_modules(const struct bisect *b, const struct bisect_step *s,
			const struct kernel_image *image, char signature[SIGNATURE_BYTES],
			struct err *err)
{
	struct kernel_modules modules = { 0 };
	int rc = modules_for_image(image, b->config->trials->modules, &modules, err);

	signature[0] = '\0';
	if (!rc && modules.n)
		rc = modules_signature(&modules, signature, err);

	for (size_t i = 0; !rc && i < modules.n; i++) {
		const char *from = modules.v[i].path, *slash = strrchr(from, '/');
		cleanup_free char *to =
			xasprintf("%s/%s/kernel/%s", b->j->dir, s->dir, slash ? slash + 1 : from);

		rc = copy_file(from, to, MODULE_BYTES, err);
	}
	kernel_modules_free(&modules);
	return rc;
}

/* KVM may be a module: kernels are the same only if what they load is too. */
static char *with_modules(const char *kernel, const char *modules)
{
	struct sha256_ctx ctx;
	uint8_t digest[SHA256_DIGEST_SIZE];
	char hex[BASE16_ENCODE_LENGTH(SHA256_DIGEST_SIZE) + 1] = "";

	if (!*modules)
		return xstrdup(kernel);
	sha256_init(&ctx);
	sha256_update(&ctx, strlen(kernel), (const uint8_t *)kernel);
	sha256_update(&ctx, strlen(modules), (const uint8_t *)modules);
	sha256_digest(&ctx, sizeof(digest), digest);
	base16_encode_update(hex, sizeof(digest), digest);
	return xstrdup(hex);
}

/* A kernel whose payload cannot be read has its file's hash: equal only to itself. */
static void sign(struct bisect_step *s, const struct kernel_image *image, const char *modules)
{
	char signature[SIGNATURE_BYTES], *compiler;
	struct err why;

	bool missing = kernel_image_sign(image, signature, &compiler, &why);
	if (missing)
		log_info("no signature, the file's hash is taken for it: %s", why.msg);
	s->signature = with_modules(missing ? image->sha256 : signature, modules);
	if (compiler) {
		free(s->compiler);
		s->compiler = compiler;
	}
}

/* Copy what the build made. What is wrong with it is a failed build: nothing to be tested. */
static int keep(const struct bisect *b, struct bisect_step *s, const char *path, struct err *err)
{
	cleanup_free char *to = bisect_kernel_path(b, s);
	cleanup_free char *dir = xstrndup(to, (size_t)(strrchr(to, '/') - to));
	struct kernel_image image = { 0 };
	char modules[SIGNATURE_BYTES];

	if (fs_mkdirs(dir, err))
		return -1;
	int rc = kernel_image_open(path, &image, err);
	if (!rc)
		rc = keep_modules(b, s, &image, modules, err);
	if (!rc)
		rc = copy_file(path, to, KERNEL_IMAGE_BYTES, err);
	if (!rc)
		sign(s, &image, modules);
	kernel_image_free(&image);
	if (!rc || err->kind != ERR_INPUT)
		return rc;
	s->build_failure = xstrdup(err->msg);
	return 0;
}

/*
 * Who builds, and when, is the same for all revisions (Documentation/kbuild/reproducible-builds.rst
 * of Linux): a banner of another length would shift what lies behind it, and one source would give
 * two signatures. What the user has set stays.
 */
static void pin_builds(void)
{
	static const char *const pins[][2] = {
		{ "KBUILD_BUILD_USER", "kvmrepro" },
		{ "KBUILD_BUILD_HOST", "localhost" },
		{ "KBUILD_BUILD_VERSION", "1" },
		{ "KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970" },
	};

	for (size_t i = 0; i < sizeof(pins) / sizeof(*pins); i++)
		setenv(pins[i][0], pins[i][1], 0);
}

int bisect_build(struct bisect *b, struct bisect_step *s, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/%s", b->j->tree, b->config->kernel);
	cleanup_free char *dir = xasprintf("%s/%s", b->j->dir, s->dir);
	cleanup_free char *log = xasprintf("%s/build.log", dir);
	int64_t began = clock_ms();
	int status;

	if (s->signature || s->build_failure)
		return 0;
	pin_builds();
	if (fs_mkdirs(dir, err) || remove_stale(b, path, err) ||
	    build_run(b->j->tree, b->config->build, log, &status, err))
		return -1;
	if (status)
		s->build_failure = build_failure(log, b->config->build, status);
	else if (!fs_exists(path))
		s->build_failure =
			xasprintf("the command succeeded, but made no %s", b->config->kernel);
	else if (keep(b, s, path, err))
		return -1;
	s->build_ms = (long)(clock_ms() - began);
	if (s->build_failure)
		log_info("%.12s: not built: %s (%s)", s->hash, s->build_failure, log);
	return bisect_journal_store(b->j, err);
}
