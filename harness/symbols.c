/* Source lines by libdwfl (elfutils): see symbols.h. */
#include "symbols.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "oops/frame.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fts.h>
#include <string.h>

/* A symbol's size as kallsyms knows it reaches to the next symbol; ELF's ends with the code. */
#define MAX_PADDING 512

struct symbol {
	const char *name; /* libdwfl's */
	uint64_t addr, size;
};

/* vmlinux or a module, its functions sorted by name. */
struct object {
	char *name;       /* "" for vmlinux, "kvm_intel" */
	Dwfl_Module *mod; /* NULL: not found, and not to be looked for again */
	struct symbol *syms;
	size_t n;
	struct object *next;
};

struct symbols {
	Dwfl *dwfl;
	char *modules;
	struct object *objects; /* the first one is the last one added */
};

/* Debug information is in the files that the user gave, or it is missing: nothing is fetched. */
static int no_debuginfo(Dwfl_Module *mod, void **data, const char *name, Dwarf_Addr base,
			const char *file, const char *link, GElf_Word crc, char **out)
{
	(void)mod, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)out;
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_debuginfo = no_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

static void index_object(struct object *o)
{
	int n = o->mod ? dwfl_module_getsymtab(o->mod) : 0;

	o->syms = xcalloc(n > 0 ? (size_t)n : 1, sizeof(*o->syms));
	for (int i = 0; i < n; i++) {
		GElf_Sym sym;
		GElf_Addr addr;
		const char *name =
			dwfl_module_getsym_info(o->mod, i, &sym, &addr, NULL, NULL, NULL);
		int type = GELF_ST_TYPE(sym.st_info);
		if (!name || !*name || sym.st_shndx == SHN_UNDEF ||
		    (type != STT_FUNC && type != STT_NOTYPE))
			continue;
		o->syms[o->n++] = (struct symbol){ name, addr, sym.st_size };
	}
	qsort(o->syms, o->n, sizeof(*o->syms), by_name);
}

/* fd: of path, and from now on the object's; -1: there is none. */
static struct object *add_object(struct symbols *s, const char *name, const char *path, int fd)
{
	struct object *o = xcalloc(1, sizeof(*o));

	o->name = xstrdup(name);
	if (fd >= 0) {
		dwfl_report_begin_add(s->dwfl);
		o->mod = dwfl_report_offline(s->dwfl, name, path, fd);
		dwfl_report_end(s->dwfl, NULL, NULL);
		if (!o->mod)
			close(fd);
	}
	index_object(o);
	o->next = s->objects;
	s->objects = o;
	return o;
}

int symbols_open(const char *vmlinux, const char *modules, struct symbols **out, struct err *err)
{
	int fd = fs_open(vmlinux, ERR_INPUT, err);
	Dwarf_Addr bias;

	if (fd < 0)
		return -1;
	struct symbols *s = xcalloc(1, sizeof(*s));
	s->dwfl = dwfl_begin(&callbacks);
	if (!s->dwfl) {
		free(s);
		close(fd);
		return err_set(err, ERR_HARNESS, "libdw: %s", dwfl_errmsg(-1));
	}
	struct object *o = add_object(s, "", vmlinux, fd);
	const char *why = NULL;
	if (!o->mod)
		why = dwfl_errmsg(-1);
	else if (!dwfl_module_getdwarf(o->mod, &bias))
		why = "it has no debug information";
	if (why) {
		err_set(err, ERR_INPUT, "%s: %s", vmlinux, why);
		symbols_free(s);
		return -1;
	}
	if (modules && access(modules, R_OK | X_OK)) {
		err_errno(err, ERR_INPUT, "%s", modules);
		symbols_free(s);
		return -1;
	}
	s->modules = modules ? xstrdup(modules) : NULL;
	*out = s;
	return 0;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	while (s->objects) {
		struct object *o = s->objects;
		s->objects = o->next;
		free(o->name);
		free(o->syms);
		free(o);
	}
	dwfl_end(s->dwfl);
	free(s->modules);
	free(s);
}

/* Is file the module name's? The kernel turns '-' into '_' (kernel/module/main.c). */
static bool is_module(const char *file, const char *name)
{
	for (; *name; name++, file++)
		if (*file != *name && !(*file == '-' && *name == '_'))
			return false;
	return !strncmp(file, ".ko", 3);
}

static char *find_module(const char *dir, const char *name)
{
	char *roots[] = { (char *)dir, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	char *found = NULL;

	for (FTSENT *e; fts && !found && (e = fts_read(fts));)
		if (e->fts_info != FTS_D && e->fts_info != FTS_DP && is_module(e->fts_name, name))
			found = xstrdup(e->fts_path);
	if (fts)
		fts_close(fts);
	return found;
}

static struct object *find_object(struct symbols *s, const char *name)
{
	for (struct object *o = s->objects; o; o = o->next)
		if (!strcmp(o->name, name))
			return o;
	cleanup_free char *path =
		s->modules && !strchr(name, '/') ? find_module(s->modules, name) : NULL;
	struct err ignored;

	return add_object(s, name, path, path ? fs_open(path, ERR_INPUT, &ignored) : -1);
}

/* The address of name+offset; functions of one name are told apart by their size. */
static bool resolve(const struct object *o, const char *name, uint64_t size, uint64_t *addr)
{
	struct symbol key = { .name = name };
	const struct symbol *hit = bsearch(&key, o->syms, o->n, sizeof(*o->syms), by_name);
	const struct symbol *best = NULL, *end = o->syms + o->n;
	uint64_t best_over = UINT64_MAX;

	if (!hit)
		return false;
	while (hit > o->syms && !strcmp(hit[-1].name, name))
		hit--;
	for (; hit < end && !strcmp(hit->name, name); hit++) {
		uint64_t over = size >= hit->size ? size - hit->size : UINT64_MAX - 1;
		if (hit->size && over > MAX_PADDING)
			over = UINT64_MAX - 1;
		if (!best || over < best_over) {
			best = hit;
			best_over = over;
		}
	}
	*addr = best->addr;
	return true;
}

/* Without the directory that the kernel was built in. */
static const char *relative(const char *file, Dwarf_Die *cu)
{
	Dwarf_Attribute attr;
	const char *dir = dwarf_formstring(dwarf_attr(cu, DW_AT_comp_dir, &attr));
	size_t n = dir ? strlen(dir) : 0;

	if (n && !strncmp(file, dir, n) && file[n] == '/')
		file += n + 1;
	while (!strncmp(file, "./", 2))
		file += 2;
	return file;
}

struct place {
	const char *file;
	int line;
};

static struct place call_place(Dwarf_Die *die, Dwarf_Die *cu)
{
	struct place p = { "??", 0 };
	Dwarf_Files *files;
	Dwarf_Attribute attr;
	Dwarf_Word file, line;
	size_t n;

	if (!dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attr), &file) &&
	    !dwarf_getsrcfiles(cu, &files, &n) && file < n) {
		const char *name = dwarf_filesrc(files, file, NULL, NULL);
		if (name)
			p.file = relative(name, cu);
	}
	if (!dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attr), &line))
		p.line = (int)line;
	return p;
}

/* The concrete scopes around addr, innermost first, beginning with a function; the caller frees
 * *out. (dwarf_getscopes() goes on with the abstract ones behind the first inlined function.) */
static int function_scopes(Dwarf_Die *cu, Dwarf_Addr addr, Dwarf_Die **out)
{
	cleanup_free Dwarf_Die *scopes = NULL;
	int n = dwarf_getscopes(cu, addr, &scopes);

	for (int i = 0; i < n; i++) {
		int tag = dwarf_tag(&scopes[i]);
		if (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_subprogram)
			return dwarf_getscopes_die(&scopes[i], out);
	}
	return 0;
}

/* Add to lines, for each function inlined at addr, head + "name file:line [inline]", and to tail
 * the place in the function that was really called. */
static bool describe(const struct object *o, Dwarf_Addr addr, const char *head, size_t head_len,
		     struct buf *lines, struct buf *tail)
{
	Dwarf_Addr bias;
	Dwarf_Die *cu = dwfl_module_addrdie(o->mod, addr, &bias);
	Dwfl_Line *line = dwfl_module_getsrc(o->mod, addr);
	struct place at = { NULL, 0 };
	cleanup_free Dwarf_Die *scopes = NULL;

	if (line)
		at.file = dwfl_lineinfo(line, NULL, &at.line, NULL, NULL, NULL);
	if (!at.file || !cu)
		return false;
	at.file = relative(at.file, cu);
	int n = function_scopes(cu, addr - bias, &scopes);
	for (int i = 0; i < n && dwarf_tag(&scopes[i]) != DW_TAG_subprogram; i++) {
		Dwarf_Attribute attr;
		if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine)
			continue;
		const char *name =
			dwarf_formstring(dwarf_attr_integrate(&scopes[i], DW_AT_name, &attr));
		buf_add(lines, head, head_len);
		buf_addf(lines, "%s %s:%d [inline]\n", name ? name : "??", at.file, at.line);
		at = call_place(&scopes[i], cu);
	}
	buf_addf(tail, " %s:%d", at.file, at.line);
	return true;
}

/* "name+0x1/0x2" somewhere in a line, and "[module]" behind it. */
struct reference {
	size_t at, end; /* of the whole reference, without the module */
	char name[256], module[64];
	uint64_t offset, size;
};

static bool find_reference(const char *s, size_t len, struct reference *r)
{
	size_t skip = 0;

	for (;;) {
		const char *plus = memmem(s + skip, len - skip, "+0x", 3);
		if (!plus)
			return false;
		size_t at = (size_t)(plus - s), i = at;
		while (i && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789_.$",
				   s[i - 1]))
			i--;
		char *end, *stop;
		r->offset = strtoull(plus + 1, &end, 16);
		if (at > i && at - i < sizeof(r->name) && end < s + len && *end == '/') {
			r->size = strtoull(end + 1, &stop, 16);
			r->at = i;
			r->end = (size_t)(stop - s);
			memcpy(r->name, s + i, at - i);
			r->name[at - i] = '\0';
			break;
		}
		skip = at + 3;
	}
	r->module[0] = '\0';
	if (r->end + 2 < len && s[r->end] == ' ' && s[r->end + 1] == '[')
		sscanf(s + r->end + 2, "%63[A-Za-z0-9_]", r->module);
	return r->end <= len;
}

/* Symbolized already, or with nothing to find. */
static bool has_source(const char *s, size_t len)
{
	const char *dot = memmem(s, len, ".c:", 3);

	return dot || memmem(s, len, ".h:", 3) || memmem(s, len, ".S:", 3);
}

static void add_line(struct symbols *s, const char *line, size_t len, struct buf *out)
{
	cleanup_buf struct buf lines = BUF_INIT, tail = BUF_INIT;
	struct reference r;
	struct func f;
	uint64_t addr;

	if (has_source(line, len) || !find_reference(line, len, &r))
		goto plain;
	struct object *o = find_object(s, r.module);
	if (!o->mod || !resolve(o, r.name, r.size, &addr))
		goto plain;
	/* In a trace stand return addresses: the call is before them. */
	bool call = frame_parse(line, len, &f) && r.offset;
	if (!describe(o, addr + r.offset - call, line, r.at, &lines, &tail))
		goto plain;
	buf_add(out, lines.data, lines.len);
	buf_add(out, line, r.end);
	buf_add(out, tail.data, tail.len);
	buf_add(out, line + r.end, len - r.end);
	buf_addc(out, '\n');
	return;
plain:
	buf_add(out, line, len);
	buf_addc(out, '\n');
}

char *symbols_add(struct symbols *s, const char *text)
{
	struct buf out = BUF_INIT;

	while (*text) {
		size_t len = strcspn(text, "\n");
		add_line(s, text, len, &out);
		text += len + (text[len] == '\n');
	}
	return buf_steal(&out);
}
