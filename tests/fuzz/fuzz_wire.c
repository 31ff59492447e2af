/*
 * libFuzzer target for the harness's side of the messages of a caged reader: one that has been
 * taken over may say anything.
 */
#include "readers.h"

#include "base/buf.h"
#include "oops/report.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_BYTES 65536

static void take(struct wire *in)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct oops_report report;

	read_report_take(in, &report);
	if (wire_ok(in))
		read_report_put(&body, &report, true);
	oops_report_clear(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire in = WIRE_INIT;
	struct err err;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) ||
	    write(ends[1], data, size) != (ssize_t)size)
		return 0;
	close(ends[1]);
	while (wire_recv(ends[0], -1, -1, BODY_BYTES, &in, &err) > 0) {
		if (in.body.len > BODY_BYTES)
			abort();
		take(&in);
		wire_free(&in);
		in = (struct wire)WIRE_INIT;
	}
	wire_free(&in);
	close(ends[0]);
	return 0;
}
