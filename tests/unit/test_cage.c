/* Readers that lie, die or say nothing: the harness gets an error that says so, and nothing else.
 */
#include "base/cleanup.h"
#include "cage.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#define BODY_BYTES 2000

static int serve_echo(int fd, const int *fds, struct err *err)
{
	cleanup_wire struct wire in = WIRE_INIT;

	(void)fds;
	while (!cage_hear(fd, &in, err))
		if (wire_send(fd, in.type, &in.body, err))
			break;
	return -1;
}

/* What the second descriptor holds. */
static int serve_file(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;
	char byte;

	if (fds[2] != -1 || read(fds[1], &byte, 1) != 1)
		return err_set(err, ERR_INPUT, "no byte");
	buf_addc(&body, byte);
	return wire_send(fd, 1, &body, err);
}

static int serve_error(int fd, const int *fds, struct err *err)
{
	(void)fd, (void)fds;
	return err_set(err, ERR_INPUT, "it is\033 no good");
}

static int serve_exit(int fd, const int *fds, struct err *err)
{
	(void)fd, (void)fds, (void)err;
	_exit(3);
}

static int serve_out_of_memory(int fd, const int *fds, struct err *err)
{
	(void)fd, (void)fds, (void)err;
	_exit(128);
}

static int serve_signal(int fd, const int *fds, struct err *err)
{
	(void)fd, (void)fds, (void)err;
	raise(SIGKILL);
	return 0;
}

static int serve_silence(int fd, const int *fds, struct err *err)
{
	char byte;

	(void)fds;
	if (read(fd, &byte, 1) < 0)
		return err_set(err, ERR_HARNESS, "read");
	return 0;
}

static int serve_flood(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf body = BUF_INIT;

	(void)fds;
	for (int i = 0; i <= BODY_BYTES; i++)
		buf_addc(&body, 'x');
	return wire_send(fd, 1, &body, err);
}

/* Half a message, and then the end. */
static int serve_half(int fd, const int *fds, struct err *err)
{
	(void)fds;
	return write(fd, "\1\0\0\0", 4) == 4 ? 0 : err_set(err, ERR_HARNESS, "write");
}

/* Half a message, and then nothing. */
static int serve_stall(int fd, const int *fds, struct err *err)
{
	return serve_half(fd, fds, err) ? -1 : serve_silence(fd, fds, err);
}

static int serve_deaf(int fd, const int *fds, struct err *err)
{
	(void)fd, (void)fds, (void)err;
	return poll(NULL, 0, -1);
}

/* An error of a kind that no reader may give. */
static int serve_bad_kind(int fd, const int *fds, struct err *err)
{
	(void)fd, (void)fds;
	return err_set(err, ERR_INTERRUPTED, "give up");
}

enum {
	ECHO_BACK,
	SEND_FILE,
	TELL_ERROR,
	EXIT,
	OUT_OF_MEMORY,
	KILLED,
	SILENCE,
	FLOOD,
	HALF,
	STALL,
	DEAF,
	BAD_KIND
};

static const struct cage_role roles[] = {
	[ECHO_BACK] = { .name = "echoes", .serve = serve_echo },
	[SEND_FILE] = { .name = "files", .serve = serve_file },
	[TELL_ERROR] = { .name = "errors", .serve = serve_error },
	[EXIT] = { .name = "exits", .serve = serve_exit },
	[OUT_OF_MEMORY] = { .name = "memory",
			    .limits = { 5 << 20, 0, 0 },
			    .serve = serve_out_of_memory },
	[KILLED] = { .name = "signals", .serve = serve_signal },
	[SILENCE] = { .name = "silence", .serve = serve_silence },
	[FLOOD] = { .name = "floods", .serve = serve_flood },
	[HALF] = { .name = "halves", .serve = serve_half },
	[STALL] = { .name = "stalls", .serve = serve_stall },
	[DEAF] = { .name = "silence", .serve = serve_deaf },
	[BAD_KIND] = { .name = "kinds", .serve = serve_bad_kind },
};

static void test_lies(void **state)
{
	static const struct {
		unsigned role;
		enum err_kind kind;
		const char *why;
	} rows[] = {
		{ TELL_ERROR, ERR_INPUT, "it is? no good" },
		{ EXIT, ERR_HARNESS, "the reader of exits ended too early" },
		{ OUT_OF_MEMORY, ERR_HARNESS, "the reader of memory used up its 5 MiB of memory" },
		{ KILLED, ERR_HARNESS, "the reader of signals was ended by signal 9 (Killed)" },
		{ FLOOD, ERR_HARNESS,
		  "the reader of floods: a message of 2001 bytes, and 2000 is the limit" },
		{ HALF, ERR_HARNESS,
		  "the reader of halves: a message between processes is cut short" },
		{ BAD_KIND, ERR_HARNESS, "the reader of kinds gave an answer that makes no sense" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cleanup_wire struct wire in = WIRE_INIT;
		struct err err;

		assert_int_equal(cage_ask(rows[i].role, NULL, 0, NULL, BODY_BYTES, &in, &err), -1);
		assert_string_equal(err.msg, rows[i].why);
		assert_int_equal(err.kind, rows[i].kind);
	}
}

static void test_talk(void **state)
{
	cleanup_buf struct buf body = BUF_INIT;
	cleanup_cage struct cage cage = { 0 };
	struct err err;

	(void)state;
	for (int i = 0; i < BODY_BYTES; i++)
		buf_addc(&body, (char)i);
	assert_int_equal(cage_start(ECHO_BACK, NULL, 0, &cage, &err), 0);
	for (unsigned type = 0; type < 100; type++) {
		cleanup_wire struct wire in = WIRE_INIT;

		cage_send(&cage, type, &body);
		assert_int_equal(cage_recv(&cage, -1, BODY_BYTES, &in, &err), 0);
		assert_int_equal(in.type, type);
		assert_int_equal(in.body.len, BODY_BYTES);
		assert_memory_equal(in.body.data, body.data, BODY_BYTES);
	}
}

static void test_descriptors(void **state)
{
	cleanup_wire struct wire in = WIRE_INIT;
	struct err err;
	int a[2], b[2];

	(void)state;
	assert_int_equal(pipe(a) | pipe(b), 0);
	assert_int_equal(write(b[1], "B", 1), 1);
	const int fds[] = { a[0], b[0] };
	assert_int_equal(cage_ask(SEND_FILE, fds, 2, NULL, 10, &in, &err), 0);
	assert_int_equal(in.body.data[0], 'B');
	for (int i = 0; i < 2; i++)
		close(a[i]), close(b[i]);
}

/* A reader that says nothing is left, by the clock or by an interruption, and ended. */
static void test_silence(void **state)
{
	cleanup_cage struct cage cage = { 0 };
	cleanup_wire struct wire in = WIRE_INIT;
	struct err err;

	(void)state;
	assert_int_equal(cage_start(SILENCE, NULL, 0, &cage, &err), 0);
	assert_int_equal(cage_recv(&cage, 20, 10, &in, &err), -1);
	assert_string_equal(err.msg, "the reader of silence does not answer");
	cage.stop_fd = eventfd(1, EFD_CLOEXEC);
	assert_int_equal(cage_recv(&cage, -1, 10, &in, &err), -1);
	assert_int_equal(err.kind, ERR_INTERRUPTED);
	close(cage.stop_fd);
	pid_t pid = cage.pid;
	cage_stop(&cage);
	assert_int_equal(kill(pid, 0), -1);
	cage_stop(&cage);
}

/* One that does not listen is not waited for for ever. */
static void test_deaf(void **state)
{
	const struct timeval soon = { .tv_usec = 20000 };
	cleanup_cage struct cage cage = { 0 };
	cleanup_buf struct buf body = BUF_INIT;
	struct timeval limit = { 0 };
	socklen_t len = sizeof(limit);
	struct err err;

	(void)state;
	for (int i = 0; i < 1 << 20; i++)
		buf_addc(&body, 'x');
	assert_int_equal(cage_start(DEAF, NULL, 0, &cage, &err), 0);
	assert_int_equal(getsockopt(cage.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &len), 0);
	assert_in_range(limit.tv_sec, 1, 60);
	assert_int_equal(setsockopt(cage.fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
	cage_send(&cage, 0, &body);
}

/* Nor can one hold us in the middle of a message. */
static void test_stall(void **state)
{
	cleanup_cage struct cage cage = { 0 };
	cleanup_wire struct wire in = WIRE_INIT;
	struct err err;
	char half[4];

	(void)state;
	assert_int_equal(cage_start(STALL, NULL, 0, &cage, &err), 0);
	cage.stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(recv(cage.fd, half, sizeof(half), MSG_PEEK), sizeof(half));
	pid_t pid = fork();
	if (!pid) {
		poll(NULL, 0, 50);
		_exit(eventfd_write(cage.stop_fd, 1));
	}
	assert_int_equal(cage_recv(&cage, -1, 10, &in, &err), -1);
	assert_int_equal(err.kind, ERR_INTERRUPTED);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(cage.stop_fd);
}

/* It goes with the harness, even if that is killed. */
static void test_orphan(void **state)
{
	int alive[2], status;
	char byte;

	(void)state;
	assert_int_equal(pipe(alive), 0);
	pid_t pid = fork();
	if (!pid) {
		struct cage cage;
		struct err err;

		close(alive[0]);
		if (cage_setup(roles, &err) || cage_start(SILENCE, &alive[1], 1, &cage, &err))
			_exit(1);
		raise(SIGKILL);
	}
	close(alive[1]);
	/* The end of the pipe comes when the last one that holds it has ended. */
	assert_int_equal(read(alive[0], &byte, 1), 0);
	close(alive[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void test_no_helper(void **state)
{
	struct cage cage;
	struct err err;

	(void)state;
	cage_end();
	assert_int_equal(cage_start(SILENCE, NULL, 0, &cage, &err), -1);
	assert_string_equal(err.msg,
			    "the reader of silence cannot be started: Bad file descriptor");
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	return cage_setup(roles, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lies),        cmocka_unit_test(test_talk),
		cmocka_unit_test(test_descriptors), cmocka_unit_test(test_silence),
		cmocka_unit_test(test_stall),       cmocka_unit_test(test_deaf),
		cmocka_unit_test(test_orphan),      cmocka_unit_test(test_no_helper),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
