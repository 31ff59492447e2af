/*
 * libFuzzer target for bisection logs: what comes out must be well formed, and a log that is cut in
 * front of its last line says the same of the lines before it.
 */
#include "bisect_log.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct bisect_log *log, size_t size)
{
	if (!log->n_revisions)
		abort();
	for (size_t i = 0; i < log->n_revisions; i++) {
		const struct bisect_revision *r = &log->revisions[i];

		if (strlen(r->hash) < 7 || !r->line || r->line > size || r->same_as > i ||
		    (r->all && r->n_runs != 1) || !bisect_word_name(r->word))
			abort();
		for (size_t k = 0; k < r->n_runs; k++)
			if ((r->runs[k].outcome.kind == OUTCOME_OK) != !r->runs[k].outcome.title)
				abort();
	}
	for (size_t i = 0; i < log->n_strays; i++)
		if (!log->strays[i].text || !log->strays[i].why ||
		    strlen(log->strays[i].text) > 200)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *last = size > 1 ? memrchr(text, '\n', size - 1) : NULL;
	struct bisect_log whole, cut;
	struct err err;

	if (bisect_log_parse(text, size, &whole, &err))
		return 0;
	check(&whole, size);
	if (last && !bisect_log_parse(text, (size_t)(last - text) + 1, &cut, &err)) {
		check(&cut, size);
		if (cut.n_revisions > whole.n_revisions || cut.n_strays > whole.n_strays)
			abort();
		bisect_log_free(&cut);
	}
	bisect_log_free(&whole);
	return 0;
}
