/*
 * Where a kernel's modules are, and the closure of the wanted ones; see modules.h. A tree is walked
 * once into a table from name to file, so that nothing of depmod's is needed; then dependencies are
 * followed from file to file.
 */
#include "kernel/modules.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "kernel/image.h"
#include "kernel/modinfo.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

/* modules.builtin of a kernel with all of it built in is 400 KB. */
#define BUILTIN_BYTES (16UL * 1024 * 1024)

const char *const modules_for_kvm[] = { "kvm", "kvm_amd", "kvm_intel", NULL };

static const struct {
	const char *name, *params;
} params_of[] = {
	{ "kvm_amd", "nested=1" },
	{ "kvm_intel", "nested=1" },
};

/* What modules may be called on disk. */
static const char *const suffixes[] = { ".ko", ".ko.xz", ".ko.zst", ".ko.gz", NULL };

struct file {
	char *name;
	char *path;
};

/* The files of a tree by name. */
struct table {
	struct file *v;
	size_t n, cap;
};

static void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].name);
		free(t->v[i].path);
	}
	free(t->v);
}

/* "kvm-amd" and "arch/x86/kvm/kvm-amd.ko.xz" are both kvm_amd. NULL: a path that is no module's. */
static char *name_of(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	for (const char *const *s = suffixes; *s; s++) {
		size_t len = strlen(base), tail = strlen(*s);

		if (len > tail && !strcmp(base + len - tail, *s))
			return module_name(base, len - tail);
	}
	return NULL;
}

static void table_add(struct table *t, char *name, const char *path)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 256;
		t->v = xrealloc(t->v, t->cap * sizeof(*t->v));
	}
	t->v[t->n++] = (struct file){ name, xstrdup(path) };
}

/* As depmod does it, what lies in updates/ goes before the kernel's own. */
static bool is_update(const char *path)
{
	return strstr(path, "/updates/") != NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct file *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (!order)
		order = is_update(y->path) - is_update(x->path);
	return order ? order : strcmp(x->path, y->path);
}

static void table_sort(struct table *t)
{
	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), by_name);
}

/* The first file of that name, or NULL. */
static const struct file *table_find(const struct table *t, const char *name)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(t->v[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->n && !strcmp(t->v[low].name, name) ? &t->v[low] : NULL;
}

/* Another build's tree may lie in a source tree (make O=): its modules are another kernel's. */
static bool other_tree(const FTSENT *e)
{
	cleanup_free char *mark = xasprintf("%s/include/config/kernel.release", e->fts_path);

	return e->fts_level > 0 && (e->fts_name[0] == '.' || fs_exists(mark));
}

/* Fill t from all below dir; symbolic links (source, build) are not followed. */
static int table_walk(struct table *t, const char *dir, struct err *err)
{
	char *roots[] = { (char *)dir, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	size_t entries = 0;
	FTSENT *e;
	int rc = 0;

	if (!fts)
		return err_errno(err, ERR_INPUT, "%s", dir);
	while (!rc && (errno = 0, e = fts_read(fts))) {
		if (++entries > MODULES_MAX_ENTRIES)
			rc = err_set(err, ERR_INPUT, "%s: too large a tree to look for modules in",
				     dir);
		if (e->fts_info == FTS_D && other_tree(e))
			fts_set(fts, e, FTS_SKIP);
		if (e->fts_info == FTS_D || e->fts_info == FTS_DP || e->fts_info == FTS_SL)
			continue;
		char *name = name_of(e->fts_path);
		if (name)
			table_add(t, name, e->fts_path);
	}
	fts_close(fts);
	table_sort(t);
	return rc;
}

/* The names in modules.builtin (Documentation/kbuild/kbuild.rst): a path a line. */
static int table_read_builtin(struct table *t, const char *dir, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/modules.builtin", dir);
	cleanup_buf struct buf text = BUF_INIT;
	char *save, *line;

	if (!fs_exists(path))
		return 0;
	if (fs_read(path, BUILTIN_BYTES, &text, ERR_INPUT, err))
		return -1;
	for (line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *name = name_of(line);

		if (name)
			table_add(t, name, line);
	}
	table_sort(t);
	return 0;
}

/* Depth-first search without recursion: a module on the stack waits for its dependencies. */
struct pending {
	char *name;
	const char *path; /* the table's */
	struct modinfo info;
	size_t next; /* of info.depends */
};

struct search {
	const struct kernel_image *image;
	struct table files, builtin;
	struct pending *stack; /* at most MODULES_MAX: each name is on it once */
	size_t depth;
	struct kernel_modules out;
};

static void pending_free(struct pending *p)
{
	free(p->name);
	modinfo_free(&p->info);
}

static void search_free(struct search *s)
{
	table_free(&s->files);
	table_free(&s->builtin);
	while (s->depth)
		pending_free(&s->stack[--s->depth]);
	free(s->stack);
	kernel_modules_free(&s->out);
}

/* Found already, known to be absent, or waiting (a cycle, which is cut here). */
static bool seen(const struct search *s, const char *name)
{
	for (size_t i = 0; i < s->out.n; i++)
		if (!strcmp(s->out.v[i].name, name))
			return true;
	for (size_t i = 0; i < s->out.n_absent; i++)
		if (!strcmp(s->out.absent[i].name, name))
			return true;
	for (size_t i = 0; i < s->depth; i++)
		if (!strcmp(s->stack[i].name, name))
			return true;
	return false;
}

static void add_absent(struct search *s, char *name, bool builtin)
{
	struct kernel_modules *out = &s->out;

	out->absent = xrealloc(out->absent, (out->n_absent + 1) * sizeof(*out->absent));
	out->absent[out->n_absent++] = (struct kernel_module_absent){ name, builtin };
}

static int check_release(const struct kernel_image *image, const char *path,
			 const struct modinfo *info, struct err *err)
{
	if (!strcmp(info->release, image->release))
		return 0;
	return err_set(err, ERR_INPUT, "%s: built for kernel %.80s, but the image is %s", path,
		       info->release, image->release);
}

/* Put a module on the stack, unless it is done or has no file. Takes name. optional: it is not
 * missed. */
static int push(struct search *s, char *name, bool optional, struct err *err)
{
	cleanup_free char *owned = name;
	const struct file *file = table_find(&s->files, name);
	bool builtin = table_find(&s->builtin, name) != NULL;
	struct pending p = { .path = file ? file->path : NULL };

	if (seen(s, name))
		return 0;
	if (builtin || !file) {
		if (!optional || builtin)
			add_absent(s, steal(owned), builtin);
		return s->out.n_absent < MODULES_MAX
			       ? 0
			       : err_set(err, ERR_INPUT, "%s: too many dependencies", s->out.dir);
	}
	if (s->depth + s->out.n >= MODULES_MAX)
		return err_set(err, ERR_INPUT, "%s: more than %d modules depend on one another",
			       s->out.dir, MODULES_MAX);
	if (modinfo_read(p.path, &p.info, err))
		return -1;
	p.name = steal(owned);
	s->stack[s->depth++] = p;
	return check_release(s->image, p.path, &p.info, err);
}

/* The top of the stack has all it needs: it is next in load order. */
static void pop(struct search *s)
{
	struct pending *p = &s->stack[--s->depth];
	struct kernel_modules *out = &s->out;
	struct kernel_module module = { steal(p->name), xstrdup(p->path), "" };

	for (size_t i = 0; i < sizeof(params_of) / sizeof(params_of[0]); i++)
		if (!strcmp(module.name, params_of[i].name))
			module.params = params_of[i].params;
	out->v = xrealloc(out->v, (out->n + 1) * sizeof(*out->v));
	out->v[out->n++] = module;
	pending_free(p);
}

static int search_run(struct search *s, const char *const *wanted, struct err *err)
{
	s->stack = xcalloc(MODULES_MAX, sizeof(*s->stack));
	for (; *wanted; wanted++) {
		if (push(s, module_name(*wanted, strlen(*wanted)), false, err))
			return -1;
		while (s->depth) {
			struct pending *top = &s->stack[s->depth - 1];

			if (top->next == top->info.n_depends) {
				pop(s);
				continue;
			}
			struct modinfo_dep *dep = &top->info.depends[top->next++];
			if (push(s, xstrdup(dep->name), dep->soft, err))
				return -1;
		}
	}
	return 0;
}

static int closure(const struct kernel_image *image, const char *dir, const char *const *wanted,
		   bool must_hold, struct kernel_modules *out, struct err *err)
{
	struct search s = { .image = image };
	int rc = 0;

	if (dir) {
		s.out.dir = xstrdup(dir);
		rc = table_walk(&s.files, dir, err);
		if (!rc)
			rc = table_read_builtin(&s.builtin, dir, err);
		if (!rc && must_hold && !s.files.n && !s.builtin.n)
			rc = err_set(err, ERR_INPUT,
				     "%s: no kernel modules (*.ko, modules.builtin) in there", dir);
	}
	if (!rc)
		rc = search_run(&s, wanted, err);
	if (!rc) {
		*out = s.out;
		s.out = (struct kernel_modules){ 0 };
	}
	search_free(&s);
	return rc;
}

int modules_closure(const struct kernel_image *image, const char *dir, const char *const *wanted,
		    struct kernel_modules *out, struct err *err)
{
	return closure(image, dir, wanted, false, out, err);
}

int modules_for_image(const struct kernel_image *image, const char *given,
		      struct kernel_modules *out, struct err *err)
{
	cleanup_free char *dir = NULL;

	if (modules_find_dir(image, given, &dir, err))
		return -1;
	return closure(image, dir, modules_for_kvm, given != NULL, out, err);
}

void kernel_modules_free(struct kernel_modules *modules)
{
	free(modules->dir);
	for (size_t i = 0; i < modules->n; i++) {
		free(modules->v[i].name);
		free(modules->v[i].path);
	}
	free(modules->v);
	for (size_t i = 0; i < modules->n_absent; i++)
		free(modules->absent[i].name);
	free(modules->absent);
	*modules = (struct kernel_modules){ 0 };
}

static bool is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The modules directory below a root, or NULL. */
static char *under_root(const char *root, const char *release)
{
	static const char *const places[] = { "lib/modules", "usr/lib/modules", NULL };

	for (const char *const *place = places; *place; place++) {
		cleanup_free char *dir = xasprintf("%s/%s/%s", root, *place, release);

		if (is_dir(dir))
			return steal(dir);
	}
	return NULL;
}

/* If path ends in tail: what is before it (an empty root is "/"), else NULL. */
static char *before(const char *path, const char *tail)
{
	size_t len = strlen(path), tail_len = strlen(tail);

	if (len < tail_len || strcmp(path + len - tail_len, tail))
		return NULL;
	return len == tail_len ? xstrdup("/") : xstrndup(path, len - tail_len);
}

int modules_find_dir(const struct kernel_image *image, const char *given, char **out,
		     struct err *err)
{
	const char *slash = strrchr(image->path, '/');

	if (given && !is_dir(given))
		return err_set(err, ERR_INPUT, "%s: no such modules directory", given);
	if (given) {
		char *dir = under_root(given, image->release);

		*out = dir ? dir : xstrdup(given);
		return 0;
	}
	cleanup_free char *tree = before(image->path, "/arch/x86/boot/bzImage");
	if (tree) {
		*out = steal(tree);
		return 0;
	}
	cleanup_free char *parent =
		xstrndup(image->path, slash ? (size_t)(slash - image->path) : 0);
	cleanup_free char *root = before(parent, "/boot");
	char *dir = root ? under_root(root, image->release) : NULL;
	if (!dir)
		dir = under_root(parent, image->release);
	*out = dir ? dir : under_root("", image->release);
	return 0;
}
