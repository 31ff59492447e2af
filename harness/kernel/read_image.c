/* Kernel images by readers; see read.h, image.h. */
#include "kernel/read.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "kernel/image.h"
#include "kernel/payload.h"
#include "kernel/unpacked.h"
#include "readers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define SETUP_BYTES    (256 * 512)
#define VERSION_BYTES  SETUP_BYTES /* it lies there */
#define COMPILER_BYTES 4096
#define ANSWER_BYTES   (2 * VERSION_BYTES)

void kernel_take_hash(struct wire *in, char out[65])
{
	cleanup_free char *hex = wire_str(in, 64);

	in->bad |= !hex || strspn(hex, "0123456789abcdef") != 64;
	snprintf(out, 65, "%s", in->bad ? "" : hex);
}

/* ---- the header and the file's hash ---- */

int kernel_image_serve(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;
	struct kernel_image image;

	if (cage_hear(fd, &in, err))
		return -1;
	cleanup_free char *name = wire_str(&in, PATH_MAX);
	if (kernel_image_read(fds[0], name ? name : "the image", &image, err))
		return -1;
	wire_put_str(&body, image.release);
	wire_put_str(&body, image.version);
	wire_put_u64(&body, image.size_bytes);
	wire_put_str(&body, image.sha256);
	wire_put_u64(&body, image.boot_protocol);
	wire_put_u64(&body, image.setup_bytes);
	wire_put_u64(&body, image.payload_offset);
	wire_put_u64(&body, image.payload_bytes);
	kernel_image_free(&image);
	return wire_send(fd, 0, &body, err);
}

/* What must hold of any image; size: what the file system says. */
static void take_image(struct wire *in, uint64_t size, struct kernel_image *image)
{
	image->release = wire_str(in, NAME_MAX);
	image->version = wire_str(in, VERSION_BYTES);
	image->size_bytes = wire_u64(in, size);
	kernel_take_hash(in, image->sha256);
	image->boot_protocol = (unsigned)wire_u64(in, UINT16_MAX);
	image->setup_bytes = wire_u64(in, size < SETUP_BYTES ? size : SETUP_BYTES);
	image->payload_offset = wire_u64(in, size);
	image->payload_bytes = wire_u64(in, size - image->payload_offset);
	if (!in->bad)
		in->bad = image->size_bytes != size || !kernel_release_ok(image->release) ||
			  !kernel_version_ok(image->version);
}

static int ask_image(int file_fd, const char *path, uint64_t size, struct kernel_image *image,
		     struct err *err)
{
	cleanup_buf struct buf request = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;

	wire_put_str(&request, path);
	if (cage_ask(READER_IMAGE, &file_fd, 1, &request, ANSWER_BYTES, &in, err))
		return -1;
	take_image(&in, size, image);
	return wire_ok(&in) ? 0 : cage_bad(READER_IMAGE, err);
}

int kernel_image_open(const char *path, struct kernel_image *out, struct err *err)
{
	cleanup_fd int fd = fs_open(path, ERR_INPUT, err);
	struct kernel_image image = { 0 };
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st))
		return err_errno(err, ERR_INPUT, "%s", path);
	if ((uint64_t)st.st_size > KERNEL_IMAGE_BYTES)
		return err_set(err, ERR_INPUT, "%s: %lld bytes; no kernel image is over %llu MiB",
			       path, (long long)st.st_size, KERNEL_IMAGE_BYTES >> 20);
	int rc = ask_image(fd, path, (uint64_t)st.st_size, &image, err);
	if (!rc && !(image.path = realpath(path, NULL)))
		rc = err_errno(err, ERR_INPUT, "%s", path);
	if (rc)
		kernel_image_free(&image);
	else
		*out = image;
	return rc;
}

/* ---- the payload ---- */

static int read_at(int fd, uint64_t offset, char *to, size_t len, struct err *err)
{
	while (len) {
		ssize_t n = pread(fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_INPUT, "it cannot be read");
		if (!n)
			return err_set(err, ERR_INPUT, "it changed while it was read");
		to += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static void put_payload(struct buf *request, const struct kernel_image *image)
{
	wire_put_u64(request, image->payload_offset);
	wire_put_u64(request, image->payload_bytes);
}

/* The next two fields of in say where it is. */
static int read_payload(struct wire *in, int fd, struct buf *out, struct err *err)
{
	uint64_t offset = wire_u64(in, KERNEL_IMAGE_BYTES);
	uint64_t len = wire_u64(in, KERNEL_IMAGE_BYTES);
	cleanup_free char *payload = xcalloc(1, len);

	if (read_at(fd, offset, payload, len, err))
		return -1;
	return kernel_payload_unpack(payload, len, out, err);
}

/* fd, which the caller closes, is open on the image in any case but an error. */
static int open_payload(const struct kernel_image *image, int *fd, struct err *err)
{
	if (!image->payload_bytes)
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: its header names no payload (a kernel before 2.6.26)",
			       image->path);
	*fd = fs_open(image->copy ? image->copy : image->path, ERR_INPUT, err);
	return *fd < 0 ? -1 : 0;
}

/* ---- decompressed on the host ---- */

static int unpack(struct wire *in, const int *fds, struct err *err)
{
	cleanup_buf struct buf vmlinux = BUF_INIT;
	uint64_t head_bytes = wire_u64(in, SETUP_BYTES);
	cleanup_free char *head = xcalloc(1, head_bytes);

	if (read_at(fds[0], 0, head, head_bytes, err) || read_payload(in, fds[0], &vmlinux, err))
		return -1;
	return kernel_unpack_write(head, head_bytes, vmlinux.data, vmlinux.len, fds[1], err);
}

/* The answer: whether it was done, and if not so, why it cannot be. */
int kernel_unpack_serve(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;

	if (cage_hear(fd, &in, err))
		return -1;
	int rc = unpack(&in, fds, err);
	if (rc && err->kind != ERR_UNSUPPORTED)
		return -1;
	wire_put_u64(&body, !rc);
	if (rc)
		wire_put_str(&body, err->msg);
	return wire_send(fd, 0, &body, err);
}

int kernel_unpack(const struct kernel_image *image, int out_fd, struct err *err)
{
	cleanup_fd int fd = -1;
	cleanup_buf struct buf request = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;

	if (open_payload(image, &fd, err))
		return -1;
	wire_put_u64(&request, image->setup_bytes);
	put_payload(&request, image);
	if (cage_ask(READER_UNPACK, (int[]){ fd, out_fd }, 2, &request, ANSWER_BYTES, &in, err))
		return err_context(err, "%s", image->path);
	bool done = wire_bool(&in);
	cleanup_free char *why = done ? NULL : wire_str(&in, ERR_MSG_BYTES - 1);
	if (!wire_ok(&in))
		return cage_bad(READER_UNPACK, err);
	return done ? 0 : err_set(err, ERR_UNSUPPORTED, "%s: %s", image->path, why);
}

/* ---- the signature ---- */

/* Where there is no signature, the answer says why: there may be a compiler all the same. */
int kernel_sign_serve(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT, vmlinux = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;
	char signature[SIGNATURE_BYTES];
	struct err why;

	if (cage_hear(fd, &in, err))
		return -1;
	if (read_payload(&in, fds[0], &vmlinux, err)) {
		err->kind = ERR_INPUT;
		return -1;
	}
	cleanup_free char *compiler = kernel_compiler(vmlinux.data, vmlinux.len);
	wire_put_str(&body, compiler);
	if (kernel_signature(vmlinux.data, vmlinux.len, signature, &why)) {
		wire_put_u64(&body, 0);
		wire_put_str(&body, why.msg);
	} else {
		wire_put_u64(&body, 1);
		wire_put_str(&body, signature);
	}
	return wire_send(fd, 0, &body, err);
}

static int take_signature(struct wire *in, char out[SIGNATURE_BYTES], char **compiler,
			  struct err *err)
{
	cleanup_free char *named = wire_str_or_null(in, COMPILER_BYTES), *why = NULL;
	bool made = wire_bool(in);

	if (made)
		kernel_take_hash(in, out);
	else
		why = wire_str(in, ERR_MSG_BYTES - 1);
	if (!wire_ok(in))
		return cage_bad(READER_SIGNATURE, err);
	if (compiler)
		*compiler = steal(named);
	return made ? 0 : err_set(err, ERR_INPUT, "%s", why);
}

int kernel_image_sign(const struct kernel_image *image, char out[SIGNATURE_BYTES], char **compiler,
		      struct err *err)
{
	cleanup_fd int fd = -1;
	cleanup_buf struct buf request = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;

	*out = '\0';
	if (compiler)
		*compiler = NULL;
	if (open_payload(image, &fd, err)) {
		err->kind = ERR_INPUT;
		return -1;
	}
	put_payload(&request, image);
	if (cage_ask(READER_SIGNATURE, &fd, 1, &request, ANSWER_BYTES, &in, err) ||
	    take_signature(&in, out, compiler, err))
		return err_context(err, "%s", image->path);
	return 0;
}
