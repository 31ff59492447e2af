/*
 * libFuzzer target for a bisection's journal: a file of any content is refused, or read; then what
 * was written back is read as the same.
 */
#include "bisect_journal.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void say(const struct bisect_journal *j, struct buf *out)
{
	bisect_journal_log(j, out);
	buf_addf(out, "%s %s %zu", j->cwd, j->tree, j->n_steps);
	buf_addc(out, '\0');
}

static void store(struct bisect_journal *j)
{
	struct err err;

	if (bisect_journal_store(j, &err) || bisect_journal_reload(j, &err))
		abort();
}

static void use(const char *dir)
{
	cleanup_buf struct buf before = BUF_INIT, after = BUF_INIT;
	struct bisect_journal j;
	struct err err;

	if (bisect_journal_load(dir, &j, &err))
		return;
	store(&j); /* which escapes control characters */
	say(&j, &before);
	store(&j);
	say(&j, &after);
	if (before.len != after.len || memcmp(before.data, after.data, after.len) != 0)
		abort();
	bisect_journal_free(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char dir[64], path[96];
	struct err err;

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "/dev/shm/kvmrepro-fuzz-journal.%d", (int)getpid());
		snprintf(path, sizeof(path), "%s/journal.json", dir);
	}
	if (fs_mkdirs(dir, &err) || fs_write(path, data, size, &err))
		abort();
	use(dir);
	return fs_rmtree(dir, &err);
}
