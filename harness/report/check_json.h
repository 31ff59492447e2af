/* check.json: what `check` found, as one JSON object; docs/run-json.md lists its members. */
#ifndef REPORT_CHECK_JSON_H
#define REPORT_CHECK_JSON_H

#include "compare.h"
#include "judge.h"

#include <jansson.h>

/* judgements: the base's and the kernel's, with the paths they were given, or NULL. The caller owns
 * the object. */
json_t *check_json_new(const struct judgement judgements[2], const char *const paths[2],
		       const struct decision *decision, const char *sentence);

#endif
