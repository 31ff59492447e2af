/*
 * libFuzzer target for the state file: a file of any content is refused and left alone, or read,
 * added to, and read again with all that was in it.
 */
#include "state.h"

#include "base/fs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct policy policy = { POLICY_BAYES, 0.01, 0.5, 1, 0, 0 };

static size_t look(const struct state *state, const json_t *question)
{
	struct family family = { 0 };
	struct state_kernel kernel;
	size_t hits, runs, n = 0;

	for (int once = 0; once < 2; once++) {
		state_rate(state, question, once, &hits, &runs);
		if (hits > runs)
			abort();
	}
	state_titles(state, question, &family);
	family_free(&family);
	if (state_find(state, question, true, "k", &kernel)) {
		n = kernel.n;
		state_kernel_free(&kernel);
	}
	return n;
}

static void use(const char *path, const json_t *question)
{
	static const struct decision decision = { .verdict = VERDICT_GOOD };
	const struct outcome outcome = { OUTCOME_OK, NULL };
	const enum match match = MATCH_NONE;
	struct family family = { 0 };
	const struct state_entry entry = { "k",    "6.1", "/e",    false,   &outcome,
					   &match, 1,     &family, &policy, &decision };
	struct state *state;
	struct err err;

	if (state_open(path, &state, &err))
		return;
	size_t before = look(state, question);
	if (state_add(state, question, &entry, &err) || look(state, question) != before + 1)
		abort();
	state_close(state);
	if (state_open(path, &state, &err) || look(state, question) != before + 1 ||
	    !state_holds(state, question, "k", "/e"))
		abort();
	state_close(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[64];
	json_t *question = json_pack("{s:i}", "q", 1);
	struct err err;

	if (!path[0])
		snprintf(path, sizeof(path), "/dev/shm/kvmrepro-fuzz-state.%d", (int)getpid());
	unlink(path);
	if (fs_write(path, data, size, &err))
		abort();
	use(path, question);
	unlink(path);
	json_decref(question);
	return 0;
}
