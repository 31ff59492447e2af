/* Messages of the readers: what is too long, too large or cut short is refused, field by field. */
#include "base/cleanup.h"
#include "oops/report.h"
#include "readers.h"
#include "wire.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void init(struct wire *in, const struct buf *body)
{
	*in = (struct wire)WIRE_INIT;
	buf_add(&in->body, body->data, body->len);
}

static void test_round(void **state)
{
	cleanup_buf struct buf body = BUF_INIT, bytes = BUF_INIT;
	cleanup_wire struct wire in;

	(void)state;
	wire_put_u64(&body, 7);
	wire_put_str(&body, "text");
	wire_put_str(&body, NULL);
	wire_put_str(&body, "");
	wire_put_bytes(&body, "a\0b", 3);
	wire_put_u64(&body, 1);
	init(&in, &body);
	assert_int_equal(wire_u64(&in, 7), 7);
	cleanup_free char *text = wire_str(&in, 4);
	assert_string_equal(text, "text");
	assert_null(wire_str_or_null(&in, 4));
	cleanup_free char *empty = wire_str_or_null(&in, 0);
	assert_string_equal(empty, "");
	wire_bytes(&in, 3, &bytes);
	assert_memory_equal(bytes.data, "a\0b", 3);
	assert_false(wire_ok(&in));
	assert_true(wire_bool(&in));
	assert_true(wire_ok(&in));
}

/* Each field as it should not be. */
static void test_bad_fields(void **state)
{
	static const struct {
		uint64_t length;
		const char *data;
		size_t len;
	} rows[] = {
		{ 5, "text", 4 },                 /* longer than the message */
		{ 4, "tex", 3 },                  /* cut short */
		{ 9, "textandmore", 11 },         /* over the limit */
		{ 4, "t\0xt", 4 },                /* a NUL */
		{ UINT64_MAX - 1, "text", 4 },    /* overflows */
		{ UINT64_MAX - 7, "text", 4 },    /* overflows to what is there */
		{ (uint64_t)1 << 32, "text", 4 }, /* 0 in 32 bits */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cleanup_buf struct buf body = BUF_INIT;
		cleanup_wire struct wire in;

		wire_put_u64(&body, rows[i].length);
		buf_add(&body, rows[i].data, rows[i].len);
		init(&in, &body);
		assert_null(wire_str(&in, 8));
		assert_true(in.bad);
		assert_int_equal(wire_u64(&in, UINT64_MAX), 0); /* it stays bad */
		assert_false(wire_ok(&in));
	}
}

static void test_bad_numbers(void **state)
{
	cleanup_buf struct buf body = BUF_INIT, bytes = BUF_INIT;
	cleanup_wire struct wire in, cut, absent;

	(void)state;
	wire_put_u64(&body, 8);
	init(&in, &body);
	assert_int_equal(wire_u64(&in, 7), 0);
	assert_true(in.bad);
	init(&cut, &body);
	buf_truncate(&cut.body, 7);
	assert_false(wire_bool(&cut));
	assert_true(cut.bad);
	buf_clear(&body);
	wire_put_str(&body, NULL);
	init(&absent, &body);
	assert_null(wire_str(&absent, 8));
	assert_true(absent.bad);
	absent.at = 0;
	absent.bad = false;
	wire_bytes(&absent, 8, &bytes);
	assert_true(absent.bad);
	assert_int_equal(bytes.len, 0);
}

static void put_report(struct buf *body, const struct oops_report *r)
{
	buf_clear(body);
	read_report_put(body, r, true);
}

static bool good_report(const struct buf *body)
{
	cleanup_wire struct wire in;
	struct oops_report r;

	init(&in, body);
	read_report_take(&in, &r);
	oops_report_clear(&r);
	return wire_ok(&in);
}

static void test_reports(void **state)
{
	cleanup_buf struct buf body = BUF_INIT, text = BUF_INIT;
	char title[] = "WARNING in kvm_wait", other[] = "other", *alt[100];
	const struct oops_report good = { .title = title,
					  .alt = alt,
					  .n_alt = 2,
					  .type = "WARNING",
					  .text = other,
					  .start = 1,
					  .end = 2 };
	struct oops_report bad;

	(void)state;
	for (size_t i = 0; i < 100; i++)
		alt[i] = other;
	put_report(&body, &good);
	assert_true(good_report(&body));
	/* Every shorter message is bad, and so is a longer one. */
	for (size_t len = body.len; len--;) {
		buf_truncate(&body, len);
		assert_false(good_report(&body));
	}
	put_report(&body, &good);
	buf_addc(&body, 'x');
	assert_false(good_report(&body));

	bad = good, bad.type = "MADE-UP", put_report(&body, &bad);
	assert_false(good_report(&body));
	bad = good, bad.n_alt = 100, put_report(&body, &bad);
	assert_false(good_report(&body));
	bad = good, bad.end = 0, put_report(&body, &bad);
	assert_false(good_report(&body));
	bad = good, bad.title = NULL, put_report(&body, &bad);
	assert_false(good_report(&body));
	for (size_t i = 0; i <= OOPS_REPORT_BYTES; i++)
		buf_addc(&text, 'x');
	bad = good, bad.text = text.data, put_report(&body, &bad);
	assert_false(good_report(&body));
}

/* A head that says more than is allowed is refused before anything is read, or held. */
static void test_recv(void **state)
{
	static const struct {
		struct wire_head head;
		size_t sent, max;
		int rc;
		const char *why;
	} rows[] = {
		{ { 1, 4 }, 4, 4, 1, NULL },
		{ { 1, 0 }, 0, 0, 1, NULL },
		{ { 1, 5 }, 5, 4, -1, "a message of 5 bytes, and 4 is the limit" },
		{ { 1, UINT32_MAX }, 0, 4, -1, "a message of 4294967295 bytes" },
		{ { 1, 4 }, 3, 4, -1, "cut short" },
		{ { 1, 4 }, 0, 4, -1, "cut short" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cleanup_wire struct wire in = WIRE_INIT;
		struct err err;
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		assert_int_equal(write(ends[1], &rows[i].head, WIRE_HEAD_BYTES), WIRE_HEAD_BYTES);
		assert_int_equal(write(ends[1], "xxxxx", rows[i].sent), (int)rows[i].sent);
		close(ends[1]);
		assert_int_equal(wire_recv(ends[0], -1, -1, rows[i].max, &in, &err), rows[i].rc);
		if (rows[i].why)
			assert_non_null(strstr(err.msg, rows[i].why));
		close(ends[0]);
	}
}

/* Who sends half a message, or a byte now and then, is not heard for ever. */
static void test_stall(void **state)
{
	const struct wire_head head = { 1, 1000 };
	cleanup_wire struct wire in = WIRE_INIT;
	struct err err;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid_t pid = fork();
	if (!pid) {
		close(ends[0]);
		if (write(ends[1], &head, sizeof(head)) != sizeof(head))
			_exit(1);
		while (send(ends[1], "x", 1, MSG_NOSIGNAL) == 1)
			poll(NULL, 0, 15);
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(wire_recv(ends[0], -1, 100, 1000, &in, &err), -1);
	assert_string_equal(err.msg, "a message between processes does not come to its end");
	close(ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_end(void **state)
{
	cleanup_wire struct wire in = WIRE_INIT;
	struct err err;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	close(ends[1]);
	assert_int_equal(wire_recv(ends[0], -1, -1, 4, &in, &err), 0);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),       cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_bad_numbers), cmocka_unit_test(test_reports),
		cmocka_unit_test(test_recv),        cmocka_unit_test(test_stall),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
