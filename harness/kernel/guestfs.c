/* What kvmrepro's own guest finds in its initramfs; see initramfs_build() in initramfs.h. */
#include "kernel/initramfs.h"

#include "base/cleanup.h"
#include "embed.h"
#include "kernel/modules.h"
#include "kvmrepro/protocol.h"
#include "reproducer.h"

#include <string.h>

/* Documentation/admin-guide/devices.txt */
enum {
	MEM_MAJOR = 1,
	MEM_NULL = 3,
	TTYAUX_MAJOR = 5,
	TTYAUX_CONSOLE = 1
};

static char *module_path(const struct kernel_module *module)
{
	return xasprintf("/lib/modules/%s.ko", module->name);
}

static char *repro_path(const struct reproducer *repro)
{
	return xasprintf("/repro/%s", repro->name);
}

static int add_module(struct initramfs *fs, const struct kernel_module *module, struct err *err)
{
	cleanup_free char *path = module_path(module);
	cleanup_buf struct buf bytes = BUF_INIT;

	if (module_read(module->path, &bytes, err))
		return -1;
	return initramfs_add_file(fs, path, 0644, bytes.data, bytes.len, err);
}

static int add_repro(struct initramfs *fs, const struct reproducer *repro, struct err *err)
{
	cleanup_free char *path = repro_path(repro);

	if (repro->bundled)
		return initramfs_add_symlink(fs, path, "/init", err);
	return initramfs_add_file(fs, path, 0755, repro->elf, repro->elf_bytes, err);
}

/* Init runs before anything is mounted: without /dev/console it would have no descriptors. */
static int add_base(struct initramfs *fs, const struct initramfs_spec *spec, struct err *err)
{
	struct embed guest = embed_guest();

	if (initramfs_add_chardev(fs, "/dev/console", 0600, TTYAUX_MAJOR, TTYAUX_CONSOLE, err) ||
	    initramfs_add_chardev(fs, "/dev/null", 0666, MEM_MAJOR, MEM_NULL, err) ||
	    initramfs_add_file(fs, "/init", 0755, guest.data, guest.size, err))
		return -1;
	if (spec->sandbox && initramfs_add_file(fs, PROTO_SANDBOX_PATH, 0600, spec->sandbox->data,
						spec->sandbox->len, err))
		return -1;
	for (size_t i = 0; spec->modules && i < spec->modules->n; i++)
		if (add_module(fs, &spec->modules->v[i], err))
			return -1;
	for (size_t i = 0; i < spec->n_repros; i++)
		if (add_repro(fs, &spec->repros[i], err))
			return -1;
	return 0;
}

static void write_plan(const struct initramfs_spec *spec, struct buf *plan)
{
	buf_addf(plan, "token %s\n", spec->token);
	buf_addf(plan, "detector_ms %u\n", spec->detector_ms);
	buf_addf(plan, "stuck_ms %u\n", spec->stuck_ms);
	if (spec->sandbox)
		buf_adds(plan, "sandbox " PROTO_SANDBOX_PATH "\n");
	for (size_t i = 0; spec->modules && i < spec->modules->n; i++) {
		const struct kernel_module *module = &spec->modules->v[i];
		cleanup_free char *path = module_path(module);

		buf_addf(plan, "module %s%s%s\n", path, *module->params ? " " : "", module->params);
	}
	for (size_t i = 0; i < spec->n_repros; i++) {
		const struct reproducer *repro = &spec->repros[i];
		cleanup_free char *path = repro_path(repro);

		buf_addf(plan, "repro %s %s %u %s\n", repro->name, repro_needs_name(repro->needs),
			 repro->duration_ms, path);
	}
}

static int add_plan(struct initramfs *fs, const struct initramfs_spec *spec, struct err *err)
{
	cleanup_buf struct buf plan = BUF_INIT;

	if (strlen(spec->token) != PROTO_TOKEN_CHARS)
		return err_set(err, ERR_HARNESS, "initramfs: the token's length is wrong");
	if (spec->n_repros > PROTO_MAX_REPROS)
		return err_set(err, ERR_HARNESS, "initramfs: more than %d reproducers",
			       PROTO_MAX_REPROS);
	write_plan(spec, &plan);
	if (plan.len >= PROTO_PLAN_BYTES - 1)
		return err_set(err, ERR_HARNESS, "initramfs: the plan is too long");
	return initramfs_add_file(fs, PROTO_PLAN_PATH, 0600, plan.data, plan.len, err);
}

static int build(const struct initramfs_spec *spec,
		 int (*fill)(struct initramfs *, const struct initramfs_spec *, struct err *),
		 struct buf *out, struct err *err)
{
	struct initramfs *fs;

	if (initramfs_new(spec->gzip, &fs, err))
		return -1;
	if (fill(fs, spec, err)) {
		initramfs_free(fs);
		return -1;
	}
	return initramfs_finish(fs, out, err);
}

int initramfs_build_base(const struct initramfs_spec *spec, struct buf *out, struct err *err)
{
	return build(spec, add_base, out, err);
}

int initramfs_build_plan(const struct initramfs_spec *spec, struct buf *out, struct err *err)
{
	return build(spec, add_plan, out, err);
}

int initramfs_build(const struct initramfs_spec *spec, struct buf *out, struct err *err)
{
	cleanup_buf struct buf plan = BUF_INIT;

	if (initramfs_build_plan(spec, &plan, err) || initramfs_build_base(spec, out, err))
		return -1;
	/* The kernel looks for the next archive at a multiple of four bytes. */
	while (out->len % 4)
		buf_addc(out, '\0');
	buf_add(out, plan.data, plan.len);
	return 0;
}
