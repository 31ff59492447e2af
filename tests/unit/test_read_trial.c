/*
 * The reader of a trial's VM: what it tells of real lines, and what the harness makes of one that
 * has been taken over. The liar's words are the "console": messages, byte for byte.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "oops/report.h"
#include "read_trial.h"
#include "readers.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <zlib.h>
#include <cmocka.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

static char *dir;

static int serve_lies(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf words = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;

	if (cage_hear(fd, &in, err) || fs_read_fd(fds[0], 1 << 24, &words, ERR_HARNESS, err))
		return -1;
	for (size_t done = 0; done < words.len;) {
		ssize_t n = write(fd, words.data + done, words.len - done);

		if (n < 0)
			return err_errno(err, ERR_HARNESS, "write");
		done += (size_t)n;
	}
	return cage_hear(fd, &in, err);
}

static const struct cage_role liars[] = {
	[READER_TRIAL] = { .name = "lies", .serve = serve_lies },
};

static int make_dir(void **state, const struct cage_role *roles)
{
	struct err err;

	(void)state;
	return cage_setup(roles, &err) || fs_tmpdir(&dir, &err);
}

static int setup(void **state)
{
	return make_dir(state, readers);
}

static int setup_liars(void **state)
{
	return make_dir(state, liars);
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

/* ---- a real reader on real lines ---- */

struct lines {
	int console[2], agent[2];
	char *path;
	struct read_trial reader;
};

static void lines_open(struct lines *l)
{
	struct err err;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, l->console), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, l->agent), 0);
	fcntl(l->console[0], F_SETFL, O_NONBLOCK);
	fcntl(l->agent[0], F_SETFL, O_NONBLOCK);
	l->path = xasprintf("%s/console.gz", dir);
	assert_int_equal(
		read_trial_open(l->console[0], l->agent[0], l->path, TOKEN, NULL, &l->reader, &err),
		0);
}

static void lines_close(struct lines *l)
{
	struct err err;

	assert_int_equal(read_trial_close(&l->reader, &err), 0);
	free(l->path);
	for (int i = 0; i < 2; i++) {
		close(l->console[i]);
		close(l->agent[i]);
	}
}

static void say(int fd, const char *words)
{
	assert_int_equal(write(fd, words, strlen(words)), (int)strlen(words));
}

/* Ask, and take what comes; the verbs of the frames go to verbs. */
static void catch_up(struct lines *l, enum read_trial_order order, struct buf *verbs)
{
	struct err err;

	read_trial_ask(&l->reader, order);
	while (l->reader.asked) {
		cleanup_wire struct wire in = WIRE_INIT;
		enum read_trial_event event;
		struct agent_frame frame;

		assert_int_equal(read_trial_next(&l->reader, true, &in, &event, &frame, &err), 1);
		if (event == READ_TRIAL_FRAME)
			buf_addf(verbs, "%s@%llu ", frame.verb_text,
				 (unsigned long long)l->reader.console_bytes);
		if (event == READ_TRIAL_FRAME && frame.verb == AGENT_OUTPUT)
			assert_memory_equal(agent_frame_field(&frame, "data")->value, "a\0b", 4);
		if (event == READ_TRIAL_BAD)
			buf_addf(verbs, "(%s)", err.msg);
	}
}

#define OOPS                                                                                       \
	"[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"              \
	"[    1.0] Oops: 0000 [#1] SMP\n"                                                          \
	"[    1.0] RIP: 0010:kvm_get_bus+0x5/0x20\n"                                               \
	"[    1.0] Call Trace:\n[    1.0]  kvm_io_bus_write+0x10/0x20\n"                           \
	"[    1.0] ---[ end trace 0000000000000000 ]---\n"

static void test_lines(void **state)
{
	cleanup_buf struct buf verbs = BUF_INIT;
	struct oops_report report;
	struct lines l;
	struct err err;
	char back[16];

	(void)state;
	lines_open(&l);
	say(l.console[1], "Linux\n");
	say(l.agent[1], "noise\nkvmrepro/1 " TOKEN " hello release=6.1\n");
	say(l.agent[1], "kvmrepro/1 " TOKEN " output id=0 data=a%00b\n");
	catch_up(&l, READ_TRIAL_READ, &verbs);
	assert_string_equal(verbs.data, "hello@6 output@6 ");
	assert_int_equal(l.reader.agent_noise, 1);
	assert_int_equal(l.reader.state, OOPS_NONE);
	assert_true(l.reader.console_last_ms <= clock_ms());

	say(l.console[1], OOPS);
	say(l.agent[1], "kvmrepro/2 " TOKEN " hello\n");
	catch_up(&l, READ_TRIAL_READ, &verbs);
	assert_non_null(strstr(verbs.data, "(the guest's init speaks 'kvmrepro/2'"));
	catch_up(&l, READ_TRIAL_FINISH, &verbs);
	assert_int_equal(l.reader.state, OOPS_COMPLETE);
	assert_int_equal(l.reader.n_reports, 1);
	assert_string_equal(l.reader.reports[0].title,
			    "BUG: unable to handle kernel NULL pointer dereference in kvm_get_bus");
	assert_int_equal(read_trial_report(&l.reader, 0, &report, &err), 0);
	assert_non_null(strstr(report.text, "kvm_io_bus_write"));
	oops_report_clear(&report);
	read_trial_drop(&l.reader, 1);
	assert_int_equal(l.reader.n_reports, 0);
	catch_up(&l, READ_TRIAL_READ, &verbs);
	assert_int_equal(l.reader.n_reports, 0);

	say(l.console[1], "reboot: Power down\n");
	shutdown(l.console[1], SHUT_WR);
	catch_up(&l, READ_TRIAL_READ, &verbs);
	assert_true(l.reader.halted);
	assert_true(l.reader.console_eof);
	assert_false(l.reader.agent_eof);
	cleanup_free char *path = xstrdup(l.path);
	lines_close(&l);
	gzFile gz = gzopen(path, "rb");
	assert_int_equal(gzread(gz, back, 6), 6);
	assert_memory_equal(back, "Linux\n", 6);
	gzclose(gz);
}

/* What was told and is not known to the reader yet is not told twice. */
static void test_drop_early(void **state)
{
	cleanup_buf struct buf verbs = BUF_INIT;
	struct lines l;

	(void)state;
	lines_open(&l);
	say(l.console[1], OOPS);
	catch_up(&l, READ_TRIAL_READ, &verbs);
	catch_up(&l, READ_TRIAL_FINISH, &verbs);
	assert_int_equal(l.reader.n_reports, 1);
	/* Two answers are under way; only the second one knows of what is dropped. */
	read_trial_ask(&l.reader, READ_TRIAL_READ);
	read_trial_drop(&l.reader, 1);
	catch_up(&l, READ_TRIAL_READ, &verbs);
	assert_int_equal(l.reader.n_reports, 0);
	lines_close(&l);
}

static void test_killed(void **state)
{
	cleanup_wire struct wire in = WIRE_INIT;
	enum read_trial_event event;
	struct agent_frame frame;
	struct lines l;
	struct err err;

	(void)state;
	lines_open(&l);
	kill(l.reader.cage.pid, SIGKILL);
	assert_int_equal(read_trial_next(&l.reader, true, &in, &event, &frame, &err), -1);
	assert_string_equal(err.msg, "the reader of the VM's lines was ended by signal 9 (Killed)");
	assert_false(l.reader.cage.told);
	lines_close(&l);
}

/* ---- lies ---- */

struct words {
	uint64_t bytes, last_ms, noise, answer, more, eof, agent_eof, halted, state, dropped, n;
};

static void put(struct buf *all, uint32_t type, const struct buf *body)
{
	const struct wire_head head = { type, (uint32_t)body->len };

	buf_add(all, &head, sizeof(head));
	buf_add(all, body->data, body->len);
}

static void put_state(struct buf *all, const struct words *w)
{
	const uint64_t fields[] = { w->bytes,     w->last_ms, w->noise, w->answer,  w->more, w->eof,
				    w->agent_eof, w->halted,  w->state, w->dropped, w->n };
	cleanup_buf struct buf body = BUF_INIT;

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		wire_put_u64(&body, fields[i]);
	put(all, TELL_STATE, &body);
}

/* What the harness says to these messages: their number, or -1 with err. */
static int hear(const struct buf *all, struct err *err)
{
	cleanup_free char *words = xasprintf("%s/words", dir);
	cleanup_free char *path = xasprintf("%s/console.gz", dir);
	struct read_trial r;
	struct err ignored;
	int rc, n = 0;

	assert_int_equal(fs_write(words, all->data, all->len, err), 0);
	cleanup_fd int fd = open(words, O_RDONLY);
	assert_int_equal(read_trial_open(fd, fd, path, TOKEN, NULL, &r, err), 0);
	r.console_last_ms = 1;
	for (size_t left = all->len; left > 0; n++) {
		cleanup_wire struct wire in = WIRE_INIT;
		enum read_trial_event event;
		struct agent_frame frame;

		rc = read_trial_next(&r, true, &in, &event, &frame, err);
		if (rc < 0)
			break;
		left -= WIRE_HEAD_BYTES + in.body.len;
	}
	read_trial_close(&r, &ignored);
	return rc < 0 ? -1 : n;
}

static void assert_senseless(const struct buf *all)
{
	struct err err;

	assert_int_equal(hear(all, &err), -1);
	assert_string_equal(err.msg, "the reader of lies gave an answer that makes no sense");
}

static void test_states(void **state)
{
	static const struct words good = { .bytes = 10, .last_ms = 2 }, lies[] = {
		{ .bytes = 9, .last_ms = 2 },                  /* shrinks */
		{ .bytes = (uint64_t)1 << 63, .last_ms = 2 },  /* cannot be */
		{ .bytes = 10, .last_ms = 1 },                 /* goes back */
		{ .bytes = 10, .last_ms = (uint64_t)1 << 62 }, /* is in the future */
		{ .bytes = 10, .last_ms = 2, .answer = 1 },    /* was not asked */
		{ .bytes = 10, .last_ms = 2, .more = 2 },
		{ .bytes = 10, .last_ms = 2, .halted = 2 },
		{ .bytes = 10, .last_ms = 2, .state = OOPS_COMPLETE + 1 },
		{ .bytes = 10, .last_ms = 2, .dropped = 1 }, /* was not told to */
		{ .bytes = 10, .last_ms = 2, .n = 1 },       /* none is there */
		{ .bytes = 10, .last_ms = 2, .n = CONSOLE_REPORTS + 1 },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		cleanup_buf struct buf all = BUF_INIT;

		put_state(&all, &good);
		put_state(&all, &good);
		assert_int_equal(hear(&all, &err), 2);
		put_state(&all, &lies[i]);
		assert_senseless(&all);
	}
	/* An end that is taken back. */
	const struct words ended = { .bytes = 10, .last_ms = 2, .eof = 1 };
	cleanup_buf struct buf all = BUF_INIT;
	put_state(&all, &ended);
	put_state(&all, &good);
	assert_senseless(&all);
}

static void put_frame(struct buf *all, const char *verb, uint64_t n, const char *key,
		      const char *value, size_t len)
{
	cleanup_buf struct buf body = BUF_INIT;

	wire_put_u64(&body, 5);
	wire_put_view(&body, verb, strlen(verb));
	wire_put_u64(&body, n);
	wire_put_view(&body, key, strlen(key));
	wire_put_bytes(&body, value, len);
	buf_clear(all);
	put(all, TELL_FRAME, &body);
}

static void test_frames(void **state)
{
	cleanup_buf struct buf all = BUF_INIT, much = BUF_INIT;
	struct err err;

	(void)state;
	put_frame(&all, "hello", 1, "release", "6.1", 4);
	assert_int_equal(hear(&all, &err), 1);
	put_frame(&all, "Hello", 1, "release", "6.1", 4);
	assert_senseless(&all);
	put_frame(&all, "", 1, "release", "6.1", 4);
	assert_senseless(&all);
	put_frame(&all, "hello", 1, "rel\nease", "6.1", 4);
	assert_senseless(&all);
	put_frame(&all, "hello", 1, "release", "6.1", 3); /* no NUL behind it */
	assert_senseless(&all);
	put_frame(&all, "hello", 1, "release", "", 0);
	assert_senseless(&all);
	put_frame(&all, "hello", 0, "release", "6.1", 4);
	assert_senseless(&all);
	put_frame(&all, "hello", AGENT_MAX_FIELDS + 1, "release", "6.1", 4);
	assert_senseless(&all);
	for (int i = 0; i <= PROTO_FRAME_BYTES; i++)
		buf_addc(&much, 'x');
	put_frame(&all, "hello", 1, "release", much.data, much.len + 1);
	assert_senseless(&all);
}

static void test_others(void **state)
{
	cleanup_buf struct buf all = BUF_INIT, body = BUF_INIT;
	struct err err;

	(void)state;
	put(&all, TELL_REPORT, &body); /* was not asked for */
	assert_senseless(&all);
	buf_clear(&all);
	put(&all, 77, &body);
	assert_senseless(&all);
	buf_clear(&all);
	wire_put_str(&body, NULL);
	put(&all, TELL_BAD, &body);
	assert_senseless(&all);
	const struct wire_head large = { TELL_LIVE, 3 * CONSOLE_TURN_BYTES };
	buf_clear(&all);
	buf_add(&all, &large, sizeof(large));
	assert_int_equal(hear(&all, &err), -1);
	assert_non_null(strstr(err.msg, "is the limit"));
}

int main(void)
{
	const struct CMUnitTest real[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_drop_early),
		cmocka_unit_test(test_killed),
	};
	const struct CMUnitTest lies[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests_name("reader", real, setup, teardown) ||
	       cmocka_run_group_tests_name("liar", lies, setup_liars, teardown);
}
