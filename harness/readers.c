/* The table of readers; see readers.h. */
#include "audit_report.h"
#include "readers.h"

#define MIB (1024ULL * 1024)

const struct cage_role readers[] = {
	[READER_LOG] = {
		.name = "console logs",
		.limits = { .memory_bytes = 512 * MIB },
		.serve = read_log_serve,
	},
	[READER_BISECTION] = {
		.name = "bisection logs",
		.limits = { .memory_bytes = 2048 * MIB, .cpu_s = 60 },
		.prepare = audit_report_prepare,
		.serve = read_bisection_serve,
	},
};
