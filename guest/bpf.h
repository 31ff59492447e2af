/* BPF programs at the root of cgroup2 guard sysctls and devices however they are reached. */
#ifndef GUEST_BPF_H
#define GUEST_BPF_H

/*
 * From now on no process writes the sysctls through which an outcome could be forged, or opens or
 * makes one of the sandbox's devices (kvmrepro/sandbox.h). cgroup_fd: the root of cgroup2. Return 0
 * or -errno, as where the kernel has no such programs (since 5.2 and 4.15).
 */
int bpf_guard_sysctls(int cgroup_fd);
int bpf_guard_devices(int cgroup_fd);

#endif
