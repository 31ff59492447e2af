/*
 * A module without its DWARF; see module_strip_debug() in modules.h. Sections keep their numbers,
 * for symbols and relocations name them so: one that goes stays in the table as SHT_NULL, which the
 * kernel's loader passes over, and the others move up in the file.
 */
#include "kernel/modules.h"

#include "base/cleanup.h"
#include "kernel/modinfo.h"

#include <stdint.h>
#include <string.h>

static bool align_ok(uint64_t align)
{
	return align <= 4096 && !(align & (align - 1));
}

static bool is_debug(const struct buf *b, const Elf64_Shdr *names, const Elf64_Shdr *s)
{
	static const char *const prefixes[] = { ".debug", ".rela.debug", ".gdb_index" };

	if ((s->sh_flags & SHF_ALLOC) || s->sh_name >= names->sh_size)
		return false;
	const char *name = b->data + names->sh_offset + s->sh_name;
	size_t room = names->sh_size - s->sh_name;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t len = strlen(prefixes[i]);

		if (room > len && !memcmp(name, prefixes[i], len))
			return true;
	}
	return false;
}

static void pad(struct buf *b, size_t align)
{
	while (align > 1 && b->len % align)
		buf_addc(b, '\0');
}

void module_strip_debug(struct buf *module)
{
	cleanup_buf struct buf slim = BUF_INIT;
	Elf64_Ehdr head;
	cleanup_free Elf64_Shdr *sections = module_sections(module, &head);
	size_t gone = 0;

	for (size_t i = 0; sections && i < head.e_shnum; i++) {
		if (!is_debug(module, &sections[head.e_shstrndx], &sections[i]))
			continue;
		sections[i] = (Elf64_Shdr){ .sh_name = sections[i].sh_name };
		gone++;
	}
	if (!gone || sections[head.e_shstrndx].sh_type == SHT_NULL)
		return;
	buf_add(&slim, &head, sizeof(head));
	for (size_t i = 0; i < head.e_shnum; i++) {
		Elf64_Shdr *s = &sections[i];

		if (s->sh_type == SHT_NULL)
			continue;
		if (!align_ok(s->sh_addralign))
			return;
		pad(&slim, s->sh_addralign);
		if (s->sh_type != SHT_NOBITS)
			buf_add(&slim, module->data + s->sh_offset, s->sh_size);
		s->sh_offset = slim.len - (s->sh_type == SHT_NOBITS ? 0 : s->sh_size);
		/* Sections that overlap could make it grow without end. */
		if (slim.len > module->len)
			return;
	}
	pad(&slim, sizeof(uint64_t));
	head.e_shoff = slim.len;
	memcpy(slim.data, &head, sizeof(head));
	buf_add(&slim, sections, head.e_shnum * sizeof(*sections));
	buf_free(module);
	*module = slim;
	slim = (struct buf)BUF_INIT;
}
