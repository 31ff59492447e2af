/* What clears up after a harness that was killed; see keeper.h. */
#include "keeper.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CMDLINE_BYTES 65536
#define END_LIMIT_MS  10000 /* for all VMs to be gone; a SIGKILL takes milliseconds */
#define AGAIN_MS      50

extern char **environ;

/* ---- the harness's side ---- */

static int spawn(int life_fd, int name_fd, pid_t *pid)
{
	char name[] = "kvmrepro", arg[] = KEEPER_ARG;
	char *const argv[] = { name, arg, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, life_fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, name_fd, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &none);
	/* By its name, where it still has one: under valgrind the link leads to valgrind. */
	cleanup_free char *path = realpath("/proc/self/exe", NULL);
	int rc = posix_spawn(pid, path ? path : "/proc/self/exe", &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* The line that the keeper writes, or NULL. */
static char *read_name(int fd)
{
	cleanup_buf struct buf name = BUF_INIT;
	char chunk[256];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			buf_add(&name, chunk, (size_t)n);
	if (!name.len || name.data[name.len - 1] != '\n')
		return NULL;
	return xstrndup(name.data, name.len - 1);
}

int keeper_start(struct keeper *keeper, char **dir, struct err *err)
{
	int life[2], name[2];

	if (pipe2(life, O_CLOEXEC))
		return err_errno(err, ERR_HARNESS, "pipe");
	cleanup_fd int its_life = life[0], our_life = life[1];
	if (pipe2(name, O_CLOEXEC))
		return err_errno(err, ERR_HARNESS, "pipe");
	cleanup_fd int our_name = name[0], its_name = name[1];
	errno = spawn(its_life, its_name, &keeper->pid);
	if (errno) {
		keeper->pid = 0;
		return err_errno(err, ERR_HARNESS, "cannot start the keeper of the run's VMs");
	}
	close(steal_fd(its_life));
	close(steal_fd(its_name));
	keeper->life_fd = steal_fd(our_life);
	*dir = read_name(our_name);
	if (*dir)
		return 0;
	keeper_stop(keeper);
	/* It says why by not being able to; so are we. */
	if (!fs_tmpdir(dir, err) && !rmdir(*dir))
		err_set(err, ERR_HARNESS, "the keeper of the run's VMs ended at its start");
	free(steal(*dir));
	return -1;
}

void keeper_stop(struct keeper *keeper)
{
	if (!keeper->pid)
		return;
	close(keeper->life_fd);
	while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	keeper->pid = 0;
}

/* ---- the keeper's side ---- */

/* Whether one of the process's arguments names something in dir, whose name is nobody else's. */
static bool works_in(const char *pid, const char *dir)
{
	cleanup_free char *path = xasprintf("/proc/%s/cmdline", pid);
	cleanup_free char *inside = xasprintf("%s/", dir);
	cleanup_buf struct buf text = BUF_INIT;
	struct err err;

	if (fs_read(path, CMDLINE_BYTES, &text, ERR_HARNESS, &err))
		return false;
	return memmem(text.data, text.len, inside, strlen(inside));
}

/* A VM's process, by its program: what the user looks at the directory with is not touched. */
static bool is_vm(const char *pid)
{
	static const char *const programs[] = { "qemu-system", "bochs" };
	cleanup_free char *path = xasprintf("/proc/%s/comm", pid);
	cleanup_buf struct buf text = BUF_INIT;
	struct err err;

	if (fs_read(path, 64, &text, ERR_HARNESS, &err))
		return false;
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
		if (!strncmp(text.data, programs[i], strlen(programs[i])))
			return true;
	return false;
}

/* The pidfd holds the process: if it is still the one after it was opened, it is that one which is
 * killed. Waits until it has ended. */
static bool end(const char *pid, const char *dir, int64_t deadline_ms)
{
	cleanup_fd int fd = pidfd_open((pid_t)strtol(pid, NULL, 10), 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0 || !is_vm(pid) || !works_in(pid, dir))
		return false;
	pidfd_send_signal(fd, SIGKILL, NULL, 0);
	for (int64_t left; (left = deadline_ms - clock_ms()) > 0;)
		if (poll(&p, 1, (int)left) > 0)
			break;
	return true;
}

/* How many VMs of dir were found, and ended. */
static unsigned end_vms(const char *dir, int64_t deadline_ms)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	unsigned n = 0;

	while (proc && (e = readdir(proc)))
		if (isdigit((unsigned char)e->d_name[0]) && is_vm(e->d_name) &&
		    works_in(e->d_name, dir))
			n += end(e->d_name, dir, deadline_ms);
	if (proc)
		closedir(proc);
	return n;
}

/* Whoever was just being started when the harness was killed writes on for a moment. */
static int remove_dir(const char *dir, int64_t deadline_ms)
{
	struct err err;

	while (fs_rmtree(dir, &err)) {
		if (clock_ms() >= deadline_ms)
			return 1;
		poll(NULL, 0, AGAIN_MS);
		end_vms(dir, deadline_ms);
	}
	return 0;
}

int keeper_main(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	cleanup_free char *dir = NULL;
	struct err err;
	char byte;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	if (fs_tmpdir(&dir, &err))
		return 1;
	bool told = dprintf(STDOUT_FILENO, "%s\n", dir) > 0;
	close(STDOUT_FILENO);
	while (told && (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR))
		errno = 0;
	if (!fs_exists(dir))
		return 0;
	int64_t deadline = clock_ms() + END_LIMIT_MS;
	/* One that was just being started may come behind the first look. */
	for (unsigned clean = 0; clean < 2 && clock_ms() < deadline;) {
		if (end_vms(dir, deadline)) {
			clean = 0;
		} else if (!clean++) {
			poll(NULL, 0, AGAIN_MS);
		}
	}
	return remove_dir(dir, deadline);
}
