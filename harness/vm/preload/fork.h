/*
 * How the harness makes VMs of one that stands still: what is said over a socket between it and the
 * library that it has loaded into the VM's process (LD_PRELOAD). Both are of one build.
 *
 * The socket is a SOCK_SEQPACKET of unix(7), so that a message is one packet; the library connects
 * to it when it has been loaded. At FORK_SIGNAL to the process's first thread the process stands
 * still for good, and the library reads struct fork_halt, lets go of the lines that are named there
 * and not held, and answers with a byte. From then on each packet with a descriptor for each line
 * (a byte, and SCM_RIGHTS) makes a process that goes on where this one stood, with these in place
 * of those; the answer is its pid_t, or a negative errno. It is a child of the process's parent,
 * which waits for it, is killed with the thread that is, and stays in the same process group. When
 * the harness closes the socket, the process that stands still ends.
 */
#ifndef VM_PRELOAD_FORK_H
#define VM_PRELOAD_FORK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* In the process's environment: the socket's path. */
#define FORK_VARIABLE "KVMREPRO_FORK"

/* Nobody else's: QEMU uses SIGUSR1 and SIGUSR2, libc the first two real-time signals. */
#define FORK_SIGNAL (SIGRTMIN + 9)

#define FORK_MAX_LINES 4

/* What a descriptor is known by, which is a VM's own. */
struct fork_line {
	enum fork_line_by {
		FORK_BY_INODE, /* a pipe or file: fstat(2) */
		FORK_BY_PEER,  /* a socket, by the other end's name: getpeername(2) */
		FORK_BY_NAME,  /* a connected socket, by its own: getsockname(2) */
	} by;
	bool held; /* what stands still keeps it, for somebody at its other end */
	dev_t device;
	ino_t inode;
	struct sockaddr_storage name;
	socklen_t name_bytes;
};

struct fork_halt {
	bool threads; /* the VM's other threads are needed: they too go on in each fork */
	unsigned n_lines;
	struct fork_line lines[FORK_MAX_LINES]; /* in a packet of descriptors in this order */
};

#endif
