/* The file systems and device nodes that a syzbot reproducer expects to find. */
#ifndef GUEST_MOUNTS_H
#define GUEST_MOUNTS_H

/* /dev, /proc and /sys: what init itself needs to begin. */
void mounts_early(void);

/* The rest; what this kernel lacks is left out without a word. Also brings up the loopback. */
void mounts_all(void);

/* Takes away the nodes of the sandbox's devices (kvmrepro/sandbox.h). mounts_mend_devices() makes
 * again what it saw of the standard ones, should a reproducer have taken them away, and takes away
 * the files that one left in /dev. */
void mounts_hide_devices(void);
void mounts_mend_devices(void);

/* In a mount namespace of its own: /proc of this PID namespace, empty /tmp and /dev/shm. */
void mounts_private(void);

/*
 * The same, and before it an empty root with but /dev, /sys and the program, as /repro/NAME: what
 * is written or removed there is nobody else's. Returns 0 or -errno.
 */
int mounts_own_root(const char *program, const char *name);

#endif
