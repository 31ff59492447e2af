/* Reading trace lines; see frame.h. Hand-written: this runs on every line of every report. */
#include "oops/frame.h"

#include <string.h>

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '$';
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static size_t blanks(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && (s[i] == ' ' || s[i] == '\t'))
		i++;
	return i;
}

bool func_is(const struct func *f, const char *name)
{
	return f->len == strlen(name) && !memcmp(f->s, name, f->len);
}

bool func_has(const struct func *f, const char *part)
{
	return memmem(f->s, f->len, part, strlen(part));
}

/* "0x1f" at p: its length, or 0. */
static size_t hex0x(const char *p, size_t len)
{
	size_t i = 2;

	if (len < 3 || p[0] != '0' || p[1] != 'x')
		return 0;
	while (i < len && is_hex(p[i]))
		i++;
	return i > 2 ? i : 0;
}

/* "[<ffffffff81234567>]", "[c000000000123456]", "([<00000000001122>])"...: its length, or 0. */
static size_t address(const char *p, size_t len)
{
	size_t i = 0;

	if (i < len && p[i] == '(')
		i++;
	if (i >= len || p[i] != '[')
		return 0;
	i++;
	if (i < len && p[i] == '<')
		i++;
	if (len - i > 2 && p[i] == '0' && p[i + 1] == 'x')
		i += 2;
	size_t digits = i;
	while (i < len && is_hex(p[i]))
		i++;
	if (i - digits < 4)
		return 0;
	if (i < len && p[i] == '>')
		i++;
	return i < len && p[i] == ']' ? i + 1 : 0;
}

size_t frame_name(const char *p, size_t len, struct func *out)
{
	/* A name may start with a dot where the ABI has function descriptors (powerpc64 v1). */
	size_t dot = len > 1 && p[0] == '.' && is_word(p[1]);
	size_t i = dot;

	while (i < len && is_word(p[i]))
		i++;
	if (i == dot || (p[dot] >= '0' && p[dot] <= '9'))
		return 0;
	*out = (struct func){ .s = p + dot, .len = i - dot };
	while (i < len && (is_word(p[i]) || p[i] == '.'))
		i++;
	return i;
}

/* "+0x1/0x2": what makes a name a frame. */
static bool frame_tail(const char *p, size_t len)
{
	if (!len || p[0] != '+')
		return false;
	size_t n = hex0x(p + 1, len - 1);
	return n && n + 1 < len && p[n + 1] == '/' && hex0x(p + n + 2, len - n - 2);
}

/* arm, before 5.18: "[<pc>] (callee) from [<pc>] (caller+0x1/0x2)"; the callee's name has an
 * offset only in some versions. Since then: "callee from caller+0x1/0x2". */
static bool arm_frame(const char *p, size_t len, struct func *out, struct func *caller)
{
	struct func callee;
	bool paren = len && p[0] == '(';
	size_t i = paren;
	size_t n = frame_name(p + i, len - i, &callee);

	if (!n)
		return false;
	i += n;
	if (paren) {
		const char *e = memchr(p + i, ')', len - i);
		if (!e)
			return false;
		i = (size_t)(e - p) + 1;
	}
	if (len - i < 6 || memcmp(p + i, " from ", 6))
		return false;
	*out = callee;
	i += 6;
	i += address(p + i, len - i);
	i += blanks(p + i, len - i);
	i += i < len && p[i] == '(';
	frame_name(p + i, len - i, caller);
	return true;
}

/* "<IRQ>", "<EOI>", "<TASK>" on the frame's own line (x86 before 4.13). */
static size_t stack_name(const char *p, size_t len)
{
	size_t i = 1;

	if (len < 3 || p[0] != '<')
		return 0;
	while (i < len && (is_word(p[i]) || p[i] == '#' || p[i] == '/'))
		i++;
	return i < len && i < 12 && p[i] == '>' ? i + 1 : 0;
}

bool frame_parse(const char *s, size_t len, struct func *out)
{
	struct func caller;

	return frame_parse_both(s, len, out, &caller);
}

bool frame_parse_both(const char *s, size_t len, struct func *out, struct func *caller)
{
	size_t i = blanks(s, len);

	*caller = (struct func){ NULL, 0 };
	i += stack_name(s + i, len - i);
	i += blanks(s + i, len - i);
	for (int k = 0; k < 2; k++) {
		size_t n = address(s + i, len - i);
		i += n;
		i += blanks(s + i, len - i);
	}
	if (i + 1 < len && s[i] == '?' && s[i + 1] == ' ')
		i += 2;
	struct func f;
	size_t n = frame_name(s + i, len - i, &f);
	if (n && frame_tail(s + i + n, len - i - n)) {
		*out = f;
		return true;
	}
	return arm_frame(s + i, len - i, out, caller);
}

/* The first "func+0x1/0x2" or symbolized name in the rest of a line. */
static bool pc_name(const char *p, size_t len, struct func *out)
{
	for (size_t i = 0; i < len;) {
		size_t n = address(p + i, len - i);
		if (n) {
			i += n;
			continue;
		}
		struct func f;
		n = frame_name(p + i, len - i, &f);
		if (n && frame_tail(p + i + n, len - i - n)) {
			*out = f;
			return true;
		}
		i += n ? n : 1;
	}
	return false;
}

bool frame_pc(const char *s, size_t len, struct func *out)
{
	/* The word, and what must follow it for kernel mode (x86 prints CS, whose low bits are the
	 * privilege level: arch/x86/kernel/dumpstack.c show_ip()). */
	static const char *const words[] = {
		"RIP: 0010:", "RIP: e030:", "RIP: 0008:", "RIP  [", "EIP: ",
		"IP: ",       "PC is at ",  "pc : ",      "PC: ",   "NIP [",
		"epc : ",     "epc   : ",   "epc: ",      "ERA: ",  NULL,
	};
	size_t i = blanks(s, len);

	for (size_t k = 0; words[k]; k++) {
		size_t n = strlen(words[k]);
		if (len - i >= n && !memcmp(s + i, words[k], n)) {
			n -= words[k][n - 1] == '['; /* it belongs to the address */
			return pc_name(s + i + n, len - i - n, out);
		}
	}
	/* s390: "Krnl PSW : 0704c00180000000 00000000001f1e2c (func+0x2/0x4)". */
	if (len - i > 10 && !memcmp(s + i, "Krnl PSW :", 10))
		return pc_name(s + i + 10, len - i - 10, out);
	return false;
}

bool frame_call_trace(const char *s, size_t len)
{
	static const char *const words[] = { "Call Trace", "Call trace", "Backtrace:", NULL };

	if (!memchr(s, ':', len))
		return false; /* most lines of a trace */
	for (size_t k = 0; words[k]; k++)
		if (memmem(s, len, words[k], strlen(words[k])))
			return true;
	return false;
}

unsigned frame_start(const char *s, size_t len)
{
	static const char *const words[] = {
		"Allocated:",
		"Allocated by task ",
		"Freed:",
		"Freed by task ",
		"Uninit was stored to memory at",
		"Uninit was created at",
		NULL,
	};

	size_t i = blanks(s, len);

	if (!memchr(s, ':', len))
		return 0;
	if (i == len || !strchr("ABCFUb[(<", s[i])) /* only another writer's may be further in */
		return memmem(s, len, "Call Trace", 10) != NULL;
	if (frame_call_trace(s, len))
		return 1;
	for (unsigned k = 0; words[k]; k++)
		if (memmem(s, len, words[k], strlen(words[k])))
			return 2 + k;
	/* mm/kmemleak.c print_unreferenced(); lockdep's "stack backtrace:" is only a heading. */
	return i > 1 && len - i >= 9 && !memcmp(s + i, "backtrace", 9) ? 30 : 0;
}
