/* git bisect in the user's tree; see bisect_tree.h. */
#include "bisect_tree.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "git.h"

#include <ctype.h>
#include <string.h>

/* In a search for a fix the older state is the broken one (git-bisect(1), "Alternate terms"). */
#define TERM_OLD "--term-old=broken"
#define TERM_NEW "--term-new=fixed"
#define COMMAND  "git bisect "

void bisect_next_free(struct bisect_next *next)
{
	free(next->hash);
	free(next->said);
	*next = (struct bisect_next){ 0 };
}

const char *bisect_tree_word(bool fix, enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_GOOD:
		return fix ? "fixed" : "good";
	case VERDICT_BAD:
		return fix ? "broken" : "bad";
	case VERDICT_SKIP:
	case VERDICT_NONE:
		break;
	}
	return "skip";
}

static void trim(struct buf *b)
{
	while (b->len && isspace((unsigned char)b->data[b->len - 1]))
		b->data[--b->len] = '\0';
}

int bisect_tree_check(const char *tree, char **out, struct err *err)
{
	cleanup_buf struct buf top = BUF_INIT;
	cleanup_free char *running = NULL, *dirty = NULL;

	if (git(tree, &top, NULL, err, "rev-parse", "--show-toplevel"))
		return -1;
	trim(&top);
	if (git_path(tree, "BISECT_START", &running, err))
		return -1;
	if (fs_exists(running))
		return err_set(err, ERR_INPUT,
			       "%s: a bisection is running there: end it with 'git bisect reset' "
			       "(or go on with it, if it is kvmrepro's: --resume --out DIR)",
			       top.data);
	if (git_dirty(tree, &dirty, err))
		return -1;
	if (dirty)
		return err_set(err, ERR_INPUT,
			       "%s: there are uncommitted changes (%s): commit or stash them",
			       top.data, dirty);
	*out = buf_steal(&top);
	return 0;
}

const char *bisect_tree_start_line(bool fix)
{
	return fix ? "git bisect start '" TERM_OLD "' '" TERM_NEW "'\n" : "git bisect start\n";
}

int bisect_tree_start(const char *tree, bool fix, struct err *err)
{
	if (fix)
		return git(tree, NULL, NULL, err, "bisect", "start", TERM_OLD, TERM_NEW);
	return git(tree, NULL, NULL, err, "bisect", "start");
}

/* changes, or "changes-2" and so on before its suffix: what was kept before is not overwritten. */
static char *fresh_name(const char *changes)
{
	const char *dot = strrchr(changes, '.');
	char *name = xstrdup(changes);

	for (unsigned i = 2; fs_exists(name); i++) {
		free(name);
		name = xasprintf("%.*s-%u%s", (int)(dot - changes), changes, i, dot);
	}
	return name;
}

/* The tree was clean when it all began: what differs now is the build's doing, or the user's in the
 * meantime. */
static int undo_changes(const char *tree, const char *changes, struct err *err)
{
	cleanup_free char *name = NULL, *kept = fresh_name(changes);
	cleanup_buf struct buf patch = BUF_INIT;

	if (git_dirty(tree, &name, err))
		return -1;
	if (!name)
		return 0;
	if (git(tree, &patch, NULL, err, "diff", "--binary", "--no-color", "--no-ext-diff",
		"--no-textconv", "HEAD") ||
	    fs_write(kept, patch.data, patch.len, err))
		return -1;
	log_info("tracked files were changed since the checkout (%s): undone, and kept as %s", name,
		 kept);
	return git(tree, NULL, NULL, err, "reset", "--quiet", "--hard");
}

int bisect_tree_checkout(const char *tree, const char *hash, const char *changes, struct err *err)
{
	if (undo_changes(tree, changes, err))
		return -1;
	return git(tree, NULL, NULL, err, "checkout", "--quiet", "--detach", hash);
}

static size_t hash_len(const char *p)
{
	size_t n = strspn(p, "0123456789abcdef");

	return n == 40 || n == 64 ? n : 0;
}

/* "... (roughly 3 steps)" */
static unsigned steps_of(const char *line)
{
	const char *p = strstr(line, "(roughly ");

	return p ? (unsigned)strtoul(p + strlen("(roughly "), NULL, 10) : 0;
}

/* What git said, in the C locale. Its exit status was 0, or 2 when only skipped ones are left. */
static int read_next(const char *tree, const char *said, int status, struct bisect_next *next,
		     struct err *err)
{
	size_t n = hash_len(said);

	*next = (struct bisect_next){ .said = xstrdup(said) };
	if (status == 2) {
		next->want = WANT_GIVE_UP;
		return 0;
	}
	if (n && !strncmp(said + n, " is the first ", strlen(" is the first "))) {
		next->want = WANT_NOTHING;
		next->hash = xstrndup(said, n);
		return 0;
	}
	next->want = WANT_TEST;
	next->steps = steps_of(said);
	if (!git_commit(tree, "HEAD", "HEAD", &next->hash, err))
		return 0;
	bisect_next_free(next);
	return -1;
}

/* "git bisect ARG..." of which the answer is what to do next. */
static int ask(const char *tree, const char *const *args, const char *changes,
	       struct bisect_next *next, struct err *err)
{
	cleanup_buf struct buf said = BUF_INIT;
	int status;

	if (undo_changes(tree, changes, err))
		return -1;
	if (!next)
		return git_run(tree, args, NULL, NULL, err);
	if (git_run(tree, args, &said, &status, err))
		return -1;
	if (status != 0 && status != 2) {
		/* Once more for its words: to say the same twice does no harm. */
		if (git_run(tree, args, NULL, NULL, err))
			return -1;
		return err_set(err, ERR_INPUT, "%s: git %s %s: exit status %d", tree, args[0],
			       args[1], status);
	}
	return read_next(tree, said.data, status, next, err);
}

int bisect_tree_tell(const char *tree, bool fix, enum verdict verdict, const char *hash,
		     const char *changes, struct bisect_next *next, struct err *err)
{
	const char *const args[] = { "bisect", bisect_tree_word(fix, verdict), hash, NULL };

	return ask(tree, args, changes, next, err);
}

int bisect_tree_next(const char *tree, const char *changes, struct bisect_next *next,
		     struct err *err)
{
	const char *const args[] = { "bisect", "next", NULL };

	return ask(tree, args, changes, next, err);
}

int bisect_tree_replay(const char *tree, const char *path, const char *changes, struct err *err)
{
	if (undo_changes(tree, changes, err))
		return -1;
	return git(tree, NULL, NULL, err, "bisect", "replay", path);
}

/* "good HASH" in "git bisect good HASH" */
static const char *told_word(const char *line)
{
	if (strncmp(line, COMMAND, strlen(COMMAND)))
		return NULL;
	line += strlen(COMMAND);
	const char *hash = strchr(line, ' ');
	return hash && hash_len(hash + 1) ? line : NULL;
}

/* Whether line is want, which ends with a newline. Arguments need not be quoted. */
static bool same_command(const char *line, const char *want)
{
	for (;; line++, want++) {
		line += strspn(line, "'");
		want += strspn(want, "'");
		if (!*line || *line != *want)
			return !*line && *want == '\n';
	}
}

/* The words that git's log has. false: it was not begun as we do. */
static bool read_log(char *log, const char *start, char ***told, size_t *n)
{
	bool ours = false;
	char *save = NULL;

	for (char *l = strtok_r(log, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(l, COMMAND "start", strlen(COMMAND "start")))
			ours = same_command(l, start);
		const char *word = told_word(l);
		if (!word)
			continue;
		*told = xrealloc(*told, (*n + 1) * sizeof(**told));
		(*told)[(*n)++] = xstrdup(word);
	}
	return ours;
}

int bisect_tree_running(const char *tree, bool fix, char ***told, size_t *n, char **start,
			struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_buf struct buf name = BUF_INIT, log = BUF_INIT;

	*told = NULL;
	*n = 0;
	*start = NULL;
	if (git_path(tree, "BISECT_START", &path, err))
		return -1;
	if (!fs_exists(path))
		return 0;
	if (fs_read(path, 4096, &name, ERR_INPUT, err) ||
	    git(tree, &log, NULL, err, "bisect", "log"))
		return -1;
	trim(&name);
	if (read_log(log.data, bisect_tree_start_line(fix), told, n))
		*start = buf_steal(&name);
	return 0;
}

int bisect_tree_restore(const char *tree, const char *changes, struct err *err)
{
	if (undo_changes(tree, changes, err))
		return -1;
	return git(tree, NULL, NULL, err, "bisect", "reset");
}
