/* Readable names of Rust and C++ functions. */
#ifndef OOPS_DEMANGLE_H
#define OOPS_DEMANGLE_H

#include <stdbool.h>
#include <stddef.h>

/* Write the readable form of s (len bytes) into out (size bytes, its NUL included). Returns its
 * length; 0: s is not mangled, or not in a way that is known, and out holds nothing. */
size_t oops_demangle(const char *s, size_t len, char *out, size_t size);

#endif
