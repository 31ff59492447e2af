/* Forks of a process that stands still: each goes on from where it stood, with lines of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "vm/forks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* One thread waits for a line, another for the first one's word. */
static const char two_threads[] = "import os, threading\n"
				  "got, come = [], threading.Event()\n"
				  "def work():\n"
				  "    come.wait()\n"
				  "    os.write(1, b'worker: ' + got[0])\n"
				  "t = threading.Thread(target=work)\n"
				  "t.start()\n"
				  "os.write(1, b'ready\\n')\n"
				  "got.append(os.read(0, 100))\n"
				  "come.set()\n"
				  "t.join()\n"
				  "os.write(1, b'joined\\n')\n";

static const char no_thread[] = "echo ready; read -r line; echo \"got: $line\"";

struct child {
	pid_t pid;
	int in_fd, out_fd; /* our ends of its standard input and output */
	struct forks *forks;
	char dir[32];
};

static void start(struct child *c, const char *library, char *const argv[])
{
	int in[2], out[2];
	struct err err;

	strcpy(c->dir, "/tmp/kvmrepro-unit-XXXXXX");
	assert_non_null(mkdtemp(c->dir));
	cleanup_free char *path = xasprintf("%s/fork", c->dir);
	c->forks = forks_new(path, &err);
	assert_non_null(c->forks);
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	c->pid = fork();
	if (!c->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		setenv(FORK_VARIABLE, path, 1);
		if (library)
			setenv("LD_PRELOAD", library, 1);
		dup2(in[0], 0);
		dup2(out[1], 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	assert_true(c->pid > 0);
	close(in[0]);
	close(out[1]);
	c->in_fd = in[1];
	c->out_fd = out[0];
}

/* All that comes until the end, or until a line if one is enough. */
static char *hear(int fd, bool line)
{
	struct buf text = BUF_INIT;
	char byte;

	while (read(fd, &byte, 1) == 1) {
		buf_add(&text, &byte, 1);
		if (line && byte == '\n')
			break;
	}
	return text.len ? buf_steal(&text) : xstrdup("");
}

static void name_pipe(int fd, struct fork_line *line)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	*line = (struct fork_line){ .by = FORK_BY_INODE, .device = st.st_dev, .inode = st.st_ino };
}

static int halt(struct child *c, bool threads, struct err *err)
{
	struct fork_halt how = { .threads = threads, .n_lines = 2 };
	cleanup_free char *ready = hear(c->out_fd, true);

	assert_string_equal(ready, "ready\n");
	name_pipe(c->in_fd, &how.lines[0]);
	name_pipe(c->out_fd, &how.lines[1]);
	assert_true(!threads || forks_quiet(c->pid, 500));
	return forks_halt(c->forks, c->pid, &how, err);
}

/* A fork that is told the line, and what it says until its end. */
static char *ask(struct child *c, const char *line)
{
	int in[2], out[2], status;
	struct err err;
	pid_t pid = 0;

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(forks_make(c->forks, (int[]){ in[0], out[1] }, &pid, &err), 0);
	assert_int_equal(getpgid(pid), c->pid);
	close(in[0]);
	close(out[1]);
	assert_int_equal(write(in[1], line, strlen(line)), strlen(line));
	char *said = hear(out[0], false);
	close(in[1]);
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return said;
}

static void end(struct child *c)
{
	forks_free(c->forks);
	assert_int_equal(kill(c->pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	close(c->in_fd);
	close(c->out_fd);
	assert_int_equal(rmdir(c->dir), 0);
}

static void check(char *const argv[], bool threads, const char *first, const char *second)
{
	cleanup_free char *library = NULL;
	cleanup_fd int library_fd = forks_library(&library);
	struct child c;
	struct err err;

	assert_true(library_fd >= 0);
	start(&c, library, argv);
	assert_int_equal(halt(&c, threads, &err), 0);
	cleanup_free char *rest = hear(c.out_fd, false);
	assert_string_equal(rest, ""); /* and its end, for what stands still has let go */
	cleanup_free char *one = ask(&c, "one\n"), *two = ask(&c, "two\n");
	assert_string_equal(one, first);
	assert_string_equal(two, second);
	assert_true(forks_lasts(c.forks));
	end(&c);
}

static void test_one_thread(void **state)
{
	char *const argv[] = { "sh", "-c", (char *)no_thread, NULL };

	(void)state;
	check(argv, false, "got: one\n", "got: two\n");
}

static void test_threads(void **state)
{
	char *const argv[] = { "/usr/bin/python3", "-c", (char *)two_threads, NULL };

	(void)state;
	if (access(argv[0], X_OK))
		skip();
	check(argv, true, "worker: one\njoined\n", "worker: two\njoined\n");
}

/* What ends by itself, or is killed, makes no more. */
static void test_gone(void **state)
{
	char *const argv[] = { "sh", "-c", (char *)no_thread, NULL };
	cleanup_free char *library = NULL;
	cleanup_fd int library_fd = forks_library(&library);
	struct child c;
	struct err err;
	siginfo_t info;
	pid_t pid;

	(void)state;
	assert_true(library_fd >= 0);
	start(&c, library, argv);
	assert_int_equal(halt(&c, false, &err), 0);
	kill(c.pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(forks_make(c.forks, (int[]){ 0, 1 }, &pid, &err), -1);
	assert_false(forks_lasts(c.forks));
	assert_int_equal(forks_make(c.forks, (int[]){ 0, 1 }, &pid, &err), -1);
	assert_non_null(strstr(err.msg, "is gone"));
	end(&c);
}

/* Without the library the signal would end it: it is not sent. */
static void test_no_library(void **state)
{
	char *const argv[] = { "sh", "-c", (char *)no_thread, NULL };
	struct child c;
	struct err err;

	(void)state;
	start(&c, NULL, argv);
	assert_int_equal(halt(&c, false, &err), -1);
	assert_non_null(strstr(err.msg, "no library can be loaded"));
	assert_int_equal(write(c.in_fd, "on\n", 3), 3);
	cleanup_free char *said = hear(c.out_fd, false);
	assert_string_equal(said, "got: on\n");
	assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
	end(&c);
}

/* What has something to do, and what wakes up every 5 ms, is not quiet; what waits is. */
static void test_quiet(void **state)
{
	pid_t pid;

	(void)state;
	for (int what = 0; what < 3; what++) {
		pid = fork();
		if (!pid)
			prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (!pid && what < 2)
			poll(NULL, 0, what ? 5 : 0);
		while (!pid)
			pause();
		assert_int_equal(forks_quiet(pid, what < 2 ? 15 : 500), what == 2);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_thread), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_gone),       cmocka_unit_test(test_no_library),
		cmocka_unit_test(test_quiet),
	};

	return cmocka_run_group_tests_name("forks", tests, NULL, NULL);
}
