/* Bytes and .modinfo of a module file; see modinfo.h and modules.h. What is compressed is followed
 * to a bound, and nothing is read that the section headers do not place within the file. */
#include "kernel/modinfo.h"

#include "base/cleanup.h"
#include "kernel/modules.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

static void close_archive(struct archive **a)
{
	archive_read_free(*a);
}

int module_unpack(const void *data, size_t len, struct buf *out, struct err *err)
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
	if (archive_read_open_memory(a, data, len) ||
	    archive_read_next_header(a, &entry) > ARCHIVE_EOF)
		goto bad;
	while ((n = archive_read_data(a, chunk, sizeof(chunk))) > 0) {
		if ((size_t)n > MODULE_BYTES - got.len)
			return err_set(err, ERR_INPUT, "larger than %lu MiB", MODULE_BYTES >> 20);
		buf_add(&got, chunk, (size_t)n);
	}
	if (n < 0)
		goto bad;
	*out = got;
	got = (struct buf)BUF_INIT;
	return 0;
bad:
	return err_set(err, ERR_INPUT, "%s",
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

bool module_name_ok(const char *s, size_t len)
{
	if (!len || len > 63)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
			    s[i]))
			return false;
	return true;
}

static int add_dep(struct modinfo *info, const char *s, size_t len, bool soft, struct err *err)
{
	if (!module_name_ok(s, len) || info->n_depends == MODINFO_MAX_DEPENDS)
		return err_set(err, ERR_INPUT, "damaged: its dependencies make no sense");
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
static int add_depends(struct modinfo *info, const char *s, struct err *err)
{
	while (*s) {
		size_t len = strcspn(s, ",");

		if (add_dep(info, s, len, false, err))
			return -1;
		s += len + (s[len] == ',');
	}
	return 0;
}

/* softdep: "pre: a b post: c"; what comes after is none of ours. */
static int add_softdep(struct modinfo *info, const char *s, struct err *err)
{
	bool pre = false;

	while (*(s += strspn(s, " \t"))) {
		size_t len = strcspn(s, " \t");

		if (s[len - 1] == ':')
			pre = !strncmp(s, "pre:", len);
		else if (pre && add_dep(info, s, len, true, err))
			return -1;
		s += len;
	}
	return 0;
}

/* One string of .modinfo: KEY=VALUE. */
static int add_row(struct modinfo *info, const char *row, struct err *err)
{
	static const char release[] = "vermagic=", depends[] = "depends=", softdep[] = "softdep=";

	if (!strncmp(row, release, sizeof(release) - 1) && !info->release) {
		row += sizeof(release) - 1;
		info->release = xstrndup(row, strcspn(row, " "));
	}
	if (!strncmp(row, depends, sizeof(depends) - 1))
		return add_depends(info, row + sizeof(depends) - 1, err);
	if (!strncmp(row, softdep, sizeof(softdep) - 1))
		return add_softdep(info, row + sizeof(softdep) - 1, err);
	return 0;
}

/* Strings in a row, each ended by a NUL; there may be more than one between two of them. */
static int add_rows(struct modinfo *info, const char *p, size_t len, struct err *err)
{
	const char *end = p + len, *nul;

	for (; (nul = memchr(p, '\0', (size_t)(end - p))); p = nul + 1)
		if (add_row(info, p, err))
			return -1;
	return 0;
}

const char *module_section_name(const struct buf *module, const Elf64_Shdr *names,
				const Elf64_Shdr *s)
{
	/* One without bits may say that they are anywhere. */
	if (names->sh_type == SHT_NOBITS || s->sh_name >= names->sh_size)
		return "";
	const char *name = module->data + names->sh_offset + s->sh_name;
	return memchr(name, '\0', names->sh_size - s->sh_name) ? name : "";
}

int modinfo_parse(const struct buf *module, struct modinfo *out, struct err *err)
{
	struct modinfo info = { 0 };
	Elf64_Ehdr head;
	cleanup_free Elf64_Shdr *sections = module_sections(module, &head);
	int rc = 0;

	if (!sections)
		return err_set(err, ERR_INPUT, "not a kernel module, or a damaged one");
	for (size_t i = 1; !rc && i < head.e_shnum; i++) {
		const Elf64_Shdr *s = &sections[i], *names = &sections[head.e_shstrndx];

		if (s->sh_type == SHT_NOBITS ||
		    strcmp(module_section_name(module, names, s), ".modinfo") != 0)
			continue;
		rc = add_rows(&info, module->data + s->sh_offset, s->sh_size, err);
		break;
	}
	if (!rc && !info.release)
		rc = err_set(err, ERR_INPUT, "not a kernel module (no vermagic)");
	if (rc)
		modinfo_free(&info);
	else
		*out = info;
	return rc;
}

void modinfo_free(struct modinfo *info)
{
	free(info->release);
	for (size_t i = 0; i < info->n_depends; i++)
		free(info->depends[i].name);
	free(info->depends);
	*info = (struct modinfo){ 0 };
}
