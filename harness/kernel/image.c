/* The header of a bzImage; see image.h. Field names and offsets are boot.rst's. */
#include "kernel/image.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum {
	SECTOR_BYTES = 512,
	OFF_SETUP_SECTS = 0x1f1,
	OFF_SYSSIZE = 0x1f4, /* in units of 16 bytes */
	OFF_BOOT_FLAG = 0x1fe,
	OFF_MAGIC = 0x202, /* "HdrS" */
	OFF_PROTOCOL = 0x206,
	OFF_KERNEL_VERSION = 0x20e, /* of the string, less 0x200 */
	OFF_LOADFLAGS = 0x211,
	OFF_XLOADFLAGS = 0x236,
	OFF_PAYLOAD_OFFSET = 0x248, /* from the end of the setup sectors */
	OFF_PAYLOAD_LENGTH = 0x24c,
	HEADER_END = 0x250,

	LOADED_HIGH = 1 << 0,
	XLF_KERNEL_64 = 1 << 0,

	PROTOCOL_SYSSIZE_32 = 0x0204,
	PROTOCOL_PAYLOAD = 0x0208,
	PROTOCOL_XLOADFLAGS = 0x020c,

	/* setup_sects is one byte and does not count the boot sector. */
	SETUP_BYTES_MAX = 256 * SECTOR_BYTES,
};

static const char vmlinux_hint[] = "an ELF file, not a bzImage; in a built tree the bzImage that "
				   "goes with vmlinux is arch/x86/boot/bzImage";

/* What people hand over in place of a bzImage. The first row that fits names it. */
static const struct {
	size_t offset;
	const char *magic;
	size_t len;
	const char *what;
} others[] = {
	{ 0, "\177ELF", 4, vmlinux_hint },
	{ 0, "\x1f\x8b", 2, "gzip data, not a bzImage; unpack it first" },
	{ 0, "\xfd\x37zXZ", 5, "xz data, not a bzImage; unpack it first" },
	{ 0, "\x28\xb5\x2f\xfd", 4, "zstd data, not a bzImage; unpack it first" },
	{ 0, "BZh", 3, "bzip2 data, not a bzImage; unpack it first" },
	{ 0, "\x02\x21\x4c\x18", 4, "lz4 data, not a bzImage; unpack it first" },
	{ 0, "\x04\x22\x4d\x18", 4, "lz4 data, not a bzImage; unpack it first" },
	{ 0x38, "ARM\x64", 4, "an arm64 Image; only x86-64 kernels can be booted" },
	{ 0x38, "RSC\x05", 4, "a RISC-V Image; only x86-64 kernels can be booted" },
	{ 0, "07070", 5, "a cpio archive (an initramfs?), not a kernel image" },
	{ 0, "!<arch>\n", 8, "an archive (a Debian package?), not a kernel image" },
	{ 0, "QFI\xfb", 4, "a qcow2 disk image, not a kernel image" },
	{ 0, "MZ", 2, "an EFI program without a boot protocol header, not a bzImage" },
};

static unsigned le16(const unsigned char *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

static uint32_t le32(const unsigned char *p)
{
	return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static bool has_magic(const unsigned char *head, size_t len, size_t offset, const char *magic,
		      size_t magic_len)
{
	return offset + magic_len <= len && !memcmp(head + offset, magic, magic_len);
}

static bool is_bzimage(const unsigned char *head, size_t len)
{
	return has_magic(head, len, OFF_BOOT_FLAG, "\x55\xaa", 2) &&
	       has_magic(head, len, OFF_MAGIC, "HdrS", 4);
}

static const char *what_else(const unsigned char *head, size_t len)
{
	if (!len)
		return "an empty file, not a kernel image";
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (has_magic(head, len, others[i].offset, others[i].magic, others[i].len))
			return others[i].what;
	return "not a kernel image (no x86 boot protocol header)";
}

bool kernel_release_ok(const char *s)
{
	return *s && *s != '.' && strlen(s) < NAME_MAX &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+~-") ==
		       strlen(s);
}

bool kernel_version_ok(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return false;
	return true;
}

/* len: at most the setup sectors, in which the string must lie and end. */
static int read_version(struct kernel_image *image, const unsigned char *head, size_t len,
			struct err *err)
{
	size_t start = le16(head + OFF_KERNEL_VERSION) + 0x200;

	if (start == 0x200)
		return err_set(err, ERR_INPUT, "%s: its header names no version", image->path);
	if (start >= len || !memchr(head + start, '\0', len - start))
		return err_set(err, ERR_INPUT, "%s: damaged: its version string is outside",
			       image->path);
	image->version = xstrdup((const char *)head + start);
	if (!kernel_version_ok(image->version))
		return err_set(err, ERR_INPUT, "%s: damaged: its version string is no text",
			       image->path);
	image->release = xstrndup(image->version, strcspn(image->version, " "));
	if (!kernel_release_ok(image->release))
		return err_set(err, ERR_INPUT, "%s: its release '%.80s' is no release's name",
			       image->path, image->release);
	return 0;
}

static int read_header(struct kernel_image *image, const unsigned char *head, size_t len,
		       struct err *err)
{
	if (!is_bzimage(head, len))
		return err_set(err, ERR_INPUT, "%s: %s", image->path, what_else(head, len));
	if (len < HEADER_END)
		return err_set(err, ERR_INPUT, "%s: truncated: it ends within its header",
			       image->path);
	image->boot_protocol = le16(head + OFF_PROTOCOL);
	if (image->boot_protocol < PROTOCOL_SYSSIZE_32 || !(head[OFF_LOADFLAGS] & LOADED_HIGH))
		return err_set(err, ERR_INPUT, "%s: a zImage or a kernel before 2.6.20, no bzImage",
			       image->path);

	uint64_t setup = ((head[OFF_SETUP_SECTS] ? head[OFF_SETUP_SECTS] : 4) + 1) * SECTOR_BYTES;
	uint64_t want = setup + (uint64_t)le32(head + OFF_SYSSIZE) * 16;
	if (image->size_bytes < want)
		return err_set(err, ERR_INPUT,
			       "%s: truncated: %llu bytes, but its header says %llu", image->path,
			       (unsigned long long)image->size_bytes, (unsigned long long)want);
	image->setup_bytes = setup;
	if (image->boot_protocol >= PROTOCOL_XLOADFLAGS &&
	    !(le16(head + OFF_XLOADFLAGS) & XLF_KERNEL_64))
		return err_set(err, ERR_INPUT,
			       "%s: a 32-bit kernel; only x86-64 kernels can be booted",
			       image->path);
	if (image->boot_protocol >= PROTOCOL_PAYLOAD) {
		image->payload_offset = setup + le32(head + OFF_PAYLOAD_OFFSET);
		image->payload_bytes = le32(head + OFF_PAYLOAD_LENGTH);
		if (image->payload_offset + image->payload_bytes > image->size_bytes)
			return err_set(err, ERR_INPUT, "%s: damaged: its payload is outside",
				       image->path);
	}
	return read_version(image, head, setup < len ? setup : len, err);
}

/* Fill chunk as far as the file goes. */
static ssize_t read_full(int fd, unsigned char *chunk, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, chunk + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int read_all(struct kernel_image *image, int fd, struct err *err)
{
	cleanup_free unsigned char *chunk = xcalloc(1, SETUP_BYTES_MAX);
	unsigned char digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;
	uint64_t total = 0;
	ssize_t n;

	sha256_init(&hash);
	do {
		n = read_full(fd, chunk, SETUP_BYTES_MAX);
		if (n < 0)
			return err_errno(err, ERR_INPUT, "%s", image->path);
		if (!total && read_header(image, chunk, (size_t)n, err))
			return -1;
		sha256_update(&hash, (size_t)n, chunk);
		total += (uint64_t)n;
	} while (n == SETUP_BYTES_MAX && total <= KERNEL_IMAGE_BYTES);
	if (total != image->size_bytes)
		return err_set(err, ERR_INPUT, "%s: it changed while it was read", image->path);
	sha256_digest(&hash, sizeof(digest), digest);
	base16_encode_update(image->sha256, sizeof(digest), digest);
	image->sha256[2 * sizeof(digest)] = '\0';
	return 0;
}

int kernel_image_read(int fd, const char *name, struct kernel_image *out, struct err *err)
{
	struct kernel_image image = { .path = xstrdup(name) };
	off_t size = lseek(fd, 0, SEEK_END);

	image.size_bytes = size < 0 ? 0 : (uint64_t)size;
	if (lseek(fd, 0, SEEK_SET) || read_all(&image, fd, err)) {
		kernel_image_free(&image);
		return -1;
	}
	*out = image;
	return 0;
}

void kernel_image_free(struct kernel_image *image)
{
	free(image->path);
	free(image->copy);
	free(image->release);
	free(image->version);
	*image = (struct kernel_image){ 0 };
}
