/* The domain's XML from its template: pure text. */
#ifndef VM_DOMAIN_H
#define VM_DOMAIN_H

#include "base/buf.h"
#include "base/err.h"

struct domain_word {
	const char *word;  /* as in the template, without the @ signs; NULL ends the list */
	const char *value; /* NULL: lines with this word are left out */
};

/* Append the template to out with each @WORD@ replaced by its value, XML-escaped; a word that is
 * not in the list, or a value with a byte that XML 1.0 cannot hold, is an error. */
int domain_fill(const char *template, const struct domain_word *words, struct buf *out,
		struct err *err);

#endif
