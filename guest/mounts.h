/* The file systems and device nodes that a syzbot reproducer expects to find. */
#ifndef GUEST_MOUNTS_H
#define GUEST_MOUNTS_H

/* /dev, /proc and /sys: what init itself needs to begin. */
void mounts_early(void);

/* The rest; what this kernel lacks is left out without a word. Also brings up the loopback. */
void mounts_all(void);

/* Takes away the nodes through which a program could write into the console or the agent line. */
void mounts_hide_consoles(void);

/* In a mount namespace of its own: /proc of this PID namespace, empty /tmp and /dev/shm. */
void mounts_private(void);

#endif
