/* Bisection logs; see bisect_log.h. One table of line forms, tried in order. */
#include "bisect_log.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <string.h>

#define STRAY_BYTES 200
#define HASH_MIN    7
#define HASH_MAX    64    /* SHA-256 */
#define RUNS_MAX    10000 /* of one revision */

/* Free text that the log quotes, between lines of its own. */
enum quote {
	QUOTE_NONE,
	QUOTE_COMMIT, /* what git shows of the culprit */
	QUOTE_REPORT, /* the crash, to the log's end */
};

struct parser {
	struct bisect_log *log;
	size_t line;
	enum quote quote;
	char *name, *subject;   /* of the revision that is tested next, or NULL */
	char *start[2];         /* what "git bisect start" was told: the newer end, the older */
	size_t start_line;      /* 0: there was none */
	size_t tested_at_start; /* revisions before it */
	struct bisect_revision *now; /* the one under test, or NULL */
};

static size_t hash_len(const char *p)
{
	size_t n = strspn(p, "0123456789abcdef");

	return n >= HASH_MIN && n <= HASH_MAX && !isalnum((unsigned char)p[n]) ? n : 0;
}

static void set(char **to, char *value)
{
	free(*to);
	*to = value;
}

/* Each takes what stands behind the form's own words and returns NULL, or why it is of no use. */
typedef const char *take(struct parser *p, const char *rest);

static const char *take_cause(struct parser *p, const char *rest)
{
	p->log->fix = false;
	return hash_len(rest) ? NULL : "no commit is named";
}

static const char *take_fix(struct parser *p, const char *rest)
{
	p->log->fix = true;
	return hash_len(rest) ? NULL : "no commit is named";
}

static const char *take_name(struct parser *p, const char *rest)
{
	set(&p->name, xstrdup(rest));
	return NULL;
}

static const char *take_head(struct parser *p, const char *rest)
{
	(void)rest;
	return take_name(p, "HEAD");
}

/* "HASH with gcc (GCC) 8.1.0", "HASH gcc", "HASH" */
static const char *take_commit(struct parser *p, const char *rest)
{
	struct bisect_log *log = p->log;
	size_t n = hash_len(rest);

	if (!n)
		return "no commit is named";
	log->revisions = xrealloc(log->revisions, (log->n_revisions + 1) * sizeof(*log->revisions));
	p->now = &log->revisions[log->n_revisions++];
	*p->now = (struct bisect_revision){ .line = p->line };
	p->now->hash = xstrndup(rest, n);
	p->now->name = steal(p->name);
	p->now->subject = steal(p->subject);
	rest += n;
	rest += strspn(rest, " ");
	if (!strncmp(rest, "with ", 5))
		rest += 5;
	if (*rest)
		p->now->compiler = xstrdup(rest);
	return NULL;
}

static const char no_revision[] = "no revision is under test";

static const char *take_compiler(struct parser *p, const char *rest)
{
	if (!p->now)
		return no_revision;
	set(&p->now->compiler, xstrdup(rest));
	return NULL;
}

static const char *take_signature(struct parser *p, const char *rest)
{
	if (!p->now)
		return no_revision;
	set(&p->now->signature, xstrdup(rest));
	return NULL;
}

/* The words of syzkaller's outcomes, and the one that is none of ours. */
static const struct {
	const char *text;
	enum outcome_kind kind;
	bool titled, ignored;
} outcomes[] = {
	{ "OK", OUTCOME_OK, false, false },
	{ "crashed: ", OUTCOME_CRASHED, true, false },
	{ "boot failed: ", OUTCOME_BOOT_FAILED, true, false },
	{ "basic kernel testing failed: ", OUTCOME_TESTING_FAILED, true, false },
	{ "infra problem: ", OUTCOME_INFRA, true, false },
	{ "ignore: ", OUTCOME_CRASHED, true, true },
};

static const char *add_run(struct parser *p, const char *text)
{
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
		size_t n = strlen(outcomes[i].text);
		struct bisect_revision *r = p->now;

		if (strncmp(text, outcomes[i].text, n) || (outcomes[i].titled ? !text[n] : text[n]))
			continue;
		if (r->n_runs == RUNS_MAX)
			return "too many runs";
		r->runs = xrealloc(r->runs, (r->n_runs + 1) * sizeof(*r->runs));
		r->runs[r->n_runs++] = (struct bisect_run){
			.outcome.kind = outcomes[i].kind,
			.outcome.title = outcomes[i].titled ? xstrdup(text + n) : NULL,
			.ignored = outcomes[i].ignored,
		};
		return NULL;
	}
	return "unknown outcome";
}

/* "#3: OUTCOME", behind "run " */
static const char *take_run(struct parser *p, const char *rest)
{
	size_t n = strspn(rest, "0123456789");

	if (!n || strncmp(rest + n, ": ", 2))
		return "unknown line";
	if (!p->now)
		return no_revision;
	return p->now->all ? "a run beside 'all runs'" : add_run(p, rest + n + 2);
}

static const char *take_all(struct parser *p, const char *rest)
{
	if (!p->now)
		return no_revision;
	if (p->now->n_runs)
		return "'all runs' beside other runs";
	const char *why = add_run(p, rest);
	p->now->all = !why;
	return why;
}

/* "4, ...": ours, for "all runs" does not say how many they were. */
static const char *take_made(struct parser *p, const char *rest)
{
	unsigned long n = strtoul(rest, NULL, 10);

	if (!p->now)
		return no_revision;
	if (!isdigit((unsigned char)*rest) || !n || n > RUNS_MAX)
		return "no number of runs";
	p->now->made = n;
	return NULL;
}

/* Hash prefix or name. */
static bool names(const struct bisect_revision *r, const char *text)
{
	size_t n = hash_len(text);

	return (n && !strncmp(r->hash, text, n)) || (r->name && !strcmp(r->name, text));
}

/* The last revision below n that text names. */
static struct bisect_revision *find(struct bisect_log *log, size_t n, const char *text)
{
	while (n-- > 0)
		if (names(&log->revisions[n], text))
			return &log->revisions[n];
	return NULL;
}

/* Ours: it was not run again. The revision under test is the last one. */
static const char *take_same(struct parser *p, const char *rest)
{
	struct bisect_log *log = p->log;

	if (!p->now)
		return no_revision;
	const struct bisect_revision *r = find(log, log->n_revisions - 1, rest);
	if (!r)
		return "no such revision was tested";
	p->now->same_as = (size_t)(r - log->revisions) + 1;
	return NULL;
}

static const char *take_failed_build(struct parser *p, const char *rest)
{
	size_t n = hash_len(rest);

	if (!n || !p->now)
		return n ? no_revision : "no commit is named";
	rest += n;
	rest += strspn(rest, ": ");
	set(&p->now->build_failure, xstrdup(*rest ? rest : "not built"));
	return NULL;
}

static const char *take_bisect_start(struct parser *p, const char *rest)
{
	size_t n = strcspn(rest, " ");

	if (!n || !rest[n] || !rest[n + 1])
		return "two revisions are needed";
	set(&p->start[0], xstrndup(rest, n));
	rest += n + 1;
	set(&p->start[1], xstrndup(rest, strcspn(rest, " ")));
	p->start_line = p->line;
	p->tested_at_start = p->log->n_revisions;
	return NULL;
}

/* In a search for a fix git's "bad" is the newer state, the fixed one; "broken" and "fixed" are the
 * terms that ours gives to git. */
static const struct {
	const char *text;
	enum bisect_word cause, fix;
} words[] = {
	{ "good", BISECT_GOOD, BISECT_BAD },  { "bad", BISECT_BAD, BISECT_GOOD },
	{ "broken", BISECT_BAD, BISECT_BAD }, { "fixed", BISECT_GOOD, BISECT_GOOD },
	{ "skip", BISECT_SKIP, BISECT_SKIP },
};

static const char *take_decision(struct parser *p, const char *rest)
{
	size_t n = strcspn(rest, " ");
	const char *hash = rest[n] ? rest + n + 1 : "";

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (n != strlen(words[i].text) || strncmp(rest, words[i].text, n))
			continue;
		struct bisect_revision *r = find(p->log, p->log->n_revisions, hash);
		if (!r)
			return "a decision on a revision that was not tested";
		r->word = p->log->fix ? words[i].fix : words[i].cause;
		r->word_line = p->line;
		return NULL;
	}
	return "unknown decision";
}

/* "[HASH] subject" */
static const char *take_subject(struct parser *p, const char *rest)
{
	size_t n = hash_len(rest);

	if (!n || rest[n] != ']')
		return "unknown line";
	rest += n + 1;
	set(&p->subject, xstrdup(rest + strspn(rest, " ")));
	return NULL;
}

/* "first bad commit: HASH subject" */
static const char *take_culprit(struct parser *p, const char *rest)
{
	size_t n = hash_len(rest);

	if (!n)
		return "no commit is named";
	set(&p->log->culprit, xstrndup(rest, n));
	rest += n;
	set(&p->log->culprit_subject, xstrdup(rest + strspn(rest, " ")));
	return NULL;
}

static const char *take_culprit_signature(struct parser *p, const char *rest)
{
	set(&p->log->culprit_signature, xstrdup(rest));
	return NULL;
}

static const char *take_parent_signature(struct parser *p, const char *rest)
{
	set(&p->log->parent_signature, xstrdup(rest));
	return NULL;
}

static const char *take_tested(struct parser *p, const char *rest)
{
	if (!isdigit((unsigned char)*rest))
		return "no number";
	p->log->tested = strtoul(rest, NULL, 10);
	return NULL;
}

static const char *take_crash(struct parser *p, const char *rest)
{
	set(&p->log->crash, xstrdup(rest));
	p->quote = QUOTE_REPORT;
	return NULL;
}

/* How a line begins; without a function it is known and says nothing that is needed. */
static const struct {
	const char *prefix;
	take *take;
} forms[] = {
	{ "testing commit ", take_commit },
	{ "run #", take_run },
	{ "all runs: ", take_all },
	{ "runs: ", take_made },
	{ "same kernel as ", take_same },
	{ "kernel signature: ", take_signature },
	{ "compiler: ", take_compiler },
	{ "failed building ", take_failed_build },
	{ "# git bisect start ", take_bisect_start },
	{ "# git bisect ", take_decision },
	{ "[", take_subject },
	{ "bisecting cause commit starting from ", take_cause },
	{ "bisecting fixing commit since ", take_fix },
	{ "testing release ", take_name },
	{ "testing current HEAD ", take_head },
	{ "first bad commit: ", take_culprit },
	{ "first good commit: ", take_culprit },
	{ "culprit signature: ", take_culprit_signature },
	{ "parent  signature: ", take_parent_signature },
	{ "revisions tested: ", take_tested },
	{ "crash: ", take_crash },
	/* syzkaller */
	{ "building syzkaller on ", NULL },
	{ "ensuring issue is reproducible on original commit ", NULL },
	{ "representative crash: ", NULL },
	{ "false negative chance: ", NULL },
	{ "reproducer is flaky", NULL },
	{ "reproducer flagged being flaky", NULL },
	{ "unable to determine the verdict: ", NULL },
	{ "accumulated error probability: ", NULL },
	{ "crash still not fixed", NULL },
	{ "crash already happened on the oldest tested release", NULL },
	{ "cc: [", NULL },
	{ "recipients (to): ", NULL },
	{ "recipients (cc): ", NULL },
	/* syzkaller looking for a smaller configuration first */
	{ "check whether we can drop unnecessary instrumentation", NULL },
	{ "the bug reproduces without the instrumentation", NULL },
	{ "disabling configs for ", NULL },
	{ "kconfig minimization: ", NULL },
	{ "split chunk", NULL },
	{ "testing without sub-chunk ", NULL },
	{ "the chunk can be dropped", NULL },
	{ "minimized to ", NULL },
	{ "picked [", NULL },
	/* git */
	{ "Bisecting: ", NULL },
	{ "There are only 'skip'ped commits left to test.", NULL },
	{ "The first bad commit could be any of:", NULL },
	{ "The first fixed commit could be any of:", NULL },
	{ "We cannot bisect more!", NULL },
	{ "The merge base ", NULL },
	{ "status: waiting for ", NULL },
	{ "bisect run ", NULL },
	/* kvmrepro */
	{ "confirming ", NULL },
	{ "going back: ", NULL },
	{ "confirmed: ", NULL },
	{ "not confirmed: ", NULL },
	{ "undecided: ", NULL },
};

/* "commit HASH" and what follows it, as git show and git bisect print a commit. */
static bool is_commit_text(const char *line)
{
	static const char *const starts[] = {
		" ", ":", "commit ", "Merge: ", "Author: ", "Date: "
	};

	if (!*line)
		return true;
	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
		if (!strncmp(line, starts[i], strlen(starts[i])))
			return true;
	return false;
}

/* Lines that begin with what varies. */
static bool take_varying(struct parser *p, const char *line)
{
	size_t n = hash_len(line);

	if (n && (!strcmp(line + n, " is the first bad commit") ||
		  !strcmp(line + n, " is the first fixed commit"))) {
		if (!p->log->culprit)
			p->log->culprit = xstrndup(line, n);
		p->quote = QUOTE_COMMIT;
		return true;
	}
	if (n && !line[n]) /* in git's list of commits that it cannot tell apart */
		return true;
	return strstr(line, " starts bisection ") != NULL;
}

static const char *take_line(struct parser *p, const char *line)
{
	if (p->quote == QUOTE_REPORT || !*line)
		return NULL;
	if (p->quote == QUOTE_COMMIT && is_commit_text(line))
		return NULL;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		size_t n = strlen(forms[i].prefix);

		if (strncmp(line, forms[i].prefix, n))
			continue;
		p->quote = QUOTE_NONE;
		return forms[i].take ? forms[i].take(p, line + n) : NULL;
	}
	return take_varying(p, line) ? NULL : "unknown line";
}

static void add_stray(struct parser *p, const char *line, const char *why)
{
	struct bisect_log *log = p->log;

	log->strays = xrealloc(log->strays, (log->n_strays + 1) * sizeof(*log->strays));
	log->strays[log->n_strays++] = (struct bisect_stray){
		.line = p->line,
		.text = xstrndup(line, STRAY_BYTES),
		.why = why,
	};
}

static bool crashed(const struct bisect_revision *r)
{
	for (size_t i = 0; i < r->n_runs; i++)
		if (r->runs[i].outcome.kind == OUTCOME_CRASHED && !r->runs[i].ignored)
			return true;
	return false;
}

/*
 * Before "git bisect start" there are no decisions, but it names the ends; and where a revision
 * showed the crash, the search for the other end went on, which is as good as a word.
 */
static void settle_start(struct parser *p)
{
	struct bisect_log *log = p->log;
	const enum bisect_word ends[2] = {
		log->fix ? BISECT_GOOD : BISECT_BAD,
		log->fix ? BISECT_BAD : BISECT_GOOD,
	};

	if (!p->start_line)
		return;
	for (size_t i = 0; i < 2; i++) {
		struct bisect_revision *r = find(log, p->tested_at_start, p->start[i]);

		if (r && !r->word) {
			r->word = ends[i];
			r->word_line = p->start_line;
		}
	}
	for (size_t i = 0; i < p->tested_at_start; i++)
		if (!log->revisions[i].word && crashed(&log->revisions[i]))
			log->revisions[i].word = BISECT_BAD;
}

int bisect_log_parse(const char *text, size_t len, struct bisect_log *out, struct err *err)
{
	struct bisect_log log = { 0 };
	struct parser p = { .log = &log };

	for (size_t at = 0; at < len;) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - text) - at : len - at;
		cleanup_free char *line = xstrndup(text + at, n);

		p.line++;
		at += n + 1;
		n = strlen(line);
		while (n && isspace((unsigned char)line[n - 1]))
			line[--n] = '\0';
		const char *why = take_line(&p, line);
		if (why)
			add_stray(&p, line, why);
	}
	settle_start(&p);
	free(p.name);
	free(p.subject);
	free(p.start[0]);
	free(p.start[1]);
	if (!log.n_revisions) {
		bisect_log_free(&log);
		return err_set(err, ERR_INPUT,
			       "not a bisection log: no line of it begins with 'testing commit'");
	}
	*out = log;
	return 0;
}

static void free_revision(struct bisect_revision *r)
{
	for (size_t i = 0; i < r->n_runs; i++)
		free(r->runs[i].outcome.title);
	free(r->runs);
	free(r->hash);
	free(r->name);
	free(r->subject);
	free(r->compiler);
	free(r->signature);
	free(r->build_failure);
}

void bisect_log_free(struct bisect_log *log)
{
	for (size_t i = 0; i < log->n_revisions; i++)
		free_revision(&log->revisions[i]);
	for (size_t i = 0; i < log->n_strays; i++)
		free(log->strays[i].text);
	free(log->revisions);
	free(log->strays);
	free(log->culprit);
	free(log->culprit_subject);
	free(log->culprit_signature);
	free(log->parent_signature);
	free(log->crash);
	*log = (struct bisect_log){ 0 };
}

const char *bisect_word_name(enum bisect_word word)
{
	static const char *const text[] = {
		[BISECT_UNSAID] = "-",
		[BISECT_GOOD] = "good",
		[BISECT_BAD] = "bad",
		[BISECT_SKIP] = "skip",
	};

	return text[word];
}
