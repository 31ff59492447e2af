/*
 * Has those killed that wait for their turn, but not their keepers: by a program that the kernel
 * starts outside of all namespaces, itself, for a core dump's sake. Ends when they are gone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Returns how many there are. */
static int kill_named(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int found = 0;

	while (proc && (e = readdir(proc))) {
		char path[300], comm[32] = "";
		int fd;

		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		if (read(fd, comm, sizeof(comm) - 1) > 0 && !strncmp(comm, name, strlen(name)))
			found += !kill(atoi(e->d_name), SIGKILL);
		close(fd);
	}
	return found;
}

int main(int argc, char **argv)
{
	static const char pattern[] = "|/kvmrepro/repro/kill-first mark";
	int fd, status;
	pid_t child;

	if (argc > 1)
		return !kill_named(argv[1]);
	fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);
	if (write(fd, pattern, strlen(pattern)) < 0)
		return 1;
	child = fork();
	if (!child)
		abort();
	/* The dump is over when its reader has ended. */
	return waitpid(child, &status, 0) != child || !WCOREDUMP(status);
}
