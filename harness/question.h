/*
 * What exactly is asked of a kernel: equal questions may share their answers (state.h). All that
 * could change an outcome is in it but the kernel itself.
 */
#ifndef QUESTION_H
#define QUESTION_H

#include "base/err.h"
#include "session.h"

#include <jansson.h>

/*
 * The session's question, whose engine is open: what is looked for and ignored, reproducers with
 * the hashes of their files and programs and their durations, the guest's program, engine, machine,
 * CPU, memory, kernel arguments, time limits and the guest's sandbox; with KVM also SVM and VMX,
 * the host's CPU and its kernel's release. The caller owns it.
 */
json_t *question_new(const struct session_options *options, const struct session *session);

/*
 * The session's kernel in *out, which the caller frees: its signature, and "+" and a hash of the
 * modules that the guest loads if there are any. NULL where the signature is not known. ERR_INPUT
 * when a module cannot be read.
 */
int question_kernel(const struct session *session, char **out, struct err *err);

#endif
