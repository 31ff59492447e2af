/* The results store; see store.h. */
#include "report/store.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* A trial as it was written. */
struct store_text {
	json_t *match; /* what the trial was to the search then */
	char *text;
};

static char *default_dir(struct err *err)
{
	cleanup_free char *base = NULL;
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32];

	if (fs_xdg("XDG_STATE_HOME", ".local/state", &base, err))
		return NULL;
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	return xasprintf("%s/runs/%s-%d", base, stamp, (int)getpid());
}

char *store_path(const char *given, struct err *err)
{
	return given ? xstrdup(given) : default_dir(err);
}

int store_open(const char *given, struct store *out, struct err *err)
{
	cleanup_free char *dir = store_path(given, err);

	if (!dir)
		return -1;
	cleanup_free char *run = xasprintf("%s/run.json", dir);
	if (fs_exists(run))
		return err_set(err, ERR_INPUT,
			       "%s holds a run already; name another directory with --out", dir);
	if (fs_exists(dir) && !fs_is_dir(dir))
		return err_set(err, ERR_INPUT, "%s: not a directory; evidence takes one (--out)",
			       dir);
	if (fs_mkdirs(dir, err)) {
		err->kind = given ? ERR_INPUT : ERR_HARNESS;
		return -1;
	}
	if (access(dir, W_OK | X_OK))
		return err_errno(err, given ? ERR_INPUT : ERR_HARNESS, "cannot write to %s", dir);
	char *full = realpath(dir, NULL);
	if (!full)
		return err_errno(err, ERR_HARNESS, "%s", dir);
	out->dir = full;
	return 0;
}

int store_reopen(const char *dir, struct store *out, char **boot, struct err *err)
{
	cleanup_free char *was = xasprintf("%s/boot", dir);
	unsigned n = 1;

	*boot = xasprintf("boot-%u", n);
	for (;;) {
		cleanup_free char *now = xasprintf("%s/%s", dir, *boot);

		if (!fs_exists(now)) {
			if (rename(was, now) && errno != ENOENT)
				return err_errno(err, ERR_HARNESS, "%s", was);
			break;
		}
		free(*boot);
		*boot = xasprintf("boot-%u", ++n);
	}
	out->dir = realpath(dir, NULL);
	return out->dir ? 0 : err_errno(err, ERR_HARNESS, "%s", dir);
}

void store_close(struct store *store)
{
	for (size_t i = 0; i < store->n_trials; i++) {
		json_decref(store->trials[i].match);
		free(store->trials[i].text);
	}
	free(store->trials);
	free(store->dir);
	*store = (struct store){ 0 };
}

void store_discard(const struct store *store)
{
	rmdir(store->dir);
}

static char *trial_dir(const struct store *store, unsigned number)
{
	return xasprintf("%s/trial-%03u", store->dir, number);
}

static char *canary_dir(const struct store *store)
{
	return xasprintf("%s/kvm-canary", store->dir);
}

static int begin(const char *dir, char **console_path, struct err *err)
{
	if (fs_mkdirs(dir, err))
		return -1;
	*console_path = xasprintf("%s/console.log.gz", dir);
	return 0;
}

int store_begin_trial(const struct store *store, unsigned number, char **console_path,
		      struct err *err)
{
	cleanup_free char *dir = trial_dir(store, number);

	return begin(dir, console_path, err);
}

int store_begin_canary(const struct store *store, char **console_path, struct err *err)
{
	cleanup_free char *dir = canary_dir(store);

	return begin(dir, console_path, err);
}

int store_begin_boot(const struct store *store, char **console_path, struct err *err)
{
	cleanup_free char *dir = xasprintf("%s/boot", store->dir);

	if (fs_mkdirs(dir, err))
		return -1;
	*console_path = xasprintf("%s/console.log.gz", dir);
	return 0;
}

void store_drop_trial(const struct store *store, unsigned number)
{
	cleanup_free char *dir = trial_dir(store, number);
	cleanup_free char *first = xasprintf("%s/first", dir);
	struct err ignored;

	fs_rmtree(first, &ignored);
	rmdir(dir);
}

static int write_outputs(const char *dir, const struct trial_result *result,
			 const struct reproducers *repros, struct err *err)
{
	for (size_t i = 0; i < result->n_repros; i++) {
		const struct buf *output = &result->repros[i].output;
		cleanup_free char *path = xasprintf("%s/output-%s.log.gz", dir, repros->v[i].name);

		if (output->len && fs_write_gz(path, output->data, output->len, err))
			return -1;
	}
	return 0;
}

static char *path_or_null(const char *dir, const char *name)
{
	return name ? xasprintf("%s/%s", dir, name) : NULL;
}

/* Keep what a boot gave in dir, and what defines its VM in top. */
static int keep(const char *dir, const char *top, const struct engine *engine,
		const struct trial_result *result, const struct reproducers *repros,
		struct err *err)
{
	cleanup_free char *agent = xasprintf("%s/agent.log.gz", dir);
	cleanup_free char *report = xasprintf("%s/report.txt", dir);
	cleanup_free char *vm = path_or_null(dir, engine->log_file);
	cleanup_free char *definition = path_or_null(top, engine->definition_file);

	if (definition && result->definition && !fs_exists(definition) &&
	    fs_write(definition, result->definition, strlen(result->definition), err))
		return -1;
	if (result->report && fs_write(report, result->report, strlen(result->report), err))
		return -1;
	if (vm && result->vm_log && fs_write(vm, result->vm_log, strlen(result->vm_log), err))
		return -1;
	if (fs_write_gz(agent, result->agent_log.data, result->agent_log.len, err))
		return -1;
	return write_outputs(dir, result, repros, err);
}

int store_trial(const struct store *store, const struct engine *engine,
		const struct trial_result *result, const struct reproducers *repros,
		struct err *err)
{
	cleanup_free char *dir = trial_dir(store, result->number);

	return keep(dir, store->dir, engine, result, repros, err);
}

int store_set_aside(const struct store *store, const struct engine *engine,
		    const struct trial_result *result, const struct reproducers *repros,
		    struct err *err)
{
	cleanup_free char *dir = trial_dir(store, result->number);
	cleanup_free char *first = xasprintf("%s/first", dir);
	cleanup_free char *from = xasprintf("%s/console.log.gz", dir);
	cleanup_free char *to = xasprintf("%s/console.log.gz", first);

	if (fs_mkdirs(first, err))
		return -1;
	if (rename(from, to) && errno != ENOENT)
		return err_errno(err, ERR_HARNESS, "%s", to);
	return keep(first, store->dir, engine, result, repros, err);
}

int store_canary(const struct store *store, const struct engine *engine,
		 const struct trial_result *result, const struct reproducers *repros,
		 struct err *err)
{
	cleanup_free char *dir = canary_dir(store);

	return keep(dir, dir, engine, result, repros, err);
}

void store_drop_canary(const struct store *store)
{
	cleanup_free char *dir = canary_dir(store);
	struct err err;

	if (fs_rmtree(dir, &err))
		log_error("%s", err.msg);
}

/* A trial as run.json has it. To make all of them into text again for each would take a run's time
 * of thousands of trials. */
static const char *trial_text(struct store *store, const json_t *trial)
{
	size_t number = (size_t)json_integer_value(json_object_get(trial, "number"));
	json_t *match = json_object_get(trial, "match");
	cleanup_buf struct buf text = BUF_INIT;

	if (number >= store->n_trials) {
		size_t n = 2 * number + 16;
		store->trials = xrealloc(store->trials, n * sizeof(*store->trials));
		memset(store->trials + store->n_trials, 0,
		       (n - store->n_trials) * sizeof(*store->trials));
		store->n_trials = n;
	}
	struct store_text *is = &store->trials[number];
	if (is->text && is->match == match)
		return is->text;
	cleanup_free char *plain = json_dumps(trial, JSON_INDENT(2));
	if (!plain)
		return NULL;
	buf_add(&text, "    ", 4);
	for (const char *line = plain, *end; *line; line = end) {
		end = strchrnul(line, '\n');
		end += *end == '\n';
		buf_add(&text, line, (size_t)(end - line));
		if (*end)
			buf_add(&text, "    ", 4);
	}
	free(is->text);
	json_decref(is->match);
	is->match = json_incref(match);
	is->text = buf_steal(&text);
	return is->text;
}

/* All of run, as json_dumps() has it. */
static int run_text(struct store *store, json_t *run, struct buf *out)
{
	static const char mark[] = "\n  \"trials\": []";
	json_t *rest = json_copy(run), *trial;
	const char *text;
	size_t i;

	json_object_set_new(rest, "trials", json_array());
	cleanup_free char *all = json_dumps(rest, JSON_INDENT(2));
	json_decref(rest);
	/* A line break within a string would be "\\n". */
	const char *at = all ? strstr(all, mark) : NULL;
	if (!at)
		return -1;
	const char *behind = at + sizeof(mark) - 2;
	buf_add(out, all, (size_t)(behind - all));
	json_array_foreach (json_object_get(run, "trials"), i, trial) {
		if (!(text = trial_text(store, trial)))
			return -1;
		buf_addf(out, i ? ",\n" : "\n");
		buf_add(out, text, strlen(text));
	}
	buf_addf(out, "%s%s\n", i ? "\n  " : "", behind);
	return 0;
}

int store_run(struct store *store, json_t *run, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/run.json", store->dir);
	cleanup_buf struct buf text = BUF_INIT;

	if (run_text(store, run, &text))
		return err_set(err, ERR_HARNESS, "%s: cannot be made into JSON", path);
	return fs_write(path, text.data, text.len, err);
}
