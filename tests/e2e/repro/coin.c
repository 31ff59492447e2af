/* Panics the kernel in about half of the runs, by the guest's own random numbers. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

int main(void)
{
	unsigned char byte;
	int fd;

	if (getrandom(&byte, 1, 0) != 1)
		return 1;
	printf("%s\n", byte & 1 ? "tails" : "heads");
	fflush(stdout);
	if (byte & 1)
		return 0;
	fd = open("/proc/sysrq-trigger", O_WRONLY);
	return write(fd, "c", 1) != 1;
}
