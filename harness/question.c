/* Questions; see question.h. */
#include "question.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/sha256.h"
#include "embed.h"
#include "kernel/signature.h"
#include "report/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* Titles in the order of the alphabet, each once: the order of options does not matter. */
static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *set_json(const char *const *v, size_t n)
{
	const char **sorted = xcalloc(n, sizeof(*sorted));
	json_t *all = json_array();

	memcpy(sorted, v, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	for (size_t i = 0; i < n; i++)
		if (!i || strcmp(sorted[i], sorted[i - 1]) != 0)
			json_array_append_new(all, json_text(sorted[i]));
	free(sorted);
	return all;
}

static json_t *repros_json(const struct reproducers *repros)
{
	json_t *all = json_array();

	for (size_t i = 0; i < repros->n; i++) {
		const struct reproducer *r = &repros->v[i];
		json_t *o = json_object();

		json_put(o, "name", json_text(r->name));
		json_put(o, "sha256", json_text(r->sha256));
		json_put(o, "program", json_text(r->elf_sha256));
		json_put(o, "duration_ms", json_integer(r->duration_ms));
		json_array_append_new(all, o);
	}
	return all;
}

/* The first "model name" of /proc/cpuinfo, or null. */
static json_t *cpu_model(void)
{
	static const char key[] = "model name";
	cleanup_file FILE *f = fopen("/proc/cpuinfo", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, key, sizeof(key) - 1) || !colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		return json_text(colon + 1 + strspn(colon + 1, " "));
	}
	return json_null();
}

/* With KVM the host's CPU and kernel run the guest's code: what one host saw says nothing of
 * another. TCG and Bochs are the same everywhere. */
static json_t *host_json(const struct accel *accel)
{
	json_t *host = json_object();
	struct utsname name;

	json_put(host, "svm", json_boolean(accel->svm));
	json_put(host, "vmx", json_boolean(accel->vmx));
	json_put(host, "cpu", cpu_model());
	json_put(host, "release", uname(&name) ? json_null() : json_text(name.release));
	return host;
}

static json_t *vm_json(const struct session_options *o, const struct session *s)
{
	json_t *vm = json_object();

	json_put(vm, "engine", json_text(s->engine->name));
	json_put(vm, "recording", json_text(s->engine_config.replay));
	json_put(vm, "accel", json_text(accel_name(s->accel.accel)));
	if (s->accel.accel == ACCEL_KVM)
		json_put(vm, "host", host_json(&s->accel));
	json_put(vm, "uri", json_text(o->connect));
	json_put(vm, "hypervisor", json_text(s->facts.hypervisor));
	json_put(vm, "machine", json_text(s->facts.machine));
	json_put(vm, "cpu", json_text(s->facts.cpu));
	json_put(vm, "memory_mib", json_integer(s->trial.memory_mib));
	json_put(vm, "vcpus", json_integer(s->trial.vcpus));
	json_put(vm, "cmdline", json_text(s->cmdline));
	json_put(vm, "decompress", json_text(o->decompress));
	json_put(vm, "guest_sandbox", json_boolean(!o->no_guest_sandbox));
	json_put(vm, "boot_ms", json_integer(s->trial.limits.boot_ms));
	json_put(vm, "detector_ms", json_integer(s->trial.limits.detector_ms));
	json_put(vm, "stuck_ms", json_integer(s->trial.limits.stuck_ms));
	return vm;
}

/* What runs in the guest besides the user's reproducers. */
static json_t *guest_json(void)
{
	struct embed guest = embed_guest();
	char hex[SHA256_HEX_BYTES];

	sha256_hex(guest.data, guest.size, hex);
	return json_string(hex);
}

json_t *question_new(const struct session_options *options, const struct session *session)
{
	json_t *q = json_object();

	json_put(q, "kvmrepro", json_text(KVMREPRO_VERSION));
	json_put(q, "expect", set_json(options->expect, options->n_expect));
	json_put(q, "ignore", set_json(options->ignore, options->n_ignore));
	json_put(q, "reproducers", repros_json(&session->repros));
	json_put(q, "guest", guest_json());
	json_put(q, "vm", vm_json(options, session));
	return q;
}

int question_kernel(const struct session *session, char **out, struct err *err)
{
	char modules[SIGNATURE_BYTES];

	if (!session->signature[0]) {
		*out = NULL;
		return 0;
	}
	if (!session->modules.n) {
		*out = xstrdup(session->signature);
		return 0;
	}
	if (modules_signature(&session->modules, modules, err))
		return -1;
	*out = xasprintf("%s+%s", session->signature, modules);
	return 0;
}
