/*
 * Reads the plan. The file goes away at once: it holds the token, and what runs later must not be
 * able to speak as the agent.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

static const char blanks[] = " \t";

static char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, blanks);
	char *end = word + strcspn(word, blanks);

	*rest = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

static bool to_ms(const char *word, int64_t *ms)
{
	char *end;
	long long n = strtoll(word, &end, 10);

	if (end == word || *end || n < 0)
		return false;
	*ms = n;
	return true;
}

static const char *parse_module(struct plan *p, char *rest)
{
	struct plan_module *m = &p->modules[p->n_modules];

	if (p->n_modules == PLAN_MAX_MODULES)
		return "plan: too many modules";
	m->path = next_word(&rest);
	m->params = rest + strspn(rest, blanks);
	if (!*m->path)
		return "plan: a module without a path";
	p->n_modules++;
	return NULL;
}

static const char *parse_repro(struct plan *p, char *rest)
{
	struct plan_repro *r = &p->repros[p->n_repros];

	if (p->n_repros == PROTO_MAX_REPROS)
		return "plan: too many reproducers";
	r->name = next_word(&rest);
	r->needs = next_word(&rest);
	if (!to_ms(next_word(&rest), &r->duration_ms))
		return "plan: a reproducer without a duration";
	r->path = next_word(&rest);
	if (!*r->path)
		return "plan: a reproducer without a path";
	if (strcmp(r->needs, "any") && strcmp(r->needs, "svm") && strcmp(r->needs, "vmx"))
		return "plan: a reproducer that needs what nobody knows";
	p->n_repros++;
	return NULL;
}

static const char *parse_line(struct plan *p, char *line)
{
	char *key = next_word(&line);

	if (!*key || *key == '#')
		return NULL;
	if (!strcmp(key, "module"))
		return parse_module(p, line);
	if (!strcmp(key, "repro"))
		return parse_repro(p, line);
	if (!strcmp(key, "token")) {
		p->token = next_word(&line);
		if (strlen(p->token) != PROTO_TOKEN_CHARS) {
			p->token = NULL;
			return "plan: a token of the wrong length";
		}
	} else if (!strcmp(key, "sandbox")) {
		p->sandbox = next_word(&line);
	} else if (!strcmp(key, "detector_ms")) {
		if (!to_ms(next_word(&line), &p->detector_ms))
			return "plan: detector_ms is no number";
	} else if (!strcmp(key, "stuck_ms")) {
		if (!to_ms(next_word(&line), &p->stuck_ms))
			return "plan: stuck_ms is no number";
	}
	return NULL;
}

const char *plan_parse(struct plan *p, char *text)
{
	const char *why = NULL;
	char *save = NULL;

	*p = (struct plan){ .detector_ms = 20000, .stuck_ms = 30000 };
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *wrong = parse_line(p, line);

		why = why ? why : wrong;
	}
	return !why && !p->token ? "plan: no token" : why;
}

const char *plan_load(struct plan *p)
{
	static char text[PROTO_PLAN_BYTES];
	int n = read_file(PROTO_PLAN_PATH, text, sizeof(text));

	unlink(PROTO_PLAN_PATH);
	if (n < 0)
		return "plan: " PROTO_PLAN_PATH " cannot be read";
	if (n == sizeof(text) - 1)
		return "plan: too long";
	return plan_parse(p, text);
}
