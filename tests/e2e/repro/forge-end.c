/* Tries to end the trial, as a crash or as if all were well, and to take from init what it needs.
 */
#define _GNU_SOURCE
#include "forge.h"

#include <linux/kexec.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/shm.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define I386_REBOOT 88

/* The same call by the 32-bit table. */
static bool reboot_i386(void)
{
	long rc;

	__asm__ volatile("int $0x80"
			 : "=a"(rc)
			 : "a"(I386_REBOOT), "b"(0xfee1dead), "c"(672274793), "d"(RB_AUTOBOOT)
			 : "memory", "r8", "r9", "r10", "r11");
	errno = (int)-rc;
	return !rc;
}

/* Children take it until they are killed for it, or there is no more. */
static void eat(const char *name, void (*take)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		take();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("%s: taken\n", name);
	fflush(stdout);
}

static void take_shm(void)
{
	for (;;) {
		int id = shmget(IPC_PRIVATE, 64 << 20, IPC_CREAT | 0600);
		char *at = id < 0 ? (char *)-1 : shmat(id, NULL, 0);

		if (at == (char *)-1)
			return;
		memset(at, 1, 64 << 20);
	}
}

static void fill(const char *path)
{
	static char block[1 << 20];
	char name[64];

	memset(block, 1, sizeof(block));
	for (int i = 0; i < 4096; i++) {
		int fd;

		snprintf(name, sizeof(name), "%s/fill-%d", path, i);
		fd = open(name, O_CREAT | O_WRONLY, 0600);
		if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block))
			return;
		close(fd);
	}
}

static void fill_all(void)
{
	fill("");
	fill("/dev/shm");
	fill("/tmp");
}

/* Frozen tasks of cgroup version 1 do not die. */
static bool freeze(void)
{
	char pid_text[16];
	pid_t pid;

	mkdir("/tmp/freezer", 0700);
	if (mount("freezer", "/tmp/freezer", "cgroup", 0, "freezer"))
		return false;
	mkdir("/tmp/freezer/cold", 0700);
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	return put("/tmp/freezer/cold/tasks", pid_text) &&
	       put("/tmp/freezer/cold/freezer.state", "FROZEN");
}

int main(void)
{
	static const int commands[] = { RB_AUTOBOOT, RB_POWER_OFF, RB_HALT_SYSTEM, RB_KEXEC };

	signal(SIGTERM, SIG_IGN);
	told("init_module", !syscall(SYS_init_module, "", 0ul, ""));
	told("delete_module kvm_amd", !syscall(SYS_delete_module, "kvm_amd", O_NONBLOCK));
	told("kexec_load", !syscall(SYS_kexec_load, 0ul, 0ul, NULL, KEXEC_ARCH_DEFAULT));
	told("swapon", !swapon("/repro/forge-end", 0) || errno != EPERM);
	told("watchdog", open("/dev/watchdog", O_WRONLY) >= 0);
	told("snapshot", open("/dev/snapshot", O_RDONLY) >= 0);
	told("power/state", open("/sys/power/state", O_WRONLY) >= 0);
	told("freezer", freeze());
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		told("reboot", !reboot(commands[i]));
	told("reboot by the i386 table", reboot_i386());
	/* PID 1 is the keeper here, at most. */
	printf("kill -1 1: %d\n", kill(-1, SIGKILL) | kill(1, SIGKILL));
	ptrace(PTRACE_SEIZE, 1, 0, 0);
	eat("shared memory", take_shm);
	eat("tmpfs", fill_all);
	for (const char *const *at = (const char *const[]){ "/sys/fs/cgroup", "/sys", "/dev/pts",
							    "/dev", "/tmp", "/proc", "/", NULL };
	     *at; at++)
		umount2(*at, MNT_DETACH);
	printf("end: reached\n");
	return 0;
}
