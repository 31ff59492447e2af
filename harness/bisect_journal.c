/* The journal of a bisection; see bisect_journal.h. Tables say what stands in the file. */
#include "bisect_journal.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "bisect_tree.h"
#include "report/json.h"

#include <string.h>

#define VERSION       1
#define JOURNAL_BYTES ((size_t)64 << 20)

enum kind {
	TEXT,  /* char *, may be NULL */
	FLAG,  /* bool */
	WHOLE, /* long */
	REAL,  /* double */
};

struct field {
	const char *name;
	enum kind kind;
	size_t offset;
};

#define STEP(kind, name)                                                                           \
	{                                                                                          \
#name, kind, offsetof(struct bisect_step, name)                                    \
	}
#define JOURNAL(kind, name)                                                                        \
	{                                                                                          \
#name, kind, offsetof(struct bisect_journal, name)                                 \
	}

static const struct field step_fields[] = {
	STEP(TEXT, hash),        STEP(TEXT, subject),
	STEP(TEXT, dir),         STEP(TEXT, build_failure),
	STEP(TEXT, compiler),    STEP(TEXT, signature),
	STEP(WHOLE, build_ms),   STEP(FLAG, judged),
	STEP(FLAG, told),        STEP(TEXT, same_as),
	STEP(TEXT, reason),      STEP(TEXT, lines),
	STEP(WHOLE, runs),       STEP(WHOLE, hits),
	STEP(WHOLE, clean),      STEP(REAL, hidden),
	STEP(TEXT, crash),       STEP(TEXT, report),
	STEP(WHOLE, test_ms),    STEP(TEXT, said),
	STEP(WHOLE, again),      STEP(WHOLE, withdrawn),
	STEP(TEXT, remark),      STEP(TEXT, runs_dir),
	STEP(TEXT, confirm_dir), { 0 },
};

static const struct field journal_fields[] = {
	JOURNAL(TEXT, cwd),         JOURNAL(TEXT, tree),
	JOURNAL(TEXT, start),       JOURNAL(TEXT, good),
	JOURNAL(TEXT, bad),         JOURNAL(FLAG, fix),
	JOURNAL(TEXT, target),      JOURNAL(WHOLE, known_hits),
	JOURNAL(WHOLE, known_runs), JOURNAL(WHOLE, rounds),
	JOURNAL(TEXT, confirmed),   JOURNAL(TEXT, end),
	JOURNAL(WHOLE, status),     { 0 },
};

static json_t *save(const struct field *fields, const void *from)
{
	json_t *o = json_object();

	for (const struct field *f = fields; f->name; f++) {
		const void *at = (const char *)from + f->offset;

		switch (f->kind) {
		case TEXT:
			json_put(o, f->name, json_text(*(char *const *)at));
			break;
		case FLAG:
			json_put(o, f->name, json_boolean(*(const bool *)at));
			break;
		case WHOLE:
			json_put(o, f->name, json_integer(*(const long *)at));
			break;
		case REAL:
			json_put(o, f->name, json_real(*(const double *)at));
			break;
		}
	}
	return o;
}

/* What is missing or of another type stays zero. */
static void load(const struct field *fields, const json_t *o, void *to)
{
	for (const struct field *f = fields; f->name; f++) {
		void *at = (char *)to + f->offset;
		const json_t *v = json_object_get(o, f->name);

		switch (f->kind) {
		case TEXT:
			*(char **)at = json_is_string(v) ? xstrdup(json_string_value(v)) : NULL;
			break;
		case FLAG:
			*(bool *)at = json_is_true(v);
			break;
		case WHOLE:
			*(long *)at = (long)json_integer_value(v);
			break;
		case REAL:
			*(double *)at = json_number_value(v);
			break;
		}
	}
}

struct bisect_step *bisect_journal_add(struct bisect_journal *j, const char *hash)
{
	j->steps = xrealloc(j->steps, (j->n_steps + 1) * sizeof(*j->steps));
	struct bisect_step *s = &j->steps[j->n_steps++];
	*s = (struct bisect_step){ .hash = xstrdup(hash), .verdict = VERDICT_SKIP };
	return s;
}

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

struct bisect_step *bisect_journal_again(struct bisect_journal *j, const char *hash)
{
	for (size_t i = 0; i < j->n_steps; i++) {
		if (strcmp(j->steps[i].hash, hash))
			continue;
		struct bisect_step *s = bisect_journal_add(j, hash);
		const struct bisect_step *from = &j->steps[i];

		s->dir = copy(from->dir);
		s->subject = copy(from->subject);
		s->compiler = copy(from->compiler);
		s->signature = copy(from->signature);
		s->build_failure = copy(from->build_failure);
		return s;
	}
	return NULL;
}

void bisect_journal_last(struct bisect_journal *j, const struct bisect_step *s)
{
	struct bisect_step moved = *s;
	size_t at = (size_t)(s - j->steps);

	memmove(&j->steps[at], &j->steps[at + 1], (j->n_steps - at - 1) * sizeof(*s));
	j->steps[j->n_steps - 1] = moved;
}

struct bisect_step *bisect_journal_find(const struct bisect_journal *j, const char *hash)
{
	for (size_t i = 0; i < j->n_steps; i++) {
		struct bisect_step *s = &j->steps[i];

		if (!s->withdrawn && s->again <= j->rounds && !strcmp(s->hash, hash))
			return s;
	}
	return NULL;
}

struct bisect_step *bisect_journal_pending(const struct bisect_journal *j)
{
	for (size_t i = 0; i < j->n_steps; i++)
		if (j->steps[i].again > j->rounds)
			return &j->steps[i];
	return NULL;
}

bool bisect_step_told(const struct bisect_step *s, long rounds)
{
	return s->told && s->again <= rounds && (!s->withdrawn || s->withdrawn > rounds);
}

static json_t *family_json(const struct family *family)
{
	json_t *list = json_array();

	for (size_t i = 0; i < family->n; i++) {
		const struct family_member *m = &family->v[i];
		json_t *o = json_object();

		json_put(o, "title", json_text(m->title));
		json_put(o, "type", json_text(m->type));
		json_put(o, "stack", json_text(m->stack));
		json_put(o, "kin", json_text(kinship_name(m->kin)));
		json_array_append_new(list, o);
	}
	return list;
}

static void load_family(const json_t *list, struct family *family)
{
	const json_t *o;
	size_t i;

	json_array_foreach (list, i, o) {
		const char *title = json_string_value(json_object_get(o, "title"));
		const char *kin = json_string_value(json_object_get(o, "kin"));
		enum kinship kinship;

		if (title && kin && !kinship_of(kin, &kinship))
			family_know(family, title, json_string_value(json_object_get(o, "type")),
				    json_string_value(json_object_get(o, "stack")), kinship);
	}
}

int bisect_journal_store(const struct bisect_journal *j, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/journal.json", j->dir);
	json_t *o = save(journal_fields, j), *steps = json_array();

	for (size_t i = 0; i < j->n_steps; i++) {
		json_t *s = save(step_fields, &j->steps[i]);

		json_put(s, "verdict", json_text(verdict_name(j->steps[i].verdict)));
		json_array_append_new(steps, s);
	}
	json_put(o, "version", json_integer(VERSION));
	json_object_set(o, "argv", j->argv);
	json_put(o, "family", family_json(&j->family));
	json_put(o, "steps", steps);
	cleanup_free char *all = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	if (!all)
		return err_set(err, ERR_HARNESS, "%s: cannot be made into JSON", path);
	return fs_write(path, all, strlen(all), err);
}

static enum verdict verdict_of_name(const char *name)
{
	for (enum verdict v = VERDICT_GOOD; name && v <= VERDICT_NONE; v++)
		if (!strcmp(name, verdict_name(v)))
			return v;
	return VERDICT_SKIP;
}

int bisect_journal_load(const char *dir, struct bisect_journal *out, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/journal.json", dir);
	cleanup_buf struct buf bytes = BUF_INIT;
	const json_t *s;
	size_t i;

	if (fs_read(path, JOURNAL_BYTES, &bytes, ERR_INPUT, err))
		return -1;
	json_t *o = json_loadb(bytes.data, bytes.len, 0, NULL);
	if (!o || json_integer_value(json_object_get(o, "version")) != VERSION) {
		json_decref(o);
		return err_set(err, ERR_INPUT, "%s: not the journal of a bisection", path);
	}
	*out = (struct bisect_journal){ .dir = xstrdup(dir) };
	load(journal_fields, o, out);
	out->argv = json_incref(json_object_get(o, "argv"));
	load_family(json_object_get(o, "family"), &out->family);
	bool whole = out->cwd && out->tree && out->start && out->good && out->bad;
	json_array_foreach (json_object_get(o, "steps"), i, s) {
		const char *hash = json_string_value(json_object_get(s, "hash"));
		struct bisect_step *step = bisect_journal_add(out, hash ? hash : "");

		free(step->hash);
		load(step_fields, s, step);
		step->verdict = verdict_of_name(json_string_value(json_object_get(s, "verdict")));
		whole &= step->hash && step->dir;
		if (!step->hash)
			step->hash = xstrdup("");
	}
	json_decref(o);
	if (whole)
		return 0;
	bisect_journal_free(out);
	return err_set(err, ERR_INPUT, "%s: damaged", path);
}

int bisect_journal_reload(struct bisect_journal *j, struct err *err)
{
	struct bisect_journal again;

	if (bisect_journal_load(j->dir, &again, err))
		return -1;
	json_decref(again.argv);
	again.argv = steal(j->argv);
	bisect_journal_free(j);
	*j = again;
	return 0;
}

static void free_texts(const struct field *fields, void *from)
{
	for (const struct field *f = fields; f->name; f++)
		if (f->kind == TEXT)
			free(*(char **)((char *)from + f->offset));
}

void bisect_journal_free(struct bisect_journal *j)
{
	for (size_t i = 0; i < j->n_steps; i++)
		free_texts(step_fields, &j->steps[i]);
	free(j->steps);
	free_texts(journal_fields, j);
	family_free(&j->family);
	json_decref(j->argv);
	free(j->dir);
	*j = (struct bisect_journal){ 0 };
}

void bisect_time_text(long ms, struct buf *out)
{
	long s = ms / 1000;

	if (s >= 3600)
		buf_addf(out, "%ldh", s / 3600);
	if (s >= 60)
		buf_addf(out, "%ldm", s / 60 % 60);
	buf_addf(out, "%ld.%lds", s % 60, ms % 1000 / 100);
}

static void log_step(const struct bisect_journal *j, const struct bisect_step *s, struct buf *out)
{
	if (s->remark)
		buf_addf(out, "going back: %s\n", s->remark);
	buf_addf(out, "testing commit %s%s%s\n", s->hash, s->compiler ? " with " : "",
		 s->compiler ? s->compiler : "");
	if (s->build_failure)
		buf_addf(out, "failed building %s: %s\n", s->hash, s->build_failure);
	if (s->signature)
		buf_addf(out, "kernel signature: %s\n", s->signature);
	if (s->same_as)
		buf_addf(out, "same kernel as %s\n", s->same_as);
	if (s->lines)
		buf_adds(out, s->lines);
	if (s->runs)
		buf_addf(out, "runs: %ld, verdict: %s (%s)\n", s->runs, verdict_name(s->verdict),
			 s->reason ? s->reason : "");
	/* The two ends come first, and git begins with both. */
	if (!s->again && !strcmp(s->hash, j->good) && s->told && s->verdict == VERDICT_GOOD)
		buf_addf(out, "# git bisect start %s %s\n", j->fix ? j->good : j->bad,
			 j->fix ? j->bad : j->good);
	else if (strcmp(s->hash, j->bad) && strcmp(s->hash, j->good) && s->told)
		buf_addf(out, "# git bisect %s %s\n", bisect_tree_word(j->fix, s->verdict),
			 s->hash);
	if (s->said)
		buf_adds(out, s->said);
}

void bisect_journal_log(const struct bisect_journal *j, struct buf *out)
{
	if (j->fix)
		buf_addf(out, "bisecting fixing commit since %s\n", j->bad);
	else
		buf_addf(out, "bisecting cause commit starting from %s\n", j->bad);
	for (size_t i = 0; i < j->n_steps; i++)
		if (j->steps[i].told)
			log_step(j, &j->steps[i], out);
	if (j->end)
		buf_adds(out, j->end);
}
