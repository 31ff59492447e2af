/* Prints without end, in lines and in control characters, from two processes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	char buf[8192];

	memset(buf, '%', sizeof(buf));
	memcpy(buf, "line\n\033[31m\r\0kvmrepro/1 0 done\n", 30);
	fork();
	for (;;)
		if (write(1, buf, sizeof(buf)) < 0)
			return 1;
}
