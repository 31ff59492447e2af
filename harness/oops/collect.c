/* Collecting a report's lines, and seeing where it ends. */
#include "oops/collect.h"
#include "oops/frame.h"

#include <stdlib.h>
#include <string.h>

/* A complete report that is followed by this many lines that are not its own is over. */
#define IDLE_LINES 60

/* Reports that end with a line of their own; all others end where their stack trace ends. */
static const struct {
	const char *mark, *word;
	int ends;
} endings[] = {
	{ "BUG: KASAN:", NULL, END_RULER },  /* mm/kasan/report.c: end_report() */
	{ "BUG: KFENCE:", NULL, END_RULER }, /* mm/kfence/report.c */
	{ "BUG: KMSAN:", NULL, END_RULER },  /* mm/kmsan/report.c */
	{ "BUG: KCSAN:", NULL, END_RULER },  /* kernel/kcsan/report.c */
	{ "UBSAN:", NULL, END_RULER },       /* lib/ubsan.c: ubsan_epilogue() */
	{ "WARNING:", "has bad", END_LINE },
	{ "WARNING:", " at ", END_MARKER },         /* kernel/panic.c: print_oops_end_marker() */
	{ "BUG:", "unable to handle", END_MARKER }, /* arch's die() */
	{ "BUG:", "NULL pointer", END_MARKER },
	{ "BUG:", "stack guard page", END_MARKER },
	{ "Unable to handle kernel", NULL, END_MARKER },
	{ "Internal error:", NULL, END_MARKER },
	{ "rust_kernel: panicked at", NULL, END_MARKER }, /* rust/helpers/bug.c: BUG() */
	{ "kernel BUG at", NULL, END_MARKER },
	{ "general protection fault", NULL, END_MARKER },
	{ "divide error:", NULL, END_MARKER },
	{ "stack segment:", NULL, END_MARKER },
	{ "invalid opcode:", NULL, END_MARKER },
	{ "Kernel panic - not syncing", NULL, END_MARKER },
	{ "Booting the kernel", NULL, END_LINE },
	{ "Linux version", NULL, END_LINE },
	{ "SYZFAIL:", NULL, END_LINE },
	{ "VFS: Close: file count is", NULL, END_LINE },
	{ "VFS: Busy inodes after unmount", NULL, END_LINE },
	{ "unregister_netdevice: waiting for", NULL, END_LINE },
	{ "BUG:", "Bad rss-counter", END_LINE },
	{ "BUG:", "non-zero", END_LINE },
	{ "BUG:", "Dentry", END_LINE },
	{ "BUG:", "BUG: MAX_", END_LINE },
};

void collect_begin(struct raw_report *r, const struct oops_mark *mark, const struct line *l,
		   uint64_t offset)
{
	*r = (struct raw_report){ .mark = mark, .ctx = l->ctx, .text = BUF_INIT, .start = offset };
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		if (strcmp(endings[i].mark, mark->text) ||
		    (endings[i].word && !line_has(l, endings[i].word)))
			continue;
		r->ends = endings[i].ends;
		break;
	}
}

void collect_free(struct raw_report *r)
{
	buf_free(&r->text);
	free(r->lines);
	free(r->comm);
	*r = (struct raw_report){ .text = BUF_INIT };
}

static void add(struct raw_report *r, const struct line *l, unsigned flags)
{
	if (r->text.len + l->len + 1 > OOPS_REPORT_BYTES) {
		r->full = true;
		return;
	}
	if (r->n_lines == r->cap_lines) {
		r->cap_lines = r->cap_lines ? 2 * r->cap_lines : 128;
		r->lines = xrealloc(r->lines, r->cap_lines * sizeof(*r->lines));
	}
	if (l->questionable)
		flags |= RLINE_DOUBTFUL;
	r->lines[r->n_lines++] = (struct rline){ (uint32_t)r->text.len, (uint32_t)l->len, flags };
	buf_add(&r->text, l->s, l->len);
	/* A serial line's noise must not cut the report, which is a string. */
	for (char *p = r->text.data + r->text.len - l->len;
	     (p = memchr(p, '\0', (size_t)(r->text.data + r->text.len - p))); p++)
		*p = '?';
	buf_addc(&r->text, '\n');
}

void collect_before(struct raw_report *r, const struct line *l)
{
	if (l->ctx == r->ctx && l->len && !l->questionable)
		add(r, l, RLINE_BEFORE);
	r->first = r->n_lines;
}

/* "CPU: 1 PID: 2 Comm: name ..." (lib/dump_stack.c: dump_stack_print_info()) */
static void note_comm(struct raw_report *r, const struct line *l)
{
	const char *p;

	if (r->comm || !line_starts(l, "CPU: ") || !(p = memmem(l->s, l->len, " Comm: ", 7)))
		return;
	p += 7;
	size_t left = (size_t)(l->s + l->len - p), n = 0;
	while (n < left && n < 32 && p[n] != ' ')
		n++;
	r->comm = xstrndup(p, n);
}

/* "==================": at least this long. */
static bool ruler(const struct line *l)
{
	if (l->len < 20)
		return false;
	for (size_t i = 0; i < l->len; i++)
		if (l->s[i] != '=')
			return false;
	return true;
}

/* Lines that stand in the middle of a trace: registers, code, modules, blanks, annotations. */
static bool trace_filler(const struct line *l)
{
	static const char *const words[] = {
		"RIP: ",          "RSP: ",
		"RAX: ",          "RDX: ",
		"RBP: ",          "R10: ",
		"R13: ",          "FS: ",
		"CS: ",           "CR2: ",
		"DR0: ",          "DR3: ",
		"Code: ",         "Modules linked in",
		"Dumping ftrace", " <",
		"EIP: ",          "EAX: ",
		"ESI: ",          "DS: ",
		"Workqueue: ",    "Hardware name: ",
		"CPU: ",          "Kernel Offset",
		"PKRU: ",         "---",
		"task: ",         "Sending NMI",
		"NMI backtrace",  NULL,
	};

	if (!l->len)
		return true;
	for (size_t i = 0; words[i]; i++)
		if (line_starts(l, words[i]))
			return true;
	return false;
}

/* Has the report's end been seen? */
static void note_end(struct raw_report *r, const struct line *l)
{
	struct func f;

	if (line_starts(l, "---[ end ") || line_starts(l, "Rebooting in ")) {
		r->complete = true;
	} else if (frame_call_trace(l->s, l->len)) {
		r->in_trace = r->saw_trace = true;
		if (r->ends == END_STACK)
			r->complete = false;
	} else if (r->in_trace && frame_parse(l->s, l->len, &f)) {
		r->saw_frame = true;
	} else if (line_starts(l, " </TASK>") ||
		   (r->in_trace && r->saw_frame && !trace_filler(l))) {
		r->in_trace = false;
		if (r->ends == END_STACK && r->saw_frame)
			r->complete = true;
	}
	if (r->ends == END_RULER && r->n_lines > r->first + 3 && ruler(l))
		r->complete = true;
	if (r->ends == END_RULER && line_starts(l, "---[ end trace"))
		r->complete = true;
}

/* A symbolizer repeats a heading for each function inlined in the one it names. */
static bool repeated(const struct raw_report *r, const struct oops_mark *mark)
{
	const struct rline *last = &r->lines[r->n_lines - 1];
	const char *s = r->text.data + last->off;

	return last->len > 9 && !memcmp(s + last->len - 9, " [inline]", 9) &&
	       memmem(s, last->len, mark->text, strlen(mark->text));
}

/* What a line that holds a mark means to the report that is open. */
static unsigned mark_flags(const struct raw_report *r, const struct oops_mark *mark, bool first)
{
	if (!mark || first)
		return 0;
	if (mark->flags & MARK_SECOND || repeated(r, mark) ||
	    (mark->flags & MARK_TRAP && r->mark->flags & MARK_TRAPS))
		return RLINE_OOPS | RLINE_SAME;
	return RLINE_OOPS;
}

void collect_line(struct raw_report *r, const struct line *l, const struct oops_mark *mark,
		  uint64_t end)
{
	bool same = l->ctx == r->ctx || (r->want_all && l->ctx != LINE_CTX_USER);
	bool first = r->n_lines == r->first;

	if (mark && line_has(l, "Kernel panic - not syncing"))
		r->panicked = true;
	if (!same && !first) {
		if (r->complete)
			r->idle++;
		return;
	}
	if (line_starts(l, "Sending NMI "))
		r->want_all = true;
	add(r, l, mark_flags(r, mark, first));
	note_comm(r, l);
	if (first && r->ends == END_LINE)
		r->complete = true;
	bool was = r->complete;
	if (!first)
		note_end(r, l);
	if (r->complete && was)
		r->idle++;
	else
		r->idle = 0;
	if (!r->complete || r->idle < 3)
		r->end = end;
}

bool collect_over(const struct raw_report *r)
{
	return r->complete && r->idle > IDLE_LINES;
}
