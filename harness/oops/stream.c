/*
 * The console as a stream: whole lines out of pieces of any size, fast past everything that holds
 * no mark, line by line while a report is open.
 */
#include "oops/collect.h"
#include "oops/scan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define RECENT_LINES 5
#define RECENT_BYTES 512 /* of each */
#define FIRST_LINES  5

struct oops {
	size_t keep;
	struct oops_report *done;
	size_t n_done, cap_done;
	struct oops_regexes rx;
	size_t n_first; /* lines seen, up to FIRST_LINES */
	struct scan scan;
	struct buf carry;  /* the line that has no end yet */
	uint64_t line_pos; /* offset of its first byte */
	struct {
		char s[RECENT_BYTES];
		size_t len;
	} recent[RECENT_LINES]; /* the last lines, as a ring */
	size_t recent_next;
	struct raw_report raw;
	bool open;
	bool sure;             /* the open report is complete, and it can be named */
	bool evaluated, fresh; /* done[n_done] is the open report; as it stands now */
	bool suppressed;       /* somewhere in this console is what makes crashes uninteresting */
	bool ran, booted, crashed; /* a system was up; a banner was seen; a report since then */
	size_t boot_first;         /* the first report of this boot */
	bool stamped;              /* a line with a time stamp was seen */
};

/* Crashes of the test program or of its surroundings; the second text must follow in the line. */
static const struct {
	const char *text, *also;
} suppressions[] = {
	{ "fatal error: runtime: out of memory", NULL },
	{ "fatal error: runtime: cannot allocate memory", NULL },
	{ "fatal error: out of memory", NULL },
	{ "fatal error: unexpected signal", NULL },
	{ "signal SIGBUS: bus error", NULL },
	{ "SYZFAIL: SIGBUS", NULL },
	{ "Killed process ", "(syz-fuzzer)" },
	{ "Killed process ", "(syz-execprog)" },
	{ "Killed process ", "(sshd)" },
	{ "Out of memory: Kill process ", "(syz-fuzzer)" },
	{ "Out of memory: Kill process ", "(sshd)" },
	{ "lowmemorykiller: Killing 'syz-fuzzer'", NULL },
	{ "lowmemorykiller: Killing 'sshd'", NULL },
	{ "INIT: PANIC: segmentation violation!", NULL },
	{ "*** stack smashing detected ***: terminated", NULL },
};
#define N_SUPPRESSIONS (sizeof(suppressions) / sizeof(suppressions[0]))

static bool suppresses(const char *p, size_t len)
{
	for (size_t i = 0; i < N_SUPPRESSIONS; i++) {
		size_t n = strlen(suppressions[i].text);
		const char *also = suppressions[i].also;

		if (*p == suppressions[i].text[0] && len >= n &&
		    !memcmp(p, suppressions[i].text, n) &&
		    (!also || memmem(p, len, also, strlen(also))))
			return true;
	}
	return false;
}

struct oops *oops_new(size_t keep)
{
	struct oops *o = xcalloc(1, sizeof(*o));
	const char *words[SCAN_MAX_WORDS];
	size_t n = 0;

	o->keep = keep ? keep : 1;
	o->carry = (struct buf)BUF_INIT;
	o->raw.text = (struct buf)BUF_INIT;
	oops_regexes_init(&o->rx);
	for (size_t i = 0; i < oops_n_marks; i++)
		words[n++] = oops_marks[i].text;
	for (size_t i = 0; i < N_SUPPRESSIONS; i++)
		words[n++] = suppressions[i].text;
	scan_init(&o->scan, words, n);
	return o;
}

void oops_free(struct oops *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n_done + o->evaluated; i++)
		oops_report_clear(&o->done[i]);
	free(o->done);
	collect_free(&o->raw);
	buf_free(&o->carry);
	oops_regexes_free(&o->rx);
	free(o);
}

static void evaluate(struct oops *o)
{
	if (o->evaluated && o->fresh)
		return;
	if (o->evaluated)
		oops_report_clear(&o->done[o->n_done]);
	if (o->n_done == o->cap_done) {
		o->cap_done = o->cap_done ? 2 * o->cap_done : 4;
		o->done = xrealloc(o->done, o->cap_done * sizeof(*o->done));
	}
	o->fresh = true;
	o->raw.suppressed = o->suppressed;
	oops_evaluate(&o->rx, &o->raw, &o->done[o->n_done]);
	o->evaluated = true;
}

static void close_report(struct oops *o)
{
	if (!o->open)
		return;
	if (o->n_done < o->keep) {
		evaluate(o);
		o->n_done++;
		o->evaluated = false;
	}
	collect_free(&o->raw);
	o->open = false;
}

static void remember(struct oops *o, const char *raw, size_t len)
{
	size_t i = o->recent_next++ % RECENT_LINES;

	o->recent[i].len = len < RECENT_BYTES ? len : RECENT_BYTES;
	memcpy(o->recent[i].s, raw, o->recent[i].len);
}

static void open_report(struct oops *o, const struct oops_mark *m, const struct line *l,
			uint64_t pos)
{
	collect_begin(&o->raw, m, l, pos);
	o->open = true;
	o->crashed = true;
	for (size_t i = 0; i < RECENT_LINES; i++) {
		size_t k = (o->recent_next + i) % RECENT_LINES;
		struct line b;
		line_parse(o->recent[k].s, o->recent[k].len, 0, &b);
		collect_before(&o->raw, &b);
	}
}

/* Text that only a running system prints: a kernel's line, a login prompt, the system calls that a
 * fuzzer logs ("r0 = socket(0x2, 0x1, 0x0)"). A boot loader's words are none. */
static bool looks_alive(const struct line *l)
{
	const char *paren = memchr(l->s, '(', l->len);

	if (l->ctx != LINE_CTX_USER)
		return l->later; /* at zero it boots: some arches print a line before the banner */
	if (line_has(l, "executing program") || line_has(l, "login:"))
		return true;
	return paren && paren > l->s && l->s[l->len - 1] == ')' &&
	       (islower((unsigned char)paren[-1]) || isdigit((unsigned char)paren[-1]) ||
		isupper((unsigned char)paren[-1]) || paren[-1] == '_');
}

/* A boot banner: the first one is a boot, another one a reboot. Returns whether it is to be
 * reported: nobody asked for it, and no crash explains it. */
static bool banner(struct oops *o, const struct oops_mark *m, const struct line *l)
{
	bool decompressor = m->text[0] == 'B';
	bool again = o->booted || o->ran;
	bool crash = o->crashed;

	if (decompressor ? !line_starts(l, m->text) : !line_starts(l, "Linux version "))
		return false;
	if (!decompressor && l->ctx == LINE_CTX_USER)
		return false;
	o->booted = !decompressor;
	o->boot_first = o->n_done;
	o->ran = false;
	o->crashed = false;
	return again && !crash;
}

/* The kernel is gone: that holds for every report since it booted. */
static void note_panic(struct oops *o)
{
	for (size_t i = o->boot_first; i < o->n_done; i++)
		o->done[i].panicked = true;
}

static void marked_line(struct oops *o, const struct oops_mark *m, const struct line *l,
			uint64_t pos, uint64_t end)
{
	bool panic = !strcmp(m->text, "Kernel panic - not syncing");
	bool begins = !(m->flags & MARK_FOREIGN);

	if (panic)
		note_panic(o);
	if (m->flags & MARK_BOOT) {
		if (o->open && line_starts(l, m->text))
			close_report(o);
		begins = banner(o, m, l);
	}
	if (o->open && begins && o->raw.complete && !panic)
		close_report(o);
	if (o->n_done == o->keep)
		return; /* no more are kept: only a panic still matters */
	if (!o->open && begins && !(panic && o->crashed)) {
		open_report(o, m, l, pos);
		if (m->flags & MARK_BOOT)
			o->crashed = false;
	}
	if (o->open)
		collect_line(&o->raw, l, m, end);
}

/* Do the kernel's lines in this log have time stamps? The last few tell. */
static bool stamped(struct oops *o)
{
	struct line l;

	for (size_t i = 0; i < RECENT_LINES && !o->stamped; i++) {
		line_parse(o->recent[i].s, o->recent[i].len, 0, &l);
		o->stamped = l.ctx != LINE_CTX_USER;
	}
	return o->stamped;
}

/* Was a system running before what this console shows? Its first lines tell. */
static void first_lines(struct oops *o, const struct line *l, bool marked)
{
	if (o->n_first == FIRST_LINES || !l->len)
		return;
	o->n_first++;
	o->ran |= !o->booted && looks_alive(l) && !marked;
}

/* The first mark in a line, and where; what suppresses reports is noted on the way. */
static const struct oops_mark *find_mark(struct oops *o, const char *raw, size_t len, size_t *at)
{
	const struct oops_mark *best = NULL;
	size_t from = 0, hit;

	*at = 0;
	while ((hit = scan_find(&o->scan, raw, len, &from)) < len) {
		o->suppressed |= suppresses(raw + hit, len - hit);
		if (best && hit >= *at)
			continue;
		const struct oops_mark *m = oops_mark_at(&o->rx, raw, len, hit);
		if (m) {
			best = m;
			*at = hit;
		}
	}
	return best;
}

/* The report has just come to what looks like its end. Where that is only the end of a stack trace,
 * it may have been another trace than the one that tells whom to blame. */
static void note_complete(struct oops *o)
{
	o->sure =
		o->raw.ends != END_STACK || o->n_done == o->keep || oops_can_name(&o->rx, &o->raw);
}

static void take_line(struct oops *o, const char *raw, size_t len, uint64_t pos, uint64_t end)
{
	struct line l;
	size_t at;
	const struct oops_mark *m = find_mark(o, raw, len, &at);

	line_parse(raw, len, m ? at : 0, &l);
	if (m && !oops_is_heading(m, &l, raw, at, stamped(o))) {
		m = NULL;
		line_parse(raw, len, 0, &l);
	}
	first_lines(o, &l, m);
	bool was = o->open && o->raw.complete;
	uint64_t start = o->raw.start;
	o->fresh = false;
	if (m)
		marked_line(o, m, &l, pos, end);
	else if (o->open)
		collect_line(&o->raw, &l, NULL, end);
	if (o->open && o->raw.complete && (!was || start != o->raw.start))
		note_complete(o);
	if (o->open && collect_over(&o->raw))
		close_report(o);
	remember(o, raw, len);
}

/* The line in carry is whole; newline: it ends with one, and is not a piece of a longer one. */
static void take_carry(struct oops *o, bool newline)
{
	uint64_t end = o->line_pos + o->carry.len + newline;

	take_line(o, o->carry.data, o->carry.len, o->line_pos, end);
	o->line_pos = end;
	buf_clear(&o->carry);
}

/* Add to the line in carry, up to its end; returns how much was taken. */
static size_t feed_carry(struct oops *o, const char *data, size_t len)
{
	size_t room = OOPS_LINE_BYTES - o->carry.len;
	size_t look = len < room ? len : room;
	const char *nl = memchr(data, '\n', look);
	size_t n = nl ? (size_t)(nl - data) : look;

	buf_add(&o->carry, data, n);
	if (nl || o->carry.len == OOPS_LINE_BYTES)
		take_carry(o, nl);
	return n + (nl != NULL);
}

/* Whole lines that hold no mark: only the last few are kept, for what may come. */
static void pass_lines(struct oops *o, const char *data, size_t len)
{
	const char *from = data + len;
	struct line l;

	if (!len)
		return;
	for (const char *p = data; o->n_first < FIRST_LINES && p < data + len;) {
		const char *nl = memchr(p, '\n', (size_t)(data + len - p));
		line_parse(p, (size_t)(nl - p), 0, &l);
		first_lines(o, &l, false);
		p = nl + 1;
	}
	for (int n = 0; n < RECENT_LINES && from > data; n++) {
		const char *nl = memrchr(data, '\n', (size_t)(from - 1 - data));
		from = nl ? nl + 1 : data;
	}
	while (from < data + len) {
		const char *nl = memchr(from, '\n', (size_t)(data + len - from));
		remember(o, from, (size_t)(nl - from));
		from = nl + 1;
	}
	o->line_pos += len;
}

/* Whole lines while no report is open: on to the first that holds a mark. Returns how much was
 * taken. Nothing here looks further than a line's limit beyond what is taken: a line without end
 * must not be looked at again for each of its pieces. */
static size_t skip_lines(struct oops *o, const char *data, size_t len)
{
	size_t from = 0, hit = scan_find(&o->scan, data, len, &from);
	const char *start, *nl;

	if (hit == len) {
		pass_lines(o, data, len);
		return len;
	}
	start = memrchr(data, '\n', hit);
	start = start ? start + 1 : data;
	pass_lines(o, data, (size_t)(start - data));
	size_t pieces = ((size_t)(data + hit - start)) / OOPS_LINE_BYTES * OOPS_LINE_BYTES;
	start += pieces;
	o->line_pos += pieces;
	size_t left = (size_t)(data + len - start);
	nl = memchr(start, '\n', left < OOPS_LINE_BYTES ? left : OOPS_LINE_BYTES);
	if (!nl)
		return (size_t)(start - data) + feed_carry(o, start, left);
	size_t n = (size_t)(nl - start);
	take_line(o, start, n, o->line_pos, o->line_pos + n + 1);
	o->line_pos += n + 1;
	return (size_t)(nl + 1 - data);
}

void oops_feed(struct oops *o, const char *data, size_t len)
{
	const char *last = memrchr(data, '\n', len); /* whole lines up to here */

	while (len) {
		size_t n;

		if (!o->open && !o->carry.len && last && data <= last)
			n = skip_lines(o, data, (size_t)(last + 1 - data));
		else
			n = feed_carry(o, data, len);
		data += n;
		len -= n;
	}
}

void oops_finish(struct oops *o)
{
	if (o->carry.len)
		take_carry(o, false);
	close_report(o);
	for (size_t i = 0; i < o->n_done; i++)
		o->done[i].suppressed |= o->suppressed;
}

enum oops_state oops_state(const struct oops *o)
{
	if (o->open && !(o->raw.complete && o->sure))
		return OOPS_OPEN;
	return o->open || o->n_done ? OOPS_COMPLETE : OOPS_NONE;
}

size_t oops_count(const struct oops *o)
{
	return o->n_done + (o->open && o->raw.complete && o->sure && o->n_done < o->keep);
}

const struct oops_report *oops_get(struct oops *o, size_t i)
{
	if (i >= oops_count(o))
		return NULL;
	if (i == o->n_done)
		evaluate(o);
	return &o->done[i];
}

void oops_drop(struct oops *o, size_t n)
{
	size_t all = o->n_done + o->evaluated;

	if (n > o->n_done)
		n = o->n_done;
	for (size_t i = 0; i < n; i++)
		oops_report_clear(&o->done[i]);
	if (n)
		memmove(o->done, o->done + n, (all - n) * sizeof(*o->done));
	o->n_done -= n;
	o->boot_first = o->boot_first > n ? o->boot_first - n : 0;
}
