/* Tries to put a crash into the kernel's console, and to keep one from it. */
#define _GNU_SOURCE
#include "forge.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/klog.h>

#define CRASH "\nKernel panic - not syncing: forged\n"

/* As if typed at it. */
static bool type_in(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);
	bool done = fd >= 0 && !ioctl(fd, TIOCSTI, "x");

	if (fd >= 0)
		close(fd);
	return done;
}

/* A program that the kernel runs, outside of all namespaces. */
static void by_helper(const char *proc)
{
	static const char *const files[] = { "core_pattern", "modprobe", "hotplug", "poweroff_cmd",
					     "usermodehelper/bset" };
	char path[128];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/sys/kernel/%s", proc, files[i]);
		told(path, put(path, strchr(files[i], '/') ? "1 1" : "|/repro/forge-console"));
	}
}

static void by_proc(const char *proc)
{
	static const char *const files[] = {
		"printk",
		"panic_on_warn",
		"hung_task_timeout_secs",
		"watchdog_thresh",
		"sched_rt_runtime_us",
		"hung_task_warnings",
		"ftrace_dump_on_oops",
	};
	char path[128];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/sys/kernel/%s", proc, files[i]);
		told(path, put(path, "1"));
	}
	snprintf(path, sizeof(path), "%s/kcore", proc);
	told(path, open(path, O_RDONLY) >= 0);
	by_helper(proc);
	snprintf(path, sizeof(path), "%s/sysrq-trigger", proc);
	told(path, put(path, "c"));
}

int main(void)
{
	mkdir("/tmp/proc", 0700);
	told("own procfs", !mount("proc", "/tmp/proc", "proc", 0, NULL));
	put_device("kmsg", 1, 11, CRASH);
	put_device("mem", 1, 1, "");
	put_device("port", 1, 4, "");
	told("TIOCSTI", type_in());
	told("syslog console off", !klogctl(6, NULL, 0));
	told("syslog console level", !klogctl(8, NULL, 1));
	told("syslog console on", !klogctl(7, NULL, 0));
	told("ignore_loglevel", put("/sys/module/printk/parameters/ignore_loglevel", "Y"));
	told("serial unbind", open("/sys/bus/platform/drivers/serial8250/unbind", O_WRONLY) >= 0);
	put_port("ttyS0", 0x3f8, CRASH);
	put_device("console", 5, 1, CRASH);
	put_device("ttyS0", 4, 64, CRASH);
	by_proc("/tmp/proc");
	by_proc("/proc");
	return 0;
}
