/*
 * What a trial's VM says, by a reader (cage.h): the bytes of ttyS0 to the classifier and the
 * evidence, the lines of ttyS1 to frames. Here is the harness's side: what the reader has told so
 * far, and what it is asked.
 *
 * The reader tells of its own accord what may decide something: frames, each after what the kernel
 * printed before it; a report that begins, changes or ends; the end of a line. How far the console
 * has come it tells with these and when it is asked to catch up.
 */
#ifndef READ_TRIAL_H
#define READ_TRIAL_H

#include "agent.h"
#include "base/err.h"
#include "cage.h"
#include "console.h"
#include "oops/oops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct read_trial {
	struct cage cage;
	char *path, *tmp;            /* where the console goes; until the end */
	uint64_t console_bytes;      /* so far */
	int64_t console_last_ms;     /* when the last ones came (clock_ms()) */
	bool console_eof, agent_eof; /* nothing more will come */
	bool halted;                 /* the kernel's last line says that the machine is off */
	uint64_t agent_noise;        /* lines that were no frames */
	enum oops_state state;       /* of the classifier */
	struct oops_report reports[CONSOLE_REPORTS]; /* complete ones, without their text */
	size_t n_reports;
	uint64_t dropped; /* reports that the reader has been told to forget */
	bool asked;       /* it has, and has not answered yet */
	int64_t asked_ms; /* when */
	bool more;        /* it answered, and had not read all */
	char *live;       /* what goes before each line that is shown, or NULL */
	struct buf live_line;
};

/* What a message of the reader's was. */
enum read_trial_event {
	READ_TRIAL_STATE, /* something of the above has changed */
	READ_TRIAL_FRAME, /* the agent said something */
	READ_TRIAL_BAD,   /* it speaks another protocol: err says which */
};

/*
 * Begin to read. The descriptors stay the caller's, who does not read them any more. path: where
 * the console is kept, compressed (gzip); it appears there only with read_trial_close(). token: the
 * agent's. live: what to put before each line shown on standard error ("#3"), or NULL to show none.
 */
int read_trial_open(int console_fd, int agent_fd, const char *path, const char *token,
		    const char *live, struct read_trial *out, struct err *err);

/*
 * The next message: 1, with *event, and for a frame the frame, which points into in. 0 if there is
 * none now; with wait, one is waited for. -1: the reader has failed; r->cage.told: by its own word,
 * because the evidence cannot be written.
 */
int read_trial_next(struct read_trial *r, bool wait, struct wire *in, enum read_trial_event *event,
		    struct agent_frame *frame, struct err *err);

/*
 * Ask the reader to read what there is now (READ_TRIAL_READ; at most 1 MiB of console), or to close
 * the open report as it stands and read nothing (READ_TRIAL_FINISH). It answers with messages for
 * read_trial_next(), of which the last is a state that makes r->asked false again.
 */
enum read_trial_order {
	READ_TRIAL_READ,
	READ_TRIAL_FINISH
};
void read_trial_ask(struct read_trial *r, enum read_trial_order order);

/* Forget the first n reports. */
void read_trial_drop(struct read_trial *r, size_t n);

/* The whole report i, with its text, which the caller clears with oops_report_clear(). */
int read_trial_report(struct read_trial *r, size_t i, struct oops_report *out, struct err *err);

/* Put the evidence in its place, end the reader and free all. Where the reader has failed before,
 * the evidence is what it had written until then. */
int read_trial_close(struct read_trial *r, struct err *err);

/* ---- the reader ---- */

/* Messages to the reader, and from it. */
enum {
	ASK_READ,   /* nothing */
	ASK_FINISH, /* nothing */
	ASK_DROP,   /* how many */
	ASK_REPORT, /* which */
	ASK_CLOSE,  /* nothing */
};
enum {
	TELL_STATE,  /* as read_trial_serve.c puts it */
	TELL_FRAME,  /* console bytes; verb; number of fields, and for each: key, value */
	TELL_BAD,    /* why */
	TELL_LIVE,   /* bytes of the console */
	TELL_REPORT, /* the report */
	TELL_CLOSED, /* nothing */
};

/* fds: console, agent, the console's file. First it hears the token, and whether to show it. */
int read_trial_serve(int fd, const int *fds, struct err *err);

#endif
