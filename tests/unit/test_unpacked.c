/* Kernels decompressed on the host: what is written lies where a boot has it, what cannot be booted
 * so is refused, and what was made is remembered. */
#include "kernel/unpacked.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "embed.h"
#include "kernel/entry.h"
#include "readers.h"
#include "unpack_cache.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum {
	HEAD_BYTES = 3 * 512,
	TEXT = 0x1000000,
	TEXT_BYTES = 0x2000,
	DATA = 0x1200000,
	DATA_BYTES = 0x1000,
	DATA_MEMORY = 0x5008, /* with its BSS */
	ELF_TEXT = 0x1000,
	ELF_DATA = ELF_TEXT + TEXT_BYTES,
	ELF_BYTES = ELF_DATA + DATA_BYTES,
	TAIL_BYTES = 12, /* relocations */
};

static char *dir;

static int make_dir(void **state)
{
	struct err err;

	(void)state;
	if (cage_setup(readers, &err) || fs_tmpdir(&dir, &err))
		return -1;
	return setenv("XDG_CACHE_HOME", dir, 1);
}

static int remove_dir(void **state)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)state;
	free(dir);
	return rc;
}

static void make_head(char head[HEAD_BYTES])
{
	memset(head, 0, HEAD_BYTES);
	head[0x1f1] = HEAD_BYTES / 512 - 1;
	memcpy(head + 0x1fe, "\x55\xaa", 2);
	memcpy(head + 0x202, "HdrS\x0f\x02", 6);
	head[0x20f] = 0x01; /* the version is at 0x300 */
	memcpy(head + 0x300, "6.1.0-test #1", 14);
	head[0x211] = 1;
	head[0x234] = 1;
	head[0x236] = 0x7f;
	memcpy(head + 0x268, "code", 4);
	strcpy(head + HEAD_BYTES - 8, "setup");
}

/* A vmlinux of two segments; tail: with relocations behind it. */
static void make_vmlinux(struct buf *out, bool tail)
{
	cleanup_free char *data = xcalloc(1, ELF_BYTES + TAIL_BYTES);
	Elf64_Ehdr *head = (Elf64_Ehdr *)data;
	Elf64_Phdr *ph = (Elf64_Phdr *)(data + sizeof(*head));

	memcpy(head->e_ident, ELFMAG, SELFMAG);
	head->e_ident[EI_CLASS] = ELFCLASS64;
	head->e_ident[EI_DATA] = ELFDATA2LSB;
	head->e_machine = EM_X86_64;
	head->e_entry = TEXT + 0x10;
	head->e_phoff = sizeof(*head);
	head->e_phentsize = sizeof(*ph);
	head->e_phnum = 3;
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
			      .p_offset = ELF_TEXT,
			      .p_paddr = TEXT,
			      .p_filesz = TEXT_BYTES,
			      .p_memsz = TEXT_BYTES };
	ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
			      .p_offset = ELF_DATA,
			      .p_paddr = DATA,
			      .p_filesz = DATA_BYTES,
			      .p_memsz = DATA_MEMORY };
	ph[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = ELF_DATA, .p_filesz = 16 };
	memset(data + ELF_TEXT, 't', TEXT_BYTES);
	memset(data + ELF_DATA, 'd', DATA_BYTES);
	buf_clear(out);
	buf_add(out, data, tail ? ELF_BYTES + TAIL_BYTES : ELF_BYTES);
}

static Elf64_Phdr *segment(struct buf *vmlinux, size_t i)
{
	return (Elf64_Phdr *)(vmlinux->data + sizeof(Elf64_Ehdr)) + i;
}

static int write_unpacked(const char *head, size_t head_bytes, const struct buf *vmlinux,
			  struct buf *out, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/out", dir);
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct err ignored;

	assert_true(fd >= 0);
	if (kernel_unpack_write(head, head_bytes, vmlinux->data, vmlinux->len, fd, err))
		return -1;
	buf_clear(out);
	return fs_read(path, 64 << 20, out, ERR_HARNESS, &ignored);
}

static uint64_t number(const char *p, int bytes)
{
	uint64_t n = 0;

	memcpy(&n, p, (size_t)bytes);
	return n;
}

static void test_layout(void **state)
{
	cleanup_buf struct buf vmlinux = BUF_INIT, out = BUF_INIT;
	char head[HEAD_BYTES];
	struct err err;

	(void)state;
	make_head(head);
	make_vmlinux(&vmlinux, true);
	assert_int_equal(write_unpacked(head, sizeof(head), &vmlinux, &out, &err), 0);

	const char *body = out.data + HEAD_BYTES;
	size_t body_bytes = (DATA + DATA_MEMORY - ENTRY_ADDRESS + 15) & ~15UL;
	assert_int_equal(out.len, HEAD_BYTES + body_bytes);
	assert_int_equal(number(out.data + 0x1f4, 4), body_bytes / 16);
	assert_int_equal((unsigned char)out.data[0x211], 3); /* KASLR_FLAG: it has relocations */
	assert_int_equal(out.data[0x234], 0);
	assert_int_equal(number(out.data + 0x236, 2), 0);
	assert_int_equal(number(out.data + 0x248, 8), 0);
	assert_string_equal(out.data + HEAD_BYTES - 8, "setup");

	assert_memory_equal(body, embed_entry().data, ENTRY_LEVELS_5);
	assert_int_not_equal(number(body + ENTRY_LEVELS_5, 4), 0);
	assert_int_equal(number(body + ENTRY_VMLINUX, 8), TEXT + 0x10);
	assert_memory_equal(body + TEXT - ENTRY_ADDRESS, vmlinux.data + ELF_TEXT, TEXT_BYTES);
	assert_memory_equal(body + DATA - ENTRY_ADDRESS, vmlinux.data + ELF_DATA, DATA_BYTES);
	for (size_t i = DATA + DATA_BYTES; i < DATA + DATA_MEMORY; i++)
		assert_int_equal(body[i - ENTRY_ADDRESS], 0);

	assert_int_equal(number(out.data + 0x214, 4), ENTRY_ADDRESS);
	assert_int_equal(number(out.data + 0x268, 4), 0);

	/* A header without kernel_info_offset has code there; data to the last byte of memory. */
	head[0x206] = 0x0d;
	segment(&vmlinux, 1)->p_memsz = DATA_BYTES;
	assert_int_equal(write_unpacked(head, sizeof(head), &vmlinux, &out, &err), 0);
	assert_memory_equal(out.data + 0x268, "code", 4);
	assert_int_equal(out.len, HEAD_BYTES + DATA + DATA_BYTES - ENTRY_ADDRESS);
	assert_int_equal(out.data[out.len - 1], 'd');

	/* One that was not built to have a random base, nor five levels. */
	make_vmlinux(&vmlinux, false);
	head[0x211] = 3;
	head[0x236] = 0x3f;
	assert_int_equal(write_unpacked(head, sizeof(head), &vmlinux, &out, &err), 0);
	assert_int_equal(out.data[0x211], 1);
	assert_int_equal(number(out.data + HEAD_BYTES + ENTRY_LEVELS_5, 4), 0);
}

/* As an ELF file: the same segments, without BSS; and what a VM has as its kernel then. */
static void test_elf(void **state)
{
	cleanup_buf struct buf vmlinux = BUF_INIT, out = BUF_INIT, begin = BUF_INIT;
	cleanup_free char *whole = xasprintf("%s/out", dir), *start = xasprintf("%s/start", dir);
	char head[HEAD_BYTES];
	Elf64_Ehdr elf;
	Elf64_Phdr ph[2];
	struct err err;

	(void)state;
	make_head(head);
	make_vmlinux(&vmlinux, true);
	*segment(&vmlinux, 2) = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = DATA, .p_memsz = 1 };
	assert_int_equal(write_unpacked(head, sizeof(head), &vmlinux, &out, &err), 0);
	memcpy(&elf, out.data, sizeof(elf));
	memcpy(ph, out.data + sizeof(elf), sizeof(ph));
	assert_memory_equal(elf.e_ident, ELFMAG "\2\1\1", SELFMAG + 3);
	assert_int_equal(elf.e_machine, EM_X86_64);
	assert_int_equal(elf.e_entry, TEXT + 0x10);
	assert_int_equal(elf.e_phentsize, sizeof(*ph));
	assert_int_equal(elf.e_phoff, sizeof(elf));
	assert_int_equal(elf.e_phnum, 2);
	assert_int_equal(ph[0].p_paddr, TEXT);
	assert_int_equal(ph[0].p_offset, HEAD_BYTES + TEXT - ENTRY_ADDRESS);
	assert_int_equal(ph[0].p_filesz, TEXT_BYTES);
	assert_int_equal(ph[1].p_paddr, DATA);
	assert_int_equal(ph[1].p_offset, HEAD_BYTES + DATA - ENTRY_ADDRESS);
	assert_int_equal(ph[1].p_filesz, DATA_BYTES);
	assert_int_equal(ph[1].p_memsz, DATA_BYTES);

	assert_int_equal(kernel_unpacked_head(whole, HEAD_BYTES, start, &err), 0);
	assert_int_equal(fs_read(start, 1 << 20, &begin, ERR_HARNESS, &err), 0);
	assert_int_equal(begin.len, HEAD_BYTES + ENTRY_BYTES);
	assert_memory_equal(begin.data, out.data, begin.len);
	assert_int_equal(kernel_unpacked_head(start, HEAD_BYTES + 1, start, &err), -1);
	assert_non_null(strstr(err.msg, "cannot read its first"));
}

/* Each entry leads to the next level, and the last maps an address to itself. */
static void test_page_tables(void **state)
{
	const char *code = embed_entry().data;
	const uint64_t flags = 0xfff;

	(void)state;
	assert_int_equal(embed_entry().size, ENTRY_BYTES);
	for (uint64_t address = 0; address < 4ULL << 30; address += 0x7f12345) {
		uint64_t table = ENTRY_ADDRESS + 0x1000; /* the fifth level */

		for (int shift = 48; shift >= 30; shift -= 9) {
			uint64_t entry = number(
				code + table - ENTRY_ADDRESS + (address >> shift & 511) * 8, 8);

			assert_int_equal(entry & flags, 3);
			table = entry & ~flags;
			assert_true(table < ENTRY_ADDRESS + ENTRY_BYTES);
		}
		uint64_t page = number(code + table - ENTRY_ADDRESS + (address >> 21 & 511) * 8, 8);
		assert_int_equal(page, (address >> 21 << 21) + 0x83);
	}
}

static void test_refused(void **state)
{
	static const struct {
		size_t segment;
		uint64_t paddr, filesz, memsz, entry;
		enum err_kind kind;
		const char *why;
	} rows[] = {
		{ 0, TEXT, TEXT_BYTES, TEXT_BYTES, TEXT + TEXT_BYTES, ERR_UNSUPPORTED,
		  "where it is entered" },
		{ 0, ENTRY_ADDRESS, TEXT_BYTES, TEXT_BYTES, ENTRY_ADDRESS, ERR_UNSUPPORTED,
		  "where it is entered" },
		{ 1, ENTRY_ADDRESS + ENTRY_BYTES + 8, DATA_BYTES, DATA_MEMORY, TEXT,
		  ERR_UNSUPPORTED, "where it is entered" },
		{ 1, 1ULL << 31, DATA_BYTES, DATA_MEMORY, TEXT, ERR_UNSUPPORTED,
		  "where it is entered" },
		{ 1, (1ULL << 30) - DATA_BYTES, DATA_BYTES, DATA_MEMORY, TEXT, ERR_UNSUPPORTED,
		  "where it is entered" },
		{ 1, DATA, DATA_BYTES, 1ULL << 31, TEXT, ERR_UNSUPPORTED, "where it is entered" },
		{ 1, DATA, DATA_BYTES, 1, TEXT, ERR_UNSUPPORTED, "where it is entered" },
		{ 1, DATA, 1ULL << 40, 1ULL << 40, TEXT, ERR_INPUT, "ends too early" },
	};
	cleanup_buf struct buf vmlinux = BUF_INIT, out = BUF_INIT;
	char head[HEAD_BYTES];
	struct err err;

	(void)state;
	make_head(head);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_vmlinux(&vmlinux, true);
		Elf64_Phdr *ph = segment(&vmlinux, rows[i].segment);
		ph->p_paddr = rows[i].paddr;
		ph->p_filesz = rows[i].filesz;
		ph->p_memsz = rows[i].memsz;
		((Elf64_Ehdr *)vmlinux.data)->e_entry = rows[i].entry;
		assert_int_equal(write_unpacked(head, sizeof(head), &vmlinux, &out, &err), -1);
		assert_int_equal(err.kind, rows[i].kind);
		if (!strstr(err.msg, rows[i].why))
			fail_msg("row %zu: '%s'", i, err.msg);
	}
	make_vmlinux(&vmlinux, true);
	((Elf64_Ehdr *)vmlinux.data)->e_phnum = 9;
	for (size_t i = 2; i < 9; i++) {
		*segment(&vmlinux, i) = *segment(&vmlinux, 1);
		segment(&vmlinux, i)->p_filesz = 1;
	}
	assert_int_equal(write_unpacked(head, sizeof(head), &vmlinux, &out, &err), -1);
	assert_non_null(strstr(err.msg, "9 segments"));
	segment(&vmlinux, 2)->p_type = PT_NULL;
	segment(&vmlinux, 3)->p_type = PT_NULL;
	assert_int_equal(write_unpacked(head, sizeof(head), &vmlinux, &out, &err), 0);
	make_vmlinux(&vmlinux, true);
	assert_int_equal(write_unpacked(head, 0x250, &vmlinux, &out, &err), -1);
	assert_non_null(strstr(err.msg, "too short"));
	head[0x236] = 0x1f;
	assert_int_equal(write_unpacked(head, sizeof(head), &vmlinux, &out, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "before 5.3"));
}

static void test_heeds(void **state)
{
	(void)state;
	assert_true(kernel_unpack_heeds("nokaslr"));
	assert_true(kernel_unpack_heeds("console=ttyS0  no5lvl x"));
	assert_true(kernel_unpack_heeds("a nokaslr"));
	assert_false(kernel_unpack_heeds(""));
	assert_false(kernel_unpack_heeds("  "));
	assert_false(kernel_unpack_heeds("x=nokaslr nokaslrx nokasl no5lvl=1"));
}

/* ---- what is remembered ---- */

/* A bzImage whose payload is not compressed; n makes it another one. */
static void make_image(unsigned n, struct kernel_image *image)
{
	cleanup_buf struct buf vmlinux = BUF_INIT, file = BUF_INIT;
	cleanup_free char *path = xasprintf("%s/image-%u", dir, n);
	char head[HEAD_BYTES];
	struct err err;

	make_head(head);
	make_vmlinux(&vmlinux, true);
	vmlinux.data[ELF_TEXT] = (char)n;
	uint32_t bytes = (uint32_t)vmlinux.len;
	memcpy(head + 0x24c, &bytes, sizeof(bytes));
	buf_add(&file, head, sizeof(head));
	buf_add(&file, vmlinux.data, vmlinux.len);
	assert_int_equal(fs_write_scratch(path, file.data, file.len, &err), 0);
	assert_int_equal(kernel_image_open(path, image, &err), 0);
}

static uint64_t inode(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void use_at(const char *path, time_t when)
{
	const struct timespec times[] = { { .tv_sec = when }, { .tv_nsec = UTIME_OMIT } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_remembered(void **state)
{
	cleanup_free char *made = xasprintf("%s/made", dir), *found = xasprintf("%s/found", dir);
	struct kernel_image image;
	struct err err;

	(void)state;
	make_image(0, &image);
	assert_false(unpack_cache_find(&image, found));
	assert_int_equal(unpack_cache_make(&image, false, made, &err), 0);
	assert_false(unpack_cache_find(&image, found)); /* it was not to be shared */
	assert_int_equal(unlink(made), 0);
	assert_int_equal(unpack_cache_make(&image, true, made, &err), 0);
	assert_true(unpack_cache_find(&image, found));
	assert_int_equal(inode(made), inode(found));
	assert_int_equal(unlink(made), 0);

	/* One that was written to, though nobody may, is found out and taken away. */
	int fd = open(found, O_WRONLY | O_CLOEXEC);
	if (fd < 0) { /* not as root */
		assert_int_equal(chmod(found, 0600), 0);
		fd = open(found, O_WRONLY | O_CLOEXEC);
	}
	assert_int_equal(pwrite(fd, "x", 1, 0x1000), 1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(found), 0);
	assert_false(unpack_cache_find(&image, found));
	assert_int_equal(unpack_cache_make(&image, true, made, &err), 0);
	assert_true(unpack_cache_find(&image, found));
	assert_int_equal(unlink(made), 0);

	/* Eight others; the first was used long ago, and is once more; the second was a little
	 * later. */
	for (unsigned i = 1; i <= UNPACK_CACHE_FILES; i++) {
		struct kernel_image other;

		make_image(i, &other);
		assert_int_equal(unpack_cache_make(&other, true, made, &err), 0);
		if (i == 1) {
			use_at(found, 5);
			assert_int_equal(unlink(found), 0);
			use_at(made, 10);
			assert_true(unpack_cache_find(&image, found));
			assert_int_equal(unlink(found), 0);
		}
		assert_int_equal(unlink(made), 0);
		kernel_image_free(&other);
	}
	assert_true(unpack_cache_find(&image, found));
	kernel_image_free(&image);
	make_image(1, &image);
	assert_int_equal(unlink(found), 0);
	assert_false(unpack_cache_find(&image, found));
	assert_int_not_equal(access(found, F_OK), 0);
	kernel_image_free(&image);
}

/* On another file system than the cache's, a copy; and what is made there is remembered. */
static void test_elsewhere(void **state)
{
	static const char *const there[] = { "/dev/shm", "/run", "/tmp", "/" };
	cleanup_buf struct buf made = BUF_INIT, found = BUF_INIT;
	cleanup_free char *here = xasprintf("%s/here", dir);
	struct kernel_image image;
	struct stat a, b;
	struct err err;
	size_t i = 0;

	(void)state;
	assert_int_equal(stat(dir, &a), 0);
	while (i < 4 && (stat(there[i], &b) || a.st_dev == b.st_dev || access(there[i], W_OK)))
		i++;
	if (i == 4)
		skip();
	cleanup_free char *path = xasprintf("%s/kvmrepro-test-unpacked.%d", there[i], getpid());
	make_image(200, &image);
	assert_int_equal(unpack_cache_make(&image, true, path, &err), 0);
	assert_int_equal(fs_read(path, 64 << 20, &made, ERR_HARNESS, &err), 0);
	assert_int_equal(unlink(path), 0);
	assert_true(unpack_cache_find(&image, here));
	assert_true(unpack_cache_find(&image, path));
	assert_int_equal(fs_read(path, 64 << 20, &found, ERR_HARNESS, &err), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(made.len, found.len);
	assert_memory_equal(made.data, found.data, made.len);
	kernel_image_free(&image);
}

/* What the reader finds wrong is said of the image, and nothing is left. */
static void test_damaged(void **state)
{
	cleanup_free char *made = xasprintf("%s/damaged", dir);
	struct kernel_image image;
	struct err err;

	(void)state;
	make_image(100, &image);
	image.payload_bytes -= DATA_BYTES;
	assert_int_equal(unpack_cache_make(&image, true, made, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_ptr_equal(strstr(err.msg, image.path), err.msg);
	assert_non_null(strstr(err.msg, "ends too early"));
	assert_int_not_equal(access(made, F_OK), 0);
	image.payload_offset += 2;
	assert_int_equal(unpack_cache_make(&image, true, made, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "no known format"));
	image.payload_bytes = 0;
	assert_int_equal(unpack_cache_make(&image, true, made, &err), -1);
	assert_non_null(strstr(err.msg, "names no payload"));
	kernel_image_free(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),      cmocka_unit_test(test_elf),
		cmocka_unit_test(test_page_tables), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_heeds),       cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_elsewhere),   cmocka_unit_test(test_remembered),
	};

	return cmocka_run_group_tests_name("unpacked", tests, make_dir, remove_dir);
}
