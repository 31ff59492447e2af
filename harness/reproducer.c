/*
 * Reproducers from names, C files and ELF files; see reproducer.h. What a user gives is looked at
 * here, before a VM is started: a program that cannot run in the guest is a line, not a trial.
 */
#include "reproducer.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/sha256.h"
#include "build.h"
#include "kvmrepro/protocol.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

/* What is kept of a compiler's messages. */
#define DIAG_BYTES (1024UL * 1024)

#define NAME_BYTES 63

static int check_dynamic(const char *what, const char *data, const Elf64_Phdr *ph, struct err *err)
{
	for (size_t at = 0; at + sizeof(Elf64_Dyn) <= ph->p_filesz; at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn dyn;

		memcpy(&dyn, data + ph->p_offset + at, sizeof(dyn));
		if (dyn.d_tag == DT_NEEDED)
			return err_set(err, ERR_INPUT,
				       "%s: needs shared libraries; link it with -static", what);
	}
	return 0;
}

/* Program headers: all within the file, at least one to load, nothing for a dynamic linker. */
static int check_segments(const char *what, const char *data, size_t len, const Elf64_Ehdr *head,
			  struct err *err)
{
	size_t loads = 0;

	for (size_t i = 0; i < head->e_phnum; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, data + head->e_phoff + i * sizeof(ph), sizeof(ph));
		if (ph.p_offset > len || ph.p_filesz > len - ph.p_offset)
			return err_set(err, ERR_INPUT, "%s: truncated: a segment is outside", what);
		if (ph.p_type == PT_INTERP)
			return err_set(err, ERR_INPUT,
				       "%s: a dynamic program; link it with -static", what);
		if (ph.p_type == PT_DYNAMIC && check_dynamic(what, data, &ph, err))
			return -1;
		loads += ph.p_type == PT_LOAD;
	}
	return loads ? 0 : err_set(err, ERR_INPUT, "%s: not a program (nothing to load)", what);
}

int reproducer_check_elf(const char *what, const void *data, size_t len, struct err *err)
{
	Elf64_Ehdr head;

	if (len < SELFMAG || memcmp(data, ELFMAG, SELFMAG))
		return err_set(err, ERR_INPUT, "%s: neither a C file (.c) nor an ELF program",
			       what);
	if (len < sizeof(head))
		return err_set(err, ERR_INPUT, "%s: truncated: it ends within its header", what);
	memcpy(&head, data, sizeof(head));
	if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB ||
	    head.e_machine != EM_X86_64)
		return err_set(err, ERR_INPUT, "%s: not an x86-64 program", what);
	if (head.e_type == ET_REL)
		return err_set(err, ERR_INPUT, "%s: an object file; link it with -static", what);
	if (head.e_type != ET_EXEC && head.e_type != ET_DYN)
		return err_set(err, ERR_INPUT, "%s: not a program", what);
	if (head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phoff > len ||
	    (len - head.e_phoff) / sizeof(Elf64_Phdr) < head.e_phnum)
		return err_set(err, ERR_INPUT, "%s: truncated: its program headers are outside",
			       what);
	return check_segments(what, data, len, &head, err);
}

static bool ends_in_c(const char *path)
{
	size_t len = strlen(path);

	return len > 2 && !strcmp(path + len - 2, ".c");
}

/* Its temporary files go to our directory, then the words of cc, then what we add; NULL-terminated.
 * The strings are the caller's. */
static const char **compiler_argv(const char *tmpdir, char *cc, const char *source,
				  const char *program)
{
	const char *const ours[] = { "-static", "-pthread", "-o", program, source, NULL };
	const size_t n_ours = sizeof(ours) / sizeof(ours[0]);
	const char **argv = xcalloc(strlen(cc) / 2 + 3 + n_ours, sizeof(*argv));
	size_t n = 0;
	char *save, *word;

	argv[n++] = "env";
	argv[n++] = tmpdir;
	for (word = strtok_r(cc, " \t", &save); word; word = strtok_r(NULL, " \t", &save))
		argv[n++] = word;
	memcpy(argv + n, ours, sizeof(ours));
	return argv;
}

/* Why the compiler made no program, as an error that begins with source. status: as a shell has it
 * (build.h); env(1) says 126 and 127. */
static int compile_failed(const char *source, const char *cc, const char *program, int status,
			  struct err *err)
{
	const char *signal = status > 128 ? sigabbrev_np(status - 128) : NULL;

	if (status == 126 || status == 127)
		return err_set(err, ERR_INPUT, "%s: cannot run the compiler '%s' ($CC)", source,
			       program);
	if (signal)
		return err_set(err, ERR_INPUT, "%s: %s was ended by SIG%s", source, cc, signal);
	return err_set(err, ERR_INPUT, "%s: does not compile with '%s -static -pthread'", source,
		       cc);
}

/* A flood of messages is cut, not lost. */
static void take_diag(const char *path, struct buf *diag)
{
	cleanup_file FILE *f = fopen(path, "re");
	cleanup_free char *text = xcalloc(1, DIAG_BYTES);

	if (f)
		buf_add_escaped(diag, text, fread(text, 1, DIAG_BYTES, f));
}

/* Compile source within the private directory dir. */
static int compile_in(const char *dir, const char *source, struct buf *program, struct buf *diag,
		      struct err *err)
{
	const char *env = getenv("CC");
	const char *cc = env && env[strspn(env, " \t")] ? env : "cc";
	cleanup_free char *words = xstrdup(cc);
	cleanup_free char *tmpdir = xasprintf("TMPDIR=%s", dir);
	cleanup_free char *out = xasprintf("%s/program", dir);
	cleanup_free char *diag_path = xasprintf("%s/diag", dir);
	/* A name that begins with '-' is no option. */
	cleanup_free char *file = xasprintf("%s%s", *source == '-' ? "./" : "", source);
	cleanup_free const char **argv = compiler_argv(tmpdir, words, file, out);
	int status;

	if (build_exec(".", argv, REPRODUCER_CC_SECONDS * 1000, diag_path, &status, err))
		return err_context(err, "%s: compiling it", source);
	if (status || !fs_exists(out)) {
		take_diag(diag_path, diag);
		return compile_failed(source, cc, argv[2], status, err);
	}
	return fs_read(out, REPRODUCER_BYTES, program, ERR_INPUT, err);
}

int reproducer_compile(const char *source, const char *workdir, struct buf *program,
		       struct buf *diag, struct err *err)
{
	cleanup_free char *dir = xasprintf("%s/compile", workdir);
	struct err ignored;

	if (fs_mkdirs(dir, err))
		return -1;
	int rc = compile_in(dir, source, program, diag, err);
	fs_rmtree(dir, &ignored);
	return rc;
}

static bool is_taken(const struct reproducers *list, const struct catalogue *catalogue,
		     const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].name, name))
			return true;
	return catalogue_find(catalogue, name) != NULL;
}

/* The file's base name, without ".c", made to fit the guest's paths and to be the only one. */
static char *make_name(const struct reproducers *list, const struct catalogue *catalogue,
		       const char *path)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t len = strlen(base) - (ends_in_c(base) ? 2 : 0);
	cleanup_free char *stem = xstrndup(base, len < NAME_BYTES - 4 ? len : NAME_BYTES - 4);

	for (char *p = stem; *p; p++)
		if (!strchr(allowed, *p))
			*p = '_';
	/* "." and ".." are no names for a file, and a leading '-' reads as an option. */
	if (*stem == '.' || *stem == '-')
		*stem = '_';
	if (*stem && !is_taken(list, catalogue, stem))
		return steal(stem);
	for (unsigned n = 2;; n++) {
		cleanup_free char *name = xasprintf("%s-%u", *stem ? stem : "repro", n);

		if (!is_taken(list, catalogue, name))
			return steal(name);
	}
}

static int resolve_file(const char *path, const char *workdir, struct reproducer *out,
			struct buf *diag, struct err *err)
{
	cleanup_buf struct buf file = BUF_INIT, program = BUF_INIT;
	struct stat st;

	if (stat(path, &st))
		return err_errno(err, ERR_INPUT, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT,
			       "%s: %s; a reproducer is a bundled one's name, a .c file or a "
			       "static ELF",
			       path, S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	if (fs_read(path, REPRODUCER_BYTES, &file, ERR_INPUT, err))
		return -1;
	sha256_hex(file.data, file.len, out->sha256);
	if (ends_in_c(path) && reproducer_compile(path, workdir, &program, diag, err))
		return -1;
	struct buf *elf = ends_in_c(path) ? &program : &file;
	if (reproducer_check_elf(path, elf->data, elf->len, err))
		return -1;
	sha256_hex(elf->data, elf->len, out->elf_sha256);
	out->path = xstrdup(path);
	out->elf_bytes = elf->len;
	out->elf = buf_steal(elf);
	return 0;
}

static int unknown(const char *name, const struct catalogue *catalogue, struct err *err)
{
	cleanup_buf struct buf names = BUF_INIT;

	for (size_t i = 0; i < catalogue->n; i++)
		buf_addf(&names, "%s%s", i ? ", " : "", catalogue->rows[i].name);
	return err_set(
		err, ERR_INPUT,
		"no such reproducer '%.100s'; bundled: %.700s; or give a .c file or a static "
		"ELF",
		name, names.data);
}

/* Room for one more at the end of the list, zeroed; it counts when it has been filled. */
static struct reproducer *grow(struct reproducers *list)
{
	list->v = xrealloc(list->v, (list->n + 1) * sizeof(*list->v));
	list->v[list->n] = (struct reproducer){ 0 };
	return &list->v[list->n];
}

static int add_bundled(struct reproducers *list, const struct catalogue_row *row,
		       unsigned duration_ms, struct err *err)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].name, row->name))
			return err_set(err, ERR_INPUT, "reproducer '%s' is given twice", row->name);
	*grow(list) = (struct reproducer){
		.name = xstrdup(row->name),
		.needs = row->needs,
		.duration_ms = duration_ms ? duration_ms : row->duration_ms,
		.expect = row->expect ? xstrdup(row->expect) : NULL,
		.bundled = true,
	};
	list->n++;
	return 0;
}

static int add(struct reproducers *list, const char *arg, unsigned duration_ms,
	       const struct catalogue *catalogue, const char *workdir, struct buf *diag,
	       struct err *err)
{
	const struct catalogue_row *row = catalogue_find(catalogue, arg);

	if (list->n == PROTO_MAX_REPROS)
		return err_set(err, ERR_INPUT, "more than %d reproducers", PROTO_MAX_REPROS);
	if (row)
		return add_bundled(list, row, duration_ms, err);
	if (!strchr(arg, '/') && !ends_in_c(arg) && !fs_exists(arg))
		return unknown(arg, catalogue, err);
	struct reproducer *r = grow(list);
	if (resolve_file(arg, workdir, r, diag, err))
		return -1;
	r->name = make_name(list, catalogue, arg);
	r->duration_ms = duration_ms ? duration_ms : REPRODUCER_DURATION_MS;
	list->n++;
	return 0;
}

int reproducers_resolve(const char *const *args, size_t n_args, unsigned duration_ms,
			const struct catalogue *catalogue, const char *workdir,
			struct reproducers *out, struct buf *diag, struct err *err)
{
	struct reproducers list = { 0 };
	int rc = 0;

	for (size_t i = 0; !rc && i < n_args; i++)
		rc = add(&list, args[i], duration_ms, catalogue, workdir, diag, err);
	for (size_t i = 0; !rc && !n_args && i < catalogue->n; i++)
		rc = add_bundled(&list, &catalogue->rows[i], duration_ms, err);
	if (rc) {
		reproducers_free(&list);
		return -1;
	}
	*out = list;
	return 0;
}

void reproducers_free(struct reproducers *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].name);
		free(list->v[i].expect);
		free(list->v[i].path);
		free(list->v[i].elf);
	}
	free(list->v);
	*list = (struct reproducers){ 0 };
}
