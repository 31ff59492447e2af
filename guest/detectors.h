/* The kernel's own detectors of what hangs. */
#ifndef GUEST_DETECTORS_H
#define GUEST_DETECTORS_H

#include <stdint.h>

/* Has hung tasks, soft lockups, RCU stalls and stuck workqueues reported after about this long. */
void detectors_tune(int64_t after_ms);

#endif
