/*
 * The guest's PID 1: prepares the guest, proves by the canary that KVM works, and on the harness's
 * word runs the reproducers of the plan one after the other, then powers off. The same program is
 * each of the bundled reproducers, when it is run under its name.
 */
#include <cpuid.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/random.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "applets.h"
#include "canary.h"
#include "detectors.h"
#include "keeper.h"
#include "modules.h"
#include "mounts.h"
#include "runner.h"
#include "sandbox.h"

#define DRAIN_MS 60000 /* a harness that is stopped for a while must not miss the last words */

static void __attribute__((noreturn)) power_off(struct guest *g)
{
	agent_drain(&g->agent, DRAIN_MS);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) fatal(struct guest *g, const char *why)
{
	struct frame f;

	frame_begin(&f, &g->agent, "fatal");
	frame_str(&f, "why", why);
	agent_send(&g->agent, &f);
	power_off(g);
}

/* Nobody to tell but the console: there is no agent line, or no token to use it with. */
static void __attribute__((noreturn)) mute(const char *why, const char *detail)
{
	int fd = open("/dev/console", O_WRONLY | O_NOCTTY);

	if (fd >= 0)
		dprintf(fd, "kvmrepro: init: %s%s\n", why, detail);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void cpu_features(struct guest *g, char vendor[13])
{
	unsigned int a, b = 0, c = 0, d = 0;

	__get_cpuid(0, &a, &b, &c, &d);
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &d, 4);
	memcpy(vendor + 8, &c, 4);
	vendor[12] = '\0';
	g->vmx = __get_cpuid(1, &a, &b, &c, &d) && c & (1u << 5);
	g->svm = __get_cpuid(0x80000001, &a, &b, &c, &d) && c & (1u << 2);
}

static void hello(struct guest *g)
{
	struct utsname uts = { 0 };
	char vendor[13];
	cpu_set_t cpus;
	struct frame f;

	cpu_features(g, vendor);
	uname(&uts);
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	frame_begin(&f, &g->agent, "hello");
	frame_str(&f, "release", uts.release);
	frame_str(&f, "version", uts.version);
	frame_str(&f, "vendor", vendor);
	frame_str(&f, "features", g->svm ? (g->vmx ? "svm,vmx" : "svm") : g->vmx ? "vmx" : "");
	frame_num(&f, "cpus", CPU_COUNT(&cpus));
	agent_send(&g->agent, &f);
}

static void ready(struct guest *g)
{
	struct frame f;

	frame_begin(&f, &g->agent, "ready");
	frame_str(&f, "sandbox", g->plan.sandbox ? sandbox_raise(&g->groups) : "off");
	runner_prepare(g);
	agent_send(&g->agent, &f);
}

static void say(struct guest *g, const char *verb)
{
	struct frame f;

	frame_begin(&f, &g->agent, verb);
	agent_send(&g->agent, &f);
}

/* The standard descriptors must never be the console, and never be free for a tty to take. */
static void null_stdio(void)
{
	int fd = open("/dev/null", O_RDWR);

	for (int i = 0; i < 3 && fd >= 0; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* Credits the harness's entropy, so that guests restored from one state differ. */
static void seed_random(int fd, const char *hex)
{
	struct {
		struct rand_pool_info info;
		unsigned char bytes[512];
	} pool = { 0 };
	int n = 0;

	for (; n < (int)sizeof(pool.bytes) && isxdigit((unsigned char)hex[0]) &&
	       isxdigit((unsigned char)hex[1]);
	     hex += 2)
		pool.bytes[n++] = (unsigned char)(hex_value(hex[0]) << 4 | hex_value(hex[1]));
	pool.info.buf_size = n;
	pool.info.entropy_count = n * 8;
	if (fd >= 0 && n) {
		ioctl(fd, RNDADDENTROPY, &pool);
		ioctl(fd, RNDRESEEDCRNG, 0);
	}
}

static void run_chosen(struct guest *g)
{
	char *save = NULL;

	if (!*g->agent.run)
		for (int i = 0; i < g->plan.n_repros; i++)
			runner_run(g, i);
	for (char *id = strtok_r(g->agent.run, ",", &save); id; id = strtok_r(NULL, ",", &save)) {
		char *end;
		long i = strtol(id, &end, 10);

		if (*end || i < 0 || i >= g->plan.n_repros)
			fatal(g, "go: no such reproducer in the plan");
		runner_run(g, (int)i);
	}
	runner_discard(g);
}

/* Lets a grace period pass, for what RCU still has to free may have something to report. */
static void settle(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

static int init_main(void)
{
	static struct guest g;
	const char *why;
	int64_t limit_ms;
	int rc;

	mounts_early();
	null_stdio();
	why = plan_load(&g.plan);
	if (!g.plan.token)
		mute(why, "");
	rc = agent_open(&g.agent, g.plan.token);
	if (rc)
		mute(PROTO_TTY ": ", strerror(-rc));
	setpriority(PRIO_PROCESS, 0, -20);
	hello(&g);
	agent_beat(&g.agent, true);
	if (why)
		fatal(&g, why);
	mounts_all();
	write_file("/proc/self/oom_score_adj", "-1000");
	mlockall(MCL_CURRENT | MCL_FUTURE);
	detectors_tune(g.plan.detector_ms);

	/* What hangs in the kernel is given the time for a detector to speak. */
	limit_ms = g.plan.detector_ms * 5 / 4 + 10000;
	why = modules_load(&g, limit_ms);
	if (why)
		fatal(&g, why);
	if (canary_run(&g, limit_ms)) {
		/* What is made before "ready" costs trials that begin from a kept state nothing. */
		int random = open("/dev/urandom", O_RDWR | O_CLOEXEC);

		helper_start(&g.helper);
		ready(&g);
		while (!g.agent.go && !g.agent.alien)
			agent_wait(&g.agent, NULL, 0, -1);
		if (g.agent.alien)
			fatal(&g, "the harness speaks another version of the protocol");
		seed_random(random, g.agent.seed);
		run_chosen(&g);
		if (!g.orphans)
			helper_run(&g, settle, limit_ms);
	}
	agent_beat(&g.agent, false);
	say(&g, "done");
	power_off(&g);
}

static int run_applet(const char *name, int argc, char **argv)
{
	for (const struct applet *a = applets; a->name; a++)
		if (!strcmp(a->name, name))
			return a->main(argc, argv);
	return -1;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash ? slash + 1 : argv[0];
	int rc;

	if (argc == KEEPER_ARGC && !strcmp(argv[1], KEEPER)) {
		keeper_main(argv);
		return 0;
	}
	if (argc >= 3 && !strcmp(argv[1], "--applet"))
		rc = run_applet(argv[2], argc - 2, argv + 2);
	else
		rc = run_applet(name, argc, argv);
	if (rc >= 0)
		return rc;
	if (getpid() == 1)
		return init_main();
	fprintf(stderr, "usage: %s --applet NAME (as PID 1: the guest's init)\n", argv[0]);
	return 2;
}
