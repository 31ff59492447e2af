/* From a report's lines to its title: pick the rule, find the function, fill the template. */
#include "oops/demangle.h"
#include "oops/frame.h"
#include "oops/report.h"
#include "oops/title.h"

#include <stdlib.h>
#include <string.h>

#define TITLE_BYTES 120 /* longer ones are cut: titles become file names and mail subjects */

struct title_try {
	struct oops_regexes *rx;
	const struct raw_report *raw;
	const struct oops_rule *rule;
	struct span groups[9];
	struct func frame; /* len 0: none */
	bool matched;      /* some rule's heading matched */
	bool no_frames;    /* the rule wants a function and there is none */
	bool mixed;        /* a foreign stack is in the trace */
	size_t line;       /* the heading */
	size_t end;        /* lines from here on belong to another report */
};

struct walk {
	struct title_try *t;
	const struct oops_path *path;
	const struct oops_step *step;
	struct oops_picked got;
};

/* A frame comes within so many lines of "Call Trace:"; other printers may be between. */
#define FRAME_LINES 20

/* The lines of a heading, and room for one that got between: see RULE_NEAR. */
#define NEAR_LINES 6

static bool usable(const struct rline *l)
{
	return !(l->flags & RLINE_DOUBTFUL);
}

static const char *line_at(const struct title_try *t, size_t i, size_t *len)
{
	*len = t->raw->lines[i].len;
	return t->raw->text.data + t->raw->lines[i].off;
}

static bool keep(struct walk *w, const struct func *f)
{
	char name[OOPS_NAME_BYTES];
	struct func plain = *f;
	size_t n = oops_demangle(f->s, f->len, name, sizeof(name));

	if (n)
		plain = (struct func){ name, n };
	if (!plain.len || frame_skipped(&plain))
		return false;
	if (w->path->skip && oops_match_re(w->t->rx, w->path->skip, plain.s, plain.len, NULL, 0))
		return false;
	oops_pick(w->path->pick, &w->got, f);
	return true;
}

/* Fault injection dumps the stack of whoever is to fail (lib/fault-inject.c: fail_dump()): in a
 * report it is somebody else's. */
static bool foreign_frame(const char *s, size_t len)
{
	struct func f;

	return memmem(s, len, "should_fail", 11) && frame_parse(s, len, &f) &&
	       (func_is(&f, "should_fail") || func_is(&f, "should_failslab"));
}

/* One line for the step in hand; true: the step is done. */
static bool step_line(struct walk *w, const char *s, size_t len)
{
	struct span g[2];
	struct func f, caller;

	if (foreign_frame(s, len)) {
		w->t->mixed = true;
		return true;
	}
	switch (w->step->kind) {
	case STEP_PC:
		if (frame_call_trace(s, len)) {
			w->step++; /* a program counter stands before the trace; this is it */
			return true;
		}
		if (!frame_pc(s, len, &f))
			return false;
		keep(w, &f);
		/* A symbolized log has a line for each inlined function: those are no frames. */
		return true;
	case STEP_TRACE:
		return frame_start(s, len);
	case STEP_MATCH:
	case STEP_HERE:
		/* A symbolizer's extra line: the one that the kernel printed follows. */
		if (len > 9 && !memcmp(s + len - 9, " [inline]", 9))
			return false;
		if (!oops_match_re(w->t->rx, w->step->re, s, len, g, 2))
			return w->step->kind == STEP_HERE;
		if (g[0].s ? frame_name(g[0].s, g[0].len, &f) != 0 : frame_pc(s, len, &f))
			keep(w, &f);
		return true;
	case STEP_FRAMES:
		if (frame_start(s, len))
			return true;
		if (frame_parse_both(s, len, &f, &caller)) {
			if (!keep(w, &f) && caller.len)
				keep(w, &caller);
		} else if (frame_pc(s, len, &f)) {
			keep(w, &f);
		}
		return false;
	case STEP_END:
		break;
	}
	return true;
}

static void walk_steps(struct walk *w, const struct oops_step *steps, struct func *out)
{
	w->step = steps;
	w->got = (struct oops_picked){ .done = false };
	for (size_t i = w->t->line; i < w->t->end && w->step->kind != STEP_END; i++) {
		size_t len;
		const char *s = line_at(w->t, i, &len);

		if (!usable(&w->t->raw->lines[i]))
			continue;
		if (step_line(w, s, len))
			w->step++;
		if (w->got.done)
			break;
	}
	*out = oops_pick_end(w->path->pick, &w->got);
}

static void find_frame(struct title_try *t, const struct oops_path *path)
{
	struct walk w = { .t = t, .path = path };

	t->mixed = false;
	walk_steps(&w, path->first, &t->frame);
	if (!t->frame.len && path->second)
		walk_steps(&w, path->second, &t->frame);
	t->no_frames = !t->frame.len;
}

static size_t count_groups(const struct span *g, size_t max)
{
	size_t n = max;

	while (n && !g[n - 1].s)
		n--;
	return n;
}

static bool find_also(struct title_try *t, const struct oops_rule *r)
{
	size_t have = count_groups(t->groups, 9);
	size_t end = t->end;

	if (r->flags & RULE_NEAR && end > t->line + NEAR_LINES)
		end = t->line + NEAR_LINES;
	for (size_t i = t->line; i < end; i++) {
		size_t len;
		const char *s = line_at(t, i, &len);
		if (usable(&t->raw->lines[i]) &&
		    oops_match_re(t->rx, r->also, s, len, t->groups + have, 9 - have))
			return true;
	}
	return false;
}

static bool try_rule(struct title_try *t, const struct oops_rule *r, const char *s, size_t len)
{
	if (strcmp(r->mark, t->raw->mark->text) ||
	    !oops_match_re(t->rx, r->re, s, len, t->groups, 9))
		return false;
	t->matched = true;
	if (!r->title || (r->also && !find_also(t, r)))
		return false;
	t->rule = r;
	t->no_frames = t->mixed = false;
	if (r->path)
		find_frame(t, r->path);
	return true;
}

static bool find_rule(struct title_try *t)
{
	for (size_t i = t->raw->first; i < t->end; i++) {
		size_t len;
		const char *s = line_at(t, i, &len);

		if (i != t->raw->first &&
		    (!(t->raw->lines[i].flags & RLINE_OOPS) ||
		     !memmem(s, len, t->raw->mark->text, strlen(t->raw->mark->text))))
			continue;
		t->line = i;
		for (size_t k = 0; oops_rule_tables[k]; k++)
			for (const struct oops_rule *r = oops_rule_tables[k]; r->mark; r++)
				if (try_rule(t, r, s, len))
					return true;
	}
	t->line = t->raw->first;
	return false;
}

/* On a console where nothing tells the printers apart, a second report's heading ends the first. A
 * trap's own second line ("invalid opcode: ...", "Internal error: ...") is marked as no heading. */
static size_t find_end(const struct raw_report *raw)
{
	if (raw->ctx == LINE_CTX_CONSOLE || raw->ctx == LINE_CTX_USER)
		for (size_t i = raw->first + 1; i < raw->n_lines; i++)
			if (raw->lines[i].flags & RLINE_OOPS && !(raw->lines[i].flags & RLINE_SAME))
				return i;
	return raw->n_lines;
}

static void fill(struct buf *out, const char *tmpl, const struct title_try *t, const char *func)
{
	for (const char *p = tmpl; *p; p++) {
		if (*p != '$') {
			buf_addc(out, *p);
		} else if (p[1] == 'F') {
			buf_adds(out, func);
			p++;
		} else if (p[1] >= '1' && p[1] <= '9') {
			const struct span *g = &t->groups[*++p - '1'];
			if (g->s)
				buf_add(out, g->s, g->len);
		}
	}
}

static char *make_title(const char *tmpl, const struct title_try *t, const char *func)
{
	struct buf b = BUF_INIT;

	fill(&b, tmpl, t, func);
	return oops_title_clean(&b, TITLE_BYTES);
}

static void add_alt(struct oops_report *out, char *alt)
{
	if (!strcmp(alt, out->title)) {
		free(alt);
		return;
	}
	for (size_t i = 0; i < out->n_alt; i++) {
		if (!strcmp(alt, out->alt[i])) {
			free(alt);
			return;
		}
	}
	out->alt = xrealloc(out->alt, (out->n_alt + 1) * sizeof(*out->alt));
	out->alt[out->n_alt++] = alt;
}

static void name_it(const struct title_try *t, struct oops_report *out)
{
	char names[4][OOPS_NAME_BYTES];
	size_t n = 1;

	if (t->frame.len)
		n = oops_name_forms(&t->frame, names);
	else
		strcpy(names[0], "corrupted");
	out->title = make_title(t->rule->title, t, names[0]);
	for (size_t i = 0; i < n; i++) {
		if (i)
			add_alt(out, make_title(t->rule->title, t, names[i]));
		for (size_t k = 0; k < 2 && t->rule->alt[k]; k++)
			add_alt(out, make_title(t->rule->alt[k], t, names[i]));
	}
	if (t->rule->older)
		out->older = make_title(t->rule->older, t, names[0]);
	if (t->rule->path)
		out->frame = xstrdup(names[0]);
}

static void name_by_line(const struct title_try *t, struct oops_report *out)
{
	size_t len;
	const char *s = line_at(t, t->raw->first, &len);
	const char *m = memmem(s, len, t->raw->mark->text, strlen(t->raw->mark->text));
	struct buf b = BUF_INIT;

	if (m) {
		len -= (size_t)(m - s);
		s = m;
	}
	buf_add(&b, s, len);
	out->title = oops_title_clean(&b, TITLE_BYTES);
}

static void corrupt(struct oops_report *out, const char *why)
{
	if (out->corrupted)
		return;
	out->corrupted = true;
	out->corrupted_why = xstrdup(why);
}

/* The first trace of each kind that the report announces must have at least one frame. */
static const char *check_traces(const struct title_try *t)
{
	bool any = false;
	unsigned seen = 0;
	size_t left = 0; /* lines in which the frame wanted may still come */

	for (size_t i = t->raw->first; i < t->raw->n_lines; i++) {
		size_t len;
		const char *s = line_at(t, i, &len);
		unsigned kind = frame_start(s, len);
		struct func f;

		if (!usable(&t->raw->lines[i]))
			continue;
		if (left && (kind || !--left))
			return "no frames in a stack trace";
		if (kind && !(seen & 1u << kind)) {
			seen |= 1u << kind;
			left = FRAME_LINES;
		} else if (seen && (frame_parse(s, len, &f) ||
				    memmem(s, len, "stack is not available", 22))) {
			any = true;
			left = 0;
		}
	}
	if (left)
		return "no frames in a stack trace";
	return any ? NULL : "no stack trace in the report";
}

/* A sanitizer's report is closed by a ruler; the same task began another one before that. */
static bool interrupted(const struct raw_report *raw)
{
	if (raw->ends != END_RULER || raw->ctx == LINE_CTX_CONSOLE || raw->ctx == LINE_CTX_USER)
		return false;
	for (size_t i = raw->first + 1; i < raw->n_lines; i++)
		if (raw->lines[i].flags & RLINE_OOPS && !(raw->lines[i].flags & RLINE_SAME))
			return true;
	return false;
}

static void judge(const struct title_try *t, struct oops_report *out)
{
	if (interrupted(t->raw))
		corrupt(out, "another report began inside this one");
	if (!t->rule && t->matched)
		corrupt(out, "a heading without the lines that belong to it");
	if (t->rule && t->rule->path && t->no_frames)
		corrupt(out, "no function to blame in the stack trace");
	if (t->mixed)
		corrupt(out, "another report's stack is mixed in");
	if (t->rule && t->rule->flags & RULE_CORRUPT)
		corrupt(out, "this form of report is always cut");
	if (oops_title_has_stamp(out->title))
		corrupt(out, "a time stamp inside the title");
	if (!(t->rule && t->rule->flags & RULE_NO_TRACE)) {
		const char *why = check_traces(t);
		if (why)
			corrupt(out, why);
	}
}

static void collect_text(const struct title_try *t, struct oops_report *out)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < t->raw->n_lines; i++) {
		const struct rline *l = &t->raw->lines[i];
		if (usable(l))
			buf_add(&b, t->raw->text.data + l->off, l->len + 1);
	}
	out->text = buf_steal(&b);
}

bool oops_can_name(struct oops_regexes *rx, const struct raw_report *raw)
{
	struct title_try t = { .rx = rx, .raw = raw, .end = find_end(raw) };

	return find_rule(&t) ? !t.no_frames : !t.matched;
}

void oops_evaluate(struct oops_regexes *rx, const struct raw_report *raw, struct oops_report *out)
{
	struct title_try t = { .rx = rx, .raw = raw, .end = find_end(raw) };

	find_rule(&t);
	*out = (struct oops_report){ .start = raw->start, .end = raw->end };
	if (t.rule)
		name_it(&t, out);
	else
		name_by_line(&t, out);
	judge(&t, out);
	out->type = t.rule && t.rule->type ? t.rule->type : oops_type(out->title);
	out->panicked = raw->panicked;
	out->suppressed = raw->suppressed;
	out->executor = oops_executor(raw->comm);
	collect_text(&t, out);
}

void oops_report_clear(struct oops_report *r)
{
	free(r->title);
	for (size_t i = 0; i < r->n_alt; i++)
		free(r->alt[i]);
	free(r->alt);
	free(r->older);
	free(r->frame);
	free(r->executor);
	free(r->corrupted_why);
	free(r->text);
	*r = (struct oops_report){ 0 };
}
