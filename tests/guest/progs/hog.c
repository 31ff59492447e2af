/* Eats all memory, from many processes: private pages and files in /tmp and /dev/shm. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	static char buf[1 << 20];

	signal(SIGXFSZ, SIG_IGN);
	memset(buf, 1, sizeof(buf));
	for (int i = 0; i < 4; i++) {
		if (fork())
			continue;
		int fd = open(i & 1 ? "/tmp/a" : "/dev/shm/b", O_CREAT | O_WRONLY | O_APPEND, 0600);
		for (;;) {
			char *p = mmap(NULL, sizeof(buf), PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
			(void)p;
			if (write(fd, buf, sizeof(buf)) < 0)
				fd = -1;
		}
	}
	for (;;)
		pause();
}
