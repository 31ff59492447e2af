/* Module files by readers; see read.h, modules.h, modinfo.h. */
#include "kernel/read.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "kernel/modinfo.h"
#include "kernel/modules.h"
#include "readers.h"

#include <fcntl.h>
#include <string.h>

#define RELEASE_BYTES 4096
#define NAME_BYTES    64
#define INFO_BYTES    (RELEASE_BYTES + MODINFO_MAX_DEPENDS * (NAME_BYTES + 16) + 64)

int module_read_fd(int fd, struct buf *out, struct err *err)
{
	cleanup_buf struct buf packed = BUF_INIT;

	if (fs_read_fd(fd, MODULE_BYTES, &packed, ERR_INPUT, err))
		return -1;
	return module_unpack(packed.data, packed.len, out, err);
}

/* One question about one file, without words. */
static int ask(enum reader reader, const char *path, size_t max_bytes, struct wire *in,
	       struct err *err)
{
	cleanup_fd int fd = fs_open(path, ERR_INPUT, err);

	if (fd < 0)
		return -1;
	if (cage_ask(reader, &fd, 1, NULL, max_bytes, in, err))
		return err_context(err, "%s", path);
	return 0;
}

/* ---- what it says of itself ---- */

int modinfo_serve(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf module = BUF_INIT, body = BUF_INIT;
	struct modinfo info;

	if (module_read_fd(fds[0], &module, err) || modinfo_parse(&module, &info, err))
		return -1;
	wire_put_str(&body, info.release);
	wire_put_u64(&body, info.n_depends);
	for (size_t i = 0; i < info.n_depends; i++) {
		wire_put_str(&body, info.depends[i].name);
		wire_put_u64(&body, info.depends[i].soft);
	}
	modinfo_free(&info);
	return wire_send(fd, 0, &body, err);
}

static void take_info(struct wire *in, struct modinfo *info)
{
	info->release = wire_str(in, RELEASE_BYTES);
	size_t n = wire_u64(in, MODINFO_MAX_DEPENDS);
	info->depends = xcalloc(n, sizeof(*info->depends));
	for (; info->n_depends < n && !in->bad; info->n_depends++) {
		char *name = wire_str(in, NAME_BYTES);

		info->depends[info->n_depends] = (struct modinfo_dep){ name, wire_bool(in) };
		in->bad |= name && !module_name_ok(name, strlen(name));
	}
}

int modinfo_read(const char *path, struct modinfo *out, struct err *err)
{
	cleanup_wire struct wire in = WIRE_INIT;
	struct modinfo info = { 0 };

	if (ask(READER_MODINFO, path, INFO_BYTES, &in, err))
		return -1;
	take_info(&in, &info);
	if (!wire_ok(&in)) {
		modinfo_free(&info);
		return cage_bad(READER_MODINFO, err);
	}
	*out = info;
	return 0;
}

/* ---- its bytes, which go into the guest and are not looked at ---- */

int module_serve(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf module = BUF_INIT;

	if (module_read_fd(fds[0], &module, err))
		return -1;
	module_strip_debug(&module);
	return wire_send(fd, 0, &module, err);
}

int module_read(const char *path, struct buf *out, struct err *err)
{
	cleanup_wire struct wire in = WIRE_INIT;

	if (ask(READER_MODULE, path, MODULE_BYTES, &in, err))
		return -1;
	*out = in.body;
	in.body = (struct buf)BUF_INIT;
	return 0;
}
