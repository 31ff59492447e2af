/* What `check` found, as JSON; see check_json.h. */
#include "report/check_json.h"

#include "report/json.h"
#include "report/run_json.h"

static json_t *side_json(const struct judgement *j, const char *path)
{
	size_t conclusive = j->tally.hits + j->tally.clean;
	json_t *o = json_object();
	double low, high;

	compare_interval(j->tally.hits, conclusive, &low, &high);
	json_put(o, "kernel", json_text(path));
	json_put(o, "evidence", json_text(j->dir));
	json_put(o, "tally", run_json_tally(&j->tally));
	json_put(o, "rate",
		 conclusive ? json_real((double)j->tally.hits / (double)conclusive) : json_null());
	json_put(o, "rate_low", json_real(low));
	json_put(o, "rate_high", json_real(high));
	return o;
}

json_t *check_json_new(const struct judgement judgements[2], const char *const paths[2],
		       const struct decision *decision, const char *sentence)
{
	json_t *o = json_object();

	json_put(o, "kvmrepro", json_text(KVMREPRO_VERSION));
	json_put(o, "answer", json_text(sentence));
	json_put(o, "verdict", json_text(compare_word(decision->verdict)));
	json_put(o, "alpha", json_real(judgements[1].policy.alpha));
	json_put(o, "hidden", json_real(decision->hidden));
	json_put(o, "more_clean", json_integer((json_int_t)decision->more_clean));
	json_put(o, "base", side_json(&judgements[0], paths[0]));
	json_put(o, "kernel", side_json(&judgements[1], paths[1]));
	json_put(o, "exit_status", json_integer(verdict_exit_status(decision->verdict)));
	return o;
}
