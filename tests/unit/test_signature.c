/* Signatures: what differs from build to build does not count, all else does. The vmlinux is made
 * here; tests/cli/signature.t compares real builds. */
#include "kernel/signature.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

enum {
	TEXT_OFFSET = 0x200,
	TEXT_BYTES = 0x1000,
	DATA_OFFSET = TEXT_OFFSET + TEXT_BYTES,
	DATA_BYTES = 0x1000,
	FILE_BYTES = DATA_OFFSET + DATA_BYTES,

	/* what lies where; each with room behind it, as alignment makes it */
	AT_CODE = TEXT_OFFSET,
	AT_DRAFT = TEXT_OFFSET + 0x200,
	AT_BANNER = TEXT_OFFSET + 0x400,
	AT_PROC_BANNER = TEXT_OFFSET + 0x600,
	AT_VERMAGIC = TEXT_OFFSET + 0x800,
	AT_NOTES = TEXT_OFFSET + 0x900,
	AT_OTHER = TEXT_OFFSET + 0xa00,
	AT_UTS = DATA_OFFSET + 0x100,
	AT_CERT = DATA_OFFSET + 0x400,
	AT_CPIO = DATA_OFFSET + 0x800,
	CERT_BYTES = 0x300,
};

/* One build: what may differ. */
struct build {
	const char *release, *by_host, *compiler, *version, *mtime, *salt;
	unsigned char build_id, key;
};

static const struct build first = {
	.release = "6.1.0-rc3-00012-g0123456789ab",
	.by_host = "root@here",
	.compiler = "gcc (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40",
	.version = "#1 SMP PREEMPT_DYNAMIC Thu Jan  1 00:00:00 UTC 1970",
	.mtime = "00000001",
	.salt = "one",
	.build_id = 0x11,
	.key = 0x22,
};

static void put(char *data, size_t at, const char *fmt, ...)
{
	cleanup_buf struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	memcpy(data + at, text.data, text.len + 1);
}

static size_t put_note(char *data, size_t at, uint32_t type, const char *name, const char *desc,
		       uint32_t desc_bytes)
{
	const uint32_t head[] = { (uint32_t)strlen(name) + 1, desc_bytes, type };
	size_t name_bytes = (head[0] + 3) & ~3U;

	memcpy(data + at, head, sizeof(head));
	memcpy(data + at + 12, name, head[0]);
	memcpy(data + at + 12 + name_bytes, desc, desc_bytes);
	return at + 12 + name_bytes + ((desc_bytes + 3) & ~3U);
}

static void put_certificate(char *data, unsigned char key)
{
	static const unsigned char head[] = { 0x30, 0x82, 0x03, 0x00, 0x30, 0x82, 0x02, 0x00,
					      0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x14 };

	memset(data + AT_CERT, key, CERT_BYTES + 4);
	memcpy(data + AT_CERT, head, sizeof(head));
}

static char *make(const struct build *b)
{
	char *data = xcalloc(1, FILE_BYTES), id[20];
	Elf64_Ehdr *head = (Elf64_Ehdr *)data;
	Elf64_Phdr *ph = (Elf64_Phdr *)(data + sizeof(*head));

	memcpy(head->e_ident, ELFMAG, SELFMAG);
	head->e_ident[EI_CLASS] = ELFCLASS64;
	head->e_ident[EI_DATA] = ELFDATA2LSB;
	head->e_machine = EM_X86_64;
	head->e_phoff = sizeof(*head);
	head->e_phentsize = sizeof(*ph);
	head->e_phnum = 2;
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
			      .p_flags = PF_R | PF_X,
			      .p_offset = TEXT_OFFSET,
			      .p_vaddr = 0xffffffff81000000,
			      .p_filesz = TEXT_BYTES,
			      .p_memsz = TEXT_BYTES };
	ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
			      .p_flags = PF_R | PF_W,
			      .p_offset = DATA_OFFSET,
			      .p_vaddr = 0xffffffff82000000,
			      .p_filesz = DATA_BYTES,
			      .p_memsz = 2 * DATA_BYTES };
	put(data, AT_CODE, "\x48\xc7\xc0\x05 code");
	put(data, AT_DRAFT, "Linux version %s (%s) (%s) # SMP \n", b->release, b->by_host,
	    b->compiler);
	put(data, AT_BANNER, "Linux version %s (%s) (%s) %s\n", b->release, b->by_host, b->compiler,
	    b->version);
	put(data, AT_PROC_BANNER, "%%s version %%s (%s) (%s) %%s\n", b->by_host, b->compiler);
	put(data, AT_VERMAGIC, "%s SMP mod_unload ", b->release);
	memset(id, b->build_id, sizeof(id));
	put_note(data, put_note(data, AT_NOTES, NT_GNU_BUILD_ID, "GNU", id, sizeof(id)), 0x100,
		 "Linux", b->salt, (uint32_t)strlen(b->salt) + 1);
	put(data, AT_OTHER, "6.1.0 of another thing, Linux version of nothing");
	put(data, AT_UTS, "Linux");
	put(data, AT_UTS + 2 * 65, "%s", b->release);
	put(data, AT_UTS + 3 * 65, "%s", b->version);
	put_certificate(data, b->key);
	put(data, AT_CPIO, "070701000002D1000041ED000000000000000000000002%s%s", b->mtime,
	    "0000000000000003000000010000000000000000000000040000000000000000dev");
	return data;
}

static void sign(char *data, char out[SIGNATURE_BYTES])
{
	struct err err;

	if (kernel_signature(data, FILE_BYTES, out, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(strspn(out, "0123456789abcdef"), SIGNATURE_BYTES - 1);
}

static void sign_build(const struct build *b, char out[SIGNATURE_BYTES])
{
	cleanup_free char *data = make(b);

	sign(data, out);
}

static void assert_same(const struct build *other)
{
	char a[SIGNATURE_BYTES], b[SIGNATURE_BYTES];

	sign_build(&first, a);
	sign_build(other, b);
	assert_string_equal(a, b);
}

static void test_builds(void **state)
{
	struct build b = first;

	(void)state;
	assert_same(&b);
	b.build_id = 0x99;
	assert_same(&b);
	b = first;
	b.key = 0x98;
	assert_same(&b);
	b = first;
	b.mtime = "6740ffff";
	assert_same(&b);
	b = first;
	b.salt = "two";
	assert_same(&b);
	b = first;
	b.version = "#12 SMP PREEMPT_DYNAMIC Sat Nov 21 02:06:09 UTC 2026";
	assert_same(&b);
	b = first;
	b.by_host = "somebody.else@a.machine.far.away";
	assert_same(&b);
	b = first;
	b.compiler = "clang version 14.0.6, LLD 14.0.6";
	assert_same(&b);
	b = first;
	b.release = "6.1.0-rc4+";
	assert_same(&b);
	b = (struct build){ "5.9.0", "a@b", "cc", "#3 Tue", "12345678", "six", 1, 2 };
	assert_same(&b);
}

static void assert_differs_at(size_t at)
{
	cleanup_free char *data = make(&first);
	char a[SIGNATURE_BYTES], b[SIGNATURE_BYTES];

	sign_build(&first, a);
	data[at] ^= 1;
	sign(data, b);
	assert_string_not_equal(a, b);
}

static void test_changes(void **state)
{
	cleanup_free char *longer = make(&first);
	char a[SIGNATURE_BYTES], b[SIGNATURE_BYTES];
	Elf64_Phdr *ph = (Elf64_Phdr *)(longer + sizeof(Elf64_Ehdr));

	(void)state;
	assert_differs_at(AT_CODE + 3);   /* a constant in the code */
	assert_differs_at(AT_OTHER);      /* a version that is not the kernel's */
	assert_differs_at(AT_OTHER + 30); /* a banner that is none */
	assert_differs_at(AT_VERMAGIC + strlen(first.release) + 1); /* what follows a release */
	assert_differs_at(AT_NOTES + 4);                            /* a note's size */
	assert_differs_at(AT_CERT + CERT_BYTES + 4);                /* what follows a certificate */
	assert_differs_at(AT_CPIO + 6 + 7);                         /* a number that is no time */
	assert_differs_at(AT_CPIO + 110); /* a file's name in the initramfs */
	assert_differs_at(AT_UTS);
	assert_differs_at(FILE_BYTES - 1);
	/* How much memory it takes, with nothing in it. */
	sign_build(&first, a);
	ph[1].p_memsz++;
	sign(longer, b);
	assert_string_not_equal(a, b);
}

/* Relocations, symbols, debug information: what is not loaded is not hashed. */
static void test_not_loaded(void **state)
{
	cleanup_free char *data = xrealloc(make(&first), FILE_BYTES + 1000);
	char a[SIGNATURE_BYTES], b[SIGNATURE_BYTES];
	struct err err;

	(void)state;
	sign_build(&first, a);
	memset(data + FILE_BYTES, 7, 1000);
	data[TEXT_OFFSET - 1] = 1;
	assert_int_equal(kernel_signature(data, FILE_BYTES + 1000, b, &err), 0);
	assert_string_equal(a, b);
}

static void assert_refused(char *data, size_t len, const char *why)
{
	char out[SIGNATURE_BYTES] = "untouched";
	struct err err;

	assert_int_equal(kernel_signature(data, len, out, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_string_equal(out, "untouched");
	if (!strstr(err.msg, why))
		fail_msg("'%s' lacks '%s'", err.msg, why);
	free(data);
}

static void test_refused(void **state)
{
	char *data;

	(void)state;
	assert_refused(make(&first), 10, "ends too early");
	assert_refused(make(&first), sizeof(Elf64_Ehdr), "ends too early");
	assert_refused(make(&first), FILE_BYTES - 1, "ends too early");
	data = make(&first);
	data[EI_CLASS] = ELFCLASS32;
	assert_refused(data, FILE_BYTES, "no x86-64 ELF file");
	data = make(&first);
	((Elf64_Ehdr *)data)->e_phnum = 1000;
	assert_refused(data, FILE_BYTES, "damaged: 1000 segments");
	data = make(&first);
	((Elf64_Ehdr *)data)->e_phoff = UINT64_MAX - 8;
	assert_refused(data, FILE_BYTES, "ends too early");
	data = make(&first);
	((Elf64_Phdr *)(data + sizeof(Elf64_Ehdr)))->p_offset = UINT64_MAX - 8;
	assert_refused(data, FILE_BYTES, "ends too early");
	data = make(&first);
	((Elf64_Phdr *)(data + sizeof(Elf64_Ehdr)))->p_filesz = FILE_BYTES - TEXT_OFFSET;
	assert_refused(data, FILE_BYTES, "overlap");
	data = make(&first);
	((Elf64_Ehdr *)data)->e_phnum = 0;
	assert_refused(data, FILE_BYTES, "nothing in its vmlinux is to be loaded");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builds),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_not_loaded),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}
