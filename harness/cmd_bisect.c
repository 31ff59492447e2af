/* kvmrepro bisect: git bisect with kernels that are built, booted and judged. */
#include "cmd.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "bisect.h"
#include "bisect_tree.h"
#include "git.h"
#include "interrupt.h"
#include "trial_opts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

struct bisect_options {
	const char *good, *bad, *build, *tree, *kernel, *out, *state;
	long runs;
	bool fix, resume;
	struct trial_options trials;
};

#define LOCK_WAIT_MS 30000
#define LOCK_POLL_MS 100

#define FIELD(name) offsetof(struct bisect_options, name)

static const struct opt bisect_opts[] = {
	{ "good", OPT_STRING, FIELD(good), "REV", 0, 0, NULL, NULL,
	  "a revision without the crash" },
	{ "bad", OPT_STRING, FIELD(bad), "REV", 0, 0, NULL, NULL, "a revision with it" },
	{ "fix", OPT_FLAG, FIELD(fix), NULL, 0, 0, NULL, NULL,
	  "look for the commit that fixed it: --good is the newer one then" },
	{ "build", OPT_STRING, FIELD(build), "COMMAND", 0, 0, NULL, NULL,
	  "what builds a kernel: 'sh -c COMMAND' in the tree; a revision for which it fails is "
	  "skipped" },
	{ "kernel", OPT_STRING, FIELD(kernel), "FILE", 0, 0, NULL, "arch/x86/boot/bzImage",
	  "the kernel that it makes, relative to the tree" },
	{ "tree", OPT_STRING, FIELD(tree), "DIR", 0, 0, NULL, ".",
	  "the git work tree; it is left as it was found" },
	{ "runs", OPT_NUMBER, FIELD(runs), "N", 1, 100000, NULL, NULL,
	  "how many trials of a revision there may be [what the policy asks for]" },
	{ "out", OPT_STRING, FIELD(out), "DIR", 0, 0, NULL, NULL,
	  "where journal, log, kernels and evidence are kept [a new directory under "
	  "$XDG_STATE_HOME/kvmrepro/bisections]" },
	{ "state", OPT_STRING, FIELD(state), "FILE", 0, 0, NULL, NULL,
	  "where what was learnt is kept for what is run next; a kernel that was judged is not "
	  "run again" },
	{ "resume", OPT_FLAG, FIELD(resume), NULL, 0, 0, NULL, NULL,
	  "go on with the bisection in --out, which is all that is needed then: the rest is in "
	  "its journal" },
	TRIAL_OPTS(struct bisect_options, "the crash that most runs of --bad ended in"),
	BOOT_OPTS(struct bisect_options, "once"),
	POLICY_OPTS(struct bisect_options),
	{ 0 },
};

/* The log as it grows: standard output, and bisect.log. */
struct printer {
	const struct bisect_journal *journal;
	size_t printed;
};

static int print_more(void *opaque, struct err *err)
{
	struct printer *p = opaque;
	cleanup_free char *path = xasprintf("%s/bisect.log", p->journal->dir);
	cleanup_buf struct buf text = BUF_INIT;

	bisect_journal_log(p->journal, &text);
	if (text.len > p->printed) {
		fwrite(text.data + p->printed, 1, text.len - p->printed, stdout);
		fflush(stdout);
		p->printed = text.len;
	}
	return fs_write(path, text.data, text.len, err);
}

/* ---- options that outlive the program ---- */

static void add_word(json_t *words, char *word)
{
	json_array_append_new(words, json_stringn_nocheck(word, strlen(word)));
	free(word);
}

/* The options that differ from their defaults, as they would be typed. */
static json_t *to_words(const struct bisect_options *o)
{
	json_t *words = json_array();

	for (const struct opt *row = bisect_opts; row->name; row++) {
		const void *v = (const char *)o + row->offset;
		const struct opt_list *list = v;
		const char *s;

		switch (row->type) {
		case OPT_FLAG:
			if (*(const bool *)v)
				add_word(words, xasprintf("--%s", row->name));
			break;
		case OPT_NUMBER:
			if (*(const long *)v != (row->def ? atol(row->def) : 0))
				add_word(words, xasprintf("--%s=%ld", row->name, *(const long *)v));
			break;
		case OPT_SHARE:
			if (*(const double *)v != (row->def ? strtod(row->def, NULL) : 0))
				add_word(words,
					 xasprintf("--%s=%.17f", row->name, *(const double *)v));
			break;
		case OPT_STRING:
		case OPT_CHOICE:
			s = *(const char *const *)v;
			if (s && (!row->def || strcmp(s, row->def)))
				add_word(words, xasprintf("--%s=%s", row->name, s));
			break;
		case OPT_LIST:
			for (size_t i = 0; i < list->n; i++)
				add_word(words, xasprintf("--%s=%s", row->name, list->items[i]));
			break;
		}
	}
	return words;
}

/* The same words again; they live as long as words. */
static int from_words(const json_t *words, struct bisect_options *out, struct err *err)
{
	size_t n = json_array_size(words);
	cleanup_free char **argv = xcalloc(n + 2, sizeof(*argv));
	int first;

	argv[0] = "bisect";
	for (size_t i = 0; i < n; i++) {
		const char *word = json_string_value(json_array_get(words, i));

		argv[i + 1] = (char *)(word ? word : "");
	}
	return opts_parse(&cmd_bisect, (int)n + 1, argv, out, &first, err);
}

/* ---- beginning and going on ---- */

static int default_dir(char **out, struct err *err)
{
	cleanup_free char *base = NULL;
	time_t now = time(NULL);
	char stamp[32];
	struct tm tm;

	if (fs_xdg("XDG_STATE_HOME", ".local/state", &base, err))
		return -1;
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	*out = xasprintf("%s/bisections/%s-%d", base, stamp, (int)getpid());
	return 0;
}

/* What a killed bisection ran holds its lock until it has ended its VMs: a matter of seconds. */
static int lock_dir(const struct bisect_options *o, const char *dir, int fd, struct err *err)
{
	struct pollfd stop = { .fd = interrupt_fd(), .events = POLLIN };

	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB); waited_ms += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK)
			return err_errno(err, ERR_HARNESS, "%s: lock", dir);
		if (!o->resume || waited_ms >= LOCK_WAIT_MS)
			return err_set(err, ERR_INPUT, "%s: a bisection is at work there", dir);
		if (!waited_ms)
			log_info("%s: waiting for a bisection there to end", dir);
		if (poll(&stop, 1, LOCK_POLL_MS) > 0)
			return err_set(err, ERR_INTERRUPTED, "interrupted");
	}
	return 0;
}

/* The directory, absolute, and a lock on it that is ours while *lock_fd is open. */
static int open_dir(const struct bisect_options *o, char **dir, int *lock_fd, struct err *err)
{
	cleanup_free char *given = o->out ? xstrdup(o->out) : NULL, *lock = NULL;

	if (!given && default_dir(&given, err))
		return -1;
	if (!o->resume && fs_mkdirs(given, err))
		return -1;
	*dir = realpath(given, NULL);
	if (!*dir)
		return err_errno(err, ERR_INPUT, "--out %s", given);
	lock = xasprintf("%s/lock", *dir);
	*lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (*lock_fd < 0)
		return err_errno(err, ERR_INPUT, "%s", lock);
	return lock_dir(o, *dir, *lock_fd, err);
}

static int check_options(const struct bisect_options *o, struct err *err)
{
	const char *missing = !o->good ? "good" : !o->bad ? "bad" : !o->build ? "build" : NULL;

	if (missing)
		return err_set(err, ERR_INPUT, "bisect: --%s is needed", missing);
	if (o->kernel[0] == '/' || strstr(o->kernel, "..") || !*o->kernel)
		return err_set(err, ERR_INPUT,
			       "--kernel %s: it must lie below the tree, and be "
			       "named relative to it",
			       o->kernel);
	if (!strncmp(o->trials.engine, "replay:", strlen("replay:")))
		return err_set(err, ERR_INPUT, "bisect: a recorded run has no kernels to be built");
	return trial_opts_check(&o->trials, o->runs, err);
}

/* Each kernel's process opens it anew; one that is no good is known before anything is built. */
static int check_state(const struct bisect_options *o, struct err *err)
{
	struct state *state;

	if (!o->state)
		return 0;
	if (state_open(o->state, &state, err))
		return -1;
	state_close(state);
	return 0;
}

static int check_ends(const struct bisect_options *o, const struct bisect_journal *j,
		      struct err *err)
{
	const char *older = o->fix ? j->bad : j->good, *newer = o->fix ? j->good : j->bad;
	bool turned;

	if (!strcmp(j->good, j->bad))
		return err_set(err, ERR_INPUT, "--good %s and --bad %s are the same commit",
			       o->good, o->bad);
	if (git_is_ancestor(j->tree, newer, older, &turned, err))
		return -1;
	if (turned)
		return err_set(err, ERR_INPUT, "--good %s is %s than --bad %s: %s", o->good,
			       o->fix ? "older" : "newer", o->bad,
			       o->fix ? "without --fix that is the search for the cause"
				      : "the search for a fix is --fix");
	return 0;
}

/* What is kept would be in the way of git, or taken away with the tree. */
static int check_outside(const struct bisect_journal *j, struct err *err)
{
	size_t n = strlen(j->tree);

	if (strncmp(j->dir, j->tree, n) || (j->dir[n] && j->dir[n] != '/'))
		return 0;
	return err_set(err, ERR_INPUT,
		       "%s lies in the tree that is bisected: name a directory outside of it with "
		       "--out",
		       j->dir);
}

static int begin(const struct bisect_options *o, struct bisect_journal *j, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/journal.json", j->dir);
	struct git_head head = { 0 };

	if (check_options(o, err) || check_state(o, err))
		return -1;
	if (fs_exists(path))
		return err_set(err, ERR_INPUT,
			       "%s holds a bisection already: go on with --resume, "
			       "or name another directory with --out",
			       j->dir);
	if (bisect_tree_check(o->tree, &j->tree, err) || check_outside(j, err) ||
	    git_commit(j->tree, "--good", o->good, &j->good, err) ||
	    git_commit(j->tree, "--bad", o->bad, &j->bad, err) || check_ends(o, j, err) ||
	    git_head(j->tree, &head, err))
		return -1;
	j->start = xstrdup(head.branch ? head.branch : head.hash);
	git_head_free(&head);
	j->fix = o->fix;
	j->cwd = getcwd(NULL, 0);
	if (!j->cwd)
		return err_errno(err, ERR_HARNESS, "the working directory");
	j->argv = to_words(o);
	return bisect_journal_store(j, err);
}

/* The options come from the journal; relative names are relative to where it was begun. */
static int go_on(const struct bisect_options *o, struct bisect_options *out,
		 struct bisect_journal *j, struct err *err)
{
	json_t *words = to_words(o);
	cleanup_free char *dir = steal(j->dir);
	size_t n = json_array_size(words);

	json_decref(words);
	if (!o->out || n != 2 + (size_t)o->trials.verbose) {
		j->dir = steal(dir);
		return err_set(
			err, ERR_INPUT,
			"--resume takes --out DIR and nothing else: the rest is in the journal");
	}
	if (bisect_journal_load(dir, j, err))
		return -1;
	if (chdir(j->cwd))
		return err_errno(err, ERR_INPUT, "%s, where it was begun", j->cwd);
	if (from_words(j->argv, out, err))
		return err_context(err, "%s/journal.json", dir);
	out->trials.verbose |= o->trials.verbose;
	return check_options(out, err) || check_state(out, err) ? -1 : 0;
}

static int work(const struct bisect_options *o, struct bisect_journal *j, struct err *err)
{
	struct printer printer = { .journal = j };
	const struct bisect_config config = {
		.build = o->build,
		.kernel = o->kernel,
		.trials = &o->trials,
		.runs = o->runs,
		.state = o->state,
		.grew = print_more,
		.opaque = &printer,
	};

	if (o->trials.verbose)
		log_level = LOG_VERBOSE;
	log_info("bisecting in %s; journal, log and evidence: %s", j->tree, j->dir);
	int rc = bisect_search(&config, j, err);
	if (rc < 0)
		log_info("nothing is lost; go on with: kvmrepro bisect --resume --out %s", j->dir);
	return rc;
}

/* Nothing came of it: what open_dir() made goes, unless there is more in it. */
static void discard(const char *dir)
{
	cleanup_free char *lock = xasprintf("%s/lock", dir);

	unlink(lock);
	rmdir(dir);
}

static int bisect_main(const void *opts, int argc, char **argv, struct err *err)
{
	const struct bisect_options *o = opts;
	struct bisect_options again = { 0 };
	struct bisect_journal j = { 0 };
	cleanup_fd int lock_fd = -1;

	if (argc)
		return err_set(err, ERR_INPUT,
			       "bisect: '%s' is not expected; all is said by options", argv[0]);
	if (o->resume && !o->out)
		return err_set(err, ERR_INPUT,
			       "--resume needs --out DIR, the directory of the bisection");
	int rc = open_dir(o, &j.dir, &lock_fd, err);
	if (!rc && !o->resume && begin(o, &j, err)) {
		discard(j.dir);
		rc = -1;
	}
	if (!rc && o->resume)
		rc = go_on(o, &again, &j, err);
	if (!rc)
		rc = work(o->resume ? &again : o, &j, err);
	opts_free(&cmd_bisect, &again);
	bisect_journal_free(&j);
	return rc;
}

const struct cmd cmd_bisect = {
	.name = "bisect",
	.operands = "",
	.summary = "Find the commit that brought a crash, or fixed it: build, boot and judge what "
		   "git bisect chooses.",
	.opts = bisect_opts,
	.opts_bytes = sizeof(struct bisect_options),
	.run = bisect_main,
};
