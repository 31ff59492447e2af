/*
 * The options of the commands that run trials, as rows for their tables: what is the same for all
 * is said once.
 */
#ifndef TRIAL_OPTS_H
#define TRIAL_OPTS_H

#include "cmd.h"
#include "session.h"
#include "verdict.h"

#include <stddef.h>

/* Values of the rows below; a command's options struct holds one by the name of "trials". */
struct trial_options {
	const char *append, *cpu, *modules, *engine, *accel, *connect, *policy, *boot, *decompress;
	struct opt_list repros, expect, ignore;
	long jobs, duration, boot_timeout, memory, smp, min_hits;
	double alpha, rate;
	bool keep_state, no_guest_sandbox, verbose;
};

extern const char *const trial_opts_accels[],
	*const trial_opts_boots[], *const trial_opts_decompress[], *const trial_opts_jobs[];

/* One row: type is the command's options struct. */
#define TRIAL_OPT(type, name, kind, field, arg, min, max, choices, def, help)                      \
	{                                                                                          \
		name, kind, offsetof(type, trials.field), arg, min, max, choices, def, help        \
	}

/* clang-format off */
#define ALPHA_OPT(type)                                                                            \
	TRIAL_OPT(type, "alpha", OPT_SHARE, alpha, "CHANCE", 0, 0, NULL, "0.01",                   \
		"good is a kernel where the crash hid with no greater chance")

/* sought: the crash that is looked for without --expect. */
#define TRIAL_OPTS(type, sought)                                                                   \
	TRIAL_OPT(type, "repro", OPT_LIST, repros, "WHAT", 0, 0, NULL, NULL,                       \
		"a reproducer: a bundled name ('kvmrepro repro list'), a .c file, or a static ELF " \
		"program; may be given more than once [all bundled ones that the guest's CPU can "  \
		"run]"),                                                                           \
	TRIAL_OPT(type, "expect", OPT_LIST, expect, "TITLE", 0, 0, NULL, NULL,                     \
		"the crash that is looked for, or /PCRE/: others do not make a kernel bad; may be " \
		"given more than once [" sought "]"),                                              \
	TRIAL_OPT(type, "ignore", OPT_LIST, ignore, "TITLE", 0, 0, NULL, NULL,                     \
		"such a crash is no crash; as for --expect"),                                      \
	TRIAL_OPT(type, "jobs", OPT_NUMBER, jobs, "N", 1, 1024, trial_opts_jobs, "auto",           \
		"VMs at once, or as many as give the most trials a second in the memory that is "  \
		"free"),                                                                           \
	TRIAL_OPT(type, "duration", OPT_NUMBER, duration, "SECONDS", 1, 3600, NULL, NULL,          \
		"how long a reproducer may run [its own in the catalogue; 10 for yours]"),         \
	TRIAL_OPT(type, "boot-timeout", OPT_NUMBER, boot_timeout, "SECONDS", 1, 3600, NULL, NULL,  \
		"how long a boot may take [60 with KVM, 120 with TCG, 300 with Bochs]"),           \
	TRIAL_OPT(type, "memory", OPT_NUMBER, memory, "MIB", 64, 1048576, NULL, NULL,              \
		"memory of a VM [1024; 256 with Bochs]"),                                          \
	TRIAL_OPT(type, "smp", OPT_NUMBER, smp, "N", 1, 255, NULL, NULL,                           \
		"vCPUs of a VM [2; 1 with Bochs]"),                                                \
	TRIAL_OPT(type, "cpu", OPT_STRING, cpu, "MODEL", 0, 0, NULL, NULL,                         \
		"the guest's CPU, by libvirt's name [all features that QEMU or KVM offers]"),      \
	TRIAL_OPT(type, "append", OPT_STRING, append, "ARGS", 0, 0, NULL, NULL,                    \
		"more arguments for the kernel's command line"),                                   \
	TRIAL_OPT(type, "modules", OPT_STRING, modules, "DIR", 0, 0, NULL, NULL,                   \
		"where the kernel's modules are [beside the kernel's built tree or package, else " \
		"/lib/modules, by the release in the image]"),                                     \
	TRIAL_OPT(type, "accel", OPT_CHOICE, accel, "WHICH", 0, 0, trial_opts_accels, "auto",      \
		"what runs the guest's code"),                                                     \
	TRIAL_OPT(type, "engine", OPT_STRING, engine, "WHICH", 0, 0, NULL, "auto",                 \
		"what runs the VM: auto, libvirt, bochs, or replay:DIR (a recorded run or trial)"), \
	TRIAL_OPT(type, "connect", OPT_STRING, connect, "URI", 0, 0, NULL, NULL,                   \
		"libvirt connection, such as qemu:///system [the embedded driver]"),               \
	ALPHA_OPT(type),                                                                           \
	TRIAL_OPT(type, "decompress", OPT_CHOICE, decompress, "WHO", 0, 0, trial_opts_decompress,  \
		NULL,                                                                              \
		"host: kvmrepro decompresses the kernel, for a faster boot, without KASLR of its "  \
		"code; guest: the image boots as it is [host, but guest with KVM]"),               \
	TRIAL_OPT(type, "no-guest-sandbox", OPT_FLAG, no_guest_sandbox, NULL, 0, 0, NULL, NULL,    \
		"let reproducers do what could forge an outcome: reboot, load modules, write to "  \
		"the console, ..."),                                                               \
	TRIAL_OPT(type, "verbose", OPT_FLAG, verbose, NULL, 0, 0, NULL, NULL,                      \
		"show each step, and the console as it comes, on standard error")

/* Where trials begin; def: "each" or "once". */
#define BOOT_OPTS(type, def)                                                                       \
	TRIAL_OPT(type, "boot", OPT_CHOICE, boot, "WHEN", 0, 0, trial_opts_boots, def,             \
		"each: every trial boots; once: one boot is kept when its canary has passed, and "  \
		"every trial begins from that state"),                                             \
	TRIAL_OPT(type, "keep-state", OPT_FLAG, keep_state, NULL, 0, 0, NULL, NULL,                \
		"of --boot once: keep the state for later calls, and begin from that of an earlier one " \
		"if kernel, guest and VM are the same")

/* How one kernel is judged by itself. */
#define POLICY_OPTS(type)                                                                          \
	TRIAL_OPT(type, "policy", OPT_CHOICE, policy, "WHICH", 0, 0, policy_names, "bayes",        \
		"how outcomes become a verdict"),                                                  \
	TRIAL_OPT(type, "rate", OPT_SHARE, rate, "SHARE", 0, 0, NULL, "0.5",                       \
		"bayes: in what share of the runs a kernel with the bug crashes, if that is not "  \
		"known"),                                                                          \
	TRIAL_OPT(type, "min-hits", OPT_NUMBER, min_hits, "N", 1, 100000, NULL, "1",               \
		"bayes: how many runs must show the crash to make the kernel bad")
/* clang-format on */

/* What they say of a session on that kernel; the strings stay theirs. */
struct session_options trial_opts_session(const struct trial_options *trials, const char *kernel);

/* ERR_INPUT if so many runs of a kernel, where that is not 0, could never make it bad. */
int trial_opts_check(const struct trial_options *trials, long runs, struct err *err);

/* And of a policy; nothing is known of the rate. */
struct policy trial_opts_policy(const struct trial_options *trials);

#endif
