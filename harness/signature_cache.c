/* Signatures that are remembered; see signature_cache.h. */
#include "signature_cache.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "program.h"

#include <stdio.h>
#include <string.h>

#define CACHE_BYTES ((size_t)1 << 20)

/* The beginning of the kernel's line. NULL: there can be no cache. */
static char *line_head(const struct kernel_image *image)
{
	cleanup_free char *program = program_id();

	return program ? xasprintf("%s %s ", program, image->sha256) : NULL;
}

/* The signature behind that head, if it is one. */
static bool find(const char *text, const char *head, char out[SIGNATURE_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (const char *line = text; *line; line += *line == '\n') {
		bool ours = !strncmp(line, head, strlen(head));
		const char *is = ours ? line + strlen(head) : line;

		line = strchrnul(line, '\n');
		if (ours && line - is == SIGNATURE_BYTES - 1 &&
		    strspn(is, digits) == SIGNATURE_BYTES - 1) {
			memcpy(out, is, SIGNATURE_BYTES - 1);
			out[SIGNATURE_BYTES - 1] = '\0';
			return true;
		}
	}
	return false;
}

/* Without the oldest lines, if there are too many. */
static const char *newest(const struct buf *text)
{
	const char *p = text->data + text->len;

	for (size_t lines = 0; p > text->data; p--)
		if (p[-1] == '\n' && lines++ == SIGNATURE_CACHE_LINES)
			break;
	return p;
}

static char *cache_dir(void)
{
	char *base;
	struct err ignored;

	return fs_xdg("XDG_CACHE_HOME", ".cache", &base, &ignored) ? NULL : base;
}

bool signature_cache_find(const struct kernel_image *image, char out[SIGNATURE_BYTES])
{
	cleanup_free char *dir = cache_dir(), *head = line_head(image);
	cleanup_buf struct buf text = BUF_INIT;
	struct err ignored;

	if (!dir || !head)
		return false;
	cleanup_free char *path = xasprintf("%s/signatures", dir);
	return !fs_read(path, CACHE_BYTES, &text, ERR_HARNESS, &ignored) &&
	       find(text.data, head, out);
}

static void remember(const struct kernel_image *image, const char *signature)
{
	cleanup_free char *dir = cache_dir(), *head = line_head(image);
	cleanup_buf struct buf text = BUF_INIT;
	struct err ignored;

	if (!dir || !head || fs_mkdirs(dir, &ignored))
		return;
	cleanup_free char *path = xasprintf("%s/signatures", dir);
	fs_read(path, CACHE_BYTES, &text, ERR_HARNESS, &ignored);
	buf_addf(&text, "%s%s\n", head, signature);
	const char *keep = newest(&text);
	fs_write(path, keep, (size_t)(text.data + text.len - keep), &ignored);
}

int signature_cache_sign(const struct kernel_image *image, char out[SIGNATURE_BYTES],
			 struct err *err)
{
	if (signature_cache_find(image, out))
		return 0;
	if (kernel_image_sign(image, out, NULL, err))
		return -1;
	remember(image, out);
	return 0;
}
