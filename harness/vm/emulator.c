/*
 * The emulator for TCG; see emulator.h.
 *
 * QEMU's default, a thread for each vCPU, has a race until its version 8.1 ("accel/tcg: Always lock
 * pages before translation"): one vCPU translates an instruction while another patches it, and the
 * old one stays in the translation. A kernel that toggles static keys, as KVM does with each vCPU,
 * then runs into its own int3 for ever: about one create-vm-race in fifteen on a busy host ended
 * so, as a hang that is not the kernel's. On one thread there is no such race; it is also cheaper
 * (6.7 s of CPU instead of 9.9 s for the stock kernel and all reproducers), and the VMs of a run,
 * not the vCPUs of a VM, fill the cores. libvirt has no word for it in a domain's definition.
 */
#include "vm/emulator.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <string.h>
#include <sys/stat.h>

static char *script_dir(const struct stat *st, const char *workdir)
{
	cleanup_free char *base = NULL;
	struct err err;

	if (!fs_xdg("XDG_CACHE_HOME", ".cache", &base, &err)) {
		char *dir = xasprintf(
			"%s/emulator-%llx-%llx-%llx%09lx", base, (unsigned long long)st->st_ino,
			(unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec,
			(unsigned long)st->st_mtim.tv_nsec);
		if (!fs_mkdirs(dir, &err) && !access(dir, W_OK))
			return dir;
		free(dir);
	}
	return xasprintf("%s/emulator", workdir);
}

int emulator_single_thread(const char *qemu, const char *workdir, char **out, struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT, have = BUF_INIT;
	struct err absent;
	struct stat st;

	if (stat(qemu, &st))
		return err_errno(err, ERR_HARNESS, "%s", qemu);
	if (strchr(qemu, '\''))
		return err_set(err, ERR_HARNESS, "%s: a quote in QEMU's path is too much", qemu);
	buf_addf(&text,
		 "#!/bin/sh\n"
		 "# kvmrepro: TCG with all vCPUs on one thread (harness/vm/emulator.c says why)\n"
		 "# and, where its VM is to be kept by forks, with the library that makes them, in "
		 "a sandbox that lets it fork\n"
		 "for arg; do\n"
		 "\tshift\n"
		 "\t[ \"$was\" = -accel ] && [ \"$arg\" = tcg ] && arg=tcg,thread=single\n"
		 "\t[ -n \"$KVMREPRO_FORK\" ] && [ \"$was\" = -sandbox ] && arg=$arg,spawn=allow\n"
		 "\tset -- \"$@\" \"$arg\"\n"
		 "\twas=$arg\n"
		 "done\n"
		 "[ -z \"$KVMREPRO_FORK\" ] || export LD_PRELOAD=\"$KVMREPRO_FORK_LIBRARY\"\n"
		 "exec '%s' \"$@\"\n",
		 qemu);
	cleanup_free char *dir = script_dir(&st, workdir);
	cleanup_free char *path = xasprintf("%s/qemu-system-x86_64", dir);
	if (fs_read(path, 65536, &have, ERR_HARNESS, &absent) || strcmp(have.data, text.data)) {
		if (fs_mkdirs(dir, err) || fs_write_program(path, text.data, text.len, err))
			return -1;
	}
	*out = steal(path);
	return 0;
}
