/* Modules are loaded by a child: one that hangs in its init function must not stop the heartbeat.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "modules.h"
#include "task.h"

static int load(const struct plan_module *m)
{
	int fd = open(m->path, O_RDONLY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return errno;
	/* EEXIST: built in, or loaded by another's request; what is wanted is there. */
	if (syscall(SYS_finit_module, fd, m->params, 0) && errno != EEXIST)
		rc = errno;
	close(fd);
	return rc;
}

/* The harness sends both vendors' modules; loading the wrong one costs time and a complaint. */
static bool fits(const struct guest *g, const char *path)
{
	if (strstr(path, "/kvm_intel.") || strstr(path, "/kvm-intel."))
		return g->vmx;
	if (strstr(path, "/kvm_amd.") || strstr(path, "/kvm-amd."))
		return g->svm;
	return true;
}

static void load_all(const void *arg, int fd)
{
	const struct guest *g = arg;

	for (int i = 0; i < g->plan.n_modules; i++)
		if (fits(g, g->plan.modules[i].path))
			dprintf(fd, "%d %d\n", i, load(&g->plan.modules[i]));
}

/* The module's name: its file's, up to ".ko". */
static void send_name(struct frame *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	const char *end = strstr(name, ".ko");

	frame_data(f, "name", name, end ? (size_t)(end - name) : strlen(name));
}

static void told(void *to, char *text)
{
	struct guest *g = to;
	struct frame f;
	int i = 0, error = 0;

	sscanf(text, "%d %d", &i, &error);
	frame_begin(&f, &g->agent, "module");
	send_name(&f, g->plan.modules[i].path);
	frame_num(&f, "ok", !error);
	if (error)
		frame_str(&f, "why", strerror(error));
	agent_send(&g->agent, &f);
}

const char *modules_load(struct guest *g, int64_t limit_ms)
{
	if (!g->plan.n_modules)
		return NULL;
	return task_run(g, "loading modules", load_all, g, limit_ms, told, g);
}
