/*
 * A trial whose reader has been taken over, and speaks for a guest that goes on for ever: it ends
 * all the same.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "readers.h"
#include "trial_frames.h"

#include <poll.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define HOUR_MS 3600000

static char *dir;

/* An answer to whatever it is asked: there is nothing more. */
static int answer(int fd, struct err *err)
{
	const uint64_t state[] = {
		0, (uint64_t)clock_ms(), 0, true, false, false, false, false, OOPS_NONE, 0, 0
	};
	cleanup_buf struct buf body = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;

	if (cage_hear(fd, &in, err))
		return -1;
	for (size_t i = 0; i < sizeof(state) / sizeof(*state); i++)
		wire_put_u64(&body, state[i]);
	return wire_send(fd, TELL_STATE, &body, err);
}

/* Beats of a guest whose clock stands still. */
static int serve_beats(int fd, const int *fds, struct err *err)
{
	struct pollfd asked = { .fd = fd, .events = POLLIN };
	cleanup_buf struct buf body = BUF_INIT;
	cleanup_wire struct wire token = WIRE_INIT;

	(void)fds;
	wire_put_u64(&body, 0);
	wire_put_view(&body, "beat", 4);
	wire_put_u64(&body, 1);
	wire_put_view(&body, "ms", 2);
	wire_put_view(&body, "1", 1);
	if (cage_hear(fd, &token, err))
		return -1;
	while (!wire_send(fd, TELL_FRAME, &body, err))
		if (poll(&asked, 1, 5) > 0 && answer(fd, err))
			break;
	return -1;
}

static const struct cage_role liars[] = {
	[READER_TRIAL] = { .name = "lies", .serve = serve_beats },
};

static int setup(void **state)
{
	struct err err;

	(void)state;
	return cage_setup(liars, &err) || fs_tmpdir(&dir, &err);
}

static int teardown(void **state)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)state;
	free(dir);
	cage_end();
	return rc;
}

/* Run, for passed_ms already; how it ends within a second, or is ended. */
static int watch(int64_t passed_ms, struct trial_result *result, struct err *err)
{
	const struct reproducers none = { 0 };
	const struct engine engine = { .name = "none" };
	int end_ms[2], rc = pipe(end_ms);
	const struct trial_config config = {
		.engine = &engine,
		.repros = &none,
		.limits = { .boot_ms = 1000, .detector_ms = 5000, .stuck_ms = 1000 },
		.stop_fd = end_ms[0],
	};
	struct vm vm = { .console_fd = end_ms[0], .agent_fd = end_ms[0], .event_fd = -1 };
	cleanup_free char *path = xasprintf("%s/console.log.gz", dir);
	struct trial t = {
		.config = &config,
		.result = result,
		.vm = &vm,
		.phase = PHASE_RUN,
		.start_ms = clock_ms() - passed_ms,
		.last_frame_ms = clock_ms(),
		.turn_ms = clock_ms(),
	};
	struct err ignored;

	*result = (struct trial_result){ .type = "", .agent_log = BUF_INIT };
	rc = rc || read_trial_open(end_ms[0], end_ms[0], path, "token", NULL, &t.reader, err);
	pid_t pid = fork();
	if (!pid) {
		poll(NULL, 0, 1000);
		_exit(write(end_ms[1], "", 1) != 1);
	}
	rc = rc ? rc : trial_watch(&t, err);
	cage_stop(&t.reader.cage);
	read_trial_close(&t.reader, &ignored);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(end_ms[0]);
	close(end_ms[1]);
	return rc;
}

static void test_clock_stands_still(void **state)
{
	struct trial_result result;
	struct err err;

	(void)state;
	/* A slow guest is waited for... */
	assert_int_equal(watch(HOUR_MS / 6, &result, &err), -1);
	assert_string_equal(err.msg, "not needed any more");
	trial_result_free(&result);
	/* ... but not for ever. */
	assert_int_equal(watch(HOUR_MS, &result, &err), 0);
	assert_int_equal(result.outcome.kind, OUTCOME_INFRA);
	assert_string_equal(result.outcome.title, "the guest's init did not end in its time");
	assert_false(result.host_fault);
	trial_result_free(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_stands_still),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
