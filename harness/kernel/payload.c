/* Decompressing a bzImage's payload, through libarchive; see payload.h. */
#include "kernel/payload.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SIZE_BYTES 4 /* at the payload's end */

/* First bytes as in boot.rst; filter: libarchive's, which is told and does not guess, for a guess
 * would go on to what a file inside the file is packed with. */
static const struct format {
	const char *name, *magic;
	size_t len;
	int filter;
	bool own_size; /* the size is part of the format, not appended */
} formats[] = {
	{ "gzip", "\x1f\x8b", 2, ARCHIVE_FILTER_GZIP, true },
	{ "bzip2", "BZh", 3, ARCHIVE_FILTER_BZIP2, false },
	{ "lzma", "\x5d\0\0", 3, ARCHIVE_FILTER_LZMA, false },
	{ "xz", "\xfd\x37zXZ\0", 6, ARCHIVE_FILTER_XZ, false },
	{ "lz4", "\x02\x21\x4c\x18", 4, ARCHIVE_FILTER_LZ4, false },
	{ "zstd", "\x28\xb5\x2f\xfd", 4, ARCHIVE_FILTER_ZSTD, false },
	{ "LZO", "\x89LZO", 4, -1, false },
};

static uint32_t le32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void close_archive(struct archive **a)
{
	archive_read_free(*a);
}

static const struct format *find_format(const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (len > formats[i].len && !memcmp(p, formats[i].magic, formats[i].len))
			return &formats[i];
	return NULL;
}

static int damaged(struct archive *a, const struct format *format, struct err *err)
{
	const char *why = archive_error_string(a);

	return err_set(err, ERR_INPUT, "damaged: its %s payload cannot be decompressed (%s)",
		       format->name, why ? why : "it ends too early");
}

static int unpack(const struct format *format, const void *payload, size_t len, size_t want,
		  struct buf *out, struct err *err)
{
	__attribute__((cleanup(close_archive))) struct archive *a = archive_read_new();
	struct archive_entry *entry;
	const void *block;
	int64_t offset;
	size_t n;
	int rc;

	if (!a)
		return err_set(err, ERR_HARNESS, "libarchive cannot start");
	if (archive_read_support_format_raw(a) || archive_read_append_filter(a, format->filter))
		return err_set(err, ERR_UNSUPPORTED, "this libarchive cannot read %s",
			       format->name);
	if (archive_read_open_memory(a, payload, len) || archive_read_next_header(a, &entry))
		return damaged(a, format, err);
	while ((rc = archive_read_data_block(a, &block, &n, &offset)) == ARCHIVE_OK) {
		if (n > want - out->len)
			return err_set(err, ERR_INPUT,
				       "damaged: its payload holds more than the %zu bytes that it "
				       "says",
				       want);
		buf_add(out, block, n);
	}
	if (rc != ARCHIVE_EOF)
		return damaged(a, format, err);
	if (out->len != want)
		return err_set(err, ERR_INPUT,
			       "damaged: its payload holds %zu bytes and says that it holds %zu",
			       out->len, want);
	return 0;
}

int kernel_payload_unpack(const void *payload, size_t len, struct buf *out, struct err *err)
{
	const unsigned char *p = payload;
	cleanup_buf struct buf got = BUF_INIT;

	if (len > SIZE_BYTES && !memcmp(p, "\177ELF", 4)) {
		buf_add(out, p, len);
		return 0;
	}
	const struct format *format = find_format(p, len);
	if (!format || len <= SIZE_BYTES)
		return err_set(err, ERR_UNSUPPORTED,
			       "its payload is of no known format (it begins with %02x %02x)",
			       len > 0 ? p[0] : 0, len > 1 ? p[1] : 0);
	if (format->filter < 0)
		return err_set(err, ERR_UNSUPPORTED,
			       "its payload is compressed by %s, which is not supported; build it "
			       "with another of CONFIG_KERNEL_GZIP, _XZ, _LZ4, ...",
			       format->name);
	size_t want = le32(p + len - SIZE_BYTES);
	if (want > KERNEL_PAYLOAD_BYTES)
		return err_set(err, ERR_INPUT,
			       "damaged: its payload says that it holds %zu bytes; no kernel is "
			       "over %lu MiB",
			       want, KERNEL_PAYLOAD_BYTES >> 20);
	if (unpack(format, p, format->own_size ? len : len - SIZE_BYTES, want, &got, err))
		return -1;
	*out = got;
	got = (struct buf)BUF_INIT;
	return 0;
}
