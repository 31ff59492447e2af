/* What `kvmrepro audit` prints of one log: text for people, or one line of JSON. Bytes of the log
 * are in the text as they are. */
#ifndef AUDIT_REPORT_H
#define AUDIT_REPORT_H

#include "audit.h"
#include "base/buf.h"
#include "base/err.h"
#include "bisect_log.h"

#include <stddef.h>

/* expect: what --expect names, n_expect of them. Both add to out. */
void audit_report_text(const char *const *expect, size_t n_expect, const struct bisect_log *log,
		       const struct audit *audit, struct buf *out);
int audit_report_json(const char *path, const struct bisect_log *log, const struct audit *audit,
		      struct buf *out, struct err *err);

/* To be called while files can still be opened. */
void audit_report_prepare(void);

#endif
