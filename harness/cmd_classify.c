/* kvmrepro classify: name the crashes in console logs. */
#include "cmd.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "filter.h"
#include "interrupt.h"
#include "oops/report.h"
#include "readers.h"
#include "symbols.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>

struct classify_opts {
	const char *format, *vmlinux, *modules;
	bool all, report, exit_code;
	struct opt_list expect, ignore;
};

static const char *const formats[] = { "text", "json", NULL };

static const struct opt classify_opt_table[] = {
	{ .name = "all",
	  .type = OPT_FLAG,
	  .offset = offsetof(struct classify_opts, all),
	  .help = "every report of a log, not only the first" },
	{ .name = "exit-code",
	  .type = OPT_FLAG,
	  .offset = offsetof(struct classify_opts, exit_code),
	  .help = "exit with 1 if a crash was found (with --expect: that crash), 0 if none" },
	{ .name = "expect",
	  .type = OPT_LIST,
	  .offset = offsetof(struct classify_opts, expect),
	  .arg = "TITLE",
	  .help = "say whether it is this crash; /PCRE/ is a regular expression; may be given more "
		  "than once" },
	{ .name = "format",
	  .type = OPT_CHOICE,
	  .offset = offsetof(struct classify_opts, format),
	  .arg = "FORMAT",
	  .choices = formats,
	  .def = "text",
	  .help = "how to print it; json is one object a line" },
	{ .name = "ignore",
	  .type = OPT_LIST,
	  .offset = offsetof(struct classify_opts, ignore),
	  .arg = "TITLE",
	  .help = "such a crash is no crash; as for --expect" },
	{ .name = "modules",
	  .type = OPT_STRING,
	  .offset = offsetof(struct classify_opts, modules),
	  .arg = "DIR",
	  .help = "where the modules that belong to --vmlinux are (.ko with debug information)" },
	{ .name = "report",
	  .type = OPT_FLAG,
	  .offset = offsetof(struct classify_opts, report),
	  .help = "print the report's own lines too" },
	{ .name = "vmlinux",
	  .type = OPT_STRING,
	  .offset = offsetof(struct classify_opts, vmlinux),
	  .arg = "FILE",
	  .help = "the kernel with debug information: add file:line and inlined functions to the "
		  "report" },
	{ 0 },
};

struct classify {
	const struct classify_opts *opts;
	struct filter filter;
	struct symbols *symbols; /* NULL without --vmlinux */
	bool json, found;
};

/* Bytes of a log as JSON text: what is not UTF-8 is escaped. */
static json_t *text_json(const char *s)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (!s)
		return json_null();
	json_t *value = json_stringn(s, strlen(s));
	if (value)
		return value;
	buf_add_escaped(&b, s, strlen(s));
	return json_stringn_nocheck(b.data, b.len);
}

static json_t *alt_json(const struct oops_report *r)
{
	json_t *alt = json_array();

	for (size_t i = 0; i < r->n_alt; i++)
		json_array_append_new(alt, text_json(r->alt[i]));
	return alt;
}

static char *report_text(const struct classify *c, const struct oops_report *r)
{
	return c->symbols ? symbols_add(c->symbols, r->text) : xstrdup(r->text);
}

static int print_json(json_t *row, struct err *err)
{
	cleanup_free char *line = row ? json_dumps(row, JSON_COMPACT) : NULL;

	json_decref(row);
	if (!line)
		return err_set(err, ERR_HARNESS, "a report cannot be written as JSON");
	puts(line);
	return 0;
}

static int show_json(const struct classify *c, const char *file, const struct oops_report *r,
		     bool expected, struct err *err)
{
	json_t *row = json_pack("{so so ss so so sb so sb sb so so sI sI}", "file", text_json(file),
				"title", text_json(r->title), "type", r->type, "alt", alt_json(r),
				"frame", text_json(r->frame), "corrupted", r->corrupted,
				"corrupted_why", text_json(r->corrupted_why), "suppressed",
				r->suppressed, "panicked", r->panicked, "executor",
				text_json(r->executor), "older", text_json(r->older), "start",
				(json_int_t)r->start, "end", (json_int_t)r->end);

	if (row && c->opts->expect.n)
		json_object_set_new(row, "expected", json_boolean(expected));
	if (row && c->opts->report) {
		cleanup_free char *text = report_text(c, r);
		json_object_set_new(row, "report", text_json(text));
	}
	return print_json(row, err);
}

static void show_text(const struct classify *c, const char *file, const struct oops_report *r,
		      bool expected)
{
	cleanup_buf struct buf b = BUF_INIT;

	buf_add_escaped(&b, file, strlen(file));
	buf_adds(&b, ": ");
	if (c->opts->all)
		buf_addf(&b, "%llu-%llu: ", (unsigned long long)r->start,
			 (unsigned long long)r->end);
	buf_add_escaped(&b, r->title, strlen(r->title));
	if (r->corrupted)
		buf_addf(&b, " [corrupted: %s]", r->corrupted_why);
	if (r->suppressed)
		buf_adds(&b, " [suppressed]");
	if (r->panicked)
		buf_adds(&b, " [panicked]");
	if (c->opts->expect.n)
		buf_adds(&b, expected ? " [expected]" : " [not expected]");
	puts(b.data);
	if (!c->opts->report)
		return;
	cleanup_free char *text = report_text(c, r);
	buf_clear(&b);
	buf_add_escaped(&b, text, strlen(text));
	fputs(b.data, stdout);
}

static int show_none(const struct classify *c, const char *file, struct err *err)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (c->json)
		return print_json(json_pack("{so sn}", "file", text_json(file), "title"), err);
	buf_add_escaped(&b, file, strlen(file));
	printf("%s: no crash\n", b.data);
	return 0;
}

/* Who reads the objects learns from them, too, that a log was not read to its end. */
static void show_error(const char *file, const struct err *why)
{
	struct err ignored; /* why is what is returned */

	print_json(json_pack("{so so}", "file", text_json(file), "error", text_json(why->msg)),
		   &ignored);
}

/* One report of a log; *shown counts those that were. */
static int show(struct classify *c, const char *file, const struct oops_report *r, size_t *shown,
		struct err *err)
{
	if ((*shown && !c->opts->all) || filter_ignores(&c->filter, r))
		return 0;
	bool expected = filter_expects(&c->filter, r);
	++*shown;
	c->found |= expected || !c->opts->expect.n;
	if (c->json)
		return show_json(c, file, r, expected, err);
	show_text(c, file, r, expected);
	return 0;
}

static int show_all(struct classify *c, const char *file, struct cage *reader, struct err *err)
{
	struct oops_report report;
	struct err why;
	size_t shown = 0;
	int more;

	while ((more = read_log_next(reader, &report, &why)) > 0) {
		int rc = show(c, file, &report, &shown, err);
		oops_report_clear(&report);
		if (rc)
			return -1;
	}
	if (more < 0)
		return *err = why, err_context(err, "%s", file);
	return shown ? 0 : show_none(c, file, err);
}

static int classify_log(struct classify *c, const char *name, int fd, struct err *err)
{
	/* One report is enough unless the user wants more, or wants some not to count. */
	bool all = c->opts->all || c->opts->ignore.n;
	cleanup_cage struct cage reader = { 0 };

	if (read_log_start(fd, all, c->opts->report, &reader, err))
		return -1;
	return show_all(c, name, &reader, err);
}

static int classify_file(void *opaque, const char *file, struct err *err)
{
	struct classify *c = opaque;
	bool std = !strcmp(file, "-");
	const char *name = std ? "(standard input)" : file;
	cleanup_fd int fd =
		std ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : interrupt_open(file, err);
	int rc = fd < 0 ? -1 : classify_log(c, name, fd, err);

	if (fd < 0 && std)
		err_errno(err, ERR_INPUT, "%s", name);

	if (rc && c->json && err->kind != ERR_INTERRUPTED)
		show_error(name, err);
	return rc;
}

static int classify_all(struct classify *c, int argc, char **argv, struct err *err)
{
	if (filter_init(c->opts->expect.items, c->opts->expect.n, c->opts->ignore.items,
			c->opts->ignore.n, &c->filter, err))
		return -1;
	if (c->opts->vmlinux && symbols_open(c->opts->vmlinux, c->opts->modules, &c->symbols, err))
		return -1;
	return cmd_each(argc, argv, classify_file, c, err);
}

static int run(const void *opts, int argc, char **argv, struct err *err)
{
	struct classify c = { .opts = opts };
	int rc;

	if (!argc)
		return err_set(err, ERR_INPUT,
			       "classify: name the logs, or '-' for standard input");
	if (c.opts->modules && !c.opts->vmlinux)
		return err_set(err, ERR_INPUT, "classify: --modules needs --vmlinux");
	c.json = !strcmp(c.opts->format, "json");
	rc = classify_all(&c, argc, argv, err);
	symbols_free(c.symbols);
	filter_free(&c.filter);
	if (rc)
		return -1;
	return c.found && c.opts->exit_code ? 1 : 0;
}

const struct cmd cmd_classify = {
	.name = "classify",
	.operands = "FILE...",
	.summary = "name the crashes in console logs ('-': standard input, .gz is fine)",
	.opts = classify_opt_table,
	.opts_bytes = sizeof(struct classify_opts),
	.run = run,
};
