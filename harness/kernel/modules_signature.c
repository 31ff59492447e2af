/*
 * The signature of a set of modules; see modules_signature() in modules.h. As for the kernel
 * itself, what differs from one build of a source to the next is left out: whole sections, the
 * signature behind the file, and in .modinfo the release.
 */
#include "kernel/modules.h"

#include "base/cleanup.h"
#include "kernel/modinfo.h"
#include "kernel/signature.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <string.h>

#define RULES "kvmrepro modules signature 1"

static void add(struct sha256_ctx *hash, const void *data, size_t len)
{
	/* The length goes before: what follows cannot be taken for a part of this. */
	uint64_t n = len;

	sha256_update(hash, sizeof(n), (const uint8_t *)&n);
	sha256_update(hash, len, data);
}

/* The name that begins at offset of the names; "" if it does not end there. */
static const char *name_of(const struct buf *module, const Elf64_Shdr *names, const Elf64_Shdr *s)
{
	const char *all = module->data + names->sh_offset;

	if (names->sh_type == SHT_NOBITS || s->sh_name >= names->sh_size ||
	    !memchr(all + s->sh_name, '\0', names->sh_size - s->sh_name))
		return "";
	return all + s->sh_name;
}

/* Build ids and salts, the compiler's name, debug information and what relocates it. */
static bool left_out(const char *name)
{
	static const char *const prefixes[] = { ".note", ".comment", ".debug", ".rela.debug",
						".gdb_index" };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* .modinfo is a row of strings; vermagic begins with the release. */
static void add_modinfo(struct sha256_ctx *hash, const char *p, size_t len)
{
	static const char vermagic[] = "vermagic=";
	const char *end = p + len;

	while (p < end) {
		size_t n = strnlen(p, (size_t)(end - p));

		if (n >= sizeof(vermagic) - 1 && !memcmp(p, vermagic, sizeof(vermagic) - 1)) {
			const char *rest = memchr(p, ' ', n);

			if (rest)
				add(hash, rest, n - (size_t)(rest - p));
		} else {
			add(hash, p, n);
		}
		p += n + 1;
	}
}

static void add_section(struct sha256_ctx *hash, const struct buf *module, const char *name,
			const Elf64_Shdr *s)
{
	const uint64_t head[] = { s->sh_type, s->sh_flags, s->sh_link, s->sh_info, s->sh_entsize };

	add(hash, name, strlen(name));
	sha256_update(hash, sizeof(head), (const uint8_t *)head);
	if (s->sh_type == SHT_NOBITS)
		sha256_update(hash, sizeof(s->sh_size), (const uint8_t *)&s->sh_size);
	else if (!strcmp(name, ".modinfo"))
		add_modinfo(hash, module->data + s->sh_offset, s->sh_size);
	else
		add(hash, module->data + s->sh_offset, s->sh_size);
}

static int add_module(struct sha256_ctx *hash, const struct kernel_module *module, struct err *err)
{
	cleanup_buf struct buf bytes = BUF_INIT;
	Elf64_Ehdr head;

	if (module_read(module->path, &bytes, err))
		return -1;
	cleanup_free Elf64_Shdr *sections = module_sections(&bytes, &head);
	if (!sections)
		return err_set(err, ERR_INPUT, "%s: not a kernel module, or a damaged one",
			       module->path);
	add(hash, module->name, strlen(module->name));
	add(hash, module->params, strlen(module->params));
	size_t left = bytes.len; /* sections that overlap could take for ever */
	for (size_t i = 1; i < head.e_shnum; i++) {
		const Elf64_Shdr *s = &sections[i];
		size_t n = s->sh_type == SHT_NOBITS ? 0 : s->sh_size;
		const char *name = name_of(&bytes, &sections[head.e_shstrndx], s);

		if (n > left)
			return err_set(err, ERR_INPUT, "%s: damaged: its sections overlap",
				       module->path);
		left -= n;
		if (!left_out(name))
			add_section(hash, &bytes, name, s);
	}
	return 0;
}

int modules_signature(const struct kernel_modules *modules, char out[SIGNATURE_BYTES],
		      struct err *err)
{
	unsigned char digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;

	sha256_init(&hash);
	add(&hash, RULES, sizeof(RULES));
	for (size_t i = 0; i < modules->n; i++)
		if (add_module(&hash, &modules->v[i], err))
			return -1;
	sha256_digest(&hash, sizeof(digest), digest);
	base16_encode_update(out, sizeof(digest), digest);
	out[SIGNATURE_BYTES - 1] = '\0';
	return 0;
}
