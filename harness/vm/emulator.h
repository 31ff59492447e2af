/* The program that libvirt starts as QEMU when it emulates (TCG). */
#ifndef VM_EMULATOR_H
#define VM_EMULATOR_H

#include "base/err.h"

/*
 * A script that runs qemu, an absolute path, with all vCPUs of TCG on one thread. *out, which the
 * caller frees, is under $XDG_CACHE_HOME/kvmrepro, so that libvirt, which asks every emulator at a
 * new path for its capabilities (2 s), asks only once; or under workdir if the cache cannot be
 * written. Another qemu at the same path gives another *out.
 */
int emulator_single_thread(const char *qemu, const char *workdir, char **out, struct err *err);

#endif
