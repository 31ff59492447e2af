/* The table of readers; see readers.h. */
#include "audit_report.h"
#include "kernel/read.h"
#include "read_trial.h"
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
	[READER_IMAGE] = {
		.name = "kernel images",
		.limits = { .memory_bytes = 512 * MIB, .cpu_s = 60 },
		.serve = kernel_image_serve,
	},
	/* The image, and KERNEL_PAYLOAD_BYTES, which may be held twice while it grows. */
	[READER_UNPACK] = {
		.name = "kernels' payloads",
		.limits = { .memory_bytes = 4096 * MIB, .cpu_s = 300, .writes_file = true },
		.serve = kernel_unpack_serve,
	},
	[READER_SIGNATURE] = {
		.name = "kernels' payloads",
		.limits = { .memory_bytes = 4096 * MIB, .cpu_s = 300 },
		.serve = kernel_sign_serve,
	},
	/* MODULE_BYTES, packed and unpacked, each held twice while it grows. */
	[READER_MODINFO] = {
		.name = "modules",
		.limits = { .memory_bytes = 2048 * MIB, .cpu_s = 60 },
		.serve = modinfo_serve,
	},
	[READER_MODULE] = {
		.name = "modules",
		.limits = { .memory_bytes = 2048 * MIB, .cpu_s = 60 },
		.serve = module_serve,
	},
	[READER_MODULES] = {
		.name = "modules",
		.limits = { .memory_bytes = 2048 * MIB, .cpu_s = 300 },
		.serve = modules_signature_serve,
	},
	[READER_TRIAL] = {
		.name = "the VM's lines",
		.limits = { .memory_bytes = 512 * MIB, .writes_file = true },
		.serve = read_trial_serve,
	},
};
