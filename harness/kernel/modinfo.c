/*
 * Bytes and .modinfo of a module file; see modinfo.h and modules.h. libkmod reads the section, but
 * not the file: it would follow a compressed one to any size, and it aborts (assert) when section
 * numbers are out of range. So it is given ours, decompressed within a bound and checked, in a
 * memfd.
 */
#include "kernel/modinfo.h"

#include "base/cleanup.h"
#include "kernel/modules.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <libkmod.h>
#include <string.h>
#include <sys/mman.h>

static void close_archive(struct archive **a)
{
	archive_read_free(*a);
}

static void unref_ctx(struct kmod_ctx **ctx)
{
	kmod_unref(*ctx);
}

static void unref_module(struct kmod_module **module)
{
	kmod_module_unref(*module);
}

static void free_info(struct kmod_list **list)
{
	kmod_module_info_free_list(*list);
}

int module_read(const char *path, struct buf *out, struct err *err)
{
	__attribute__((cleanup(close_archive))) struct archive *a = archive_read_new();
	cleanup_buf struct buf got = BUF_INIT;
	struct archive_entry *entry;
	char chunk[65536];
	ssize_t n;

	/* "raw" hands out the one stream that is left when the filters have been taken off; "empty"
	 * is what it calls a file without any bytes. */
	if (!a || archive_read_support_filter_xz(a) || archive_read_support_filter_gzip(a) ||
	    archive_read_support_filter_zstd(a) || archive_read_support_format_raw(a) ||
	    archive_read_support_format_empty(a))
		return err_set(err, ERR_HARNESS, "libarchive lacks a filter");
	if (archive_read_open_filename(a, path, sizeof(chunk)) ||
	    archive_read_next_header(a, &entry) > ARCHIVE_EOF)
		goto bad;
	while ((n = archive_read_data(a, chunk, sizeof(chunk))) > 0) {
		if ((size_t)n > MODULE_BYTES - got.len)
			return err_set(err, ERR_INPUT, "%s: larger than %lu MiB", path,
				       MODULE_BYTES >> 20);
		buf_add(&got, chunk, (size_t)n);
	}
	if (n < 0)
		goto bad;
	*out = got;
	got = (struct buf)BUF_INIT;
	return 0;
bad:
	return err_set(err, ERR_INPUT, "%s: %s", path,
		       archive_error_string(a) ? archive_error_string(a) : "unreadable");
}

char *module_name(const char *s, size_t len)
{
	char *name = xstrndup(s, len);

	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '_';
	return name;
}

static bool inside(const struct buf *b, uint64_t offset, uint64_t len)
{
	return offset <= b->len && len <= b->len - offset;
}

Elf64_Shdr *module_sections(const struct buf *module, Elf64_Ehdr *head)
{
	if (!inside(module, 0, sizeof(*head)))
		return NULL;
	memcpy(head, module->data, sizeof(*head));
	if (memcmp(head->e_ident, ELFMAG, SELFMAG) || head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_ident[EI_DATA] != ELFDATA2LSB || head->e_type != ET_REL ||
	    head->e_machine != EM_X86_64 || head->e_shentsize != sizeof(Elf64_Shdr) ||
	    !head->e_shstrndx || head->e_shstrndx >= head->e_shnum ||
	    !inside(module, head->e_shoff, (uint64_t)head->e_shnum * sizeof(Elf64_Shdr)))
		return NULL;
	cleanup_free Elf64_Shdr *sections = xcalloc(head->e_shnum, sizeof(*sections));
	memcpy(sections, module->data + head->e_shoff, head->e_shnum * sizeof(*sections));
	for (size_t i = 0; i < head->e_shnum; i++)
		if (sections[i].sh_type != SHT_NOBITS &&
		    !inside(module, sections[i].sh_offset, sections[i].sh_size))
			return NULL;
	return steal(sections);
}

/* The name goes into the plan and into a path in the guest. */
static bool name_ok(const char *s, size_t len)
{
	if (!len || len > 63)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
			    s[i]))
			return false;
	return true;
}

static int add_dep(struct modinfo *info, const char *s, size_t len, bool soft, const char *path,
		   struct err *err)
{
	if (!name_ok(s, len) || info->n_depends == MODINFO_MAX_DEPENDS)
		return err_set(err, ERR_INPUT, "%s: damaged: its dependencies make no sense", path);
	cleanup_free char *name = module_name(s, len);
	for (size_t i = 0; i < info->n_depends; i++) {
		if (strcmp(info->depends[i].name, name))
			continue;
		info->depends[i].soft &= soft;
		return 0;
	}
	info->depends = xrealloc(info->depends, (info->n_depends + 1) * sizeof(*info->depends));
	info->depends[info->n_depends++] = (struct modinfo_dep){ steal(name), soft };
	return 0;
}

/* depends: "kvm,ccp", or nothing. */
static int add_depends(struct modinfo *info, const char *s, const char *path, struct err *err)
{
	while (*s) {
		size_t len = strcspn(s, ",");

		if (add_dep(info, s, len, false, path, err))
			return -1;
		s += len + (s[len] == ',');
	}
	return 0;
}

/* softdep: "pre: a b post: c"; what comes after is none of ours. */
static int add_softdep(struct modinfo *info, const char *s, const char *path, struct err *err)
{
	bool pre = false;

	while (*(s += strspn(s, " \t"))) {
		size_t len = strcspn(s, " \t");

		if (s[len - 1] == ':')
			pre = !strncmp(s, "pre:", len);
		else if (pre && add_dep(info, s, len, true, path, err))
			return -1;
		s += len;
	}
	return 0;
}

static int add_row(struct modinfo *info, const char *key, const char *value, const char *path,
		   struct err *err)
{
	if (!strcmp(key, "vermagic") && !info->release)
		info->release = xstrndup(value, strcspn(value, " "));
	if (!strcmp(key, "depends"))
		return add_depends(info, value, path, err);
	if (!strcmp(key, "softdep"))
		return add_softdep(info, value, path, err);
	return 0;
}

static int fill(struct modinfo *info, const struct kmod_list *list, const char *path,
		struct err *err)
{
	const struct kmod_list *row;

	kmod_list_foreach(row, list)
	{
		if (add_row(info, kmod_module_info_get_key(row), kmod_module_info_get_value(row),
			    path, err))
			return -1;
	}
	if (!info->release)
		return err_set(err, ERR_INPUT, "%s: not a kernel module (no vermagic)", path);
	return 0;
}

/* The module's bytes as a file without a name, checked. Returns the descriptor. */
static int open_checked(const char *path, struct err *err)
{
	cleanup_fd int fd = memfd_create("module", MFD_CLOEXEC);
	cleanup_buf struct buf bytes = BUF_INIT;
	Elf64_Ehdr head;

	if (fd < 0)
		return err_errno(err, ERR_HARNESS, "memfd_create");
	if (module_read(path, &bytes, err))
		return -1;
	cleanup_free Elf64_Shdr *sections = module_sections(&bytes, &head);
	if (!sections)
		return err_set(err, ERR_INPUT, "%s: not a kernel module, or a damaged one", path);
	for (size_t done = 0; done < bytes.len;) {
		ssize_t n = write(fd, bytes.data + done, bytes.len - done);

		if (n < 0)
			return err_errno(err, ERR_HARNESS, "memfd");
		done += (size_t)n;
	}
	return steal_fd(fd);
}

int modinfo_read(const char *path, struct modinfo *out, struct err *err)
{
	static const char *const no_config = NULL;
	__attribute__((cleanup(unref_ctx))) struct kmod_ctx *ctx = kmod_new(NULL, &no_config);
	__attribute__((cleanup(unref_module))) struct kmod_module *module = NULL;
	__attribute__((cleanup(free_info))) struct kmod_list *list = NULL;
	cleanup_fd int fd = open_checked(path, err);
	struct modinfo info = { 0 };

	if (fd < 0)
		return -1;
	if (!ctx)
		return err_set(err, ERR_HARNESS, "libkmod cannot start");
	cleanup_free char *proc = xasprintf("/proc/self/fd/%d", fd);
	kmod_set_log_priority(ctx, 0);
	if (kmod_module_new_from_path(ctx, proc, &module) < 0 ||
	    kmod_module_get_info(module, &list) < 0)
		return err_set(err, ERR_INPUT, "%s: not a kernel module (no .modinfo)", path);
	if (fill(&info, list, path, err)) {
		modinfo_free(&info);
		return -1;
	}
	*out = info;
	return 0;
}

void modinfo_free(struct modinfo *info)
{
	free(info->release);
	for (size_t i = 0; i < info->n_depends; i++)
		free(info->depends[i].name);
	free(info->depends);
	*info = (struct modinfo){ 0 };
}
