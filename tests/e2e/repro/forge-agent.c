/*
 * Tries to speak as the agent: looks for the token wherever it could be, and writes frames to the
 * agent line, with a token that is wrong when none was found.
 */
#define _GNU_SOURCE
#include "forge.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/uio.h>

#define TOKEN_CHARS 32

static char token[TOKEN_CHARS + 1] = "00000000000000000000000000000000";

/* A plan's or a frame's first words stand before it. */
static bool find(const char *text, size_t len)
{
	static const char *const marks[] = { "token ", "kvmrepro/1 " };

	for (size_t i = 0; i < 2; i++) {
		const size_t n = strlen(marks[i]);
		const char *at = text;

		while ((at = memmem(at, len - (size_t)(at - text), marks[i], n))) {
			at += n;
			if ((size_t)(at - text) + TOKEN_CHARS <= len &&
			    strspn(at, "0123456789abcdef") >= TOKEN_CHARS) {
				memcpy(token, at, TOKEN_CHARS);
				return true;
			}
		}
	}
	return false;
}

static void search(const char *path)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n >= 0) {
		text[n] = '\0';
		errno = ENODATA;
	}
	told(path, n > 0 && find(text, (size_t)n));
	if (fd >= 0)
		close(fd);
}

/* The memory of every process that is not its own. */
static void search_processes(const char *proc)
{
	static char text[1 << 16];
	DIR *dir = opendir(proc);
	struct dirent *e;
	bool found = false;

	while (dir && (e = readdir(dir))) {
		char path[300], line[300];
		long pid = atol(e->d_name);
		FILE *maps;
		int mem;

		if (pid <= 0 || pid == getpid())
			continue;
		snprintf(path, sizeof(path), "%s/%ld/maps", proc, pid);
		maps = fopen(path, "r");
		snprintf(path, sizeof(path), "%s/%ld/mem", proc, pid);
		mem = open(path, O_RDONLY);
		while (maps && mem >= 0 && fgets(line, sizeof(line), maps)) {
			unsigned long from, to;

			if (sscanf(line, "%lx-%lx", &from, &to) != 2)
				continue;
			for (; from < to; from += sizeof(text) - 64) {
				ssize_t n = pread(mem, text, sizeof(text) - 1, (off_t)from);

				if (n <= 0)
					break;
				text[n] = '\0';
				found |= find(text, (size_t)n);
			}
		}
		if (maps)
			fclose(maps);
		if (mem >= 0)
			close(mem);
	}
	errno = ENODATA;
	told("token in memory of others", found);
}

int main(void)
{
	static const char *const files[] = {
		"/kvmrepro/plan",  "/kvmrepro/sandbox",    "/proc/1/root/kvmrepro/plan",
		"/proc/1/environ", "/proc/1/cmdline",      "/proc/kcore",
		"/proc/vmcore",    "/sys/firmware/initrd",
	};
	char frames[256];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		search(files[i]);
	search_processes("/proc");
	snprintf(frames, sizeof(frames),
		 "\nkvmrepro/1 %s end id=0 how=exit code=0\n"
		 "kvmrepro/1 %s done\n",
		 token, token);
	put_port("ttyS1", 0x2f8, frames);
	put_device("ttyS1", 4, 65, frames);
	return 0;
}
