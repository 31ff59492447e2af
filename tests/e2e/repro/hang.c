/*
 * Hangs the machine for good: a "kernel" of three instructions (cli; hlt; jmp to the hlt) is loaded
 * and started by kexec, which stops all other CPUs first. No interrupt, no detector, no output
 * comes after that. reboot(2) means the machine only in the first PID namespace, so the program
 * has the kernel run it once more there, as the handler of its own core dump.
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD_ADDRESS 0x1000000ul /* 16 MiB: plain memory in any VM of ours */

static char code[4096] __attribute__((aligned(4096))) = "\xfa\xf4\xeb\xfd";

static int hang(void)
{
	struct kexec_segment segment = {
		.buf = code,
		.bufsz = sizeof(code),
		.mem = (void *)LOAD_ADDRESS,
		.memsz = sizeof(code),
	};

	if (syscall(SYS_kexec_load, LOAD_ADDRESS, 1ul, &segment, KEXEC_ARCH_DEFAULT))
		return 1;
	return reboot(RB_KEXEC);
}

int main(int argc, char **argv)
{
	int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);
	char pattern[128];

	(void)argv;
	if (argc > 1)
		return hang();
	snprintf(pattern, sizeof(pattern), "|%s hang", argv[0]);
	if (write(fd, pattern, strlen(pattern)) < 0)
		return 1;
	abort();
}
