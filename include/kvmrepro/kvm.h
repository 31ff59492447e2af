/*
 * Helpers for reproducers, all inline, so that one .c file with -Iinclude is a whole program. A
 * reproducer needs none of them; one in plain C as syzbot mails it is just as welcome.
 *
 * Calls that a reproducer cannot do without go through must(); a kernel that lacks a feature is
 * told by unsupported(). Whatever the call under test returns is the reproducer's to print: its
 * exit status never decides an outcome.
 */
#ifndef KVMREPRO_KVM_H
#define KVMREPRO_KVM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvmrepro/protocol.h"

/* Ends the program as "not supported here"; harness and user see the reason. */
static inline void __attribute__((noreturn)) unsupported(const char *why)
{
	printf("not supported: %s\n", why);
	fflush(stdout);
	_exit(REPRO_EXIT_UNSUPPORTED);
}

/* Returns rc where it is no error, else says what failed and ends with status 1. */
static inline int must(int rc, const char *what)
{
	if (rc >= 0)
		return rc;
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* "ok", or the errno of a call that returned rc, as text for a printf(). */
static inline const char *result(int rc)
{
	return rc >= 0 ? "ok" : strerror(errno);
}

static inline int open_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		unsupported("no /dev/kvm");
	return kvm;
}

static inline int create_vm(int kvm)
{
	return must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
}

static inline int create_vcpu(int vm, unsigned long id)
{
	return must(ioctl(vm, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU");
}

#endif
