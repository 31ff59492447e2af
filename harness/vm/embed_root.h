/* The private root directory of libvirt's embedded QEMU driver. */
#ifndef VM_EMBED_ROOT_H
#define VM_EMBED_ROOT_H

#include "base/err.h"

/*
 * Make root, an absolute path that does not exist yet, ready for qemu:///embed?root=ROOT. What
 * libvirt learns about QEMU (4 s of probing) goes to $XDG_CACHE_HOME/kvmrepro/libvirt, and is
 * kept for the next run; where that cannot be written the run pays for it each time.
 */
int embed_root_make(const char *root, struct err *err);

/* The connection URI for that root; the caller frees it. */
char *embed_root_uri(const char *root);

#endif
