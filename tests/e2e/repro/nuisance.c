/*
 * Does all that a badly behaved but harmless reproducer does: ignores every signal, daemonizes,
 * forks as long as it can, prints without end, and never ends by itself.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void print_without_end(void)
{
	char text[4096];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	for (;;)
		if (write(1, text, sizeof(text)) < 0)
			pause();
}

int main(void)
{
	for (int sig = 1; sig < 65; sig++)
		signal(sig, SIG_IGN);
	for (int i = 0; i < 50; i++) {
		if (fork())
			continue;
		setsid();
		if (fork())
			_exit(0);
		if (i % 10 == 0)
			print_without_end();
		for (;;)
			pause();
	}
	print_without_end();
}
