/*
 * Caged readers: what comes from a guest, a log or a kernel image is read by processes of their
 * own, which confine.h takes all means from, and which answer with messages that are checked
 * (wire.h).
 *
 * A process with threads (libvirt makes some) is no good to fork from, and to start the program
 * anew for each reader costs 10 ms. So one helper is forked before there is any thread; it makes
 * the readers, as children of the harness, and is told their role and given their descriptors
 * through a socket.
 */
#ifndef CAGE_H
#define CAGE_H

#include "base/err.h"
#include "confine.h"
#include "wire.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Descriptors that a reader can be given. */
#define CAGE_MAX_FDS 40

/* A kind of reader. */
struct cage_role {
	const char *name; /* for errors: "the reader of NAME ended too early" */
	struct confine_limits limits;
	/* What must be done while files can still be opened; may be NULL. */
	void (*prepare)(void);
	/*
	 * The reader's work. fd: the socket to the harness; fds: what it was given; -1 behind the
	 * last. Standard
	 * input, output and error are /dev/null. An error that it returns is sent to the harness
	 * as its last message.
	 */
	int (*serve)(int fd, const int *fds, struct err *err);
};

/* Fork the helper; roles outlives it. Once, before any thread starts. */
int cage_setup(const struct cage_role *roles, struct err *err);

/* In a process that was forked without threads: a helper of its own, for readers are the children
 * of who started the helper. Nothing happens where there was none. */
int cage_renew(struct err *err);

/* All readers have been stopped: end the helper. */
void cage_end(void);

/* A reader. */
struct cage {
	pid_t pid; /* 0: none */
	int fd;
	int stop_fd; /* what ends waiting for it when readable; -1: nothing */
	unsigned role;
	bool told; /* the last error is what the reader itself said */
};

/* Start the reader roles[role], with copies of fds. May be called from several threads. */
int cage_start(unsigned role, const int *fds, size_t n_fds, struct cage *out, struct err *err);

/*
 * Its next message, with a body of at most max_bytes; its first byte within limit_ms (-1: however
 * long it takes).
 * ERR_INTERRUPTED if stop_fd became readable. An error that the reader itself tells is returned as
 * if it had happened here; its end is one too, and says how it ended.
 */
int cage_recv(struct cage *cage, int64_t limit_ms, size_t max_bytes, struct wire *in,
	      struct err *err);
/* Whether it has said something, or ended. */
bool cage_ready(const struct cage *cage);
/* That it has ended, or does not listen for 20 s, is found by who receives. */
void cage_send(struct cage *cage, uint32_t type, const struct buf *body);

/* The error for a message that makes no sense. */
int cage_bad(unsigned role, struct err *err);

/* End it, whatever it is doing. Nothing happens where there is none. */
void cage_stop(struct cage *cage);
#define cleanup_cage __attribute__((cleanup(cage_stop)))

/* All of it for a reader with one question and one answer, which it has ten times its CPU time for
 * where that is limited: request may be NULL. */
int cage_ask(unsigned role, const int *fds, size_t n_fds, const struct buf *request,
	     size_t max_bytes, struct wire *answer, struct err *err);

/* In a reader: the next message; the harness's end ends the reader. */
int cage_hear(int fd, struct wire *in, struct err *err);

#endif
