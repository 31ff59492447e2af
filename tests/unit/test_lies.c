/*
 * Answers of readers that have been taken over: each "file" here is what its reader answers, byte
 * for byte. What cannot be true of any file is refused.
 */
#include "base/cleanup.h"
#include "base/fs.h"
#include "kernel/image.h"
#include "kernel/modinfo.h"
#include "kernel/modules.h"
#include "oops/report.h"
#include "readers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char *dir;

/* The request is heard where there is one, for who sends it would get EPIPE. */
static int lie(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;

	if (fs_read_fd(fds[0], 1 << 20, &body, ERR_HARNESS, err))
		return -1;
	return wire_send(fd, 0, &body, err);
}

static int hear_and_lie(int fd, const int *fds, struct err *err)
{
	cleanup_wire struct wire in = WIRE_INIT;

	return cage_hear(fd, &in, err) ? -1 : lie(fd, fds, err);
}

static const struct cage_role liars[] = {
	[READER_LOG] = { .name = "logs", .serve = hear_and_lie },
	[READER_BISECTION] = { .name = "bisections", .serve = hear_and_lie },
	[READER_IMAGE] = { .name = "images", .serve = hear_and_lie },
	[READER_SIGNATURE] = { .name = "payloads", .serve = hear_and_lie },
	[READER_MODINFO] = { .name = "modules", .serve = lie },
	[READER_MODULES] = { .name = "modules", .serve = hear_and_lie },
};

static int setup(void **state)
{
	struct err err;

	(void)state;
	return cage_setup(liars, &err) || fs_tmpdir(&dir, &err);
}

static int teardown(void **state)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)state;
	free(dir);
	cage_end();
	return rc;
}

static char *answer(const struct buf *body)
{
	char *path = xasprintf("%s/answer", dir);
	struct err err;

	assert_int_equal(fs_write(path, body->data, body->len, &err), 0);
	return path;
}

/* ---- images: the answer must go with the file's size, which is the answer's own ---- */

struct image_words {
	const char *release, *version, *sha256;
	uint64_t size_off, protocol, setup, offset, bytes;
};

static const struct image_words true_image = { "6.1.0", "6.1.0 #1", HASH, 0, 0x20f, 10, 10, 20 };

static void put_image(struct buf *body, const struct image_words *w)
{
	size_t fields = 8 * 8 + strlen(w->release) + strlen(w->version) + strlen(w->sha256);

	buf_clear(body);
	wire_put_str(body, w->release);
	wire_put_str(body, w->version);
	wire_put_u64(body, fields + w->size_off);
	wire_put_str(body, w->sha256);
	wire_put_u64(body, w->protocol);
	wire_put_u64(body, w->setup);
	wire_put_u64(body, w->offset);
	wire_put_u64(body, w->bytes);
}

static int image_answer(const struct image_words *w, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct kernel_image image;

	put_image(&body, w);
	cleanup_free char *path = answer(&body);
	int rc = kernel_image_open(path, &image, err);
	if (!rc)
		kernel_image_free(&image);
	return rc;
}

static void test_images(void **state)
{
	static const struct image_words lies[] = {
		{ "../../etc", "6.1.0 #1", HASH, 0, 0x20f, 10, 10, 20 },
		{ "6.1/0", "6.1.0 #1", HASH, 0, 0x20f, 10, 10, 20 },
		{ "", "6.1.0 #1", HASH, 0, 0x20f, 10, 10, 20 },
		{ "6.1.0", "6.1.0\033[31m", HASH, 0, 0x20f, 10, 10, 20 },
		{ "6.1.0", "6.1.0 #1", "../" HASH, 0, 0x20f, 10, 10, 20 },
		{ "6.1.0", "6.1.0 #1", "0", 0, 0x20f, 10, 10, 20 },
		{ "6.1.0", "6.1.0 #1", HASH, 1, 0x20f, 10, 10, 20 },
		{ "6.1.0", "6.1.0 #1", HASH, (uint64_t)-1, 0x20f, 10, 10, 20 },
		{ "6.1.0", "6.1.0 #1", HASH, 0, 0x10000, 10, 10, 20 },
		{ "6.1.0", "6.1.0 #1", HASH, 0, 0x20f, 1000, 10, 20 },
		{ "6.1.0", "6.1.0 #1", HASH, 0, 0x20f, 10, 1000, 0 },
		{ "6.1.0", "6.1.0 #1", HASH, 0, 0x20f, 10, 10, 1000 },
		{ "6.1.0", "6.1.0 #1", HASH, 0, 0x20f, 10, 10, (uint64_t)-10 },
	};
	struct err err;

	(void)state;
	assert_int_equal(image_answer(&true_image, &err), 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		assert_int_equal(image_answer(&lies[i], &err), -1);
		assert_string_equal(err.msg,
				    "the reader of images gave an answer that makes no sense");
		assert_int_equal(err.kind, ERR_HARNESS);
	}
}

/* ---- signatures ---- */

static int sign_answer(const char *compiler, uint64_t made, const char *text, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct kernel_image image = { .payload_bytes = 1 };
	char signature[SIGNATURE_BYTES], *named;

	wire_put_str(&body, compiler);
	wire_put_u64(&body, made);
	wire_put_str(&body, text);
	image.path = answer(&body);
	int rc = kernel_image_sign(&image, signature, &named, err);
	assert_int_equal(strlen(signature), rc ? 0 : 64);
	free(image.path);
	free(named);
	return rc;
}

static void test_signatures(void **state)
{
	cleanup_buf struct buf much = BUF_INIT;
	struct err err;

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_addc(&much, 'x');
	assert_int_equal(sign_answer("gcc", 1, HASH, &err), 0);
	assert_int_equal(sign_answer(NULL, 0, "damaged\033[31m", &err), -1);
	assert_non_null(strstr(err.msg, "damaged?[31m"));
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(sign_answer(much.data, 1, HASH, &err), -1);
	assert_non_null(strstr(err.msg, "makes no sense"));
	assert_int_equal(sign_answer("gcc", 2, HASH, &err), -1);
	assert_non_null(strstr(err.msg, "makes no sense"));
	assert_int_equal(sign_answer("gcc", 1, HASH "0", &err), -1);
	assert_non_null(strstr(err.msg, "makes no sense"));
	assert_int_equal(sign_answer("gcc", 1, NULL, &err), -1);
	assert_non_null(strstr(err.msg, "makes no sense"));
	assert_int_equal(sign_answer("gcc", 0, much.data, &err), -1);
	assert_non_null(strstr(err.msg, "makes no sense"));
}

/* ---- modules ---- */

static int modinfo_answer(const char *release, uint64_t n, const char *name, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct modinfo info;

	wire_put_str(&body, release);
	wire_put_u64(&body, n);
	wire_put_str(&body, name);
	wire_put_u64(&body, 0);
	cleanup_free char *path = answer(&body);
	int rc = modinfo_read(path, &info, err);
	if (!rc)
		modinfo_free(&info);
	return rc;
}

static void test_modules(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(modinfo_answer("6.1.0", 1, "kvm", &err), 0);
	assert_int_equal(modinfo_answer(NULL, 1, "kvm", &err), -1);
	assert_int_equal(modinfo_answer("6.1.0", 2, "kvm", &err), -1);
	assert_int_equal(modinfo_answer("6.1.0", 0, "kvm", &err), -1);
	assert_int_equal(modinfo_answer("6.1.0", UINT64_MAX, "kvm", &err), -1);
	assert_int_equal(modinfo_answer("6.1.0", MODINFO_MAX_DEPENDS, "kvm", &err), -1);
	assert_int_equal(modinfo_answer("6.1.0", 1, "../kvm", &err), -1);
	assert_int_equal(modinfo_answer("6.1.0", 1, "kvm\n/init", &err), -1);
	assert_int_equal(modinfo_answer("6.1.0", 1, "", &err), -1);
	assert_int_equal(modinfo_answer("6.1.0", 1, NULL, &err), -1);
	assert_string_equal(err.msg, "the reader of modules gave an answer that makes no sense");
}

static void test_modules_signature(void **state)
{
	cleanup_buf struct buf body = BUF_INIT;
	char name[] = "kvm", out[SIGNATURE_BYTES];
	struct err err;

	(void)state;
	wire_put_str(&body, "signed");
	cleanup_free char *path = answer(&body);
	struct kernel_module module = { name, path, "" };
	const struct kernel_modules modules = { .v = &module, .n = 1 };
	assert_int_equal(modules_signature(&modules, out, &err), -1);
	assert_string_equal(err.msg, "the reader of modules gave an answer that makes no sense");
}

/* ---- logs ---- */

static void test_logs(void **state)
{
	cleanup_buf struct buf body = BUF_INIT;
	cleanup_cage struct cage cage = { 0 };
	struct oops_report report;
	struct err err;

	(void)state;
	wire_put_str(&body, "a title, and nothing else");
	cleanup_free char *path = answer(&body);
	cleanup_file FILE *f = fopen(path, "r");
	assert_int_equal(read_log_start(fileno(f), true, true, &cage, &err), 0);
	assert_int_equal(read_log_next(&cage, &report, &err), -1);
	assert_string_equal(err.msg, "the reader of logs gave an answer that makes no sense");
}

static void test_bisections(void **state)
{
	cleanup_buf struct buf body = BUF_INIT, text = BUF_INIT;
	bool astray = false;
	struct err err;

	(void)state;
	wire_put_u64(&body, 2);
	wire_put_str(&body, "text");
	cleanup_free char *path = answer(&body);
	const struct read_bisection q = { .path = path };
	assert_int_equal(read_bisection(&q, &text, &astray, &err), -1);
	assert_false(astray);
	assert_string_equal(err.msg, "the reader of bisections gave an answer that makes no sense");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_images),  cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_modules), cmocka_unit_test(test_modules_signature),
		cmocka_unit_test(test_logs),    cmocka_unit_test(test_bisections),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
