/* What the forgers share: an attempt is one line of output, "NAME: done" or "NAME: denied (WHY)".
 */
#ifndef FORGE_H
#define FORGE_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static inline void told(const char *name, bool done)
{
	if (done)
		printf("%s: done\n", name);
	else
		printf("%s: denied (%s)\n", name, strerror(errno));
	fflush(stdout);
}

/* Whether all of text went to the file. It is not made when it is not there. */
static inline bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int why = errno;

	if (fd >= 0)
		close(fd);
	errno = why;
	return done;
}

/* Through the node that is there, through one made, and through devtmpfs mounted anew. */
static inline void put_device(const char *name, unsigned major, unsigned minor, const char *text)
{
	char path[64], what[64];

	snprintf(path, sizeof(path), "/dev/%s", name);
	told(path, put(path, text));
	snprintf(path, sizeof(path), "/tmp/node-%s", name);
	snprintf(what, sizeof(what), "mknod %s", name);
	told(what, !mknod(path, S_IFCHR | 0600, makedev(major, minor)) && put(path, text));
	mkdir("/tmp/dev", 0700);
	mount("devtmpfs", "/tmp/dev", "devtmpfs", 0, "");
	snprintf(path, sizeof(path), "/tmp/dev/%s", name);
	snprintf(what, sizeof(what), "devtmpfs %s", name);
	told(what, put(path, text));
	umount2("/tmp/dev", MNT_DETACH);
}

/* By the UART's registers; its line status says when it takes a byte. */
static inline void put_port(const char *name, unsigned short port, const char *text)
{
	char what[64];
	bool open = !iopl(3);

	snprintf(what, sizeof(what), "iopl %s", name);
	told(what, open);
	snprintf(what, sizeof(what), "ioperm %s", name);
	told(what, !ioperm(port, 8, 1));
	for (; open && *text; text++) {
		while (!(inb(port + 5) & 0x20))
			;
		outb((unsigned char)*text, port);
	}
}

#endif
