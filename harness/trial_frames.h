/* What the agent's frames mean for a trial; the trial's state, which trial.c and this share. */
#ifndef TRIAL_FRAMES_H
#define TRIAL_FRAMES_H

#include "read_trial.h"
#include "trial.h"

enum trial_phase {
	PHASE_BOOT,   /* until hello */
	PHASE_CANARY, /* until go */
	PHASE_RUN,    /* until done */
	PHASE_DONE,   /* the kernel powers the VM off */
};

struct trial {
	const struct trial_config *config;
	struct trial_result *result;
	char token[PROTO_TOKEN_CHARS + 1];
	struct vm *vm;
	bool keepable;        /* its state is to be kept when it is ready */
	struct vm_kept *kept; /* the state */
	struct err keep_err;  /* why there is none */
	struct read_trial reader;
	bool lost; /* the reader has failed: there is no telling what the VM said */
	enum trial_phase phase;
	int64_t start_ms, last_frame_ms, eof_ms;
	int64_t starved_ms; /* of the VM, when it was last looked at (vm/engine.h) */
	int64_t fed_ms;     /* and what it was when the guest last said something that counts */
	int64_t guest_ms, guest_go_ms; /* the guest's clock at its last beat; at go */
	bool say_go;                   /* init waits for it */
	bool stalled;    /* the harness itself stood still for a while, and may have missed words */
	int64_t turn_ms; /* end of the last turn */
	bool looked;     /* all was read after the deadline */
	unsigned put_off;             /* turns for which events waited until all was read */
	bool off;                     /* the VM reset itself or ended */
	int64_t crash_ms;             /* when a report was first seen, or 0 */
	enum outcome_kind crash_kind; /* what it is called, by the phase then */
	char *module_why;             /* the first module that did not load */
	bool pending;                 /* result->outcome holds what decides if no report comes */
	int64_t pending_ms, quiet_ms;
};

/* Make this the outcome unless there is one already; quiet_ms: how long the console must be quiet
 * before it is final. */
void trial_pend(struct trial *t, enum outcome_kind kind, const char *title, int64_t quiet_ms);

/* The same for trouble of the host's, OUTCOME_INFRA, which a second attempt may be spared. */
void trial_pend_host(struct trial *t, const char *why, int64_t quiet_ms);

/* Read what the VM says until the trial is over: result->outcome. */
int trial_watch(struct trial *t, struct err *err);

/* Have the reader do as it is ordered, and take all that it says until it has. A failure of the
 * reader's is the trial's outcome (t->lost); -1: interrupted, or the evidence cannot be kept. */
int trial_catch_up(struct trial *t, enum read_trial_order order, struct err *err);

/* The reader has failed, and why: that is the outcome, whatever was thought before. -1 with err
 * where it is no outcome (see trial_catch_up()). */
int trial_lose(struct trial *t, const struct err *why, struct err *err);

/* So many random bytes in hex, with a NUL. At most 32. */
void trial_random_hex(char *out, size_t bytes);

/* Take one frame. */
void trial_frame(struct trial *t, const struct agent_frame *frame);

/* Keep it in the agent's log; an event as "!o", its byte (vm/engine.h). */
void trial_log_frame(struct trial *t, const struct agent_frame *frame);
void trial_log_event(struct trial *t, enum vm_event event);

#endif
