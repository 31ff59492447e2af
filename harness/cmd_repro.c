/* kvmrepro repro: what is bundled. */
#include "cmd.h"

#include "base/buf.h"
#include "catalogue.h"

#include <jansson.h>
#include <string.h>

struct repro_opts {
	const char *format;
};

static const char *const formats[] = { "text", "json", NULL };

static const struct opt repro_opt_table[] = {
	{ .name = "format",
	  .type = OPT_CHOICE,
	  .offset = offsetof(struct repro_opts, format),
	  .arg = "FORMAT",
	  .choices = formats,
	  .def = "text",
	  .help = "how to print it" },
	{ 0 },
};

static void list_text(const struct catalogue *catalogue)
{
	int width = 0;

	for (size_t i = 0; i < catalogue->n; i++) {
		int len = (int)strlen(catalogue->rows[i].name);

		width = len > width ? len : width;
	}
	for (size_t i = 0; i < catalogue->n; i++) {
		const struct catalogue_row *row = &catalogue->rows[i];

		printf("%-*s  %s  %s\n", width, row->name, repro_needs_name(row->needs),
		       row->summary);
	}
}

static void show_text(const struct catalogue_row *row)
{
	printf("name      %s\n", row->name);
	printf("needs     %s\n", repro_needs_name(row->needs));
	printf("duration  %u s\n", row->duration_ms / 1000);
	if (row->expect)
		printf("expect    %s\n", row->expect);
	printf("source    %s\n", row->source);
	printf("summary   %s\n", row->summary);
}

/* The members are the keys of the catalogue; expect is null where there is none. */
static json_t *to_json(const struct catalogue_row *row)
{
	return json_pack("{s:s, s:s, s:i, s:s?, s:s, s:s}", "name", row->name, "needs",
			 repro_needs_name(row->needs), "duration", (int)(row->duration_ms / 1000),
			 "expect", row->expect, "source", row->source, "summary", row->summary);
}

/* Takes value. */
static int print_json(json_t *value, struct err *err)
{
	char *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;

	json_decref(value);
	if (!text)
		return err_set(err, ERR_HARNESS, "the catalogue cannot be written as JSON");
	puts(text);
	free(text);
	return 0;
}

static int list(const struct catalogue *catalogue, bool json, struct err *err)
{
	if (!json) {
		list_text(catalogue);
		return 0;
	}
	json_t *rows = json_array();
	for (size_t i = 0; i < catalogue->n; i++)
		json_array_append_new(rows, to_json(&catalogue->rows[i]));
	return print_json(rows, err);
}

static int show(const struct catalogue *catalogue, const char *name, bool json, struct err *err)
{
	const struct catalogue_row *row = catalogue_find(catalogue, name);

	if (!row)
		return err_set(err, ERR_INPUT,
			       "no such reproducer '%s'; 'kvmrepro repro list' names them", name);
	if (json)
		return print_json(to_json(row), err);
	show_text(row);
	return 0;
}

static int run(const void *opts, int argc, char **argv, struct err *err)
{
	bool json = !strcmp(((const struct repro_opts *)opts)->format, "json");
	struct catalogue catalogue;
	int rc;

	bool is_list = argc == 1 && !strcmp(argv[0], "list");
	bool is_show = argc == 2 && !strcmp(argv[0], "show");
	if (!is_list && !is_show)
		return err_set(err, ERR_INPUT, "repro: it takes 'list' or 'show NAME'");
	if (catalogue_bundled(&catalogue, err))
		return -1;
	rc = is_list ? list(&catalogue, json, err) : show(&catalogue, argv[1], json, err);
	catalogue_free(&catalogue);
	return rc;
}

const struct cmd cmd_repro = {
	.name = "repro",
	.operands = "list | show NAME",
	.summary = "list the bundled reproducers, or show what one needs and shows",
	.opts = repro_opt_table,
	.opts_bytes = sizeof(struct repro_opts),
	.run = run,
};
