/* Families of titles; see family.h. */
#include "family.h"

#include "base/cleanup.h"
#include "oops/frame.h"
#include "oops/match.h"
#include "oops/report.h"

#include <ctype.h>
#include <string.h>

#define STACK_MAX 48 /* functions; what lies deeper tells no crashes apart */
#define WORDS_MAX 16 /* of a function's name */

/* When the target dominates a kernel's runs. */
#define ALIAS_HITS_MIN 3

/* So many functions must agree: fewer are what any two calls of one ioctl have in common. */
#define AGREE_MIN 3

static const char *const kinships[] = {
	[KIN_OTHER] = "other",     [KIN_TARGET] = "target",     [KIN_ALIAS] = "alias",
	[KIN_RENAMED] = "renamed", [KIN_POSSIBLE] = "possible",
};

const char *kinship_name(enum kinship kin)
{
	return kinships[kin];
}

int kinship_of(const char *name, enum kinship *out)
{
	for (size_t i = 0; i < sizeof(kinships) / sizeof(*kinships); i++)
		if (!strcmp(kinships[i], name)) {
			*out = (enum kinship)i;
			return 0;
		}
	return -1;
}

void family_free(struct family *family)
{
	for (size_t i = 0; i < family->n; i++) {
		free(family->v[i].title);
		free(family->v[i].type);
		free(family->v[i].stack);
	}
	free(family->v);
	*family = (struct family){ 0 };
}

/* ---- stacks ---- */

/*
 * How the kernel comes to a system call, an exit from one, or a thread: rows as in oops/skip.c.
 * arch/x86/entry, arch/arm64/kernel/syscall.c, include/linux/syscalls.h, fs/ioctl.c,
 * kernel/kthread.c, kernel/workqueue.c, kernel/exit.c, fs/file_table.c
 */
static const char *const entries[] = {
	"^entry_",
	"^do_syscall_",
	"^x64_sys_call$",
	"^ia32_sys_call$",
	"^__x64_sys_",
	"^__ia32_sys_",
	"^__arm64_sys_",
	"^__se_sys_",
	"^__do_sys_",
	"^ksys_",
	"^SyS_",
	"^SYSC_",
	"^sys_",
	"^do_int80",
	"^do_fast_syscall",
	"^__do_fast_syscall",
	"^invoke_syscall",
	"^el0",
	"^do_el0",
	"^ret_from_",
	"^ret_to_user",
	"^do_vfs_ioctl$",
	"^vfs_ioctl$",
	"^file_ioctl$",
	"^kthread$",
	"^worker_thread$",
	"^process_one_work$",
	"^process_scheduled_works$",
	"^task_work_run$",
	"^__fput$",
	"^____fput$",
	"^do_exit$",
	"^do_group_exit$",
	"^get_signal$",
	"^exit_to_user",
	"^prepare_exit_to_user",
	"^syscall_return_slowpath$",
	"^syscall_exit_to_user_mode",
	"^__syscall_exit_to_user_mode",
};

static bool is_entry(const struct func *f)
{
	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++)
		if (func_matches(f, entries[i]))
			return true;
	return false;
}

struct stack {
	struct func v[STACK_MAX];
	size_t n;
};

static void push(struct stack *s, const struct func *f)
{
	const struct func *last = s->n ? &s->v[s->n - 1] : NULL;

	if (s->n == STACK_MAX || !f->len || frame_skipped(f) || is_entry(f))
		return;
	if (!last || last->len != f->len || memcmp(last->s, f->s, f->len))
		s->v[s->n++] = *f;
}

static bool begins(const char *s, size_t len, const char *with)
{
	size_t k = strlen(with);

	while (len && *s == ' ')
		s++, len--;
	return len >= k && !memcmp(s, with, k);
}

/* A trap's registers stand in the midst of an older kernel's trace ("RSP: ...", "R08: ...");
 * RIP, where it is no function of the kernel's, is user mode: the end. */
static bool is_register(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && isalnum((unsigned char)line[n]))
		n++;
	return n >= 2 && n <= 4 && n < len && line[n] == ':' && isupper((unsigned char)line[0]) &&
	       !begins(line, len, "RIP:");
}

/* One line of the first call trace. Returns false when the trace is over. */
static bool take_frame(struct stack *s, const char *line, size_t len)
{
	struct func f, caller;

	/* What an interrupt came upon has no part in what it did. */
	if (begins(line, len, "</IRQ>") || begins(line, len, "</NMI>"))
		return !s->n;
	if (begins(line, len, "? ")) /* found on the stack, but not called from there */
		return true;
	if (frame_parse_both(line, len, &f, &caller)) {
		push(s, &f);
		push(s, &caller);
		return true;
	}
	return is_register(line, len) || (len && *line == ' ' && !begins(line, len, "</TASK>"));
}

/* Where the kernel trapped is the crashing function: the frames before it only report. */
static bool take_pc(struct stack *s, const char *line, size_t len)
{
	struct func f;

	if (!frame_pc(line, len, &f))
		return false;
	s->n = 0;
	push(s, &f);
	return true;
}

static void read_stack(const char *report, struct stack *s)
{
	bool in_trace = false;

	for (const char *end, *p = report; *p; p = *end ? end + 1 : end) {
		size_t len = strcspn(p, "\n");

		end = p + len;
		if (take_pc(s, p, len))
			continue;
		if (frame_call_trace(p, len)) {
			if (in_trace)
				return;
			in_trace = true;
		} else if (in_trace && !take_frame(s, p, len)) {
			return;
		}
	}
}

char *family_stack(const char *report)
{
	struct buf text = BUF_INIT;
	struct stack s = { .n = 0 };

	read_stack(report, &s);
	for (size_t i = 0; i < s.n; i++) {
		buf_adds(&text, i ? " " : "");
		buf_add(&text, s.v[i].s, s.v[i].len);
	}
	return s.n ? buf_steal(&text) : NULL;
}

/* A text's parts, as pointers into it. */
static size_t split(const char *text, const char *at, struct func *out, size_t max)
{
	size_t n = 0;

	while (n < max && *(text += strspn(text, at))) {
		size_t len = strcspn(text, at);

		out[n++] = (struct func){ text, len };
		text += len;
	}
	return n;
}

/* The longest run of functions that both have in the same order, others between them or not. */
static size_t common(const struct func *a, size_t n_a, const struct func *b, size_t n_b)
{
	size_t row[STACK_MAX + 1] = { 0 };

	for (size_t i = 0; i < n_a; i++) {
		size_t diagonal = 0;

		for (size_t k = 0; k < n_b; k++) {
			size_t above = row[k + 1];

			if (a[i].len == b[k].len && !memcmp(a[i].s, b[k].s, a[i].len))
				row[k + 1] = diagonal + 1;
			else if (row[k] > above)
				row[k + 1] = row[k];
			diagonal = above;
		}
	}
	return row[n_b];
}

static bool comparable(const char *stack)
{
	struct func v[AGREE_MIN];

	return stack && split(stack, " ", v, AGREE_MIN) == AGREE_MIN;
}

static bool stacks_agree(const char *a, const char *b)
{
	struct func v_a[STACK_MAX], v_b[STACK_MAX];
	size_t n_a = split(a, " ", v_a, STACK_MAX), n_b = split(b, " ", v_b, STACK_MAX);
	size_t both = common(v_a, n_a, v_b, n_b);

	return both >= AGREE_MIN && 2 * both > (n_a > n_b ? n_a : n_b);
}

/* ---- names ---- */

/* Where a title's last " in ", or else " at ", stands; its end if there is none. */
static const char *head_end(const char *title)
{
	static const char *const before[] = { " in ", " at " };
	const char *found = NULL;

	for (size_t i = 0; i < sizeof(before) / sizeof(*before) && !found; i++)
		for (const char *p = title; (p = strstr(p, before[i])); p++)
			found = p;
	return found ? found : title + strlen(title);
}

/* Are they reports of one kind: "WARNING", "KASAN: use-after-free Read", "kernel BUG"? The same
 * type for what the kernel has renamed. */
static bool same_kind(const struct family_member *a, const struct family_member *b)
{
	cleanup_free char *kind_a = xstrndup(a->title, (size_t)(head_end(a->title) - a->title));
	cleanup_free char *kind_b = xstrndup(b->title, (size_t)(head_end(b->title) - b->title));

	return !strcmp(a->type, b->type) && strcmp(a->type, "UNKNOWN") &&
	       oops_titles_alike(kind_a, kind_b);
}

/* The name in a title: the function it is in, or the file it is at. */
static const char *name_in(const char *title)
{
	const char *end = head_end(title);

	if (!*end)
		return NULL;
	const char *slash = strrchr(end, '/');
	return slash ? slash + 1 : end + 4;
}

static bool has_word(const struct func *v, size_t n, const struct func *word)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].len == word->len && !memcmp(v[i].s, word->s, word->len))
			return true;
	return false;
}

/* More than half of the words of the longer name are in the other one too. */
static bool names_alike(const char *a, const char *b)
{
	struct func v_a[WORDS_MAX], v_b[WORDS_MAX];
	size_t both = 0;

	if (!a || !b)
		return false;
	size_t n_a = split(a, "_.:! ", v_a, WORDS_MAX), n_b = split(b, "_.:! ", v_b, WORDS_MAX);
	for (size_t i = 0; i < n_a; i++)
		both += has_word(v_b, n_b, &v_a[i]);
	return 2 * both > (n_a > n_b ? n_a : n_b);
}

/* ---- members ---- */

static struct family_member *find(const struct family *family, const char *title)
{
	for (size_t i = 0; i < family->n; i++)
		if (!strcmp(family->v[i].title, title) ||
		    oops_titles_alike(family->v[i].title, title))
			return &family->v[i];
	return NULL;
}

static struct family_member *find_or_add(struct family *family, const char *title)
{
	struct family_member *m = find(family, title);

	if (m || family->n == FAMILY_MAX)
		return m;
	family->v = xrealloc(family->v, (family->n + 1) * sizeof(*family->v));
	m = &family->v[family->n++];
	*m = (struct family_member){ .title = xstrdup(title), .type = xstrdup("") };
	return m;
}

static void set_type(struct family_member *m, const char *type)
{
	if (*m->type)
		return;
	free(m->type);
	m->type = xstrdup(type && *type ? type : oops_type(m->title));
}

static bool counts(enum kinship kin)
{
	return kin == KIN_TARGET || kin == KIN_ALIAS || kin == KIN_RENAMED;
}

/* ---- kinship ---- */

/* What becomes of any kernel, or of none: no name of a bug. */
static bool names_no_crash(const char *title)
{
	static const char *const titles[] = {
		TITLE_NO_OUTPUT, TITLE_LOST_CONNECTION, TITLE_REBOOT, TITLE_NO_INIT, TITLE_UNKILLED,
	};

	for (size_t i = 0; i < sizeof(titles) / sizeof(*titles); i++)
		if (!strcmp(titles[i], title))
			return true;
	return false;
}

/* What m is to one target, by kind, stack and name. */
static enum kinship resemblance(const struct family_member *m, const struct family_member *target)
{
	if (!same_kind(m, target) || names_no_crash(m->title))
		return KIN_OTHER;
	if (comparable(m->stack) && comparable(target->stack))
		return stacks_agree(m->stack, target->stack) ? KIN_RENAMED : KIN_OTHER;
	return names_alike(name_in(m->title), name_in(target->title)) ? KIN_POSSIBLE : KIN_OTHER;
}

static enum kinship closest(const struct family *family, const struct family_member *m)
{
	enum kinship best = KIN_OTHER;

	for (size_t i = 0; i < family->n && best != KIN_RENAMED; i++) {
		enum kinship kin =
			family->v[i].kin == KIN_TARGET ? resemblance(m, &family->v[i]) : KIN_OTHER;

		if (kin != KIN_OTHER)
			best = kin;
	}
	return best;
}

/* Three quarters of the runs that could show anything are the target's. */
static bool target_dominates(const struct family *family)
{
	size_t hits = 0, conclusive = family->clean;

	for (size_t i = 0; i < family->n; i++) {
		const struct family_member *m = &family->v[i];

		conclusive += m->seen;
		if (m->kin == KIN_TARGET || m->kin == KIN_RENAMED)
			hits += m->seen;
	}
	return hits >= ALIAS_HITS_MIN && 4 * hits >= 3 * conclusive;
}

static void judge_members(struct family *family)
{
	for (size_t i = 0; i < family->n; i++) {
		struct family_member *m = &family->v[i];

		if (!m->known && m->kin != KIN_TARGET)
			m->kin = closest(family, m);
	}
	if (!target_dominates(family))
		return;
	for (size_t i = 0; i < family->n; i++) {
		struct family_member *m = &family->v[i];

		if (m->seen && !counts(m->kin) && !names_no_crash(m->title))
			m->kin = KIN_ALIAS;
	}
}

void family_know(struct family *family, const char *title, const char *type, const char *stack,
		 enum kinship kin)
{
	struct family_member *m = find_or_add(family, title);

	if (!m)
		return;
	set_type(m, type);
	if (!m->known || kin == KIN_TARGET)
		m->kin = kin;
	m->known = true;
	if (stack && !comparable(m->stack)) {
		free(m->stack);
		m->stack = xstrdup(stack);
	}
	judge_members(family);
}

void family_know_all(struct family *to, const struct family *from)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct family_member *m = &from->v[i];

		if (counts(m->kin))
			family_know(to, m->title, m->type, m->stack, m->kin);
	}
}

static bool has_crash(const struct outcome *o)
{
	return o->title && o->kind != OUTCOME_OK && o->kind != OUTCOME_INFRA;
}

size_t family_add(struct family *family, const struct family_run *run)
{
	const struct outcome *o = run->outcome;
	struct family_member *m = has_crash(o) ? find_or_add(family, o->title) : NULL;

	family->clean += o->kind == OUTCOME_OK;
	if (m) {
		set_type(m, run->type);
		m->seen += o->kind == OUTCOME_CRASHED;
		if (run->expected)
			m->kin = KIN_TARGET;
		if (!comparable(m->stack) && run->report && !run->corrupted) {
			free(m->stack);
			m->stack = family_stack(run->report);
		}
	}
	judge_members(family);
	return m ? (size_t)(m - family->v) : FAMILY_NONE;
}

enum kinship family_kin(const struct family *family, const struct outcome *outcome)
{
	const struct family_member *m = has_crash(outcome) ? find(family, outcome->title) : NULL;

	return m ? m->kin : KIN_OTHER;
}

enum match family_match(const struct family *family, size_t member, bool expected)
{
	if (expected)
		return MATCH_TARGET;
	if (member == FAMILY_NONE)
		return MATCH_NONE;
	switch (family->v[member].kin) {
	case KIN_ALIAS:
	case KIN_RENAMED:
		return MATCH_TARGET;
	case KIN_POSSIBLE:
		return MATCH_POSSIBLE;
	case KIN_TARGET: /* by its title, but --expect says no: in another phase, or ignored */
	case KIN_OTHER:
		break;
	}
	return MATCH_NONE;
}
