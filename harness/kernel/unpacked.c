/*
 * Writing a decompressed kernel; see unpacked.h. What is done of the decompressor's work, and what
 * is not: arch/x86/boot/compressed/misc.c, extract_kernel(). Segments go to their physical
 * addresses, for which the vmlinux was linked, so that no relocation is due; the kernel clears its
 * own BSS. Offsets and flags of the header are those of Linux, Documentation/arch/x86/boot.rst.
 */
#include "kernel/unpacked.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/sha256.h"
#include "embed.h"
#include "kernel/entry.h"
#include "kernel/vmlinux.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum {
	HEADER_BEGIN = 0x1f1,
	OFF_SYSSIZE = 0x1f4,  /* in units of 16 bytes */
	OFF_PROTOCOL = 0x206, /* minor, major */
	OFF_LOADFLAGS = 0x211,
	OFF_CODE32_START = 0x214,
	OFF_RELOCATABLE = 0x234,
	OFF_XLOADFLAGS = 0x236,
	OFF_PAYLOAD = 0x248,     /* offset and length */
	OFF_KERNEL_INFO = 0x268, /* from the beginning of the part that is replaced */
	HEADER_END = 0x26c,

	PROTOCOL_KERNEL_INFO = 0x0f, /* 2.15 */

	KASLR_FLAG = 1 << 1,
	XLF_5LEVEL = 1 << 5,
	XLF_5LEVEL_ENABLED = 1 << 6,
};

/* Another one for each change of what is written here. */
#define LAYOUT "kvmrepro unpacked kernel 2"

/* Behind the entry QEMU puts its seed for the kernel's random numbers (setup_data, boot.rst). */
#define SEED_BYTES 0x1000

/* What the kernel takes of memory must end below it: a VM has little more by default. */
#define HIGHEST_ADDRESS (1ULL << 30)

static void put(char *p, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (char)(value >> 8 * i);
}

/* Where the last segment ends in memory; 0: they do not lie as a boot needs it. */
static uint64_t memory_end(const struct vmlinux *v)
{
	uint64_t end = 0;
	bool entered = false;

	for (size_t i = 0; i < v->n; i++) {
		const Elf64_Phdr *ph = &v->loads[i];

		if (ph->p_paddr < ENTRY_ADDRESS + ENTRY_BYTES + SEED_BYTES ||
		    ph->p_paddr > HIGHEST_ADDRESS || ph->p_memsz > HIGHEST_ADDRESS - ph->p_paddr ||
		    ph->p_filesz > ph->p_memsz)
			return 0;
		entered |= v->entry >= ph->p_paddr && v->entry - ph->p_paddr < ph->p_filesz;
		if (ph->p_paddr + ph->p_memsz > end)
			end = ph->p_paddr + ph->p_memsz;
	}
	return entered ? end : 0;
}

/* A reader has no pwrite(). */
static int write_at(int fd, uint64_t offset, const char *p, size_t len, struct err *err)
{
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return err_errno(err, ERR_HARNESS, "the decompressed kernel");
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(err, ERR_HARNESS, "the decompressed kernel");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * The ELF header, before the setup header, where a bzImage has the headers of an EFI program, which
 * this is none. A segment's BSS is left out: the kernel clears it.
 */
static int add_elf(char *own, size_t head_bytes, const struct vmlinux *v, struct err *err)
{
	Elf64_Ehdr elf = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = v->entry,
		.e_phoff = sizeof(elf),
		.e_ehsize = sizeof(elf),
		.e_phentsize = sizeof(Elf64_Phdr),
	};
	size_t end = sizeof(elf);

	memset(own, 0, HEADER_BEGIN);
	for (size_t i = 0; i < v->n; i++) {
		const Elf64_Phdr *from = &v->loads[i];
		const Elf64_Phdr ph = {
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W | PF_X,
			.p_offset = head_bytes + from->p_paddr - ENTRY_ADDRESS,
			.p_vaddr = from->p_paddr,
			.p_paddr = from->p_paddr,
			.p_filesz = from->p_filesz,
			.p_memsz = from->p_filesz,
		};

		if (!ph.p_filesz)
			continue;
		if (end + sizeof(ph) > HEADER_BEGIN)
			return err_set(err, ERR_UNSUPPORTED, "its vmlinux has %zu segments", v->n);
		memcpy(own + end, &ph, sizeof(ph));
		end += sizeof(ph);
		elf.e_phnum++;
	}
	memcpy(own, &elf, sizeof(elf));
	return 0;
}

/* With relocations behind it a kernel was built to have a random base. */
static int write_head(const char *head, size_t head_bytes, uint64_t body_bytes,
		      const struct vmlinux *v, bool relocations, int fd, struct err *err)
{
	cleanup_free char *own = xcalloc(1, head_bytes);

	memcpy(own, head, head_bytes);
	if (add_elf(own, head_bytes, v, err))
		return -1;
	put(own + OFF_SYSSIZE, body_bytes / 16, 4);
	put(own + OFF_XLOADFLAGS, 0, 2); /* entered in 32-bit mode, below 4 GiB */
	put(own + OFF_PAYLOAD, 0, 8);
	put(own + OFF_CODE32_START, ENTRY_ADDRESS, 4);
	if (own[OFF_PROTOCOL + 1] > 2 || own[OFF_PROTOCOL] >= PROTOCOL_KERNEL_INFO)
		put(own + OFF_KERNEL_INFO, 0, 4);
	own[OFF_RELOCATABLE] = 0;
	own[OFF_LOADFLAGS] =
		(char)((own[OFF_LOADFLAGS] & ~KASLR_FLAG) | (relocations ? KASLR_FLAG : 0));
	return write_at(fd, 0, own, head_bytes, err);
}

static int write_entry(const char *head, size_t head_bytes, uint64_t entry, int fd, struct err *err)
{
	cleanup_free char *code = xcalloc(1, ENTRY_BYTES);

	memcpy(code, embed_entry().data, ENTRY_BYTES);
	put(code + ENTRY_LEVELS_5, head[OFF_XLOADFLAGS] & XLF_5LEVEL_ENABLED, 4);
	put(code + ENTRY_VMLINUX, entry, 8);
	return write_at(fd, head_bytes, code, ENTRY_BYTES, err);
}

int kernel_unpack_write(const char *head, size_t head_bytes, const char *vmlinux, size_t len,
			int out_fd, struct err *err)
{
	struct vmlinux v;

	if (head_bytes < HEADER_END)
		return err_set(err, ERR_UNSUPPORTED, "its setup code is too short");
	/* Earlier kernels ask the CPU, not the decompressor, for how many levels there are. */
	if (!(head[OFF_XLOADFLAGS] & XLF_5LEVEL))
		return err_set(err, ERR_UNSUPPORTED, "a kernel before 5.3");
	if (vmlinux_read(vmlinux, len, &v, err))
		return -1;
	uint64_t end = memory_end(&v), body_bytes = (end - ENTRY_ADDRESS + 15) / 16 * 16;
	if (!end)
		return err_set(err, ERR_UNSUPPORTED,
			       "its vmlinux is not made to lie where it is entered");
	if (write_head(head, head_bytes, body_bytes, &v, len > v.end, out_fd, err) ||
	    write_entry(head, head_bytes, v.entry, out_fd, err))
		return -1;
	/* To its last byte: what is not written is zero. */
	if (write_at(out_fd, head_bytes + body_bytes - 1, "", 1, err))
		return -1;
	for (size_t i = 0; i < v.n; i++)
		if (write_at(out_fd, head_bytes + v.loads[i].p_paddr - ENTRY_ADDRESS,
			     vmlinux + v.loads[i].p_offset, v.loads[i].p_filesz, err))
			return -1;
	return 0;
}

int kernel_unpacked_head(const char *path, size_t setup_bytes, const char *head_path,
			 struct err *err)
{
	const size_t bytes = setup_bytes + ENTRY_BYTES;
	cleanup_free char *head = xcalloc(1, bytes);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, ERR_HARNESS, "%s", path);
	if (pread(fd, head, bytes, 0) != (ssize_t)bytes)
		return err_set(err, ERR_HARNESS, "%s: cannot read its first %zu bytes", path,
			       bytes);
	return fs_write_scratch(head_path, head, bytes, err);
}

/* What only the decompressor asks the command line for (arch/x86/boot/compressed: kaslr.c,
 * pgtable_64.c). */
bool kernel_unpack_heeds(const char *cmdline)
{
	static const char *const own[] = { "nokaslr", "no5lvl" };

	for (const char *p = cmdline; *(p += strspn(p, " "));) {
		size_t n = strcspn(p, " ");

		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			if (n == strlen(own[i]) && !memcmp(p, own[i], n))
				return true;
		p += n;
	}
	return false;
}

void kernel_unpack_version(char out[SHA256_HEX_BYTES])
{
	cleanup_buf struct buf all = BUF_INIT;

	buf_add(&all, LAYOUT, sizeof(LAYOUT));
	buf_add(&all, embed_entry().data, embed_entry().size);
	sha256_hex(all.data, all.len, out);
}
