/* Option parsing and help, both from a command's table; see cmd.h. */
#include "cmd.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#define HELP_WIDTH   80
#define FIRST_OPTION 256 /* getopt's value of the first row; above any character */

static void *value_of(const struct opt *o, void *opts)
{
	return (char *)opts + o->offset;
}

static int parse_number(const struct opt *o, const char *text, long *out, struct err *err)
{
	char *end;

	if (o->choices && !strcmp(text, o->choices[0])) {
		*out = 0;
		return 0;
	}
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || n < o->min || n > o->max)
		return err_set(err, ERR_INPUT,
			       "--%s takes a whole number from %ld to %ld%s%s, not '%s'", o->name,
			       o->min, o->max, o->choices ? " or " : "",
			       o->choices ? o->choices[0] : "", text);
	*out = n;
	return 0;
}

/* Digits and at most one point: what strtod() takes besides (inf, 0x1p-2, a locale's comma) is no
 * share. */
static int parse_share(const struct opt *o, const char *text, double *out, struct err *err)
{
	bool plain = text[strspn(text, "0123456789.")] == '\0';
	char *end = NULL;
	double d = plain ? strtod(text, &end) : 0;

	if (!plain || *end || d <= 0 || d >= 1)
		return err_set(err, ERR_INPUT,
			       "--%s takes a number above 0 and below 1, such as %s, not '%s'",
			       o->name, o->def, text);
	*out = d;
	return 0;
}

static int parse_choice(const struct opt *o, const char *text, const char **out, struct err *err)
{
	cleanup_buf struct buf all = BUF_INIT;

	for (const char *const *c = o->choices; *c; c++) {
		if (!strcmp(*c, text)) {
			*out = *c;
			return 0;
		}
		buf_addf(&all, "%s%s", all.len ? ", " : "", *c);
	}
	return err_set(err, ERR_INPUT, "--%s takes one of %s, not '%s'", o->name, all.data, text);
}

static int parse_value(const struct opt *o, const char *text, void *opts, struct err *err)
{
	void *v = value_of(o, opts);
	struct opt_list *list = v;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)v = true;
		return 0;
	case OPT_NUMBER:
		return parse_number(o, text, v, err);
	case OPT_SHARE:
		return parse_share(o, text, v, err);
	case OPT_STRING:
		*(const char **)v = text;
		return 0;
	case OPT_CHOICE:
		return parse_choice(o, text, v, err);
	case OPT_LIST:
		list->items = xrealloc(list->items, (list->n + 1) * sizeof(*list->items));
		list->items[list->n++] = text;
		return 0;
	}
	return 0;
}

static size_t count(const struct cmd *cmd)
{
	size_t n = 0;

	while (cmd->opts[n].name)
		n++;
	return n;
}

static int parse_all(const struct cmd *cmd, int argc, char **argv, const struct option *longs,
		     void *opts, struct err *err)
{
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c >= FIRST_OPTION) {
			if (parse_value(&cmd->opts[c - FIRST_OPTION], optarg, opts, err))
				return -1;
			continue;
		}
		const char *bad = argv[optind - 1];
		if (c == ':')
			return err_set(err, ERR_INPUT, "%s needs an argument", bad);
		if (optopt >= FIRST_OPTION)
			return err_set(err, ERR_INPUT, "%s takes no argument", bad);
		if (optopt)
			return err_set(err, ERR_INPUT, "unknown option '-%c'; options are words",
				       optopt);
		return err_set(err, ERR_INPUT,
			       "unknown or ambiguous option '%s'; 'kvmrepro %s --help' lists them",
			       bad, cmd->name);
	}
	return 0;
}

int opts_parse(const struct cmd *cmd, int argc, char **argv, void *opts, int *first,
	       struct err *err)
{
	size_t n = count(cmd);
	cleanup_free struct option *longs = xcalloc(n + 1, sizeof(*longs));

	memset(opts, 0, cmd->opts_bytes);
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = &cmd->opts[i];

		longs[i].name = o->name;
		longs[i].has_arg = o->type == OPT_FLAG ? no_argument : required_argument;
		longs[i].val = FIRST_OPTION + (int)i;
		if (o->def && parse_value(o, o->def, opts, err))
			return -1;
	}
	if (parse_all(cmd, argc, argv, longs, opts, err)) {
		opts_free(cmd, opts);
		return -1;
	}
	*first = optind;
	return 0;
}

void opts_free(const struct cmd *cmd, void *opts)
{
	for (const struct opt *o = cmd->opts; o->name; o++)
		if (o->type == OPT_LIST) {
			struct opt_list *list = value_of(o, opts);

			free(list->items);
			*list = (struct opt_list){ 0 };
		}
}

int cmd_each(int argc, char **argv, int (*one)(void *opaque, const char *operand, struct err *err),
	     void *opaque, struct err *err)
{
	struct err why;
	int rc = 0;

	for (int i = 0; i < argc; i++) {
		if (!one(opaque, argv[i], &why))
			continue;
		if (rc)
			log_error("%s", err->msg);
		*err = why;
		rc = -1;
		if (why.kind == ERR_INTERRUPTED)
			break;
	}
	return rc;
}

/* Wrap text at words, each line after the first indented. */
static void print_wrapped(const char *text, int indent, FILE *out)
{
	int col = indent;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (col + 1 + len > HELP_WIDTH && col > indent) {
			fprintf(out, "\n%*s", indent, "");
			col = indent;
		}
		col += fprintf(out, "%s%.*s", col > indent ? " " : "", len, text);
		text += len + (text[len] == ' ');
	}
	fputc('\n', out);
}

void opts_help(const struct cmd *cmd, FILE *out)
{
	fprintf(out, "usage: kvmrepro %s [OPTION]...%s%s\n\n%s\n\n", cmd->name,
		*cmd->operands ? " " : "", cmd->operands, cmd->summary);
	for (const struct opt *o = cmd->opts; o->name; o++) {
		cleanup_buf struct buf head = BUF_INIT, text = BUF_INIT;

		buf_addf(&head, "  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		buf_adds(&text, o->help);
		if (o->choices) {
			buf_adds(&text, ": ");
			for (const char *const *c = o->choices; *c; c++)
				buf_addf(&text, "%s%s", c == o->choices ? "" : ", ", *c);
		}
		if (o->def)
			buf_addf(&text, " [%s]", o->def);
		fprintf(out, "%-26s", head.data);
		if (head.len >= 26)
			fprintf(out, "\n%26s", "");
		print_wrapped(text.data, 26, out);
	}
}
