/* What of this directory is done by readers (cage.h): their side of it, for the table of readers.
 */
#ifndef KERNEL_READ_H
#define KERNEL_READ_H

#include "base/buf.h"
#include "base/err.h"
#include "wire.h"

/* A bzImage's header and hash; what is packed in it, for a boot; the signature of that. */
int kernel_image_serve(int fd, const int *fds, struct err *err);
int kernel_unpack_serve(int fd, const int *fds, struct err *err);
int kernel_sign_serve(int fd, const int *fds, struct err *err);

/* What a module says of itself; its bytes; the signature of several. */
int modinfo_serve(int fd, const int *fds, struct err *err);
int module_serve(int fd, const int *fds, struct err *err);
int modules_signature_serve(int fd, const int *fds, struct err *err);

/* All bytes of a module's file, decompressed; the error names no file. */
int module_read_fd(int fd, struct buf *out, struct err *err);

/* Take a field that is a SHA-256, lower-case hex; anything else makes the message bad. */
void kernel_take_hash(struct wire *in, char out[65]);

#endif
