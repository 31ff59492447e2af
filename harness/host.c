/* CPUs and memory; see host.h. */
#include "host.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Measured: 32 descriptors with one VM, 42 with two, 56 with four. */
#define FILES_BASE 64
#define FILES_A_VM 12

#define FILE_BYTES ((size_t)4 << 20) /* /proc/stat of a host with thousands of CPUs */

static char *read_text(const char *path)
{
	struct buf text = BUF_INIT;
	struct err err;

	return fs_read(path, FILE_BYTES, &text, ERR_HARNESS, &err) ? NULL : buf_steal(&text);
}

/* The number behind the first line that begins with word ("": the file's first number); -1: none.
 */
static int64_t number_in(const char *dir, const char *file, const char *word)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, file);
	cleanup_free char *text = read_text(path);
	int64_t n;

	for (const char *line = text; line && *line; line += *line == '\n') {
		if (!strncmp(line, word, strlen(word)) &&
		    sscanf(line + strlen(word), "%" SCNd64, &n) == 1)
			return n;
		line = strchrnul(line, '\n');
	}
	return -1;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* What a group has left. Its page cache that was not used lately is given up for the asking. */
static int64_t group_memory(const char *dir)
{
	int64_t max = number_in(dir, "memory.max", ""), used = number_in(dir, "memory.current", "");
	int64_t cache = number_in(dir, "memory.stat", "inactive_file ");

	if (max < 0) {
		max = number_in(dir, "memory.limit_in_bytes", "");
		used = number_in(dir, "memory.usage_in_bytes", "");
		cache = number_in(dir, "memory.stat", "total_inactive_file ");
	}
	if (max < 0 || used < 0)
		return -1;
	int64_t left = max - used + (cache > 0 ? cache : 0);
	return left > 0 ? left : 0;
}

/* How many CPUs' time a group gets, rounded up; -1: no limit. */
static int64_t group_cpus(const char *dir)
{
	cleanup_free char *path = xasprintf("%s/cpu.max", dir);
	cleanup_free char *text = read_text(path);
	int64_t quota_us, period_us;

	if (!text) {
		quota_us = number_in(dir, "cpu.cfs_quota_us", "");
		period_us = number_in(dir, "cpu.cfs_period_us", "");
	} else if (sscanf(text, "%" SCNd64 " %" SCNd64, &quota_us, &period_us) != 2) {
		return -1; /* "max" */
	}
	return quota_us > 0 && period_us > 0 ? (quota_us + period_us - 1) / period_us : -1;
}

struct limits {
	int64_t memory_bytes, cpus; /* -1: none */
};

/* The group at path below mount, and all that it is in. */
static void add_groups(const char *mount, const char *path, struct limits *out)
{
	cleanup_free char *dir = xasprintf("%s%s", mount, path);

	for (;;) {
		char *slash = strrchr(dir, '/');

		out->memory_bytes = least(out->memory_bytes, group_memory(dir));
		out->cpus = least(out->cpus, group_cpus(dir));
		if (!slash || slash < dir + strlen(mount))
			return;
		*slash = '\0';
	}
}

/* Lines "ID:CONTROLLERS:PATH" (cgroups(7)); version 2 is the one without controllers. */
static void look_at_groups(const char *root, struct limits *out)
{
	cleanup_free char *list = xasprintf("%s/proc/self/cgroup", root);
	cleanup_free char *text = read_text(list);
	char *save = NULL;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		controllers++;
		cleanup_free char *mount = xasprintf("%s/sys/fs/cgroup%s%s", root,
						     *controllers ? "/" : "", controllers);
		add_groups(mount, strcmp(path, "/") ? path : "", out);
	}
}

static void own_cpus(cpu_set_t *set)
{
	if (!sched_getaffinity(0, sizeof(*set), set))
		return;
	CPU_ZERO(set);
	CPU_SET(0, set);
}

void host_look(const char *root, struct host *out)
{
	cleanup_free char *proc = xasprintf("%s/proc", root);
	int64_t free_kib = number_in(proc, "meminfo", "MemAvailable:");
	int64_t all_kib = number_in(proc, "meminfo", "MemTotal:");
	int64_t swap_kib = number_in(proc, "meminfo", "SwapTotal:");
	struct limits limits = { free_kib < 0 ? -1 : free_kib * 1024, -1 };
	cpu_set_t set;

	own_cpus(&set);
	look_at_groups(root, &limits);
	out->cpus = (unsigned)CPU_COUNT(&set);
	out->rationed = limits.cpus >= 0 && limits.cpus < (int64_t)out->cpus;
	if (out->rationed)
		out->cpus = (unsigned)limits.cpus;
	out->memory_bytes = limits.memory_bytes;
	out->all_bytes = all_kib < 0 ? -1 : (all_kib + (swap_kib < 0 ? 0 : swap_kib)) * 1024;
}

/* Lines "cpuN user nice system idle iowait ..." in ticks (proc(5)). */
int64_t host_idle_ms(const char *root)
{
	cleanup_free char *path = xasprintf("%s/proc/stat", root);
	cleanup_free char *text = read_text(path);
	int64_t idle, iowait, sum = 0;
	bool any = false;
	cpu_set_t set;
	unsigned cpu;

	own_cpus(&set);
	for (const char *line = text; line && *line; line += *line == '\n') {
		if (sscanf(line, "cpu%u %*d %*d %*d %" SCNd64 " %" SCNd64, &cpu, &idle, &iowait) ==
			    3 &&
		    cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set)) {
			sum += idle + iowait;
			any = true;
		}
		line = strchrnul(line, '\n');
	}
	return any ? sum * 1000 / sysconf(_SC_CLK_TCK) : -1;
}

int host_allow_files(unsigned vms, struct err *err)
{
	rlim_t needed = FILES_BASE + (rlim_t)vms * FILES_A_VM;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return err_errno(err, ERR_HARNESS, "the limit on open files");
	if (limit.rlim_cur >= needed)
		return 0;
	if (limit.rlim_max < needed)
		return err_set(err, ERR_HARNESS,
			       "too few open files: %ju are allowed (ulimit -Hn), %ju needed for "
			       "%u VM%s at once",
			       (uintmax_t)limit.rlim_max, (uintmax_t)needed, vms,
			       vms == 1 ? "" : "s");
	limit.rlim_cur = needed;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return err_errno(err, ERR_HARNESS, "the limit on open files");
	return 0;
}
