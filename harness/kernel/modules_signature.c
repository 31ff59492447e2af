/*
 * The signature of a set of modules; see modules_signature() in modules.h. As for the kernel
 * itself, what differs from one build of a source to the next is left out: whole sections, the
 * signature behind the file, and in .modinfo the release.
 */
#include "kernel/modules.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "kernel/modinfo.h"
#include "kernel/read.h"
#include "kernel/signature.h"
#include "readers.h"

#include <fcntl.h>
#include <limits.h>
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

static int add_module(struct sha256_ctx *hash, const char *name, const char *params,
		      const struct buf *module, struct err *err)
{
	Elf64_Ehdr head;
	cleanup_free Elf64_Shdr *sections = module_sections(module, &head);

	if (!sections)
		return err_set(err, ERR_INPUT, "not a kernel module, or a damaged one");
	add(hash, name, strlen(name));
	add(hash, params, strlen(params));
	size_t left = module->len; /* sections that overlap could take for ever */
	for (size_t i = 1; i < head.e_shnum; i++) {
		const Elf64_Shdr *s = &sections[i];
		size_t n = s->sh_type == SHT_NOBITS ? 0 : s->sh_size;
		const char *section = module_section_name(module, &sections[head.e_shstrndx], s);

		if (n > left)
			return err_set(err, ERR_INPUT, "damaged: its sections overlap");
		left -= n;
		if (!left_out(section))
			add_section(hash, module, section, s);
	}
	return 0;
}

/* ---- the reader: the modules' files; their number, and for each path, name and parameters ---- */

int modules_signature_serve(int fd, const int *fds, struct err *err)
{
	cleanup_wire struct wire in = WIRE_INIT;
	struct sha256_ctx hash;

	if (cage_hear(fd, &in, err))
		return -1;
	sha256_init(&hash);
	add(&hash, RULES, sizeof(RULES));
	for (size_t i = 0, n = wire_u64(&in, MODULES_MAX); i < n; i++) {
		cleanup_free char *path = wire_str(&in, PATH_MAX);
		cleanup_free char *name = wire_str(&in, PATH_MAX);
		cleanup_free char *params = wire_str(&in, PATH_MAX);
		cleanup_buf struct buf bytes = BUF_INIT;

		if (in.bad)
			break;
		if (module_read_fd(fds[i], &bytes, err) ||
		    add_module(&hash, name, params, &bytes, err))
			return err_context(err, "%s", path);
	}
	if (!wire_ok(&in))
		return err_set(err, ERR_INPUT, "the modules are too many, or their names too long");
	cleanup_buf struct buf body = BUF_INIT;
	char signature[SIGNATURE_BYTES];
	unsigned char digest[SHA256_DIGEST_SIZE];

	sha256_digest(&hash, sizeof(digest), digest);
	base16_encode_update(signature, sizeof(digest), digest);
	signature[SIGNATURE_BYTES - 1] = '\0';
	wire_put_str(&body, signature);
	return wire_send(fd, 0, &body, err);
}

/* ---- the harness ---- */

static int open_all(const struct kernel_modules *modules, int *fds, struct buf *request,
		    struct err *err)
{
	wire_put_u64(request, modules->n);
	for (size_t i = 0; i < modules->n; i++) {
		const struct kernel_module *m = &modules->v[i];

		wire_put_str(request, m->path);
		wire_put_str(request, m->name);
		wire_put_str(request, m->params);
		fds[i] = fs_open(m->path, ERR_INPUT, err);
		if (fds[i] < 0)
			return -1;
	}
	return 0;
}

int modules_signature(const struct kernel_modules *modules, char out[SIGNATURE_BYTES],
		      struct err *err)
{
	cleanup_buf struct buf request = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;
	int fds[MODULES_MAX];

	for (size_t i = 0; i < MODULES_MAX; i++)
		fds[i] = -1;
	int rc = open_all(modules, fds, &request, err);
	if (!rc)
		rc = cage_ask(READER_MODULES, fds, modules->n, &request, 256, &in, err);
	for (size_t i = 0; i < modules->n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (rc)
		return -1;
	kernel_take_hash(&in, out);
	return wire_ok(&in) ? 0 : cage_bad(READER_MODULES, err);
}
