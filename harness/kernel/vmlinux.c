/* A vmlinux's headers; see vmlinux.h. */
#include "kernel/vmlinux.h"

#include <stdbool.h>
#include <string.h>

static int cut_short(struct err *err)
{
	return err_set(err, ERR_INPUT, "damaged: its vmlinux ends too early");
}

static bool inside(size_t len, uint64_t offset, uint64_t bytes)
{
	return offset <= len && bytes <= len - offset;
}

static void reach(struct vmlinux *out, uint64_t end)
{
	out->end = end > out->end ? end : out->end;
}

static int read_segments(const char *data, size_t len, const Elf64_Ehdr *head, struct vmlinux *out,
			 struct err *err)
{
	if (head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phnum > VMLINUX_SEGMENTS)
		return err_set(err, ERR_INPUT, "damaged: %u segments of %u bytes in its vmlinux",
			       head->e_phnum, head->e_phentsize);
	if (!inside(len, head->e_phoff, head->e_phnum * sizeof(Elf64_Phdr)))
		return cut_short(err);
	uint64_t total = 0;
	for (size_t i = 0; i < head->e_phnum; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, data + head->e_phoff + i * sizeof(ph), sizeof(ph));
		if (ph.p_type != PT_LOAD)
			continue;
		if (!inside(len, ph.p_offset, ph.p_filesz))
			return cut_short(err);
		out->loads[out->n++] = ph;
		total += ph.p_filesz;
		reach(out, ph.p_offset + ph.p_filesz);
	}
	if (total > len)
		return err_set(err, ERR_INPUT, "damaged: segments of its vmlinux overlap");
	if (!out->n)
		return err_set(err, ERR_INPUT, "damaged: nothing in its vmlinux is to be loaded");
	return 0;
}

int vmlinux_read(const char *data, size_t len, struct vmlinux *out, struct err *err)
{
	Elf64_Ehdr head;

	memset(out, 0, sizeof(*out));
	if (len < sizeof(head))
		return cut_short(err);
	memcpy(&head, data, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_ident[EI_DATA] != ELFDATA2LSB || head.e_machine != EM_X86_64)
		return err_set(err, ERR_UNSUPPORTED, "no x86-64 ELF file in its payload");
	out->entry = head.e_entry;
	reach(out, head.e_shoff <= len ? head.e_shoff + head.e_shnum * sizeof(Elf64_Shdr) : 0);
	return read_segments(data, len, &head, out, err);
}
