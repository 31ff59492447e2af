/* The payload of a bzImage: every compression gives the same bytes back, and what is damaged, too
 * large or unknown gets its one line. */
#include "kernel/payload.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define PLAIN_BYTES 300000

static char *plain; /* ELF magic, then bytes that compress a little */

static int make_plain(void **state)
{
	uint32_t x = 1;

	(void)state;
	plain = xcalloc(1, PLAIN_BYTES);
	for (size_t i = 0; i < PLAIN_BYTES; i++) {
		x = x * 1664525 + 1013904223;
		plain[i] = (char)(i % 64 < 32 ? x >> 28 : 0);
	}
	memcpy(plain, "\177ELF", 4);
	return 0;
}

static int free_plain(void **state)
{
	(void)state;
	free(plain);
	return 0;
}

static void add_size(struct buf *b, uint32_t size)
{
	for (int i = 0; i < 4; i++)
		buf_addc(b, (char)(size >> (8 * i)));
}

static la_ssize_t append(struct archive *a, void *opaque, const void *data, size_t len)
{
	(void)a;
	buf_add(opaque, data, len);
	return (la_ssize_t)len;
}

/* As the kernel's build does it: compress, append the size where the format has none. */
static void compress_as(int (*filter)(struct archive *), const char *data, size_t len,
			struct buf *out)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	assert_int_equal(filter(a), ARCHIVE_OK);
	assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_in_last_block(a, 1), ARCHIVE_OK);
	assert_int_equal(archive_write_open(a, out, NULL, append, NULL), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_pathname(entry, "vmlinux");
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data, len), len);
	archive_entry_free(entry);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	if (filter != archive_write_add_filter_gzip)
		add_size(out, (uint32_t)len);
}

/* lz4 -l (LZ4 block format, legacy frame): blocks of one run of literals each. */
static void store_as_lz4(const char *data, size_t len, struct buf *out)
{
	add_size(out, 0x184c2102);
	/* A block holds at most 8 MiB, and all but the last exactly that: here is one. */
	cleanup_buf struct buf block = BUF_INIT;
	size_t rest = len - 15;

	buf_addc(&block, (char)0xf0);
	for (; rest >= 255; rest -= 255)
		buf_addc(&block, (char)255);
	buf_addc(&block, (char)rest);
	buf_add(&block, data, len);
	add_size(out, (uint32_t)block.len);
	buf_add(out, block.data, block.len);
	add_size(out, (uint32_t)len);
}

static void assert_plain(const struct buf *payload)
{
	cleanup_buf struct buf out = BUF_INIT;
	struct err err;

	if (kernel_payload_unpack(payload->data, payload->len, &out, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(out.len, PLAIN_BYTES);
	assert_memory_equal(out.data, plain, PLAIN_BYTES);
}

static void assert_refused_as(enum err_kind kind, const char *data, size_t len, const char *why)
{
	cleanup_buf struct buf out = BUF_INIT;
	struct err err;

	assert_int_equal(kernel_payload_unpack(data, len, &out, &err), -1);
	assert_int_equal(err.kind, kind);
	assert_int_equal(out.len, 0);
	if (!strstr(err.msg, why))
		fail_msg("'%s' lacks '%s'", err.msg, why);
	assert_null(strchr(err.msg, '\n'));
}

static void assert_refused(const char *data, size_t len, const char *why)
{
	assert_refused_as(ERR_INPUT, data, len, why);
}

static int (*const filters[])(struct archive *) = {
	archive_write_add_filter_gzip, archive_write_add_filter_bzip2,
	archive_write_add_filter_lzma, archive_write_add_filter_xz,
	archive_write_add_filter_zstd,
};
#define N_FILTERS (sizeof(filters) / sizeof(filters[0]))

static void test_formats(void **state)
{
	cleanup_buf struct buf lz4 = BUF_INIT, none = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < N_FILTERS; i++) {
		cleanup_buf struct buf payload = BUF_INIT;

		compress_as(filters[i], plain, PLAIN_BYTES, &payload);
		assert_plain(&payload);
	}
	store_as_lz4(plain, PLAIN_BYTES, &lz4);
	assert_plain(&lz4);
	buf_add(&none, plain, PLAIN_BYTES);
	assert_plain(&none);
}

static void test_damaged(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_FILTERS; i++) {
		cleanup_buf struct buf payload = BUF_INIT, cut = BUF_INIT;

		compress_as(filters[i], plain, PLAIN_BYTES, &payload);
		/* Half of it, with a size at its end as if it were whole. */
		buf_add(&cut, payload.data, payload.len / 2);
		add_size(&cut, PLAIN_BYTES);
		assert_refused(cut.data, cut.len, "damaged: its ");
		/* A size that is not what it holds: one less, one more. */
		payload.data[payload.len - 4]--;
		assert_refused(payload.data, payload.len, "damaged: its ");
		payload.data[payload.len - 4] += 2;
		assert_refused(payload.data, payload.len, "damaged: its ");
	}
}

/* Files within files are not opened: what comes out is what the first layer held. */
static void test_one_layer(void **state)
{
	cleanup_buf struct buf inner = BUF_INIT, outer = BUF_INIT, out = BUF_INIT;
	struct err err;

	(void)state;
	compress_as(archive_write_add_filter_gzip, plain, PLAIN_BYTES, &inner);
	compress_as(archive_write_add_filter_gzip, inner.data, inner.len, &outer);
	assert_int_equal(kernel_payload_unpack(outer.data, outer.len, &out, &err), 0);
	assert_int_equal(out.len, inner.len);
	assert_memory_equal(out.data, inner.data, inner.len);
}

static void test_bomb(void **state)
{
	cleanup_free char *zeros = xcalloc(1, 64 << 20);
	cleanup_buf struct buf payload = BUF_INIT, large = BUF_INIT;

	(void)state;
	compress_as(archive_write_add_filter_xz, zeros, 64 << 20, &payload);
	payload.len -= 4;
	add_size(&payload, 1000);
	assert_refused(payload.data, payload.len, "holds more than the 1000 bytes that it says");
	buf_adds(&large, "BZh9xxxx");
	add_size(&large, KERNEL_PAYLOAD_BYTES + 1);
	assert_refused(large.data, large.len, "no kernel is over 1024 MiB");
}

static void test_unknown(void **state)
{
	(void)state;
	assert_refused_as(ERR_UNSUPPORTED, "", 0, "of no known format");
	assert_refused_as(ERR_UNSUPPORTED, "\x1f", 1, "of no known format");
	assert_refused_as(ERR_UNSUPPORTED, "\x1f\x8b\x08", 3, "of no known format");
	assert_refused_as(ERR_UNSUPPORTED, "kernel of another kind", 22, "it begins with 6b 65");
	assert_refused_as(ERR_UNSUPPORTED, "\x89LZO\0\r\n\x1a\n....", 13,
			  "compressed by LZO, which is not supported");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),   cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_one_layer), cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests_name("payload", tests, make_plain, free_plain);
}
