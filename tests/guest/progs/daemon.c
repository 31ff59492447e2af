/*
 * Goes into the background by two forks, ignores all signals, prints a line after its first process
 * has long gone, and stays, with a child in a PID namespace of its own.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void leave(int *held)
{
	if (fork())
		_exit(3);
	setsid();
	close(*held);
}

int main(void)
{
	int gone[2];
	char c;

	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_IGN);
	if (pipe(gone))
		return 1;
	if (fork()) {
		printf("father\n");
		return 3;
	}
	setsid();
	leave(&gone[1]);
	/* End of file: the father and the one between are gone. */
	if (read(gone[0], &c, 1) == 0)
		printf("daemon\n");
	fflush(stdout);
	unshare(CLONE_NEWPID | CLONE_NEWNS);
	fork();
	for (;;)
		pause();
}
