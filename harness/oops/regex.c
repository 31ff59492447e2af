/* PCRE2 with a cache of compiled patterns and hard limits: the subject is untrusted. */
#include "oops/report.h"

#include <stdlib.h>
#include <string.h>

#define MATCH_LIMIT 200000
#define SLOTS       1024 /* a power of two, well above the number of patterns in the tables */

void oops_regexes_init(struct oops_regexes *r)
{
	*r = (struct oops_regexes){
		.slots = xcalloc(SLOTS, sizeof(*r->slots)),
		.n_slots = SLOTS,
		.md = pcre2_match_data_create(12, NULL),
		.mc = pcre2_match_context_create(NULL),
	};
	if (!r->md || !r->mc)
		abort();
	pcre2_set_match_limit(r->mc, MATCH_LIMIT);
}

void oops_regexes_free(struct oops_regexes *r)
{
	for (size_t i = 0; i < r->n_slots; i++)
		pcre2_code_free(r->slots[i].code);
	free(r->slots);
	pcre2_match_data_free(r->md);
	pcre2_match_context_free(r->mc);
	*r = (struct oops_regexes){ 0 };
}

static pcre2_code *compiled(struct oops_regexes *r, const char *re)
{
	size_t i = ((uintptr_t)re >> 2) * 2654435761u & (r->n_slots - 1);
	PCRE2_SIZE at;
	int code;

	while (r->slots[i].text && r->slots[i].text != re)
		i = (i + 1) & (r->n_slots - 1);
	if (r->slots[i].text)
		return r->slots[i].code;
	if (r->n_used + 1 >= r->n_slots)
		abort(); /* more patterns than rows in the tables */
	r->n_used++;
	r->slots[i].text = re;
	r->slots[i].code =
		pcre2_compile((PCRE2_SPTR)re, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
	if (r->slots[i].code)
		pcre2_jit_compile(r->slots[i].code, PCRE2_JIT_COMPLETE);
	return r->slots[i].code;
}

bool oops_compiles(struct oops_regexes *r, const char *re)
{
	return compiled(r, re) != NULL;
}

bool oops_match_re(struct oops_regexes *r, const char *re, const char *s, size_t len,
		   struct span *groups, size_t max)
{
	pcre2_code *code = compiled(r, re);

	if (!code)
		return false;
	int n = pcre2_match(code, (PCRE2_SPTR)s, len, 0, 0, r->md, r->mc);
	if (n <= 0)
		return false;
	PCRE2_SIZE *ov = pcre2_get_ovector_pointer(r->md);
	for (size_t i = 0; i < max; i++) {
		groups[i] = (struct span){ NULL, 0 };
		if ((int)i + 1 < n && ov[2 * i + 2] != PCRE2_UNSET)
			groups[i] =
				(struct span){ s + ov[2 * i + 2], ov[2 * i + 3] - ov[2 * i + 2] };
	}
	return true;
}
