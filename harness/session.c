/* Getting ready; see session.h. */
#include "session.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "kernel/initramfs.h"

#include <string.h>

/*
 * console: the one that is read; at 115200 baud, because some emulators model the line's speed.
 * ignore_loglevel: warnings reach the console whatever the configuration or "quiet" says.
 * printk.devkmsg=off: a reproducer cannot write a crash into the kernel's log.
 * nested: where KVM is built in, its parameter can only be given here.
 */
#define KERNEL_ARGUMENTS                                                                           \
	"console=ttyS0,115200 ignore_loglevel printk.devkmsg=off "                                 \
	"kvm_amd.nested=1 kvm_intel.nested=1"

/* COMMAND_LINE_SIZE, arch/x86/include/asm/setup.h; with its NUL. */
#define CMDLINE_BYTES 2048

/* Detectors answer in seconds, later where the guest runs slower. A hung task is noticed after one
 * to two periods (kernel/hung_task.c). */
static const struct {
	unsigned boot_s, detector_ms;
} by_accel[] = {
	[ACCEL_NONE] = { 60, 1000 },
	[ACCEL_KVM] = { 60, 10000 },
	[ACCEL_TCG] = { 120, 20000 },
};

#define STUCK_SPARE_MS 5000

static int choose_engine(const struct session_options *o, struct session *s, struct err *err)
{
	static const char replay[] = "replay:";

	s->engine_config.uri = o->connect;
	if (!strncmp(o->engine, replay, sizeof(replay) - 1)) {
		s->engine = &engine_replay;
		s->engine_config.replay = o->engine + sizeof(replay) - 1;
		return 0;
	}
	if (strcmp(o->engine, "auto") && strcmp(o->engine, "libvirt"))
		return err_set(err, ERR_INPUT,
			       "--engine takes one of auto, libvirt, replay:DIR, not '%s'",
			       o->engine);
	s->engine = &engine_libvirt;
	return 0;
}

static int make_cmdline(const struct session_options *o, struct session *s, struct err *err)
{
	s->cmdline = xasprintf("%s%s%s", KERNEL_ARGUMENTS, o->append ? " " : "",
			       o->append ? o->append : "");
	if (strlen(s->cmdline) >= CMDLINE_BYTES)
		return err_set(err, ERR_INPUT,
			       "--append makes the kernel's command line %zu bytes long; it may "
			       "have %d",
			       strlen(s->cmdline), CMDLINE_BYTES - 1);
	for (const char *p = s->cmdline; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return err_set(err, ERR_INPUT,
				       "--append may hold printable ASCII only, not \\x%02x",
				       (unsigned char)*p);
	return 0;
}

static int open_kernel(const struct session_options *o, struct session *s, struct err *err)
{
	const struct initramfs_spec spec = {
		.modules = &s->modules,
		.repros = s->repros.v,
		.n_repros = s->repros.n,
	};

	if (!o->kernel) {
		if (s->engine == &engine_replay)
			return 0;
		return err_set(err, ERR_INPUT, "no kernel: --kernel FILE is needed");
	}
	if (kernel_image_open(o->kernel, &s->image, err) ||
	    modules_for_image(&s->image, o->modules, &s->modules, err))
		return -1;
	return initramfs_build_base(&spec, &s->initramfs, err);
}

int session_prepare(const struct session_options *options, struct session *session,
		    struct buf *diag, struct err *err)
{
	*session = (struct session){ .initramfs = BUF_INIT };
	if (choose_engine(options, session, err) || make_cmdline(options, session, err) ||
	    filter_init(options->expect, options->n_expect, options->ignore, options->n_ignore,
			&session->filter, err) ||
	    catalogue_bundled(&session->catalogue, err) ||
	    reproducers_resolve(options->repros, options->n_repros, options->duration_s * 1000,
				&session->catalogue, &session->repros, diag, err))
		return -1;
	if (open_kernel(options, session, err))
		return -1;
	if (!options->vmlinux)
		return 0;
	return symbols_open(options->vmlinux, session->modules.dir, &session->symbols, err);
}

static int check_needs(const struct session_options *o, const struct session *s, struct err *err)
{
	for (size_t i = 0; o->n_repros && i < s->repros.n; i++) {
		const struct reproducer *r = &s->repros.v[i];
		bool met = r->needs == NEEDS_ANY || (r->needs == NEEDS_SVM && s->accel.svm) ||
			   (r->needs == NEEDS_VMX && s->accel.vmx);

		if (!met)
			return err_set(err, ERR_UNSUPPORTED,
				       "%s needs a guest with %s, and %s with %s does not offer it "
				       "on this host",
				       r->name, repro_needs_name(r->needs), s->engine->name,
				       accel_name(s->accel.accel));
	}
	return 0;
}

static void set_trial(const struct session_options *o, struct session *s)
{
	unsigned boot_s = by_accel[s->accel.accel].boot_s;
	unsigned detector_ms = by_accel[s->accel.accel].detector_ms;

	s->trial = (struct trial_config){
		.engine = s->engine,
		.state = s->engine_state,
		.workdir = s->workdir,
		.kernel = s->image.path,
		.cmdline = s->cmdline,
		.initramfs = &s->initramfs,
		.modules = &s->modules,
		.repros = &s->repros,
		.filter = &s->filter,
		.memory_mib = o->memory_mib,
		.vcpus = o->vcpus,
		.limits = {
			.boot_ms = (o->boot_timeout_s ? o->boot_timeout_s : boot_s) * 1000,
			.detector_ms = detector_ms,
			.stuck_ms = 2 * detector_ms + STUCK_SPARE_MS,
		},
		.live = o->live,
	};
}

/* One boot to the canary on KVM, whose console nobody needs if it passes. */
static int prove_kvm(struct session *s, struct err *err)
{
	cleanup_free char *console = xasprintf("%s/canary.log.gz", s->workdir);
	struct trial_config config = s->trial;
	struct trial_result result;

	log_info("accel: trying KVM once with this kernel");
	config.canary_only = true;
	if (trial_run(&config, 0, console, &result, err))
		return -1;
	bool passed = result.outcome.kind == OUTCOME_OK;
	if (passed) {
		accel_set_proven(&s->facts);
	} else {
		cleanup_buf struct buf why = BUF_INIT;

		outcome_text(&result.outcome, &why);
		s->accel.accel = s->engine_config.accel = ACCEL_TCG;
		s->accel.svm = true;
		s->accel.vmx = false;
		snprintf(s->accel.why, sizeof(s->accel.why), "with KVM the canary ended in: %.180s",
			 why.data);
	}
	trial_result_free(&result);
	return 0;
}

int session_open_engine(const struct session_options *options, struct session *session,
			struct err *err)
{
	if (fs_tmpdir(&session->workdir, err))
		return -1;
	session->engine_config.workdir = session->workdir;
	if (session->engine->open(&session->engine_config, &session->engine_state, err) ||
	    accel_choose(session->engine, session->engine_state, options->accel, &session->accel,
			 err))
		return -1;
	session->engine_config.accel = session->accel.accel;
	session->engine->facts(session->engine_state, &session->facts);
	set_trial(options, session);
	if (session->accel.accel == ACCEL_KVM && !strcmp(options->accel, "auto") &&
	    !accel_is_proven(&session->facts) && prove_kvm(session, err))
		return -1;
	session->engine->facts(session->engine_state, &session->facts);
	set_trial(options, session);
	if (session->accel.accel != ACCEL_NONE)
		log_info("engine: %s, %s (%s)", session->engine->name,
			 accel_name(session->accel.accel), session->accel.why);
	return check_needs(options, session, err);
}

void session_close(struct session *session)
{
	struct err err;

	if (session->engine_state)
		session->engine->close(session->engine_state);
	if (session->workdir && fs_rmtree(session->workdir, &err))
		log_error("%s", err.msg);
	kernel_image_free(&session->image);
	kernel_modules_free(&session->modules);
	catalogue_free(&session->catalogue);
	reproducers_free(&session->repros);
	filter_free(&session->filter);
	symbols_free(session->symbols);
	buf_free(&session->initramfs);
	free(session->workdir);
	free(session->cmdline);
}
