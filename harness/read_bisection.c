/* The reader of bisection logs, which audits them too; see readers.h. */
#include "audit.h"
#include "audit_report.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "filter.h"
#include "interrupt.h"
#include "readers.h"

#include <fcntl.h>
#include <string.h>

#define MAX_EXPECT   256
#define PATH_BYTES   4096
#define ANSWER_BYTES (256UL * 1024 * 1024) /* of a log that is at most BISECT_LOG_BYTES long */

/* ---- the reader ---- */

static int answer(int fd, const struct read_bisection *q, const struct bisect_log *log,
		  const struct audit *audit, struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT, body = BUF_INIT;

	if (!q->json)
		audit_report_text(q->expect, q->n_expect, log, audit, &text);
	else if (audit_report_json(q->path, log, audit, &text, err))
		return -1;
	wire_put_u64(&body, audit->astray < log->n_revisions);
	wire_put_bytes(&body, text.data, text.len);
	return wire_send(fd, 0, &body, err);
}

static int audit_it(int fd, const struct read_bisection *q, const struct buf *bytes,
		    struct err *err)
{
	struct bisect_log log;
	struct filter expect;
	struct audit audit;

	if (bisect_log_parse(bytes->data, bytes->len, &log, err))
		return -1;
	int rc = filter_init(q->expect, q->n_expect, NULL, 0, &expect, err);
	if (!rc)
		rc = audit_log(&log, &expect, &q->policy, &audit, err);
	if (!rc) {
		rc = answer(fd, q, &log, &audit, err);
		audit_free(&audit);
	}
	filter_free(&expect);
	bisect_log_free(&log);
	return rc;
}

static void take_question(struct wire *in, struct read_bisection *q)
{
	cleanup_buf struct buf policy = BUF_INIT;

	*q = (struct read_bisection){ .path = wire_str(in, PATH_BYTES), .json = wire_bool(in) };
	wire_bytes(in, sizeof(q->policy), &policy);
	memcpy(&q->policy, policy.data, policy.len);
	q->n_expect = wire_u64(in, MAX_EXPECT);
	const char **expect = xcalloc(q->n_expect, sizeof(*expect));
	for (size_t i = 0; i < q->n_expect; i++)
		expect[i] = wire_str(in, PATH_BYTES);
	q->expect = expect;
}

/* The process ends after it: the question is not freed. */
int read_bisection_serve(int fd, const int *fds, struct err *err)
{
	cleanup_buf struct buf bytes = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;
	struct read_bisection q;

	if (cage_hear(fd, &in, err))
		return -1;
	take_question(&in, &q);
	if (!wire_ok(&in))
		return err_set(err, ERR_INPUT, "the names are too long, or too many");
	if (fs_read_fd(fds[0], BISECT_LOG_BYTES, &bytes, ERR_INPUT, err))
		return -1;
	return audit_it(fd, &q, &bytes, err);
}

/* ---- the harness ---- */

int read_bisection(const struct read_bisection *q, struct buf *text, bool *astray, struct err *err)
{
	cleanup_fd int fd = interrupt_open(q->path, err);
	cleanup_buf struct buf request = BUF_INIT;
	cleanup_wire struct wire in = WIRE_INIT;

	if (fd < 0)
		return -1;
	wire_put_str(&request, q->path);
	wire_put_u64(&request, q->json);
	wire_put_bytes(&request, &q->policy, sizeof(q->policy));
	wire_put_u64(&request, q->n_expect);
	for (size_t i = 0; i < q->n_expect; i++)
		wire_put_str(&request, q->expect[i]);
	if (cage_ask(READER_BISECTION, &fd, 1, &request, ANSWER_BYTES, &in, err))
		return err_context(err, "%s", q->path);
	*astray |= wire_bool(&in);
	wire_bytes(&in, ANSWER_BYTES, text);
	return wire_ok(&in) ? 0 : cage_bad(READER_BISECTION, err);
}
