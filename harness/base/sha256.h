/* SHA-256 as text. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>

#define SHA256_HEX_BYTES 65 /* lower-case hex and its NUL */

void sha256_hex(const void *data, size_t len, char out[SHA256_HEX_BYTES]);

#endif
