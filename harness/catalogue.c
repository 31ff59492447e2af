/* The parser of the catalogue; see catalogue.h. One row of keys[] for each key. */
#include "catalogue.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "embed.h"
#include "kvmrepro/protocol.h"

#include <stdbool.h>
#include <string.h>

#define DURATION_MAX_S 3600

static const char *const needs_names[] = { "any", "svm", "vmx" };

const char *repro_needs_name(enum repro_needs needs)
{
	return needs_names[needs];
}

static int set_needs(struct catalogue_row *row, const char *value, struct err *err)
{
	for (int i = 0; i < 3; i++) {
		if (strcmp(value, needs_names[i]))
			continue;
		row->needs = (enum repro_needs)i;
		return 0;
	}
	return err_set(err, ERR_HARNESS, "needs is any, svm or vmx, not '%.40s'", value);
}

static int set_duration(struct catalogue_row *row, const char *value, struct err *err)
{
	size_t digits = strspn(value, "0123456789");
	unsigned seconds = 0;

	if (!digits || value[digits] || digits > 4)
		goto bad;
	for (const char *p = value; *p; p++)
		seconds = seconds * 10 + (unsigned)(*p - '0');
	if (seconds < 1 || seconds > DURATION_MAX_S)
		goto bad;
	row->duration_ms = seconds * 1000;
	return 0;
bad:
	return err_set(err, ERR_HARNESS, "duration is 1 to %d seconds, not '%.40s'", DURATION_MAX_S,
		       value);
}

static const struct key {
	const char *name;
	bool optional;
	size_t text; /* offset of the char * that takes the value as it is; or else: */
	int (*set)(struct catalogue_row *row, const char *value, struct err *err);
} keys[] = {
	{ "needs", false, 0, set_needs },
	{ "duration", false, 0, set_duration },
	{ "expect", true, offsetof(struct catalogue_row, expect), NULL },
	{ "source", false, offsetof(struct catalogue_row, source), NULL },
	{ "summary", false, offsetof(struct catalogue_row, summary), NULL },
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

struct parser {
	struct catalogue out; /* the last row is the section that is open */
	unsigned seen;        /* its keys, a bit each */
};

static int end_section(const struct parser *p, struct err *err)
{
	for (size_t i = 0; p->out.n && i < N_KEYS; i++)
		if (!keys[i].optional && !(p->seen & 1U << i))
			return err_set(err, ERR_HARNESS, "[%s] ends without '%s'",
				       p->out.rows[p->out.n - 1].name, keys[i].name);
	return 0;
}

static int begin_section(struct parser *p, const char *line, size_t len, struct err *err)
{
	size_t name_len = strspn(line + 1, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (end_section(p, err))
		return -1;
	if (!name_len || name_len > 63 || name_len + 2 != len || line[len - 1] != ']')
		return err_set(err, ERR_HARNESS, "a section's name is [a-z0-9-], 63 at most");
	cleanup_free char *name = xstrndup(line + 1, name_len);
	if (catalogue_find(&p->out, name))
		return err_set(err, ERR_HARNESS, "[%s] is there twice", name);
	if (p->out.n == PROTO_MAX_REPROS)
		return err_set(err, ERR_HARNESS, "more than %d sections", PROTO_MAX_REPROS);
	p->out.rows = xrealloc(p->out.rows, (p->out.n + 1) * sizeof(*p->out.rows));
	p->out.rows[p->out.n++] = (struct catalogue_row){ .name = steal(name) };
	p->seen = 0;
	return 0;
}

static int set_value(struct parser *p, size_t key, const char *value, struct err *err)
{
	struct catalogue_row *row = &p->out.rows[p->out.n - 1];

	if (p->seen & 1U << key)
		return err_set(err, ERR_HARNESS, "'%s' is there twice", keys[key].name);
	if (!*value)
		return err_set(err, ERR_HARNESS, "'%s' has no value", keys[key].name);
	p->seen |= 1U << key;
	if (keys[key].set)
		return keys[key].set(row, value, err);
	*(char **)((char *)row + keys[key].text) = xstrdup(value);
	return 0;
}

static int set_key(struct parser *p, const char *line, struct err *err)
{
	const char *equals = strchr(line, '=');
	size_t key_len = strcspn(line, " \t=");

	if (!equals || strspn(line + key_len, " \t") != (size_t)(equals - line) - key_len)
		return err_set(err, ERR_HARNESS, "neither '[NAME]' nor 'KEY = VALUE'");
	if (!p->out.n)
		return err_set(err, ERR_HARNESS, "a key before the first section");
	const char *value = equals + 1 + strspn(equals + 1, " \t");
	for (size_t i = 0; i < N_KEYS; i++)
		if (strlen(keys[i].name) == key_len && !memcmp(keys[i].name, line, key_len))
			return set_value(p, i, value, err);
	return err_set(err, ERR_HARNESS, "no such key '%.*s'", (int)(key_len < 40 ? key_len : 40),
		       line);
}

static int parse_line(struct parser *p, const char *data, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)data[i] < 0x20 && data[i] != '\t')
			return err_set(err, ERR_HARNESS, "a control character");
	while (len && (data[len - 1] == ' ' || data[len - 1] == '\t'))
		len--;
	if (!len || *data == '#')
		return 0;
	cleanup_free char *line = xstrndup(data, len);
	return *line == '[' ? begin_section(p, line, len, err) : set_key(p, line, err);
}

int catalogue_parse(const char *data, size_t len, struct catalogue *out, struct err *err)
{
	struct parser p = { 0 };
	unsigned number = 0;
	int rc = 0;

	while (!rc && len) {
		const char *newline = memchr(data, '\n', len);
		size_t line = newline ? (size_t)(newline - data) : len;

		number++;
		rc = parse_line(&p, data, line, err);
		data += line + (newline != NULL);
		len -= line + (newline != NULL);
	}
	if (!rc)
		rc = end_section(&p, err);
	if (rc) {
		err_context(err, "catalogue:%u", number);
		catalogue_free(&p.out);
		return -1;
	}
	*out = p.out;
	return 0;
}

int catalogue_bundled(struct catalogue *out, struct err *err)
{
	struct embed file = embed_catalogue();

	return catalogue_parse(file.data, file.size, out, err);
}

const struct catalogue_row *catalogue_find(const struct catalogue *catalogue, const char *name)
{
	for (size_t i = 0; i < catalogue->n; i++)
		if (!strcmp(catalogue->rows[i].name, name))
			return &catalogue->rows[i];
	return NULL;
}

void catalogue_free(struct catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->n; i++) {
		free(catalogue->rows[i].name);
		free(catalogue->rows[i].expect);
		free(catalogue->rows[i].source);
		free(catalogue->rows[i].summary);
	}
	free(catalogue->rows);
	*catalogue = (struct catalogue){ 0 };
}
