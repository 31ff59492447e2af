/* Dies of a signal, with a word on either descriptor first, in a directory that must be empty. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	DIR *here = opendir(".");
	int n = 0;
	char c, dir[256];

	while (here && readdir(here))
		n++;
	printf("%d entries in %s, pid %d\n", n, getcwd(dir, sizeof(dir)), getpid() == 1);
	fprintf(stderr, "stdin: %zd\n", read(0, &c, 1));
	fflush(stdout);
	abort();
}
