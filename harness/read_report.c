/* Crash reports in messages; see readers.h. */
#include "base/cleanup.h"
#include "oops/report.h"
#include "readers.h"

/* Far more than the classifier makes of anything; a title is 120 bytes. */
#define STRING_BYTES 8192
#define MAX_ALT      64

void read_report_put(struct buf *body, const struct oops_report *r, bool text)
{
	wire_put_str(body, r->title);
	wire_put_u64(body, r->n_alt);
	for (size_t i = 0; i < r->n_alt; i++)
		wire_put_str(body, r->alt[i]);
	wire_put_str(body, r->older);
	wire_put_str(body, r->type);
	wire_put_str(body, r->frame);
	wire_put_str(body, r->executor);
	wire_put_str(body, r->corrupted ? r->corrupted_why : NULL);
	wire_put_u64(body, r->suppressed);
	wire_put_u64(body, r->panicked);
	wire_put_u64(body, r->start);
	wire_put_u64(body, r->end);
	wire_put_str(body, text ? r->text : "");
}

void read_report_take(struct wire *in, struct oops_report *out)
{
	*out = (struct oops_report){ .title = wire_str(in, STRING_BYTES) };
	size_t n_alt = wire_u64(in, MAX_ALT);
	out->alt = xcalloc(n_alt, sizeof(*out->alt));
	for (size_t i = 0; i < n_alt; i++) {
		char *alt = wire_str(in, STRING_BYTES);

		if (alt)
			out->alt[out->n_alt++] = alt;
	}
	out->older = wire_str_or_null(in, STRING_BYTES);
	cleanup_free char *type = wire_str(in, STRING_BYTES);
	out->type = type ? oops_type_find(type) : NULL;
	out->frame = wire_str_or_null(in, STRING_BYTES);
	out->executor = wire_str_or_null(in, STRING_BYTES);
	out->corrupted_why = wire_str_or_null(in, STRING_BYTES);
	out->corrupted = out->corrupted_why;
	out->suppressed = wire_bool(in);
	out->panicked = wire_bool(in);
	out->start = wire_u64(in, INT64_MAX);
	out->end = wire_u64(in, INT64_MAX);
	out->text = wire_str(in, OOPS_REPORT_BYTES);
	in->bad |= !out->type || out->end < out->start;
}
