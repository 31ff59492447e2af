/*
 * The signature of a vmlinux; see signature.h. What differs from build to build is blanked in the
 * file's bytes, then the loaded segments are hashed. There are no symbols in a bzImage, so each of
 * these things is found by its own form; all of them are forms that only a build makes.
 */
#include "kernel/signature.h"

#include "base/cleanup.h"
#include "kernel/vmlinux.h"

#include <ctype.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Into the hash, so that a later version of these rules cannot be taken for this one. */
#define RULES "kvmrepro kernel signature 1"

#define BANNER_BYTES   1024
#define WORDS_MAX      8
#define WORD_BYTES     65 /* __NEW_UTS_LEN and a NUL, include/uapi/linux/utsname.h */
#define WORD_BYTES_MIN 3  /* "# SMP ", "6.1" */

/* [start, end) of the file */
struct range {
	size_t start, end;
};

struct elf {
	char *data;
	size_t len;
	struct vmlinux vmlinux;
	char words[WORDS_MAX][WORD_BYTES]; /* releases and versions that banners named */
	size_t n_words;
};

static void blank(struct elf *elf, size_t start, size_t end)
{
	memset(elf->data + start, 0, end - start);
}

/* The next occurrence of what in range; its place, or range.end. */
static size_t find(const struct elf *elf, struct range range, const char *what, size_t len)
{
	const char *p = memmem(elf->data + range.start, range.end - range.start, what, len);

	return p ? (size_t)(p - elf->data) : range.end;
}

/* Where the C string that goes on at start ends, at most max bytes from there; 0: it does not. */
static size_t string_end(const struct elf *elf, struct range range, size_t start, size_t max)
{
	size_t room = range.end - start < max ? range.end - start : max;
	const char *nul = memchr(elf->data + start, '\0', room);

	return nul ? (size_t)(nul - elf->data) : 0;
}

/* Remember [start, end) if it is a uname field's worth of text. */
static void take_word(struct elf *elf, size_t start, size_t end)
{
	if (end < start + WORD_BYTES_MIN || end - start >= WORD_BYTES || elf->n_words == WORDS_MAX)
		return;
	char *word = elf->words[elf->n_words];
	memcpy(word, elf->data + start, end - start);
	word[end - start] = '\0';
	for (size_t i = 0; i < elf->n_words; i++)
		if (!strcmp(elf->words[i], word))
			return;
	elf->n_words++;
}

/*
 * linux_banner: "Linux version RELEASE (BY@HOST) (COMPILER) VERSION\n" (init/version-timestamp.c).
 * What it says of release and version is looked for elsewhere, so it comes first. The compiler may
 * have parentheses in its name; VERSION, "#1 SMP ...", has none. Linux 6.1.192, and 6.2 and later,
 * hold two: the one that the linker drops for the other says "#  SMP" and no time.
 */
static void blank_banner(struct elf *elf, struct range range)
{
	static const char start[] = "Linux version ";
	const size_t n = sizeof(start) - 1;

	for (size_t at; (at = find(elf, range, start, n)) < range.end; range.start = at + n) {
		size_t word = at + n, end = string_end(elf, range, at, BANNER_BYTES);
		const char *tail = end ? memrchr(elf->data + word, ')', end - word) : NULL;

		if (!tail || !isdigit((unsigned char)elf->data[word]) ||
		    elf->data[end - 1] != '\n' || strncmp(tail, ") #", 3))
			continue;
		take_word(elf, word, word + strcspn(elf->data + word, " \n"));
		take_word(elf, (size_t)(tail + 2 - elf->data), end - 1);
		blank(elf, at, end);
	}
}

/* linux_proc_banner: "%s version %s (BY@HOST) (COMPILER) %s\n" (init/version.c). */
static void blank_proc_banner(struct elf *elf, struct range range)
{
	static const char start[] = "%s version %s (";
	const size_t n = sizeof(start) - 1;

	for (size_t at; (at = find(elf, range, start, n)) < range.end; range.start = at + n) {
		size_t end = string_end(elf, range, at, BANNER_BYTES);

		if (end)
			blank(elf, at, end);
	}
}

/* Part of a longer number or name: "6.1.1" is not said in "6.1.10", nor "6.1" in "2.6.1". */
static bool goes_on(char c)
{
	return isalnum((unsigned char)c) || c == '.';
}

/*
 * The release and version wherever else they are (init_uts_ns, modules' vermagic, drivers): taken
 * out of their strings. What follows in such a string moves up, and zeros fill it, so that the
 * length makes no difference where there is room behind the string.
 */
static void blank_word(struct elf *elf, struct range range, const char *word)
{
	size_t n = strlen(word);

	for (size_t at; (at = find(elf, range, word, n)) < range.end; range.start = at + 1) {
		size_t end = string_end(elf, range, at, BANNER_BYTES);

		if (!end || goes_on(elf->data[at + n]) ||
		    (at && (goes_on(elf->data[at - 1]) || elf->data[at - 1] == '-')))
			continue;
		memmove(elf->data + at, elf->data + at + n, end - at - n);
		blank(elf, end - n, end);
	}
}

static void blank_words(struct elf *elf, struct range range)
{
	for (size_t i = 0; i < elf->n_words; i++)
		blank_word(elf, range, elf->words[i]);
}

/*
 * Notes (elf(5)): the build id, of the kernel and of each vDSO in it, whose own is a hash of debug
 * information and so of the build's directory; and BUILD_SALT, made to change it.
 */
static void blank_notes(struct elf *elf, struct range range)
{
	static const struct {
		uint32_t type;
		const char *name;
		size_t name_bytes, padded;
	} notes[] = {
		{ NT_GNU_BUILD_ID, "GNU", 4, 4 },
		{ 0x100, "Linux\0\0", 6, 8 }, /* LINUX_ELFNOTE_BUILD_SALT, linux/build-salt.h */
	};

	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		struct range r = range;
		char tail[4 + 8];
		size_t n = 4 + notes[i].padded;

		memcpy(tail, &notes[i].type, 4);
		memcpy(tail + 4, notes[i].name, notes[i].padded);
		for (size_t at; (at = find(elf, r, tail, n)) < r.end; r.start = at + n) {
			uint32_t size[2]; /* of name and description */

			if (at < range.start + sizeof(size))
				continue;
			memcpy(size, elf->data + at - sizeof(size), sizeof(size));
			if (size[0] == notes[i].name_bytes && size[1] <= 256 &&
			    size[1] <= r.end - at - n)
				blank(elf, at + n, at + n + size[1]);
		}
	}
}

static unsigned be16(const char *p)
{
	return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/*
 * X.509 certificates: the key that signs modules is made anew by each build in a new directory.
 * RFC 5280: a SEQUENCE of a SEQUENCE that begins with version 3, [0] INTEGER 2, and the serial
 * number, INTEGER; both lengths take two bytes.
 */
static void blank_certificates(struct elf *elf, struct range range)
{
	static const char version[] = "\xa0\x03\x02\x01\x02\x02";
	const size_t n = sizeof(version) - 1, head = 8;

	for (size_t at; (at = find(elf, range, version, n)) < range.end; range.start = at + n) {
		const char *p = elf->data + at - head;

		if (at < range.start + head || memcmp(p, "\x30\x82", 2) ||
		    memcmp(p + 4, "\x30\x82", 2))
			continue;
		size_t outer = be16(p + 2), inner = be16(p + 6);
		if (inner + 4 < outer && outer <= range.end - (at - 4))
			blank(elf, at - head, at - 4 + outer);
	}
}

/* The built-in initramfs, where no other is configured, is a cpio archive of three files made when
 * it was built: modification times. newc: "070701" and 13 numbers of 8 hex digits, mtime the 6th.
 */
static void blank_cpio_times(struct elf *elf, struct range range)
{
	static const char magic[] = "070701";
	const size_t n = sizeof(magic) - 1, numbers = 13 * 8, mtime = n + 5 * 8;

	for (size_t at; (at = find(elf, range, magic, n)) < range.end; range.start = at + n) {
		size_t i = 0;

		while (i < numbers && at + n + i < range.end &&
		       isxdigit((unsigned char)elf->data[at + n + i]))
			i++;
		if (i == numbers)
			blank(elf, at + mtime, at + mtime + 8);
	}
}

/* In this order: the words are known from the banners. */
static void (*const blanks[])(struct elf *elf, struct range range) = {
	blank_banner, blank_proc_banner,  blank_words,
	blank_notes,  blank_certificates, blank_cpio_times,
};

/* Little-endian, as everything else in the file. */
static void hash_number(struct sha256_ctx *hash, uint64_t n)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(n >> (8 * i));
	sha256_update(hash, sizeof(bytes), bytes);
}

static void hash_segments(const struct elf *elf, char out[SIGNATURE_BYTES])
{
	unsigned char digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, sizeof(RULES), (const uint8_t *)RULES);
	hash_number(&hash, elf->vmlinux.entry);
	hash_number(&hash, elf->vmlinux.n);
	for (size_t i = 0; i < elf->vmlinux.n; i++) {
		const Elf64_Phdr *ph = &elf->vmlinux.loads[i];

		hash_number(&hash, ph->p_flags);
		hash_number(&hash, ph->p_vaddr);
		hash_number(&hash, ph->p_paddr);
		hash_number(&hash, ph->p_filesz);
		hash_number(&hash, ph->p_memsz);
		sha256_update(&hash, ph->p_filesz, (const uint8_t *)elf->data + ph->p_offset);
	}
	sha256_digest(&hash, sizeof(digest), digest);
	base16_encode_update(out, sizeof(digest), digest);
	out[SIGNATURE_BYTES - 1] = '\0';
}

int kernel_signature(char *vmlinux, size_t len, char out[SIGNATURE_BYTES], struct err *err)
{
	struct elf elf = { .data = vmlinux, .len = len };

	if (vmlinux_read(vmlinux, len, &elf.vmlinux, err)) {
		err->kind = ERR_INPUT;
		return -1;
	}
	for (size_t b = 0; b < sizeof(blanks) / sizeof(blanks[0]); b++)
		for (size_t i = 0; i < elf.vmlinux.n; i++) {
			const Elf64_Phdr *ph = &elf.vmlinux.loads[i];

			blanks[b](&elf,
				  (struct range){ ph->p_offset, ph->p_offset + ph->p_filesz });
		}
	hash_segments(&elf, out);
	return 0;
}

char *kernel_compiler(const char *vmlinux, size_t len)
{
	static const char words[] = "Linux version ";
	const char *banner = memmem(vmlinux, len, words, sizeof(words) - 1);

	if (!banner)
		return NULL;
	size_t room = len - (size_t)(banner - vmlinux);
	cleanup_free char *line = xstrndup(banner, room < 512 ? room : 512);
	char *from = strstr(line, ") (");
	if (!from)
		return NULL;
	from += strlen(") (");
	int depth = 1;
	size_t n = 0;
	for (; from[n] && depth; n++) {
		depth += (from[n] == '(') - (from[n] == ')');
		if (depth == 1 && !strncmp(from + n, ", GNU ld", strlen(", GNU ld")))
			break;
	}
	if (!from[n])
		return NULL;
	struct buf out = BUF_INIT;
	buf_add_escaped(&out, from, depth ? n : n - 1);
	return buf_steal(&out);
}
