/*
 * What a caged reader cannot do: each row is a reader that tries, in a cage like the real ones.
 * Prints TAP. Built without sanitizers, which would leave the cage out.
 */
#include "base/fs.h"
#include "cage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB      (1024ULL * 1024)
#define LIMIT_MS 30000
#define PAGE     4096

/* More than a reader may have (confine.c). */
#define MUCH_MEMORY_BYTES (8ull << 30)
#define MUCH_TIME_TURNS   (1ull << 42)

static const char forbidden[] = "forbidden system call";

/* ---- attempts: 0 or more where it could be done, -1 with errno where it was refused ---- */

static int try_read(int given)
{
	char byte;

	return read(given, &byte, 1) == 1 ? 0 : -1;
}

static int try_memory(int given)
{
	char *p = malloc(16 * MIB);

	(void)given;
	if (!p)
		return -1;
	memset(p, 1, 16 * MIB);
	free(p);
	return 0;
}

static int try_poll(int given)
{
	struct pollfd p = { .fd = given, .events = POLLIN };

	return poll(&p, 1, 0);
}

static int try_open(int given)
{
	(void)given;
	return open("/etc/passwd", O_RDONLY);
}

static int try_create(int given)
{
	(void)given;
	return open("/tmp/kvmrepro-attempt", O_WRONLY | O_CREAT, 0600);
}

static int try_stat(int given)
{
	struct stat st;

	(void)given;
	return stat("/etc/passwd", &st);
}

static int try_unlink(int given)
{
	(void)given;
	return unlink("/tmp/kvmrepro-attempt");
}

static int try_exec(int given)
{
	char *argv[] = { "true", NULL };

	(void)given;
	return execv("/bin/true", argv);
}

static int try_fork(int given)
{
	(void)given;
	pid_t pid = fork();
	if (!pid)
		_exit(0);
	return pid;
}

static int try_socket(int given)
{
	(void)given;
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int try_kill(int given)
{
	(void)given;
	return kill(getppid(), 0);
}

static int try_ptrace(int given)
{
	(void)given;
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int try_ioctl(int given)
{
	(void)given;
	return fcntl(0, F_DUPFD, 100);
}

static int try_name(int given)
{
	(void)given;
	return prctl(PR_SET_NAME, "another");
}

static int try_exec_map(int given)
{
	(void)given;
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED
		       ? -1
		       : 0;
}

static int try_exec_protect(int given)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)given;
	return mprotect(p, PAGE, PROT_READ | PROT_EXEC);
}

static int try_much_memory(int given)
{
	struct buf b = BUF_INIT;
	static const char block[65536];

	(void)given;
	for (size_t i = 0; i < MUCH_MEMORY_BYTES / sizeof(block); i++)
		buf_add(&b, block, sizeof(block));
	return 0;
}

static int try_much_time(int given)
{
	(void)given;
	for (volatile uint64_t i = 0; i < MUCH_TIME_TURNS; i++)
		;
	return 0;
}

static int try_grow(int given)
{
	return pwrite(given, "x", 1, 0) == 1 || write(given, "x", 1) == 1 ? 0 : -1;
}

static int try_write(int given)
{
	return write(given, "x", 1) == 1 ? 0 : -1;
}

static const struct attempt {
	const char *what;
	int (*attempt)(int given);
	const char *end; /* what the harness is told; NULL: it can be done; "": EPERM */
} attempts[] = {
	{ "read what is open", try_read, NULL },
	{ "use memory", try_memory, NULL },
	{ "poll", try_poll, NULL },
	{ "open a file", try_open, forbidden },
	{ "make a file", try_create, forbidden },
	{ "look at a file", try_stat, forbidden },
	{ "remove a file", try_unlink, forbidden },
	{ "run a program", try_exec, forbidden },
	{ "fork", try_fork, forbidden },
	{ "make a socket", try_socket, forbidden },
	{ "send a signal", try_kill, forbidden },
	{ "be traced", try_ptrace, forbidden },
	{ "duplicate a descriptor", try_ioctl, forbidden },
	{ "call prctl", try_name, forbidden },
	{ "map executable memory", try_exec_map, "" },
	{ "make memory executable", try_exec_protect, "" },
	{ "use more memory than its limit", try_much_memory, "used up its 256 MiB of memory" },
	{ "use more time than its limit", try_much_time, "was ended after 1 s of CPU time" },
	{ "let a file grow", try_write, "was ended by signal 25" },
	{ "write behind its place in a file", try_grow, forbidden },
};

#define N_ATTEMPTS (sizeof(attempts) / sizeof(*attempts))

/* The reader is told which attempt is its own. */
static int serve(int fd, const int *fds, struct err *err)
{
	struct buf body = BUF_INIT;
	struct wire in = WIRE_INIT;

	if (cage_hear(fd, &in, err))
		return -1;
	int rc = attempts[wire_u64(&in, N_ATTEMPTS - 1)].attempt(fds[0]);
	wire_put_u64(&body, rc < 0 ? (uint64_t)errno : 0);
	return wire_send(fd, 0, &body, err);
}

static const struct cage_role roles[] = {
	{ "attempts", { .memory_bytes = 256 * MIB, .cpu_s = 1 }, NULL, serve },
};

static int held(const struct attempt *a, int given, size_t number, struct err *err)
{
	struct buf body = BUF_INIT;
	struct wire in = WIRE_INIT;
	struct cage cage;

	wire_put_u64(&body, number);
	if (cage_start(0, &given, 1, &cage, err))
		return 0;
	cage_send(&cage, 0, &body);
	int rc = cage_recv(&cage, LIMIT_MS, 64, &in, err);
	uint64_t error = rc ? 0 : wire_u64(&in, 4096);
	int ok = !rc && (a->end ? !*a->end && error == EPERM : !error);
	if (!rc)
		err_set(err, ERR_HARNESS, "it ended with errno %u", (unsigned)error);
	cage_stop(&cage);
	wire_free(&in);
	buf_free(&body);
	return rc ? a->end && *a->end && strstr(err->msg, a->end) : ok;
}

int main(void)
{
	char path[] = "/tmp/kvmrepro-attempts-XXXXXX";
	int given = mkstemp(path), bad = 0;
	struct err err;

	if (given < 0 || write(given, "x", 1) != 1 || unlink(path) || cage_setup(roles, &err))
		return 1;
	printf("1..%zu\n", N_ATTEMPTS);
	for (size_t i = 0; i < N_ATTEMPTS; i++) {
		lseek(given, 0, i ? SEEK_END : SEEK_SET);
		int ok = held(&attempts[i], given, i, &err);
		printf("%sok %zu - %s: %s\n", ok ? "" : "not ", i + 1, attempts[i].what,
		       attempts[i].end ? "it cannot" : "it can");
		if (!ok)
			printf("# %s\n", err.msg);
		bad |= !ok;
	}
	cage_end();
	return bad;
}
