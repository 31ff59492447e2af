/* Builds: how they end, what they are kept from, and that no signal that asks us to stop is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "build.h"
#include "interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir;
static bool interrupt_fork;

/* The signal comes behind every look for it, and before there is a child. */
static void before_fork(void)
{
	if (interrupt_fork)
		raise(SIGINT);
}

static void in_parent(void)
{
	interrupt_fork = false;
}

/* The parent's SIGTERM comes before the child has done anything; were it lost, the wait ends. */
static void in_child(void)
{
	sigset_t pending;

	for (int waited_ms = 0; interrupt_fork && waited_ms < 2000; waited_ms++) {
		sigpending(&pending);
		if (sigismember(&pending, SIGTERM))
			break;
		poll(NULL, 0, 1);
	}
	interrupt_fork = false;
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	return interrupt_setup(&err) || pthread_atfork(before_fork, in_parent, in_child) ||
	       fs_tmpdir(&dir, &err);
}

static int teardown(void **state)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)state;
	free(dir);
	close(interrupt_fd());
	return rc;
}

/* Run command; what it printed is added to said. */
static int build(const char *command, int *status, struct buf *said, struct err *err)
{
	cleanup_free char *log = xasprintf("%s/log", dir);
	int rc = build_run(dir, command, log, status, err);
	struct err why;

	assert_int_equal(fs_read(log, 1 << 16, said, ERR_HARNESS, &why), 0);
	return rc;
}

static void test_status(void **state)
{
	cleanup_buf struct buf said = BUF_INIT;
	int status = 0;
	struct err err;

	(void)state;
	assert_int_equal(build("pwd; exit 3", &status, &said, &err), 0);
	assert_int_equal(status, 3);
	assert_true(said.len && !strncmp(said.data, dir, strlen(dir)));
	assert_int_equal(build("true", &status, &(struct buf)BUF_INIT, &err), 0);
	assert_int_equal(status, 0);
}

static void assert_failure(const char *command, const char *want)
{
	cleanup_free char *log = xasprintf("%s/log", dir);
	cleanup_buf struct buf said = BUF_INIT;
	int status = 0;
	struct err err;

	assert_int_equal(build(command, &status, &said, &err), 0);
	cleanup_free char *why = build_failure(log, command, status);
	assert_string_equal(why, want);
}

static void test_failure(void **state)
{
	(void)state;
	assert_failure("echo one; echo two; exit 3", "two");
	assert_failure("false", "exit status 1, and it printed nothing: false");
	assert_failure("kill -9 $$\n:", "exit status 137, and it printed nothing: kill -9 $$");
}

/* Looked for in $PATH, where a directory may be missing and the file be no program. */
static void test_program(void **state)
{
	static const char program[] = "#!/bin/sh\nexit 7\n";
	const char *argv[] = { "exit-7", NULL }, *none[] = { "exit-8", NULL };
	cleanup_free char *before = xstrdup(getenv("PATH"));
	cleanup_free char *place = xasprintf("%s/place", dir), *text = xasprintf("%s/exit-7", dir);
	cleanup_free char *file = xasprintf("%s/exit-7", place), *log = xasprintf("%s/log", dir);
	cleanup_free char *path = xasprintf("/nowhere:%s:%s", dir, place);
	struct err err;
	int status;

	(void)state;
	assert_int_equal(fs_mkdirs(place, &err), 0);
	assert_int_equal(fs_write(text, program, strlen(program), &err), 0);
	assert_int_equal(fs_write_program(file, program, strlen(program), &err), 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(build_exec("/", argv, 0, log, &status, &err), 0);
	assert_int_equal(status, 7);
	assert_int_equal(build_exec("/", none, 0, log, &status, &err), 0);
	assert_int_equal(status, 127);
	argv[0] = file;
	assert_int_equal(build_exec("/", argv, 0, log, &status, &err), 0);
	assert_int_equal(status, 7);
	assert_int_equal(setenv("PATH", before, 1), 0);
}

/* proc_pid_stat(5): the sixth word is the session, the seventh the terminal, 0 if there is none. */
static void test_no_terminal(void **state)
{
	cleanup_buf struct buf said = BUF_INIT;
	long session, terminal;
	int status;
	struct err err;

	(void)state;
	assert_int_equal(build("cut -d' ' -f6,7 /proc/self/stat", &status, &said, &err), 0);
	assert_int_equal(sscanf(said.data, "%ld %ld", &session, &terminal), 2);
	assert_int_not_equal(session, getsid(0));
	assert_int_equal(terminal, 0);
}

/* From here on a signal is pending: interrupt.h keeps it. */
static void test_interrupted_fork(void **state)
{
	cleanup_buf struct buf said = BUF_INIT;
	int status;
	struct err err;

	(void)state;
	interrupt_fork = true;
	assert_int_equal(build("sleep 6; echo done", &status, &said, &err), -1);
	assert_int_equal(err.kind, ERR_INTERRUPTED);
	assert_null(strstr(said.data ? said.data : "", "done"));
}

static void test_interrupted_before(void **state)
{
	cleanup_buf struct buf said = BUF_INIT;
	int status;
	struct err err;

	(void)state;
	raise(SIGTERM);
	assert_int_equal(build("echo begun; sleep 6", &status, &said, &err), -1);
	assert_int_equal(err.kind, ERR_INTERRUPTED);
	assert_int_equal(said.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),           cmocka_unit_test(test_failure),
		cmocka_unit_test(test_program),          cmocka_unit_test(test_no_terminal),
		cmocka_unit_test(test_interrupted_fork), cmocka_unit_test(test_interrupted_before),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
