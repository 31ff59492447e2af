/*
 * Becomes a task that cannot be killed: a child freezes itself by the old cgroup freezer, which
 * SIGKILL does not thaw. 77 where the kernel has none.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

int main(void)
{
	mkdir("freezer", 0700);
	if (mount("cgroup", "freezer", "cgroup", 0, "freezer")) {
		perror("freezer");
		return 77;
	}
	mkdir("freezer/one", 0700);
	if (!fork()) {
		put("freezer/one/cgroup.procs", "0");
		put("freezer/one/freezer.state", "FROZEN");
		for (;;)
			pause();
	}
	wait(NULL);
	return 0;
}
