/*
 * Names of Rust and C++ functions as people write them. Only the parts that a kernel's symbols
 * have: paths, impls and types of Rust's v0 scheme (RFC 2603), and the nested names of the older
 * scheme that Rust and C++ share ("_ZN...E"). A name with anything else is left as it is.
 *
 * The v0 scheme is a grammar; it is walked with a stack of things still to do, so that no input
 * can make it deep, and with a budget, because back references can repeat themselves.
 */
#include "oops/demangle.h"

#include <string.h>

#define MAX_TODO  64
#define MAX_STEPS 512

enum action {
	DO_PATH,
	DO_TYPE,
	DO_TEXT,    /* arg: a string */
	DO_IDENT,   /* "::" and an identifier */
	DO_CLOSURE, /* the same for a closure or shim: its name is a number */
	DO_ARGS,    /* generic arguments up to 'E' */
	DO_TUPLE,   /* types up to 'E' */
	DO_QUIET,   /* nothing is printed from here ... */
	DO_LOUD,    /* ... to here */
	DO_SEEK,    /* back from a reference */
};

struct todo {
	enum action action;
	const char *text;
	size_t pos;
};

struct mangled {
	const char *s;
	size_t len, pos;
	char *out;
	size_t used, size;
	struct todo todo[MAX_TODO];
	size_t n;
	unsigned quiet;
	bool bad;
};

static void put(struct mangled *m, const char *s, size_t len)
{
	if (m->quiet)
		return;
	if (m->used + len >= m->size) {
		m->bad = true;
		return;
	}
	memcpy(m->out + m->used, s, len);
	m->used += len;
}

static void later(struct mangled *m, enum action action, const char *text, size_t pos)
{
	if (m->n == MAX_TODO)
		m->bad = true;
	else
		m->todo[m->n++] = (struct todo){ action, text, pos };
}

static char peek(const struct mangled *m)
{
	return m->pos < m->len ? m->s[m->pos] : '\0';
}

static char next(struct mangled *m)
{
	if (m->pos < m->len)
		return m->s[m->pos++];
	m->bad = true;
	return '\0';
}

/* "s" base-62 number "_", or nothing. */
static void disambiguator(struct mangled *m)
{
	if (peek(m) != 's')
		return;
	while (!m->bad && next(m) != '_')
		;
}

static size_t base62(struct mangled *m)
{
	size_t v = 0;

	if (peek(m) == '_') {
		m->pos++;
		return 0;
	}
	for (char c = next(m); c != '_' && !m->bad; c = next(m)) {
		size_t d = c >= '0' && c <= '9'   ? (size_t)(c - '0')
			   : c >= 'a' && c <= 'z' ? (size_t)(c - 'a') + 10
			   : c >= 'A' && c <= 'Z' ? (size_t)(c - 'A') + 36
						  : 62;
		if (d == 62 || v > m->len)
			m->bad = true;
		v = v * 62 + d;
	}
	return v + 1;
}

static size_t decimal(struct mangled *m)
{
	size_t v = 0;

	while (peek(m) >= '0' && peek(m) <= '9' && v <= m->len)
		v = v * 10 + (size_t)(next(m) - '0');
	return v;
}

static void ident(struct mangled *m)
{
	disambiguator(m);
	size_t n = decimal(m);

	if (peek(m) == '_')
		m->pos++;
	if (n > m->len - m->pos) {
		m->bad = true;
		return;
	}
	put(m, m->s + m->pos, n);
	m->pos += n;
}

/* "B" base-62: what stands at that place, once more. */
static void back_reference(struct mangled *m, enum action what)
{
	size_t at = base62(m);

	if (at >= m->pos) {
		m->bad = true;
		return;
	}
	later(m, DO_SEEK, NULL, m->pos);
	later(m, what, NULL, 0);
	m->pos = at;
}

static void path(struct mangled *m)
{
	char ns;

	switch (next(m)) {
	case 'C': /* crate root */
		ident(m);
		break;
	case 'N': /* namespace, path, identifier */
		ns = next(m);
		later(m, ns >= 'A' && ns <= 'Z' ? DO_CLOSURE : DO_IDENT, NULL, 0);
		later(m, DO_PATH, NULL, 0);
		break;
	case 'M': /* inherent impl: where it stands, then the type */
		disambiguator(m);
		later(m, DO_TEXT, ">", 0);
		later(m, DO_TYPE, NULL, 0);
		later(m, DO_TEXT, "<", 0);
		later(m, DO_LOUD, NULL, 0);
		later(m, DO_PATH, NULL, 0);
		m->quiet++;
		break;
	case 'X': /* trait impl: where it stands, the type, the trait */
		disambiguator(m);
		later(m, DO_TEXT, ">", 0);
		later(m, DO_PATH, NULL, 0);
		later(m, DO_TEXT, " as ", 0);
		later(m, DO_TYPE, NULL, 0);
		later(m, DO_TEXT, "<", 0);
		later(m, DO_LOUD, NULL, 0);
		later(m, DO_PATH, NULL, 0);
		m->quiet++;
		break;
	case 'Y': /* the trait's own */
		later(m, DO_TEXT, ">", 0);
		later(m, DO_PATH, NULL, 0);
		later(m, DO_TEXT, " as ", 0);
		later(m, DO_TYPE, NULL, 0);
		put(m, "<", 1);
		break;
	case 'I': /* generic arguments are not part of a title */
		later(m, DO_LOUD, NULL, 0);
		later(m, DO_ARGS, NULL, 0);
		later(m, DO_QUIET, NULL, 0);
		later(m, DO_PATH, NULL, 0);
		break;
	case 'B':
		back_reference(m, DO_PATH);
		break;
	default:
		m->bad = true;
	}
}

static const char *basic_type(char c)
{
	static const char *const names[26] = {
		"i8",    "bool", "char", "f64", "str",  "f32",  NULL,  "u8", "isize",
		"usize", NULL,   "i32",  "u32", "i128", "u128", "_",   NULL, NULL,
		"i16",   "u16",  "()",   "...", NULL,   "i64",  "u64", "!",
	};

	return c >= 'a' && c <= 'z' ? names[c - 'a'] : NULL;
}

static void type(struct mangled *m)
{
	char c = peek(m);
	const char *name = basic_type(c);

	if (name) {
		m->pos++;
		put(m, name, strlen(name));
		return;
	}
	if (!strchr("SRQPOTB", c) || !c) {
		later(m, DO_PATH, NULL, 0);
		return;
	}
	m->pos++;
	switch (c) {
	case 'S':
		put(m, "[", 1);
		later(m, DO_TEXT, "]", 0);
		break;
	case 'R':
	case 'Q':
		if (peek(m) == 'L') {
			m->pos++;
			base62(m);
		}
		put(m, c == 'R' ? "&" : "&mut ", c == 'R' ? 1 : 5);
		break;
	case 'P':
		put(m, "*const ", 7);
		break;
	case 'O':
		put(m, "*mut ", 5);
		break;
	case 'T':
		put(m, "(", 1);
		later(m, DO_TEXT, ")", 0);
		later(m, DO_TUPLE, NULL, 0);
		return;
	case 'B':
		back_reference(m, DO_TYPE);
		return;
	}
	later(m, DO_TYPE, NULL, 0);
}

static void arguments(struct mangled *m, enum action what)
{
	if (peek(m) == 'E') {
		m->pos++;
		return;
	}
	later(m, what, NULL, 0);
	if (peek(m) == 'L') {
		m->pos++;
		base62(m);
	} else if (peek(m) == 'K') { /* a constant: its type, its digits, "_" */
		while (!m->bad && next(m) != '_')
			;
	} else {
		later(m, DO_TYPE, NULL, 0);
	}
}

static void act(struct mangled *m, const struct todo *t)
{
	switch (t->action) {
	case DO_PATH:
		path(m);
		break;
	case DO_TYPE:
		type(m);
		break;
	case DO_TEXT:
		put(m, t->text, strlen(t->text));
		break;
	case DO_IDENT:
		put(m, "::", 2);
		ident(m);
		break;
	case DO_CLOSURE:
		put(m, "::{closure}", 11);
		m->quiet++;
		ident(m);
		m->quiet--;
		break;
	case DO_ARGS:
	case DO_TUPLE:
		arguments(m, t->action);
		break;
	case DO_QUIET:
		m->quiet++;
		break;
	case DO_LOUD:
		m->quiet--;
		break;
	case DO_SEEK:
		m->pos = t->pos;
		break;
	}
}

static bool rust_v0(struct mangled *m)
{
	later(m, DO_PATH, NULL, 0);
	for (unsigned steps = 0; m->n && !m->bad; steps++) {
		struct todo t = m->todo[--m->n];
		if (steps == MAX_STEPS)
			m->bad = true;
		act(m, &t);
	}
	return !m->bad && m->used;
}

/* "17h" and 16 hexadecimal digits: the hash with which Rust's older names end. */
static bool rust_hash(const char *p, size_t n)
{
	if (n != 17 || p[0] != 'h')
		return false;
	for (size_t i = 1; i < n; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
	return true;
}

static bool nested_name(struct mangled *m)
{
	bool nested = peek(m) == 'N';

	m->pos += nested;
	while (nested && (peek(m) == 'K' || peek(m) == 'V' || peek(m) == 'r'))
		m->pos++;
	do {
		size_t n = decimal(m);
		if (!n || n > m->len - m->pos)
			return false;
		if (!rust_hash(m->s + m->pos, n)) {
			if (m->used)
				put(m, "::", 2);
			put(m, m->s + m->pos, n);
		}
		m->pos += n;
	} while (nested && peek(m) >= '0' && peek(m) <= '9');
	return !m->bad && m->used && (!nested || peek(m) == 'E');
}

size_t oops_demangle(const char *s, size_t len, char *out, size_t size)
{
	struct mangled m = { .out = out, .size = size, .pos = 0 };

	if (len < 4 || s[0] != '_' || (s[1] != 'R' && s[1] != 'Z'))
		return 0;
	m.s = s + 2;
	m.len = len - 2;
	if (!(s[1] == 'R' ? rust_v0(&m) : nested_name(&m)))
		return 0;
	out[m.used] = '\0';
	return m.used;
}
