/* The agent protocol's reader: frames good and bad, lines cut anywhere, floods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent.h"
#include "base/buf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOKEN "00112233445566778899aabbccddeeff"
#define HEAD  PROTO_MAGIC " " TOKEN " "

static int parse(const char *text, struct agent_frame *frame, struct err *err)
{
	static char line[PROTO_FRAME_BYTES];

	snprintf(line, sizeof(line), "%s", text);
	return agent_frame_parse(line, strlen(line), TOKEN, frame, err);
}

static void test_verdicts(void **state)
{
	static const struct {
		const char *line;
		int rc;
	} rows[] = {
		{ HEAD "ready", 0 },
		{ HEAD "beat n=1 ms=500", 0 },
		{ HEAD "future_verb key=value", 0 },
		{ HEAD "output id=0 data=", 0 },
		{ HEAD "output id=0 data=a%20b%0A%FF%00", 0 },
		{ "", 1 },
		{ "kvmrepro/1", 1 },
		{ "kvmrepro/1 ", 1 },
		{ PROTO_MAGIC " " TOKEN, 1 },
		{ HEAD, 1 },
		{ HEAD "Ready", 1 },
		{ HEAD "ready ", 1 },
		{ HEAD "beat  n=1", 1 },
		{ HEAD "beat n", 1 },
		{ HEAD "beat =1", 1 },
		{ HEAD "beat N=1", 1 },
		{ HEAD "output data=%", 1 },
		{ HEAD "output data=%4", 1 },
		{ HEAD "output data=%4g", 1 },
		{ HEAD "output data=%ff", 1 }, /* lower case */
		{ HEAD "output data=\x1b[2J", 1 },
		{ PROTO_MAGIC " 00112233445566778899aabbccddeefe done", 1 },
		{ PROTO_MAGIC " 0011 done", 1 },
		{ PROTO_MAGIC "  done", 1 },
		{ "[    1.0] " HEAD "done", 1 },
		{ "kvmrepro/2 0011 done", 1 }, /* another's, whatever it speaks */
		{ "kvmrepro/2 " TOKEN " done", -1 },
		{ "kvmrepro/ " TOKEN " done", -1 },
	};
	struct agent_frame frame;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (parse(rows[i].line, &frame, &err) != rows[i].rc)
			fail_msg("'%s' should give %d", rows[i].line, rows[i].rc);
}

static void test_fields(void **state)
{
	struct agent_frame frame;
	struct err err;

	(void)state;
	assert_int_equal(parse(HEAD "output id=12 data=a%20b%00c%25 why=", &frame, &err), 0);
	assert_int_equal(frame.verb, AGENT_OUTPUT);
	assert_int_equal(agent_frame_number(&frame, "id", -1), 12);
	assert_int_equal(agent_frame_number(&frame, "data", -1), -1);
	assert_int_equal(agent_frame_number(&frame, "none", 7), 7);
	assert_int_equal(agent_frame_number(&frame, "why", 7), 7);
	assert_string_equal(agent_frame_get(&frame, "why"), "");
	assert_null(agent_frame_get(&frame, "none"));
	const struct agent_field *data = agent_frame_field(&frame, "data");
	assert_int_equal(data->len, 6);
	assert_memory_equal(data->value, "a b\0c%", 6);
	assert_int_equal(parse(HEAD "beat ms=99999999999999999999", &frame, &err), 0);
	assert_int_equal(agent_frame_number(&frame, "ms", -1), -1);

	/* The text is the line's again. */
	cleanup_buf struct buf text = BUF_INIT;
	parse(HEAD "end id=1 how=signal why=no%20luck", &frame, &err);
	agent_frame_text(&frame, &text);
	assert_string_equal(text.data, "end id=1 how=signal why=no%20luck");
}

static void test_too_many_fields(void **state)
{
	cleanup_buf struct buf line = BUF_INIT;
	struct agent_frame frame;
	struct err err;

	(void)state;
	buf_adds(&line, HEAD "beat");
	for (int i = 0; i < AGENT_MAX_FIELDS; i++)
		buf_addf(&line, " k%c=%d", 'a' + i, i);
	assert_int_equal(parse(line.data, &frame, &err), 0);
	assert_int_equal(frame.n_fields, AGENT_MAX_FIELDS);
	buf_adds(&line, " one=more");
	assert_int_equal(parse(line.data, &frame, &err), 1);
}

struct line {
	struct agent *agent;
	int ours, theirs;
};

static struct line open_line(void)
{
	struct line l;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	l.ours = fds[0];
	l.theirs = fds[1];
	l.agent = agent_new(l.ours, TOKEN);
	return l;
}

static void close_line(struct line *l)
{
	agent_free(l->agent);
	close(l->ours);
	close(l->theirs);
}

static void say(struct line *l, const char *text)
{
	assert_int_equal(write(l->theirs, text, strlen(text)), strlen(text));
}

static void test_cut_anywhere(void **state)
{
	static const char stream[] = "boot noise\r\n" HEAD "ready\r\n" HEAD "beat n=1 ms=2\n";
	struct agent_frame frame;
	struct err err;

	(void)state;
	for (size_t cut = 0; cut < sizeof(stream); cut++) {
		struct line l = open_line();
		int got = 0;

		assert_int_equal(write(l.theirs, stream, cut), cut);
		while (agent_next(l.agent, &frame, &err) == 1)
			got++;
		assert_int_equal(write(l.theirs, stream + cut, sizeof(stream) - 1 - cut),
				 sizeof(stream) - 1 - cut);
		while (agent_next(l.agent, &frame, &err) == 1)
			got++;
		assert_int_equal(got, 2);
		assert_int_equal(agent_noise(l.agent), 1);
		assert_false(agent_eof(l.agent));
		close_line(&l);
	}
}

/* A line without an end is one line of noise, and what follows its end is heard. */
static void test_endless_line(void **state)
{
	struct line l = open_line();
	struct agent_frame frame;
	char flood[8000];
	struct err err;

	(void)state;
	memset(flood, 'x', sizeof(flood));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(write(l.theirs, flood, sizeof(flood)), sizeof(flood));
		assert_int_equal(agent_next(l.agent, &frame, &err), 0);
	}
	say(&l, "\n" HEAD "done\n");
	assert_int_equal(agent_next(l.agent, &frame, &err), 1);
	assert_int_equal(frame.verb, AGENT_DONE);
	assert_int_equal(agent_noise(l.agent), 1);
	close_line(&l);
}

/* The longest frame passes; one byte more does not. */
static void test_longest_frame(void **state)
{
	struct line l = open_line();
	struct agent_frame frame;
	struct err err;
	char line[PROTO_FRAME_BYTES + 2];

	(void)state;
	for (size_t len = PROTO_FRAME_BYTES; len <= PROTO_FRAME_BYTES + 1; len++) {
		memset(line, 'x', len);
		memcpy(line, HEAD "output data=", strlen(HEAD "output data="));
		line[len - 1] = '\n';
		assert_int_equal(write(l.theirs, line, len), len);
		assert_int_equal(agent_next(l.agent, &frame, &err), len == PROTO_FRAME_BYTES);
	}
	assert_int_equal(agent_noise(l.agent), 1);
	close_line(&l);
}

static void test_end_of_line(void **state)
{
	struct line l = open_line();
	struct agent_frame frame;
	struct err err;

	(void)state;
	say(&l, HEAD "ready\n" HEAD "do");
	shutdown(l.theirs, SHUT_RDWR);
	assert_int_equal(agent_next(l.agent, &frame, &err), 1);
	assert_int_equal(agent_next(l.agent, &frame, &err), 0);
	assert_true(agent_eof(l.agent));
	close_line(&l);
}

static void test_go(void **state)
{
	struct line l = open_line();
	char got[256] = "";
	struct err err;

	(void)state;
	assert_int_equal(agent_go(l.ours, TOKEN, "ab12", "0,2", &err), 0);
	assert_true(read(l.theirs, got, sizeof(got) - 1) > 0);
	assert_string_equal(got, HEAD "go seed=ab12 run=0,2\n");
	close_line(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),        cmocka_unit_test(test_fields),
		cmocka_unit_test(test_too_many_fields), cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_endless_line),    cmocka_unit_test(test_longest_frame),
		cmocka_unit_test(test_end_of_line),     cmocka_unit_test(test_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
