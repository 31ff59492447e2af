/* CPUs and memory, as the kernel's files say in a directory that stands for the host's root. */
#include "host.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB ((int64_t)1 << 20)

static char *root;
static unsigned cpus; /* that this program may run on */
static unsigned cpu;  /* one of them */

static void put(const char *name, const char *text)
{
	cleanup_free char *path = xasprintf("%s/%s", root, name);
	cleanup_free char *dir = xstrdup(path);
	struct err err;

	*strrchr(dir, '/') = '\0';
	if (fs_mkdirs(dir, &err) || fs_write(path, text, strlen(text), &err))
		fail_msg("%s", err.msg);
}

static struct host look(void)
{
	struct host host;

	host_look(root, &host);
	return host;
}

static int set_up(void **opaque)
{
	struct err err;
	cpu_set_t set;

	(void)opaque;
	if (sched_getaffinity(0, sizeof(set), &set) || fs_tmpdir(&root, &err))
		return -1;
	cpus = (unsigned)CPU_COUNT(&set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	put("proc/meminfo", "MemTotal: 9437184 kB\nMemFree: 1 kB\nMemAvailable:   8388608 kB\n");
	return 0;
}

static int tear_down(void **opaque)
{
	struct err err;
	int rc = fs_rmtree(root, &err);

	(void)opaque;
	free(root);
	return rc;
}

static void test_no_groups(void **opaque)
{
	(void)opaque;
	struct host host = look();
	assert_int_equal(host.cpus, cpus);
	assert_false(host.rationed);
	assert_int_equal(host.memory_bytes, 8192 * MIB);
	assert_int_equal(host.all_bytes, 9216 * MIB);
	put("proc/meminfo", "MemTotal: 9437184 kB\nSwapTotal: 1048576 kB\n");
	assert_int_equal(look().memory_bytes, -1);
	assert_int_equal(look().all_bytes, 10240 * MIB);
	put("proc/meminfo", "");
	assert_int_equal(look().memory_bytes, -1);
	assert_int_equal(look().all_bytes, -1);
}

/* The least that is left in the group and in those it is in; page cache can be had. */
static void test_memory_2(void **opaque)
{
	(void)opaque;
	put("proc/self/cgroup", "0::/user/job\n");
	put("sys/fs/cgroup/user/job/memory.max", "max\n");
	put("sys/fs/cgroup/user/job/memory.current", "1048576\n");
	assert_int_equal(look().memory_bytes, 8192 * MIB);
	put("sys/fs/cgroup/user/memory.max", "4294967296\n");
	put("sys/fs/cgroup/user/memory.current", "3221225472\n");
	assert_int_equal(look().memory_bytes, 1024 * MIB);
	put("sys/fs/cgroup/user/memory.stat", "anon 5\ninactive_file 1073741824\nactive_file 7\n");
	assert_int_equal(look().memory_bytes, 2048 * MIB);
	put("sys/fs/cgroup/user/job/memory.max", "1000\n");
	assert_int_equal(look().memory_bytes, 0);
}

static void test_memory_1(void **opaque)
{
	(void)opaque;
	put("proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/memory.usage_in_bytes", "123456\n");
	assert_int_equal(look().memory_bytes, 8192 * MIB);
	put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2147483648\n");
	put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1073741824\n");
	put("sys/fs/cgroup/memory/job/memory.stat",
	    "inactive_file 1\ntotal_inactive_file 1048576\n");
	assert_int_equal(look().memory_bytes, 1025 * MIB);
}

static void test_cpus(void **opaque)
{
	(void)opaque;
	put("proc/self/cgroup", "0::/job\n");
	put("sys/fs/cgroup/job/cpu.max", "max 100000\n");
	assert_int_equal(look().cpus, cpus);
	assert_false(look().rationed);
	put("sys/fs/cgroup/job/cpu.max", "50000 100000\n");
	assert_int_equal(look().cpus, 1);
	assert_int_equal(look().rationed, cpus > 1);
	put("sys/fs/cgroup/job/cpu.max", "99999900000 100000\n");
	assert_int_equal(look().cpus, cpus);
	assert_false(look().rationed);
	put("proc/self/cgroup", "3:cpu,cpuacct:/\n");
	put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
	put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	assert_int_equal(look().cpus, cpus);
	put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "100000\n");
	assert_int_equal(look().cpus, 1);
}

/* Of the CPUs that the program may run on, and no others. */
static void test_idle(void **opaque)
{
	cleanup_free char *text = xasprintf("cpu  9 9 9 900000 9 9\n"
					    "cpu%u 1 2 3 500 20 6 7\n"
					    "cpu%u 1 2 3 77777 20 6 7\n"
					    "intr 5\n",
					    cpu, CPU_SETSIZE - 1);

	(void)opaque;
	assert_int_equal(host_idle_ms(root), -1);
	put("proc/stat", text);
	assert_int_equal(host_idle_ms(root), 520 * 1000 / sysconf(_SC_CLK_TCK));
	put("proc/stat", "cpu0 1 2\ngarbage");
	assert_int_equal(host_idle_ms(root), -1);
	assert_true(host_idle_ms("") >= 0);
}

/* The soft limit is raised as far as is needed, and no further; the hard one stands. */
static void test_files(void **opaque)
{
	struct rlimit before, now, low;
	struct err err;

	(void)opaque;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){ 20, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(host_allow_files(2, &err), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
	assert_in_range(now.rlim_cur, 42, 200);
	assert_int_equal(host_allow_files(1, &err), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(low.rlim_cur, now.rlim_cur);
	assert_int_equal(host_allow_files(UINT_MAX, &err), -1);
	assert_int_equal(err.kind, ERR_HARNESS);
	assert_non_null(strstr(err.msg, "too few open files"));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_groups, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_memory_2, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_memory_1, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cpus, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_idle, set_up, tear_down),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
