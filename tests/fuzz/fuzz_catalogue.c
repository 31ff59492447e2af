/* libFuzzer target for the catalogue of reproducers: what is taken is whole, and found by name. */
#include "catalogue.h"
#include "kvmrepro/protocol.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct catalogue catalogue;
	struct err err;

	if (catalogue_parse((const char *)data, size, &catalogue, &err))
		return 0;
	if (catalogue.n > PROTO_MAX_REPROS)
		abort();
	for (size_t i = 0; i < catalogue.n; i++) {
		const struct catalogue_row *r = &catalogue.rows[i];

		if (!*r->name || !r->source || !r->summary || r->duration_ms < 1000 ||
		    r->duration_ms > 3600000 || catalogue_find(&catalogue, r->name) != r)
			abort();
	}
	catalogue_free(&catalogue);
	return 0;
}
