/* kvmrepro doctor: what this host can run, and with what. It looks and starts no VM. */
#include "cmd.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "interrupt.h"
#include "keeper.h"
#include "reproducer.h"
#include "vm/accel.h"
#include "vm/engine.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_FINDINGS 16

struct doctor_opts {
	const char *format;
};

/* One line of the answer. */
struct finding {
	const char *name;
	bool ok;
	char *found;       /* what is there, or why it is not; one line */
	const char *means; /* what follows from it */
};

/* How reproducers with a need can be run; engine NULL: they cannot. */
struct way {
	const char *needs, *engine, *accel;
	const char *option; /* of run, where it would not do so by itself; or NULL */
};

struct doctor {
	struct finding findings[MAX_FINDINGS];
	size_t n;
	char *workdir;
	bool libvirt; /* the engine can be opened, so TCG and KVM if the host has it */
	bool bochs;
	struct accel accel;
};

static const char *const formats[] = { "text", "json", NULL };

static const struct opt doctor_opt_table[] = {
	{ .name = "format",
	  .type = OPT_CHOICE,
	  .offset = offsetof(struct doctor_opts, format),
	  .arg = "FORMAT",
	  .choices = formats,
	  .def = "text",
	  .help = "how to print it" },
	{ 0 },
};

/* Takes found. */
static void add(struct doctor *d, const char *name, bool ok, char *found, const char *means)
{
	d->findings[d->n++] = (struct finding){ name, ok, found, means };
}

/* ---- engines ---- */

/* What the engine says of itself, or why it cannot be opened. */
static char *describe(const struct engine_facts *facts)
{
	return xasprintf("%s%s%s%s%s%s%s", facts->hypervisor, facts->library ? ", " : "",
			 facts->library ? facts->library : "", facts->machine ? ", machine " : "",
			 facts->machine ? facts->machine : "", facts->uri ? ", " : "",
			 !facts->uri                    ? ""
			 : strstr(facts->uri, "/embed") ? "no daemon"
							: facts->uri);
}

static void look_at_libvirt(struct doctor *d)
{
	const struct engine_config config = { .workdir = d->workdir, .accel = ACCEL_TCG };
	const struct accel_wish nothing = { NULL, NULL };
	struct engine_state *state;
	struct engine_facts facts;
	struct accel_host host;
	struct err err;

	if (engine_libvirt.open(&config, &state, &err)) {
		add(d, engine_libvirt.name, false, xstrdup(err.msg),
		    "no QEMU can be run: install qemu-system-x86 and libvirt-daemon-driver-qemu");
		return;
	}
	engine_libvirt.facts(state, &facts);
	accel_look(&engine_libvirt, state, &host);
	d->libvirt = !accel_choose(&host, "auto", &nothing, &d->accel, &err);
	add(d, engine_libvirt.name, d->libvirt, d->libvirt ? describe(&facts) : xstrdup(err.msg),
	    "runs VMs, with KVM or TCG");
	engine_libvirt.close(state);
}

static void look_at_bochs(struct doctor *d)
{
	const struct engine_config config = { .workdir = d->workdir };
	struct engine_state *state;
	struct engine_facts facts;
	struct err err;

	d->bochs = !engine_bochs.open(&config, &state, &err);
	if (!d->bochs) {
		add(d, engine_bochs.name, false, xstrdup(err.msg),
		    "nothing stands in for a CPU with VMX");
		return;
	}
	engine_bochs.facts(state, &facts);
	add(d, engine_bochs.name, true, xasprintf("%s, CPU %s", facts.hypervisor, facts.cpu),
	    "emulates VMX on any host, slowly");
	engine_bochs.close(state);
}

/* ---- accelerators ---- */

static bool cpu_has_virtualization(void)
{
	cleanup_file FILE *f = fopen("/proc/cpuinfo", "re");
	char line[8192];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "flags", 5))
			return strstr(line, " vmx") || strstr(line, " svm");
	return false;
}

/* 'Y', 'N', or 0 where no such module is loaded (Linux, kvm-intel.nested and kvm-amd.nested). */
static char nested_parameter(void)
{
	static const char *const files[] = { "/sys/module/kvm_intel/parameters/nested",
					     "/sys/module/kvm_amd/parameters/nested" };

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		cleanup_file FILE *f = fopen(files[i], "re");
		int c = f ? getc(f) : EOF;

		if (c != EOF)
			return c == '0' || c == 'N' ? 'N' : 'Y';
	}
	return 0;
}

/* error: why /dev/kvm cannot be opened, or 0. */
static const char *kvm_advice(int error)
{
	if (!error && nested_parameter() == 'N')
		return "nesting is off: load kvm_intel or kvm_amd with nested=1";
	if (error == EACCES)
		return "this user may not open it: join the group kvm";
	if (!cpu_has_virtualization())
		return "this CPU gives the host no virtualization to hand on; emulation takes its "
		       "place";
	return error ? "load kvm_intel or kvm_amd with nested=1" : "emulation takes its place";
}

static void look_at_kvm(struct doctor *d)
{
	char why[256];
	bool svm, vmx;
	const char *advice = kvm_advice(access("/dev/kvm", R_OK | W_OK) ? errno : 0);

	if (accel_kvm_offers(&svm, &vmx, why, sizeof(why)))
		add(d, "kvm", false, xstrdup(why), advice);
	else if (!svm && !vmx)
		add(d, "kvm", false, xstrdup("/dev/kvm offers guests neither SVM nor VMX"), advice);
	else if (!d->libvirt || d->accel.accel != ACCEL_KVM)
		add(d, "kvm", false,
		    xasprintf("/dev/kvm offers guests %s, but: %s", svm ? "SVM" : "VMX",
			      d->libvirt ? d->accel.why : "there is no engine to use it"),
		    "emulation takes its place");
	else
		add(d, "kvm", true, xasprintf("/dev/kvm offers guests %s", svm ? "SVM" : "VMX"),
		    "taken before emulation, once a boot has proven it");
	add(d, "tcg", d->libvirt, xstrdup(d->libvirt ? "QEMU's emulation" : "no QEMU can be run"),
	    d->libvirt ? "SVM with nested paging on any host, no VMX"
		       : "nothing stands in for a CPU with SVM");
}

/* ---- what runs use besides ---- */

static void look_at_compiler(struct doctor *d)
{
	static const char source[] = "int main(void) { return 0; }\n";
	cleanup_free char *path = xasprintf("%s/program.c", d->workdir);
	cleanup_buf struct buf program = BUF_INIT, diag = BUF_INIT;
	const char *env = getenv("CC");
	struct err err;

	if (!fs_write(path, source, strlen(source), &err) &&
	    !reproducer_compile(path, d->workdir, &program, &diag, &err) &&
	    !reproducer_check_elf(path, program.data, program.len, &err)) {
		add(d, "compiler", true,
		    xasprintf("'%s -static -pthread' makes programs", env ? env : "cc"),
		    "reproducers in C can be given");
		return;
	}
	size_t skip = strncmp(err.msg, path, strlen(path)) ? 0 : strlen(path) + 2;
	add(d, "compiler", false, xstrdup(err.msg + skip),
	    "of your own, only static programs can be given: install gcc and libc6-dev");
}

static bool can_make_in(const char *base)
{
	cleanup_free char *probe = xasprintf("%s/kvmrepro-XXXXXX", base);

	return mkdtemp(probe) && !rmdir(probe);
}

/* A directory that can be made or written to; what that means, and what it does where it cannot. */
static void look_at_dir(struct doctor *d, const char *name, const char *var, const char *fallback,
			const char *means, const char *else_means)
{
	char *dir = NULL;
	struct statvfs fs;
	struct err err;

	if (fs_xdg(var, fallback, &dir, &err)) {
		add(d, name, false, xstrdup(err.msg), else_means);
		return;
	}
	cleanup_free char *base = xstrdup(dir);
	for (char *slash; !fs_exists(base) && (slash = strrchr(base, '/')) && slash != base;)
		*slash = '\0';
	/* /proc and the like may be written to, they say, and hold no directory of ours. */
	bool ok = !statvfs(base, &fs) && can_make_in(base);
	int error = errno;
	if (ok)
		add(d, name, true,
		    xasprintf("%s, %.1f GB free", dir,
			      (double)fs.f_bavail * (double)fs.f_frsize / 1e9),
		    means);
	else
		add(d, name, false, xasprintf("%s: %s: %s", dir, base, strerrordesc_np(error)),
		    else_means);
	free(dir);
}

/* ---- the answer ---- */

static struct way find_way(const struct doctor *d, const char *needs)
{
	const bool any = !strcmp(needs, "any"), svm = !strcmp(needs, "svm");
	const char *accel = accel_name(d->accel.accel);

	if (d->libvirt && (any || (svm ? d->accel.svm : d->accel.vmx)))
		return (struct way){ needs, engine_libvirt.name, accel, NULL };
	/* KVM on Intel's CPUs has no SVM, but TCG always has. */
	if (d->libvirt && svm)
		return (struct way){ needs, engine_libvirt.name, accel_name(ACCEL_TCG),
				     "--accel tcg" };
	/* What needs VMX goes to Bochs by itself. */
	if (d->bochs && !svm)
		return (struct way){ needs, engine_bochs.name, NULL,
				     any ? "--engine bochs" : NULL };
	return (struct way){ needs, NULL, NULL, NULL };
}

static void print_text(const struct doctor *d, const struct way *ways, size_t n_ways)
{
	for (size_t i = 0; i < d->n; i++)
		printf("%-9s %-4s%s; %s\n", d->findings[i].name, d->findings[i].ok ? "yes" : "no",
		       d->findings[i].found, d->findings[i].means);
	for (size_t i = 0; i < n_ways; i++) {
		const struct way *w = &ways[i];

		printf("%-9s %-4s%s%s%s%s%s%s\n", w->needs, w->engine ? "yes" : "no",
		       w->engine ? "reproducers run on " : "nothing here can run such reproducers",
		       w->engine ? w->engine : "", w->accel ? ", " : "", w->accel ? w->accel : "",
		       w->option ? ", with " : "", w->option ? w->option : "");
	}
}

static int print_json(const struct doctor *d, const struct way *ways, size_t n_ways, bool ok,
		      struct err *err)
{
	json_t *findings = json_array(), *needs = json_object();

	for (size_t i = 0; i < d->n; i++) {
		const struct finding *f = &d->findings[i];

		json_array_append_new(findings,
				      json_pack("{s:s, s:b, s:s, s:s}", "name", f->name, "ok",
						f->ok, "found", f->found, "means", f->means));
	}
	for (size_t i = 0; i < n_ways; i++)
		json_object_set_new(
			needs, ways[i].needs,
			ways[i].engine ? json_pack("{s:s, s:s?, s:s?}", "engine", ways[i].engine,
						   "accel", ways[i].accel, "option", ways[i].option)
				       : json_null());
	json_t *all = json_pack("{s:o, s:o, s:b}", "findings", findings, "needs", needs, "ok", ok);
	cleanup_free char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
	json_decref(all);
	if (!text)
		return err_set(err, ERR_HARNESS, "the findings cannot be written as JSON");
	puts(text);
	return 0;
}

static int answer(const struct doctor *d, bool json, struct err *err)
{
	static const char *const needs[] = { "any", "svm", "vmx" };
	struct way ways[sizeof(needs) / sizeof(*needs)];
	const size_t n = sizeof(needs) / sizeof(*needs);
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		ways[i] = find_way(d, needs[i]);
		ok &= ways[i].engine != NULL;
	}
	if (!json)
		print_text(d, ways, n);
	else if (print_json(d, ways, n, ok, err))
		return -1;
	return ok ? 0 : 1;
}

static int run(const void *opts, int argc, char **argv, struct err *err)
{
	bool json = !strcmp(((const struct doctor_opts *)opts)->format, "json");
	struct doctor d = { 0 };
	struct keeper keeper = { 0 };
	struct err later;

	if (argc)
		return err_set(err, ERR_INPUT, "doctor: '%s' is not expected", argv[0]);
	if (keeper_start(&keeper, &d.workdir, err))
		return -1;
	look_at_libvirt(&d);
	look_at_kvm(&d);
	look_at_bochs(&d);
	look_at_compiler(&d);
	look_at_dir(&d, "cache", "XDG_CACHE_HOME", ".cache",
		    "kernels, and what QEMU can do, are kept",
		    "each call asks QEMU again what it can do, which takes seconds");
	look_at_dir(&d, "state", "XDG_STATE_HOME", ".local/state", "the evidence of runs is kept",
		    "each call must say by --out where its evidence is kept");
	int rc = interrupt_signal() ? err_set(err, ERR_INTERRUPTED, "interrupted")
				    : answer(&d, json, err);
	if (fs_rmtree(d.workdir, &later) && rc >= 0) {
		*err = later;
		rc = -1;
	}
	keeper_stop(&keeper);
	for (size_t i = 0; i < d.n; i++)
		free(d.findings[i].found);
	free(d.workdir);
	return rc;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "say what this host can run, and with what",
	.opts = doctor_opt_table,
	.opts_bytes = sizeof(struct doctor_opts),
	.run = run,
};
