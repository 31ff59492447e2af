/* Reboots the machine, without a word from the kernel's shutdown path. */
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	return write(fd, "b", 1) == 1 ? 0 : 1;
}
