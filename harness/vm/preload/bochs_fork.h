/*
 * How the harness makes VMs of a Bochs that stands still: what is said over a socket between it and
 * the library that it has loaded into Bochs (LD_PRELOAD). Both are of one build.
 *
 * The socket is a SOCK_SEQPACKET of unix(7), so that a message is one packet. When the library has
 * been loaded it sends a byte. At BOCHS_FORK_SIGNAL Bochs stands still for good, and the library
 * reads struct bochs_fork_halt, closes what is named there, and answers with a byte. From then on
 * each packet with three descriptors (a byte, and SCM_RIGHTS: console, log, agent line) makes a
 * process that goes on where Bochs stood, with these in place of those; the answer is its pid_t, or
 * a negative errno. It is a child of Bochs's parent, which waits for it, is killed with the thread
 * that is, and stays in Bochs's process group. When the harness closes the socket, the Bochs that
 * stands still ends.
 */
#ifndef VM_PRELOAD_BOCHS_FORK_H
#define VM_PRELOAD_BOCHS_FORK_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

/* In Bochs's environment: the number of the library's end of the socket. */
#define BOCHS_FORK_VARIABLE "KVMREPRO_BOCHS_FORK"

#define BOCHS_FORK_SIGNAL SIGUSR2

/* Which of Bochs's descriptors are a trial's own. */
struct bochs_fork_halt {
	ino_t console, log;  /* of the pipes (fstat(2)) */
	uint16_t agent_port; /* of the other end of a TCP connection */
};

/* In this order in a packet. */
enum bochs_fork_fd {
	BOCHS_FORK_CONSOLE,
	BOCHS_FORK_LOG,
	BOCHS_FORK_AGENT,
	BOCHS_FORK_FDS
};

#endif
