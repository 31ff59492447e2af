/* Getting ready; see session.h. */
#include "session.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/sha256.h"
#include "host.h"
#include "kernel/initramfs.h"
#include "kernel/unpacked.h"
#include "sandbox.h"
#include "signature_cache.h"
#include "unpack_cache.h"
#include "vm/bochs_image.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * console: the one that is read; at 115200 baud, because some emulators model the line's speed.
 * ignore_loglevel: warnings reach the console whatever the configuration or "quiet" says.
 * printk.devkmsg=off: a reproducer cannot write a crash into the kernel's log.
 * nested: where KVM is built in, its parameter can only be given here.
 * no_timer_check: a busy host makes the kernel's check of its timer fail, and it panics; for guests
 * of KVM it leaves the check out by itself (arch/x86/kernel/kvm.c, paravirt_ops_setup()).
 * cryptomgr.notests, crypto_kdf108_init (a self-test and nothing else), pty.legacy_count: shorten
 * the boot (docs/boot.md has the seconds); no code that a reproducer can reach depends on them. A
 * kernel that has none of them ignores them: names with a dot are modules' parameters, and an
 * initcall that is not there is never met.
 */
#define KERNEL_ARGUMENTS                                                                           \
	"console=ttyS0,115200 ignore_loglevel printk.devkmsg=off "                                 \
	"kvm_amd.nested=1 kvm_intel.nested=1 "                                                     \
	"no_timer_check cryptomgr.notests initcall_blacklist=crypto_kdf108_init "                  \
	"pty.legacy_count=0"

/*
 * What the guest's sandbox cannot guard is not there: /proc/sysrq-trigger, /proc/kcore, debugfs's
 * provoke-crash; and no task can be frozen for good (of version 1; version 2 thaws what is killed).
 */
#define SANDBOX_ARGUMENTS                                                                          \
	" initcall_blacklist=sysrq_init,proc_kcore_init,lkdtm_module_init cgroup_disable=freezer"

/* Detectors answer in seconds, later where the guest runs slower. A hung task is noticed after one
 * to two periods (kernel/hung_task.c). */
static const struct pace {
	unsigned boot_s, detector_ms;
} by_accel[] = {
	[ACCEL_NONE] = { 60, 1000 },
	[ACCEL_KVM] = { 60, 10000 },
	[ACCEL_TCG] = { 120, 20000 },
};

static const struct pace with_bochs = { 300, 60000 };

#define STUCK_SPARE_MS 5000

/* Of the initramfs, at most: what each trial adds. */
#define PLAN_BYTES (64 * 1024)

/* What a VM gets that the user said nothing of. Bochs takes the longer to start the more memory a
 * VM has, and is one CPU. */
#define MEMORY_MIB       1024
#define VCPUS            2
#define BOCHS_MEMORY_MIB 256
#define BOCHS_VCPUS      1
#define BOCHS_MAX_MIB    2048 /* of its parameter host_size */

static int choose_engine(const struct session_options *o, struct session *s, struct err *err)
{
	static const char replay[] = "replay:";

	s->engine_config.uri = o->connect;
	s->engine_config.cpu = o->cpu;
	if (!strncmp(o->engine, replay, sizeof(replay) - 1)) {
		s->engine = &engine_replay;
		s->engine_config.replay = o->engine + sizeof(replay) - 1;
		return 0;
	}
	s->engine = strcmp(o->engine, "bochs") ? &engine_libvirt : &engine_bochs;
	if (strcmp(o->engine, "auto") && strcmp(o->engine, s->engine->name))
		return err_set(err, ERR_INPUT,
			       "--engine takes one of auto, libvirt, bochs, replay:DIR, not '%s'",
			       o->engine);
	return 0;
}

/* What cannot be had of the engine that was asked for, or of this host. */
static int check_wishes(const struct session_options *o, const struct session *s, struct err *err)
{
	bool accel = strcmp(o->accel, "auto") != 0;
	struct host host;

	if (s->engine != &engine_libvirt && (accel || o->connect))
		return err_set(err, ERR_INPUT, "--%s %s is for libvirt, not for --engine %s",
			       accel ? "accel" : "connect", accel ? o->accel : o->connect,
			       o->engine);
	if (o->cpu && s->engine != &engine_libvirt)
		return err_set(err, ERR_INPUT, "--cpu %s is for libvirt, not for --engine %s",
			       o->cpu, o->engine);
	const char *where = o->connect ? strstr(o->connect, "://") : NULL;
	if (where && where[3] && where[3] != '/')
		return err_set(
			err, ERR_INPUT,
			"--connect %s: another host's libvirt cannot reach the VM's sockets here",
			o->connect);
	host_look("", &host);
	if (s->engine != &engine_replay && !o->connect && host.all_bytes >= 0 &&
	    o->memory_mib > host.all_bytes >> 20)
		return err_set(err, ERR_INPUT,
			       "--memory %u: this host has %" PRId64 " MiB, swap included",
			       o->memory_mib, host.all_bytes >> 20);
	return 0;
}

/* The first reproducer that was asked for and needs this. */
static const struct reproducer *wish_for(const struct session_options *o, const struct session *s,
					 enum repro_needs needs)
{
	for (size_t i = 0; o->n_repros && i < s->repros.n; i++)
		if (s->repros.v[i].needs == needs)
			return &s->repros.v[i];
	return NULL;
}

/* The one that needs VMX, where the engine is ours to choose. */
static const struct reproducer *vmx_wish(const struct session_options *o, const struct session *s)
{
	if (strcmp(o->engine, "auto") || strcmp(o->accel, "auto") || o->connect || o->cpu)
		return NULL;
	return wish_for(o, s, NEEDS_VMX);
}

static void take_bochs(struct session *s, const struct reproducer *wish, const char *why)
{
	s->engine = &engine_bochs;
	snprintf(s->engine_why, sizeof(s->engine_why),
		 "%.60s needs VMX; %.160s; QEMU's TCG has none", wish->name, why);
}

/* Where KVM has no VMX to give, there is no need to ask libvirt. */
static void choose_by_needs(const struct session_options *o, struct session *s)
{
	const struct reproducer *wish = vmx_wish(o, s);
	char why[160] = "/dev/kvm is there, but offers guests no VMX";
	bool svm, vmx = false;

	if (wish && (accel_kvm_offers(&svm, &vmx, why, sizeof(why)) || !vmx))
		take_bochs(s, wish, why);
}

static int make_cmdline(const struct session_options *o, struct session *s, struct err *err)
{
	free(s->cmdline);
	s->cmdline = xasprintf("%s%s%s%s", KERNEL_ARGUMENTS,
			       o->no_guest_sandbox ? "" : SANDBOX_ARGUMENTS, o->append ? " " : "",
			       o->append ? o->append : "");
	if (strlen(s->cmdline) >= VM_CMDLINE_BYTES)
		return err_set(err, ERR_INPUT,
			       "--append makes the kernel's command line %zu bytes long; it may "
			       "have %d",
			       strlen(s->cmdline), VM_CMDLINE_BYTES - 1);
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
		.sandbox = o->no_guest_sandbox ? NULL : &s->sandbox,
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
	    modules_for_image(&s->image, o->modules, &s->modules, err) ||
	    (!o->no_guest_sandbox && sandbox_guest_filter(&s->sandbox, err)))
		return -1;
	return initramfs_build_base(&spec, &s->initramfs, err);
}

int session_prepare(const struct session_options *options, struct session *session,
		    struct buf *diag, struct err *err)
{
	*session = (struct session){ .initramfs = BUF_INIT, .sandbox = BUF_INIT };
	if (options->keep_state && !options->boot_once)
		return err_set(err, ERR_INPUT,
			       "--keep-state: with --boot each there is no state to keep");
	if (choose_engine(options, session, err) || check_wishes(options, session, err) ||
	    filter_init(options->expect, options->n_expect, options->ignore, options->n_ignore,
			&session->filter, err) ||
	    catalogue_bundled(&session->catalogue, err) ||
	    keeper_start(&session->keeper, &session->workdir, err) ||
	    reproducers_resolve(options->repros, options->n_repros, options->duration_s * 1000,
				&session->catalogue, session->workdir, &session->repros, diag, err))
		return -1;
	choose_by_needs(options, session);
	if (make_cmdline(options, session, err) || open_kernel(options, session, err))
		return -1;
	if (!options->vmlinux)
		return 0;
	return symbols_open(options->vmlinux, session->modules.dir, &session->symbols, err);
}

/* The bytes that were read and hashed; a reader's word alone is not taken for what is remembered
 * under their hash. */
static int read_image(const struct session *s, struct buf *bytes, struct err *err)
{
	char sha256[SHA256_HEX_BYTES];

	if (fs_read(s->image.path, KERNEL_IMAGE_BYTES, bytes, ERR_INPUT, err))
		return -1;
	sha256_hex(bytes->data, bytes->len, sha256);
	if (strcmp(sha256, s->image.sha256) != 0)
		return err_set(err, ERR_INPUT, "%s: changed while it was read", s->image.path);
	return 0;
}

/* From the copy; what is of no format that is known here may boot all the same. */
static int decompress(const struct session_options *o, struct session *s, const char *path,
		      struct err *err)
{
	if (!unpack_cache_make(&s->image, !o->connect, path, err)) {
		s->decompressed = true;
		return 0;
	}
	const struct err why = *err;
	if (why.kind == ERR_INPUT)
		return err_set(err, ERR_INPUT, "%s; --decompress guest boots it as it is", why.msg);
	if (why.kind != ERR_UNSUPPORTED)
		return -1;
	log_verbose("the kernel decompresses itself: %s", why.msg);
	return 0;
}

/* Whether the host is to do it. A guest of KVM does it as fast. */
static bool decompresses(const struct session_options *o, const struct session *s)
{
	bool host = o->decompress ? !strcmp(o->decompress, "host") : s->accel.accel != ACCEL_KVM;

	if (!host || s->engine == &engine_replay)
		return false;
	if (!kernel_unpack_heeds(s->cmdline))
		return true;
	if (o->decompress)
		log_info("--decompress host: the kernel decompresses itself all the same, for only "
			 "it can obey nokaslr and no5lvl");
	else
		log_verbose("the kernel decompresses itself, for nokaslr or no5lvl");
	return false;
}

/*
 * What was read and hashed is what all trials boot: a file of ours, for the user may build the next
 * kernel in the meantime, and a libvirt daemon's QEMU may not be let into the user's directories.
 * A daemon has the files that its VMs use change hands, so what others use is not given to one; and
 * it lets QEMU read what it knows for a kernel, not a loader's file, so there is no head_file then.
 */
static int take_kernel(const struct session_options *o, struct session *s, struct err *err)
{
	cleanup_free char *unpacked = xasprintf("%s/kernel", s->workdir);
	cleanup_buf struct buf bytes = BUF_INIT;
	struct err why;

	if (!s->image.path || s->kernel_file)
		return 0;
	bool host = decompresses(o, s);
	if (read_image(s, &bytes, err))
		return -1;
	s->decompressed = host && !o->connect && signature_cache_find(&s->image, s->signature) &&
			  unpack_cache_find(&s->image, unpacked);
	if (!s->decompressed) {
		s->image.copy = xasprintf("%s/bzImage", s->workdir);
		if (fs_write_scratch(s->image.copy, bytes.data, bytes.len, err) ||
		    (host && decompress(o, s, unpacked, err)))
			return -1;
		/* Without one it is a kernel like others. */
		if (signature_cache_sign(&s->image, s->signature, &why))
			log_verbose("no signature: %s", why.msg);
	}
	if (s->decompressed && s->image.copy) {
		unlink(s->image.copy);
		free(steal(s->image.copy));
	}
	s->kernel_file = s->decompressed ? steal(unpacked) : xstrdup(s->image.copy);
	if (!s->decompressed || o->connect)
		return 0;
	s->head_file = xasprintf("%s/kernel-head", s->workdir);
	return kernel_unpacked_head(s->kernel_file, s->image.setup_bytes, s->head_file, err);
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
	bool bochs = s->engine == &engine_bochs;
	const struct pace *pace = bochs ? &with_bochs : &by_accel[s->accel.accel];
	unsigned memory_mib = bochs ? BOCHS_MEMORY_MIB : MEMORY_MIB;
	unsigned vcpus = bochs ? BOCHS_VCPUS : VCPUS;
	bool loads = s->head_file && s->engine == &engine_libvirt;

	s->trial = (struct trial_config){
		.engine = s->engine,
		.state = s->engine_state,
		.workdir = s->workdir,
		.kernel = loads ? s->head_file : s->kernel_file,
		.loaded = loads ? s->kernel_file : NULL,
		.cmdline = s->cmdline,
		.initramfs = &s->initramfs,
		.sandbox = o->no_guest_sandbox ? NULL : &s->sandbox,
		.modules = &s->modules,
		.repros = &s->repros,
		.by_name = o->n_repros > 0,
		.filter = &s->filter,
		.memory_mib = o->memory_mib ? o->memory_mib : memory_mib,
		.vcpus = o->vcpus ? o->vcpus : vcpus,
		.limits = {
			.boot_ms = (o->boot_timeout_s ? o->boot_timeout_s : pace->boot_s) * 1000,
			.detector_ms = pace->detector_ms,
			.stuck_ms = 2 * pace->detector_ms + STUCK_SPARE_MS,
		},
		.vm_step = 1,
		.stop_fd = -1,
		.lasting = o->keep_state,
		.live = o->live,
	};
}

/*
 * One boot to the canary on KVM. Its evidence is for whoever wants to know why it failed. Silence,
 * a reset or a canary that does not pass is held against KVM. A report of the kernel's is not: TCG
 * might hide the bug, and this kernel would be called good.
 */
static int prove_kvm(const struct store *store, struct session *s, struct err *err)
{
	cleanup_buf struct buf why = BUF_INIT;
	cleanup_free char *console = NULL;
	struct trial_config config = s->trial;
	struct trial_result result;
	int rc = 0;

	log_info("accel: trying KVM once with this kernel");
	config.canary_only = true;
	if (store_begin_canary(store, &console, err))
		return -1;
	if (trial_run(&config, 0, console, &result, err)) {
		store_drop_canary(store);
		return -1;
	}
	outcome_text(&result.outcome, &why);
	if (result.outcome.kind == OUTCOME_OK) {
		accel_set_proven(&s->facts);
		store_drop_canary(store);
	} else {
		rc = store_canary(store, s->engine, &result, &s->repros, err);
	}
	if (result.crash) {
		log_info("accel: with KVM the canary ended in: %s; that is the kernel's own word, "
			 "so KVM it is (--accel tcg does without)",
			 why.data);
	} else if (result.outcome.kind != OUTCOME_OK) {
		accel_take_tcg(&s->accel);
		s->engine_config.accel = s->accel.accel;
		snprintf(s->accel.why, sizeof(s->accel.why), "with KVM the canary ended in: %.180s",
			 why.data);
	}
	trial_result_free(&result);
	return rc;
}

static int choose_accel(const struct session_options *o, struct session *s, struct err *err)
{
	const struct reproducer *svm = wish_for(o, s, NEEDS_SVM), *vmx = wish_for(o, s, NEEDS_VMX);
	const struct accel_wish wish = { svm ? svm->name : NULL, vmx ? vmx->name : NULL };
	struct accel_host host;

	accel_look(s->engine, s->engine_state, &host);
	return accel_choose(&host, o->accel, &wish, &s->accel, err);
}

/* Open the engine that has been chosen, and see what a guest has with it. */
static int open_chosen(const struct session_options *o, const struct store *store,
		       struct session *s, struct err *err)
{
	cleanup_free const char **names = xcalloc(s->repros.n, sizeof(*names));

	if (s->engine == &engine_bochs && o->vcpus > BOCHS_VCPUS)
		return err_set(err, ERR_INPUT, "--smp %u: Bochs runs one vCPU", o->vcpus);
	if (s->engine == &engine_bochs && o->memory_mib > BOCHS_MAX_MIB)
		return err_set(err, ERR_INPUT, "--memory %u: Bochs takes %d MiB at most",
			       o->memory_mib, BOCHS_MAX_MIB);
	for (size_t i = 0; i < s->repros.n; i++)
		names[i] = s->repros.v[i].name;
	s->engine_config.repros = names;
	s->engine_config.n_repros = s->repros.n;
	int rc = s->engine->open(&s->engine_config, &s->engine_state, err);
	s->engine_config.repros = NULL;
	if (rc)
		return s->engine_why[0] ? err_context(err, "%s", s->engine_why) : -1;
	if (choose_accel(o, s, err) || take_kernel(o, s, err))
		return -1;
	if (s->engine == &engine_bochs) {
		s->accel.svm = false;
		snprintf(s->accel.why, sizeof(s->accel.why), "%s",
			 s->engine_why[0] ? s->engine_why : "asked for");
	}
	if (s->engine == &engine_replay)
		snprintf(s->accel.why, sizeof(s->accel.why),
			 "%.160s: no kernel is booted, no reproducer runs",
			 s->engine_config.replay);
	s->engine_config.accel = s->accel.accel;
	s->engine->facts(s->engine_state, &s->facts);
	set_trial(o, s);
	if (s->engine == &engine_bochs &&
	    bochs_image_check(s->kernel_file, s->initramfs.len + PLAN_BYTES, s->trial.memory_mib,
			      err))
		return -1;
	if (s->accel.accel == ACCEL_KVM && !strcmp(o->accel, "auto") &&
	    !accel_is_proven(&s->facts) && prove_kvm(store, s, err))
		return -1;
	s->engine->facts(s->engine_state, &s->facts);
	set_trial(o, s);
	return 0;
}

int session_open_engine(const struct session_options *options, const struct store *store,
			struct session *session, struct err *err)
{
	bool svm, vmx;
	char why[256];

	/* libvirt may take seconds to say the same. */
	if (!strcmp(options->accel, "kvm") && !accel_kvm_nests(&svm, &vmx, why, sizeof(why)))
		return err_set(err, ERR_UNSUPPORTED,
			       "--accel kvm: %s; without --accel kvmrepro emulates", why);
	session->engine_config.workdir = session->workdir;
	if (open_chosen(options, store, session, err))
		return -1;
	const struct reproducer *wish = vmx_wish(options, session);
	if (wish && !session->accel.vmx) {
		take_bochs(session, wish, session->accel.why);
		session->facts = (struct engine_facts){ 0 };
		engine_libvirt.close(steal(session->engine_state));
		if (make_cmdline(options, session, err) ||
		    open_chosen(options, store, session, err))
			return -1;
	}
	if (session->accel.accel != ACCEL_NONE)
		log_info("engine: %s, %s (%s)", session->engine->name,
			 accel_name(session->accel.accel), session->accel.why);
	else if (session->accel.why[0])
		log_info("engine: %s (%s)", session->engine->name, session->accel.why);
	if (options->no_guest_sandbox)
		log_info("guest sandbox: off: a reproducer can forge an outcome, or end a trial");
	return check_needs(options, session, err);
}

int session_join_engine(const struct session_options *options, struct session *session,
			struct session *host, unsigned index, unsigned count, struct err *err)
{
	/* As the host's: a daemon's QEMU may have to read the kernel there. */
	if (chmod(session->workdir, 0711))
		return err_errno(err, ERR_HARNESS, "%s", session->workdir);
	session->joined = true;
	session->engine = host->engine;
	session->engine_state = host->engine_state;
	session->engine_config = host->engine_config;
	session->accel = host->accel;
	session->facts = host->facts;
	if (make_cmdline(options, session, err) || take_kernel(options, session, err))
		return -1;
	set_trial(options, session);
	session->trial.vm_first = index;
	session->trial.vm_step = host->trial.vm_step = count;
	return check_needs(options, session, err);
}

char *session_kernel_key(const struct session *session)
{
	char version[SHA256_HEX_BYTES];

	if (!session->decompressed)
		return xstrdup(session->image.sha256);
	kernel_unpack_version(version);
	return xasprintf("%s %s", session->image.sha256, version);
}

void session_close(struct session *session)
{
	struct err err;

	if (session->engine_state && !session->joined)
		session->engine->close(session->engine_state);
	if (session->workdir && fs_rmtree(session->workdir, &err))
		log_error("%s", err.msg);
	keeper_stop(&session->keeper);
	kernel_image_free(&session->image);
	kernel_modules_free(&session->modules);
	catalogue_free(&session->catalogue);
	reproducers_free(&session->repros);
	filter_free(&session->filter);
	symbols_free(session->symbols);
	buf_free(&session->initramfs);
	buf_free(&session->sandbox);
	free(session->kernel_file);
	free(session->head_file);
	free(session->workdir);
	free(session->cmdline);
}
