/* What is kept from one run of the program to the next; see court.h. */
#include "court.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "question.h"
#include "report/run_json.h"

#include <string.h>

const char *court_label(const struct judgement *j, char *room, size_t bytes)
{
	snprintf(room, bytes, "%s%s", j->label ? j->label : "", j->label ? ": " : "");
	return room;
}

bool court_follows(const struct court *court, const struct subject *s)
{
	return court->options->follow && s != court->subjects;
}

/* Whether the target is what the first kernel crashes in: what others crashed in says nothing. */
static bool is_unnamed(const struct court *court, const struct subject *s)
{
	return court->options->follow && !s->session.filter.n_expect;
}

static bool crashed_in(const struct state_kernel *then, const char *title)
{
	for (size_t i = 0; i < then->n; i++)
		if (then->matches[i] == MATCH_TARGET && !strcmp(then->outcomes[i].title, title))
			return true;
	return false;
}

/* What the first kernel crashed in then is the target, with the stacks that were kept. */
static void know_crashes(struct subject *s, const struct state_kernel *then)
{
	struct family titles = { 0 }, *family = &s->out->family;

	state_titles(s->kernel->state, s->question, &titles);
	for (size_t i = 0; i < titles.n; i++) {
		const struct family_member *m = &titles.v[i];

		if (crashed_in(then, m->title))
			family_know(family, m->title, m->type, m->stack, KIN_TARGET);
	}
	for (size_t i = 0; i < then->n; i++)
		if (then->matches[i] == MATCH_TARGET)
			family_know(family, then->outcomes[i].title, NULL, NULL, KIN_TARGET);
	family_free(&titles);
}

/* What the runs of then are to the search of now. False: that cannot be told without their
 * reports. */
static bool match_then(const struct court *court, const struct subject *s,
		       struct state_kernel *then)
{
	bool follower = court_follows(court, s);

	for (size_t i = 0; i < then->n; i++) {
		const struct outcome *o = &then->outcomes[i];
		/* What has become known since then counts too. */
		enum kinship kin = family_kin(&s->out->family, o);
		enum kinship led = follower ? family_kin(&court->out[0].family, o) : KIN_OTHER;

		if (kin == KIN_ALIAS || kin == KIN_RENAMED || led == KIN_ALIAS ||
		    led == KIN_RENAMED)
			then->matches[i] = MATCH_TARGET;
		else if (follower && is_unnamed(court, s) && then->matches[i] == MATCH_TARGET &&
			 led != KIN_TARGET)
			return false;
	}
	return true;
}

/* Whether the runs of then decide, by the policy of now. */
static bool decides(const struct court *court, const struct subject *s,
		    const struct state_kernel *then)
{
	struct policy policy = s->out->policy;
	const struct tally *first = &court->out[0].tally;
	struct tally tally = { .left = then->n };
	struct decision decision;

	if (court_follows(court, s)) {
		policy.known_hits = first->hits;
		policy.known_runs = first->hits + first->clean;
	}
	for (size_t i = 0; i < then->n; i++)
		tally_add(&tally, &then->outcomes[i], then->matches[i]);
	verdict_decide(&policy, &tally, &decision);
	if (then->n < s->out->runs && !court->options->enough)
		return false;
	return decision.verdict == VERDICT_BAD ||
	       (decision.verdict == VERDICT_GOOD &&
		(!court->options->follow || court_follows(court, s)));
}

/* Take the runs of then for those of now. */
static void recall(const struct court *court, struct subject *s, struct state_kernel *then)
{
	struct judgement *j = s->out;
	size_t room = then->n > j->runs ? then->n : j->runs; /* the plan reads as many */
	char label[64];

	if (is_unnamed(court, s) && !court_follows(court, s))
		know_crashes(s, then);
	log_info("%sthis kernel was judged at %s: not run again (evidence of then: %s)",
		 court_label(j, label, sizeof(label)), then->judged, then->evidence);
	free(j->outcomes);
	free(j->ended);
	free(s->match);
	j->recalled = true;
	j->runs = (unsigned)then->n;
	j->ended = xcalloc(room, sizeof(*j->ended));
	memset(j->ended, true, room * sizeof(*j->ended));
	run_json_set_recalled(j->json, then);
	j->outcomes = steal(then->outcomes);
	s->match = steal(then->matches);
	then->n = 0;
}

/* What is known of the rate; of two samples the larger. */
static void know_rate(struct subject *s)
{
	struct policy *policy = &s->out->policy;
	size_t hits, runs;

	state_rate(s->kernel->state, s->question, s->kernel->session.boot_once, &hits, &runs);
	if (runs <= policy->known_runs)
		return;
	policy->known_hits = hits;
	policy->known_runs = runs;
	log_info("state: the crash showed in %zu of %zu runs on bad kernels", hits, runs);
}

/* Side by side all are run, unless the first one leads and is not. */
static bool may_recall(const struct court *court, const struct subject *s)
{
	if (court_follows(court, s))
		return court->out[0].recalled;
	return court->n == 1 || court->options->follow;
}

int court_recall(const struct court *court, struct subject *s, struct err *err)
{
	const struct state *state = s->kernel->state;
	bool once = s->kernel->session.boot_once;
	struct state_kernel then;

	if (!state)
		return 0;
	s->question = question_new(&s->kernel->session, &s->session);
	if (question_kernel(&s->session, &s->key, err))
		return -1;
	if (!s->key)
		log_info("state: the kernel's signature is not known: it is not kept");
	if (!is_unnamed(court, s))
		state_titles(state, s->question, &s->out->family);
	if (!court->options->follow)
		know_rate(s);
	if (s->key && s->kernel->resume)
		s->kept = state_holds(state, s->question, s->key, s->store.dir);
	if (s->key && !s->kept && may_recall(court, s) &&
	    state_find(state, s->question, once, s->key, &then)) {
		if (match_then(court, s, &then) && decides(court, s, &then))
			recall(court, s, &then);
		state_kernel_free(&then);
	}
	return 0;
}

/* What the runs are to the question: without --expect any crash is a hit, whoever leads. */
int court_keep(const struct court *court, struct subject *s, struct err *err)
{
	const struct judgement *j = s->out;
	cleanup_free struct outcome *outcomes = xcalloc(j->runs, sizeof(*outcomes));
	cleanup_free enum match *matches = xcalloc(j->runs, sizeof(*matches));
	struct tally tally = { 0 };
	struct decision decision;
	struct state_entry entry = {
		.key = s->key,
		.release = s->session.image.release,
		.evidence = j->dir,
		.boot_once = s->from_state,
		.outcomes = outcomes,
		.matches = matches,
		.family = &j->family,
		.policy = &j->policy,
		.decision = &decision,
	};

	if (!s->key || s->kept || j->recalled || j->decision.verdict == VERDICT_NONE)
		return 0;
	for (unsigned i = 0; i < j->runs; i++) {
		if (!j->ended[i])
			continue;
		outcomes[entry.n] = j->outcomes[i];
		matches[entry.n] = s->match[i];
		if (is_unnamed(court, s))
			matches[entry.n] = s->hit[i] ? MATCH_TARGET : MATCH_NONE;
		tally_add(&tally, &outcomes[entry.n], matches[entry.n]);
		entry.n++;
	}
	verdict_decide(&j->policy, &tally, &decision);
	return state_add(s->kernel->state, s->question, &entry, err);
}
