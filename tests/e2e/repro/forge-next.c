/* Looks for what another program of this kind left behind, then leaves it itself. */
#define _GNU_SOURCE
#include "forge.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define KEY 0x6b766d

static const char *const files[] = { "/left", "/tmp/left", "/dev/left", "/dev/shm/left",
				     "/repro/left" };

/* All but PID 1, itself and its children have no business here. */
static bool strangers(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool found = false;

	while (proc && (e = readdir(proc)))
		found |= atol(e->d_name) > 1 && atol(e->d_name) != getpid();
	return found;
}

/* Two daemons in sessions of their own, which ignore all signals. */
static void leave_daemons(void)
{
	for (int i = 0; i < 2; i++) {
		if (fork())
			continue;
		setsid();
		if (fork())
			_exit(0);
		for (int sig = 1; sig < 65; sig++)
			signal(sig, SIG_IGN);
		for (;;)
			pause();
	}
}

int main(void)
{
	errno = ENOENT;
	told("process of another", strangers());
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		told(files[i], !access(files[i], F_OK));
	told("shared memory of another", shmget(KEY, 4096, 0) >= 0);
	printf("/dev/kvm: %s\n", access("/dev/kvm", R_OK | W_OK) ? "gone" : "there");
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		close(open(files[i], O_CREAT | O_WRONLY, 0600));
	shmget(KEY, 4096, IPC_CREAT | 0600);
	unlink("/dev/kvm");
	unlink("/dev/null");
	leave_daemons();
	return 0;
}
