/*
 * A kept state as files, and what it depends on.
 *
 * The memory is a sparse file: pages of zeros are left out. Another VM maps that file private, as
 * it would the file without a name that the state was made in, so that nothing of it is copied.
 */
#include "vm/libvirt_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/sparse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define CPUINFO_BYTES ((size_t)4 << 20)

/* ---- what it depends on ---- */

/* The file at path, as it is now: whoever writes to it or puts another in its place changes this.
 */
static int add_file(const char *path, struct buf *out, struct err *err)
{
	struct stat st;

	if (stat(path, &st))
		return err_errno(err, ERR_HARNESS, "%s", path);
	buf_addf(out, "%s %llx %llx %lld %lld.%09ld %lld.%09ld\n", path,
		 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
		 (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		 (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	return 0;
}

/* What KVM passes to a guest, and by whose clock TCG counts. */
static int add_host(struct buf *out, struct err *err)
{
	static const char *const fields[] = { "vendor_id", "cpu family", "model",
					      "stepping",  "microcode",  "flags" };
	cleanup_buf struct buf text = BUF_INIT;
	struct utsname name;

	if (fs_read("/proc/cpuinfo", CPUINFO_BYTES, &text, ERR_HARNESS, err))
		return -1;
	if (uname(&name))
		return err_errno(err, ERR_HARNESS, "uname");
	buf_addf(out, "%s %s\n", name.nodename, name.release);
	for (const char *line = text.data; *line && *line != '\n';) {
		const char *end = strchrnul(line, '\n');

		for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
			if (!strncmp(line, fields[i], strlen(fields[i])))
				buf_addf(out, "%.*s\n", (int)(end - line), line);
		line = end + (*end == '\n');
	}
	return 0;
}

int libvirt_describe(struct engine_state *state, const struct vm_spec *spec, struct buf *out,
		     struct err *err)
{
	char name[] = "name";
	const struct libvirt_vm any = { .state = state, .name = name };
	const struct libvirt_paths paths = { "console", "agent", "file", NULL };
	struct vm_spec words = *spec;
	cleanup_free char *xml = NULL;

	words.kernel = "kernel";
	words.initrd = "initrd";
	words.loaded = spec->loaded ? "loaded" : NULL;
	if (libvirt_define(&any, &words, &paths, &xml, err) || add_file(state->qemu, out, err) ||
	    add_host(out, err))
		return -1;
	buf_addf(out, "%s\n%s\n%s", state->hypervisor, state->library, xml);
	return 0;
}

/* ---- to files and back ---- */

static int write_at(int fd, const char *data, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, at);

		if (n < 0 && errno != EINTR)
			return -1;
		n = n > 0 ? n : 0;
		data += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_page(void *opaque, off_t at, const char *page, size_t len)
{
	const int *to = opaque;

	return write_at(*to, page, len, at);
}

static int copy_sparse(int from, int to)
{
	struct stat st;

	if (fstat(from, &st) || ftruncate(to, st.st_size))
		return -1;
	return sparse_pages(from, copy_page, &to);
}

static int create_in(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

int libvirt_save(const struct vm_kept *kept, int dir_fd, struct err *err)
{
	cleanup_fd int memory_fd = create_in(dir_fd, "memory");
	cleanup_fd int devices_fd = create_in(dir_fd, "devices");

	if (memory_fd < 0 || devices_fd < 0 || copy_sparse(kept->memory_fd, memory_fd) ||
	    write_at(devices_fd, kept->devices.data, kept->devices.len, 0))
		return err_errno(err, ERR_HARNESS, "a VM's state cannot be written");
	return 0;
}

int libvirt_load(int dir_fd, unsigned memory_mib, struct vm_kept **out, struct err *err)
{
	cleanup_free char *devices_path = xasprintf("/proc/self/fd/%d/devices", dir_fd);
	cleanup_fd int memory_fd = openat(dir_fd, "memory", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_buf struct buf devices = BUF_INIT;
	struct stat st;

	if (memory_fd < 0 || fstat(memory_fd, &st))
		return err_errno(err, ERR_HARNESS, "a VM's kept memory");
	if (st.st_size != (off_t)memory_mib << 20)
		return err_set(err, ERR_HARNESS, "a VM's kept memory has the wrong size");
	if (fs_read(devices_path, KEPT_DEVICES_BYTES, &devices, ERR_HARNESS, err))
		return -1;
	*out = xcalloc(1, sizeof(**out));
	(*out)->memory_fd = steal_fd(memory_fd);
	(*out)->devices = devices;
	devices = (struct buf)BUF_INIT;
	return 0;
}
