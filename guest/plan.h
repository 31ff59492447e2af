/* The plan that the harness left in the initramfs (grammar: kvmrepro/protocol.h). */
#ifndef GUEST_PLAN_H
#define GUEST_PLAN_H

#include <stdint.h>

#include "kvmrepro/protocol.h"

#define PLAN_MAX_MODULES 32

struct plan_module {
	char *path;
	char *params; /* never NULL */
};

struct plan_repro {
	char *name;
	char *needs;
	int64_t duration_ms;
	char *path;
};

struct plan {
	char *token;
	char *sandbox; /* path of the filter; NULL: reproducers run without a sandbox */
	int64_t detector_ms;
	int64_t stuck_ms;
	int n_modules;
	int n_repros;
	struct plan_module modules[PLAN_MAX_MODULES];
	struct plan_repro repros[PROTO_MAX_REPROS];
};

/*
 * Reads PROTO_PLAN_PATH into p, whose strings stay valid for good, and removes the file. Returns
 * NULL, or what is wrong with it; p->token is set whenever the plan had a proper one.
 */
const char *plan_load(struct plan *p);

/* The same from text, which is cut up. */
const char *plan_parse(struct plan *p, char *text);

#endif
