/* The state file; see state.h. A file is checked whole when it is read: what follows trusts it. */
#include "state.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "interrupt.h"
#include "report/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#define VERSION     1
#define VERSION_KEY "kvmrepro_state"
#define RETRY_MS    20 /* between two tries for the lock */

struct state {
	char *path;
	int lock_fd;
	json_t *json;
};

/* How the trials of a judgement began, by boot_once. */
#define BOOT_KEY "boot"
static const char *const boot_names[] = { [false] = "each", [true] = "once" };

static const char *const match_names[] = {
	[MATCH_NONE] = "none",
	[MATCH_POSSIBLE] = "possible",
	[MATCH_TARGET] = "target",
};

static int match_of(const char *name, enum match *out)
{
	for (size_t i = 0; i < sizeof(match_names) / sizeof(match_names[0]); i++)
		if (!strcmp(match_names[i], name)) {
			*out = (enum match)i;
			return 0;
		}
	return -1;
}

/* ---- reading ---- */

struct run_text {
	const char *kind, *title, *match;
};

static int unpack_run(json_t *run, struct run_text *out)
{
	*out = (struct run_text){ 0 };
	return json_unpack(run, "{s:s, s?:s, s:s}", "kind", &out->kind, "title", &out->title,
			   "match", &out->match);
}

static const char *check_runs(json_t *runs)
{
	struct run_text text;
	enum outcome_kind kind;
	enum match match;
	json_t *run;
	size_t i;

	if (!json_is_array(runs))
		return "a list of runs";
	json_array_foreach (runs, i, run)
		if (unpack_run(run, &text) || outcome_kind_of(text.kind, &kind) ||
		    match_of(text.match, &match) || !text.title != (kind == OUTCOME_OK) ||
		    (kind == OUTCOME_OK && match != MATCH_NONE))
			return "a run";
	return NULL;
}

static const char *check_judgements(json_t *kernel)
{
	json_t *all = json_object_get(kernel, "judgements"), *one, *runs;
	const char *judged, *evidence, *boot, *verdict, *wrong;
	size_t i;

	if (!json_is_array(all) || !json_array_size(all))
		return "a list of judgements";
	json_array_foreach (all, i, one) {
		if (json_unpack(one, "{s:s, s?:s, s?:s, s:s, s:o}", "judged", &judged, "evidence",
				&evidence, BOOT_KEY, &boot, "verdict", &verdict, "runs", &runs))
			return "a judgement";
		wrong = check_runs(runs);
		if (wrong)
			return wrong;
	}
	return NULL;
}

static const char *check_title(json_t *o)
{
	const char *title, *kin, *type, *stack;
	enum kinship kinship;

	if (json_unpack(o, "{s:s, s:s, s?:s, s?:s}", "title", &title, "kin", &kin, "type", &type,
			"stack", &stack) ||
	    kinship_of(kin, &kinship))
		return "a title";
	return NULL;
}

static const char *check_question(json_t *o)
{
	json_t *question, *titles, *kernels, *each;
	const char *key, *wrong;
	size_t i;

	if (json_unpack(o, "{s:o, s:o, s:o}", "question", &question, "titles", &titles, "kernels",
			&kernels) ||
	    !json_is_object(question) || !json_is_array(titles) || !json_is_object(kernels))
		return "a question";
	json_array_foreach (titles, i, each) {
		wrong = check_title(each);
		if (wrong)
			return wrong;
	}
	json_object_foreach (kernels, key, each) {
		wrong = check_judgements(each);
		if (wrong)
			return wrong;
	}
	return NULL;
}

static int check(const char *path, json_t *json, struct err *err)
{
	json_t *version = json_object_get(json, VERSION_KEY);
	json_t *questions = json_object_get(json, "questions"), *each;
	size_t i;

	if (!json_is_integer(version))
		return err_set(err, ERR_INPUT, "%s: not a state file of kvmrepro", path);
	if (json_integer_value(version) != VERSION)
		return err_set(err, ERR_INPUT,
			       "%s: a state file of version %lld, and this kvmrepro knows version "
			       "%d; take another file or another kvmrepro",
			       path, (long long)json_integer_value(version), VERSION);
	if (!json_is_array(questions))
		return err_set(err, ERR_INPUT, "%s: damaged: its questions make no sense", path);
	json_array_foreach (questions, i, each) {
		const char *wrong = check_question(each);

		if (wrong)
			return err_set(err, ERR_INPUT,
				       "%s: damaged: %s makes no sense, in question %zu of %zu",
				       path, wrong, i + 1, json_array_size(questions));
	}
	return 0;
}

/* The file as it is now; one that is not there, or is empty, knows nothing. */
static int load(const char *path, json_t **out, struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	json_error_t why;

	if (fs_exists(path) && fs_read(path, STATE_BYTES, &text, ERR_INPUT, err))
		return -1;
	if (!text.len) {
		*out = json_pack("{s:i, s:[]}", VERSION_KEY, VERSION, "questions");
		return 0;
	}
	json_t *json = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &why);
	if (!json)
		return err_set(err, ERR_INPUT,
			       "%s: no state file, or damaged: line %d: %s; it is left as it is",
			       path, why.line, why.text);
	if (check(path, json, err)) {
		json_decref(json);
		return -1;
	}
	*out = json;
	return 0;
}

int state_open(const char *path, struct state **out, struct err *err)
{
	/* A link stays a link: what it leads to is what is replaced. */
	cleanup_free char *resolved = realpath(path, NULL);
	const char *file = resolved ? resolved : path;
	cleanup_free char *lock = xasprintf("%s.lock", file);
	cleanup_fd int fd = -1;
	json_t *json;

	if (load(file, &json, err))
		return -1;
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0) {
		json_decref(json);
		if (errno == ENOENT || errno == ENOTDIR)
			return err_errno(err, ERR_INPUT, "%s: its directory", file);
		return err_errno(err, ERR_INPUT, "%s", lock);
	}
	struct state *state = xcalloc(1, sizeof(*state));
	*state = (struct state){ xstrdup(file), steal_fd(fd), json };
	*out = state;
	return 0;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	json_decref(state->json);
	close(state->lock_fd);
	free(state->path);
	free(state);
}

/* What is known of the question, or NULL. */
static json_t *find_question(const json_t *json, const json_t *question)
{
	json_t *each;
	size_t i;

	json_array_foreach (json_object_get(json, "questions"), i, each)
		if (json_equal(json_object_get(each, "question"), question))
			return each;
	return NULL;
}

static const char *string_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* Whether trials that begin so can go by this judgement. */
static bool serves(const json_t *judgement, bool boot_once)
{
	const char *boot = string_of(judgement, BOOT_KEY);

	return boot_once || (boot && !strcmp(boot, boot_names[false]));
}

/* Whether the kernel has the bug. */
static bool is_bad(const json_t *kernel, bool boot_once)
{
	json_t *judgement;
	size_t i;

	json_array_foreach (json_object_get(kernel, "judgements"), i, judgement)
		if (serves(judgement, boot_once) &&
		    !strcmp(string_of(judgement, "verdict"), verdict_name(VERDICT_BAD)))
			return true;
	return false;
}

static void add_rate(json_t *judgement, size_t *hits, size_t *conclusive)
{
	json_t *run;
	size_t i;

	json_array_foreach (json_object_get(judgement, "runs"), i, run) {
		bool hit = !strcmp(string_of(run, "match"), match_names[MATCH_TARGET]);

		*hits += hit;
		*conclusive += hit || !strcmp(string_of(run, "kind"), outcome_name(OUTCOME_OK));
	}
}

void state_rate(const struct state *state, const json_t *question, bool boot_once, size_t *hits,
		size_t *runs)
{
	json_t *kernels = json_object_get(find_question(state->json, question), "kernels");
	json_t *kernel, *judgement;
	const char *key;
	size_t i;

	*hits = *runs = 0;
	json_object_foreach (kernels, key, kernel) {
		if (!is_bad(kernel, boot_once))
			continue;
		json_array_foreach (json_object_get(kernel, "judgements"), i, judgement)
			if (serves(judgement, boot_once))
				add_rate(judgement, hits, runs);
	}
}

void state_titles(const struct state *state, const json_t *question, struct family *family)
{
	json_t *titles = json_object_get(find_question(state->json, question), "titles"), *each;
	enum kinship kin;
	size_t i;

	json_array_foreach (titles, i, each)
		if (!kinship_of(string_of(each, "kin"), &kin))
			family_know(family, string_of(each, "title"), string_of(each, "type"),
				    string_of(each, "stack"), kin);
}

static void take_runs(struct state_kernel *kernel, json_t *runs)
{
	size_t more = json_array_size(runs), i;
	json_t *run;

	kernel->outcomes =
		xrealloc(kernel->outcomes, (kernel->n + more) * sizeof(*kernel->outcomes));
	kernel->matches = xrealloc(kernel->matches, (kernel->n + more) * sizeof(*kernel->matches));
	json_array_foreach (runs, i, run) {
		struct run_text text;
		struct outcome *outcome = &kernel->outcomes[kernel->n];

		if (unpack_run(run, &text) || outcome_kind_of(text.kind, &outcome->kind) ||
		    match_of(text.match, &kernel->matches[kernel->n]))
			continue; /* check() let none of these pass */
		outcome->title = text.title ? xstrdup(text.title) : NULL;
		kernel->n++;
	}
}

static json_t *find_judgements(const struct state *state, const json_t *question, const char *key)
{
	json_t *known = find_question(state->json, question);
	json_t *kernel = json_object_get(json_object_get(known, "kernels"), key);

	return json_object_get(kernel, "judgements");
}

bool state_find(const struct state *state, const json_t *question, bool boot_once, const char *key,
		struct state_kernel *out)
{
	json_t *each, *last = NULL;
	size_t i;

	*out = (struct state_kernel){ 0 };
	json_array_foreach (find_judgements(state, question, key), i, each) {
		if (!serves(each, boot_once))
			continue;
		take_runs(out, json_object_get(each, "runs"));
		last = each;
	}
	if (!last)
		return false;
	const char *evidence = string_of(last, "evidence");
	out->judged = xstrdup(string_of(last, "judged"));
	out->evidence = evidence ? xstrdup(evidence) : NULL;
	return true;
}

void state_kernel_free(struct state_kernel *kernel)
{
	for (size_t i = 0; i < kernel->n; i++)
		free(kernel->outcomes[i].title);
	free(kernel->outcomes);
	free(kernel->matches);
	free(kernel->judged);
	free(kernel->evidence);
	*kernel = (struct state_kernel){ 0 };
}

bool state_holds(const struct state *state, const json_t *question, const char *key,
		 const char *evidence)
{
	json_t *there = json_text(evidence), *each;
	bool found = false;
	size_t i;

	json_array_foreach (find_judgements(state, question, key), i, each)
		found |= json_equal(json_object_get(each, "evidence"), there);
	json_decref(there);
	return found;
}

/* ---- writing ---- */

/* What is not known is not said. */
static void put_text(json_t *o, const char *key, const char *s)
{
	if (s)
		json_put(o, key, json_text(s));
}

static json_t *judgement_json(const struct state_entry *e)
{
	json_t *o = json_object(), *runs = json_array();
	char stamp[32];
	struct tm tm;
	time_t t = time(NULL);

	gmtime_r(&t, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_put(o, "judged", json_string(stamp));
	put_text(o, "release", e->release);
	put_text(o, "evidence", e->evidence);
	json_put(o, BOOT_KEY, json_text(boot_names[e->boot_once]));
	json_put(o, "policy", json_text(policy_names[e->policy->kind]));
	json_put(o, "verdict", json_text(verdict_name(e->decision->verdict)));
	json_put(o, "hidden", json_real(e->decision->hidden));
	for (size_t i = 0; i < e->n; i++) {
		json_t *run = json_object();

		json_put(run, "kind", json_text(outcome_name(e->outcomes[i].kind)));
		put_text(run, "title", e->outcomes[i].title);
		json_put(run, "match", json_text(match_names[e->matches[i]]));
		json_array_append_new(runs, run);
	}
	json_put(o, "runs", runs);
	return o;
}

static json_t *find_title(json_t *titles, const char *title)
{
	json_t *each;
	size_t i;

	json_array_foreach (titles, i, each)
		if (!strcmp(string_of(each, "title"), title))
			return each;
	return NULL;
}

/* What is there stays; a stack that was not known is added. */
static void add_titles(json_t *titles, const struct family *family)
{
	for (size_t i = 0; i < family->n; i++) {
		const struct family_member *m = &family->v[i];
		cleanup_buf struct buf title = BUF_INIT;

		if (m->kin == KIN_OTHER || m->kin == KIN_POSSIBLE || (!m->seen && !m->known))
			continue;
		buf_add_escaped(&title, m->title, strlen(m->title));
		json_t *o = find_title(titles, title.data);
		if (!o) {
			o = json_object();
			json_put(o, "title", json_text(m->title));
			json_put(o, "kin", json_text(kinship_name(m->kin)));
			put_text(o, "type", m->type);
			json_array_append_new(titles, o);
		}
		if (!string_of(o, "stack"))
			put_text(o, "stack", m->stack);
	}
}

static void add_entry(json_t *json, const json_t *question, const struct state_entry *entry)
{
	json_t *known = find_question(json, question);

	if (!known) {
		known = json_object();
		json_put(known, "question", json_deep_copy(question));
		json_put(known, "titles", json_array());
		json_put(known, "kernels", json_object());
		json_array_append_new(json_object_get(json, "questions"), known);
	}
	json_t *kernels = json_object_get(known, "kernels");
	json_t *kernel = json_object_get(kernels, entry->key);
	if (!kernel) {
		kernel = json_object();
		json_put(kernel, "judgements", json_array());
		json_put(kernels, entry->key, kernel);
	}
	json_array_append_new(json_object_get(kernel, "judgements"), judgement_json(entry));
	add_titles(json_object_get(known, "titles"), entry->family);
}

/* Signals restart flock(2), so it is asked again and again, while one may end the waiting. */
static int take_lock(const struct state *state, struct err *err)
{
	int64_t deadline = clock_ms() + STATE_LOCK_MS;

	while (flock(state->lock_fd, LOCK_EX | LOCK_NB)) {
		struct pollfd interrupt = { .fd = interrupt_fd(), .events = POLLIN };

		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(err, ERR_HARNESS, "%s.lock", state->path);
		if (poll(&interrupt, 1, RETRY_MS) > 0)
			return err_set(err, ERR_INTERRUPTED, "interrupted");
		if (clock_ms() > deadline)
			return err_set(err, ERR_HARNESS,
				       "%s.lock: another program holds it since %d s", state->path,
				       STATE_LOCK_MS / 1000);
	}
	return 0;
}

static int add_locked(struct state *state, const json_t *question, const struct state_entry *entry,
		      struct err *err)
{
	json_t *json;

	if (load(state->path, &json, err))
		return -1;
	add_entry(json, question, entry);
	cleanup_free char *text = json_dumps(json, JSON_INDENT(1));
	size_t len = text ? strlen(text) : 0;
	int rc = -1;

	if (!text)
		err_set(err, ERR_HARNESS, "%s: cannot be written as JSON", state->path);
	else if (len >= STATE_BYTES)
		err_set(err, ERR_INPUT, "%s: it is full (%lu MiB); begin another", state->path,
			STATE_BYTES >> 20);
	else
		rc = fs_write(state->path, text, len, err);
	json_decref(rc ? json : state->json);
	if (!rc)
		state->json = json;
	return rc;
}

int state_add(struct state *state, const json_t *question, const struct state_entry *entry,
	      struct err *err)
{
	if (take_lock(state, err))
		return -1;
	int rc = add_locked(state, question, entry, err);
	flock(state->lock_fd, LOCK_UN);
	return rc;
}
