/*
 * Loaded into a VM's process, so that VMs can begin from its state: it stands still in a signal's
 * handler, and each VM is a fork of it that returns from the handler. The guest's memory, the
 * devices and what has been translated or decoded of the guest's code are shared until somebody
 * writes to them. The program itself is not touched: it does not notice that it was interrupted,
 * but finds other descriptors under the numbers that it knows.
 *
 * fork(2) copies only the thread that calls it. So every other thread stands still in the same
 * handler, and is made once more in each fork, by clone(2), where it returns from there: with its
 * registers, signal mask and stack, which the kernel and the handler left in the memory that is
 * copied, and its thread pointer. All threads stand still at once, so that the copy is of one
 * moment. But a thread has another number in a fork, so none may hold a lock that knows its owner:
 * the harness waits until none of them has anything to do.
 *
 * What is shared behind a descriptor (an eventfd's counter, say) would be shared between VMs, so
 * each fork gets its own. Nothing here may take a lock or memory of libc: the handler interrupts
 * the program anywhere.
 */
#include "vm/preload/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FDS     256 /* Bochs has a dozen, QEMU two */
#define MAX_THREADS 32  /* QEMU has four, and one more for each vCPU that has a thread */
#define TEXT_BYTES  256

/* glibc's own signals, which pthread_sigmask(3) never blocks: SIGCANCEL and SIGSETXID. */
#define LIBC_SIGNALS ((1ull << 31) | (1ull << 32))

/* Where glibc keeps a thread's number (struct pthread, tid; x86-64, since 2.26 at least), from the
 * thread pointer. It is looked at before it is relied on. */
#define TID_OFFSET 0x2d0

struct thread {
	jmp_buf where;
	unsigned long pointer; /* its thread pointer */
	char stack[16384] __attribute__((aligned(16)));
};

/* What becomes of a descriptor in a fork. */
struct kind {
	enum {
		AS_IT_IS,
		LINE,
		EVENTFD,
		EPOLL
	} is;
	unsigned line;  /* LINE */
	unsigned count; /* EVENTFD */
	int flags;      /* O_NONBLOCK */
};

static int control_fd = -1;
static pid_t parent, first_thread;
static struct kind kinds[MAX_FDS];
static struct thread threads[MAX_THREADS];
static atomic_uint n_begun, n_standing;

/* ---- text without libc ---- */

/* "/proc/self/DIR/NUMBER"; text has room. */
static void proc_path(char *text, const char *dir, unsigned number)
{
	char digits[12];
	size_t n = sizeof(digits) - 1;

	digits[n] = '\0';
	do
		digits[--n] = (char)('0' + number % 10);
	while (number /= 10);
	strcpy(text, "/proc/self/");
	strcat(text, dir);
	strcat(text, digits + n);
}

static unsigned long number_in(const char *text, unsigned base)
{
	unsigned long n = 0;

	for (text += strspn(text, " \t"); *text; text++) {
		unsigned digit =
			*text >= 'a' ? (unsigned)(*text - 'a') + 10 : (unsigned)(*text - '0');

		if (digit >= base)
			break;
		n = n * base + digit;
	}
	return n;
}

/* ---- threads ---- */

static unsigned long thread_pointer(void)
{
	unsigned long pointer;

	__asm__("movq %%fs:0, %0" : "=r"(pointer)); /* its first word is its own address */
	return pointer;
}

static pid_t *tid_of(unsigned long pointer)
{
	return (pid_t *)(pointer + TID_OFFSET);
}

static pid_t own_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* A thread that is not the first: stand still. It returns in each fork, and nowhere else. */
static void stand(void)
{
	unsigned i = atomic_fetch_add(&n_begun, 1);

	if (i >= MAX_THREADS)
		_exit(127);
	threads[i].pointer = thread_pointer();
	if (_setjmp(threads[i].where))
		return;
	atomic_fetch_add(&n_standing, 1);
	for (;;)
		syscall(SYS_futex, &first_thread, FUTEX_WAIT, first_thread, NULL, NULL, 0);
}

/* Have all other threads stand still. */
static bool halt_threads(void)
{
	int dir = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned n = 0;
	char list[2048];
	long bytes;

	if (dir < 0)
		return false;
	while ((bytes = syscall(SYS_getdents64, dir, list, sizeof(list))) > 0)
		for (long at = 0; at < bytes;) {
			/* getdents64(2): ino64_t, off64_t, length, type, name */
			unsigned short length;

			memcpy(&length, list + at + 16, sizeof(length));
			pid_t tid = (pid_t)number_in(list + at + 19, 10);
			n += tid > 0 && tid != first_thread &&
			     !syscall(SYS_tgkill, first_thread, tid, FORK_SIGNAL);
			at += length;
		}
	close(dir);
	/* One that blocks the signal after all: the harness does not wait for ever. */
	while (!bytes && atomic_load(&n_standing) < n)
		syscall(SYS_nanosleep, &(struct timespec){ 0, 1000000 }, NULL);
	return !bytes && n <= MAX_THREADS;
}

static int resume(void *thread)
{
	_longjmp(((struct thread *)thread)->where, 1);
}

/* In the fork: make its threads, as pthread_create(3) would. */
static bool make_threads(void)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			  CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

	for (unsigned i = 0; i < atomic_load(&n_standing); i++) {
		struct thread *t = &threads[i];

		if (clone(resume, t->stack + sizeof(t->stack), flags, t, tid_of(t->pointer),
			  t->pointer, tid_of(t->pointer)) < 0)
			return false;
	}
	return true;
}

/* ---- descriptors ---- */

static bool is_line(int fd, const struct stat *st, const struct fork_line *line)
{
	struct sockaddr_storage name, peer;
	socklen_t name_bytes = sizeof(name), peer_bytes = sizeof(peer);

	if (line->by == FORK_BY_INODE)
		return st->st_ino == line->inode && st->st_dev == line->device;
	if (!S_ISSOCK(st->st_mode) || getpeername(fd, (struct sockaddr *)&peer, &peer_bytes) ||
	    getsockname(fd, (struct sockaddr *)&name, &name_bytes))
		return false;
	if (line->by == FORK_BY_PEER)
		return peer_bytes == line->name_bytes && !memcmp(&peer, &line->name, peer_bytes);
	return name_bytes == line->name_bytes && !memcmp(&name, &line->name, name_bytes);
}

/* What kind of anonymous inode it is, by proc(5). False: one that several VMs cannot share. */
static bool look_at(int fd, struct kind *kind)
{
	char path[64], text[TEXT_BYTES] = "";

	proc_path(path, "fd/", (unsigned)fd);
	if (readlink(path, text, sizeof(text) - 1) < 0)
		return false;
	if (strncmp(text, "anon_inode:", strlen("anon_inode:")) != 0)
		return true;
	if (!strcmp(text, "anon_inode:[signalfd]"))
		return true; /* it gives each process its own signals */
	kind->is = !strcmp(text, "anon_inode:[eventpoll]") ? EPOLL : EVENTFD;
	if (kind->is == EVENTFD && strcmp(text, "anon_inode:[eventfd]") != 0)
		return false;
	kind->flags = fcntl(fd, F_GETFL) & O_NONBLOCK;
	proc_path(path, "fdinfo/", (unsigned)fd);
	int info = open(path, O_RDONLY | O_CLOEXEC);
	memset(text, 0, sizeof(text));
	if (info < 0 || read(info, text, sizeof(text) - 1) < 0)
		return false;
	close(info);
	const char *count = strstr(text, "eventfd-count:");
	kind->count = count ? (unsigned)number_in(count + strlen("eventfd-count:"), 16) : 0;
	return !strstr(text, "tfd:"); /* a set that is in use */
}

/* Find what is a VM's own, and let go of its lines: their other ends see their end. */
static bool let_go(const struct fork_halt *halt)
{
	unsigned found = 0;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat st;

	if (null < 0 || halt->n_lines > FORK_MAX_LINES)
		return false;
	for (int fd = 0; fd < MAX_FDS; fd++) {
		if (fstat(fd, &st))
			continue;
		if (!look_at(fd, &kinds[fd]))
			return false;
		for (unsigned i = 0; i < halt->n_lines; i++)
			if (is_line(fd, &st, &halt->lines[i])) {
				kinds[fd] = (struct kind){ .is = LINE, .line = i };
				found |= 1u << i;
			}
	}
	if (found != (1u << halt->n_lines) - 1)
		return false;
	for (int fd = 0; fd < MAX_FDS; fd++)
		if (kinds[fd].is == LINE && !halt->lines[kinds[fd].line].held && dup2(null, fd) < 0)
			return false;
	return !close(null);
}

/* In the fork: have what is to be the VM's own. */
static bool take(const int fds[], unsigned n)
{
	for (int fd = 0; fd < MAX_FDS; fd++) {
		const struct kind *kind = &kinds[fd];
		int got;

		if (kind->is == AS_IT_IS)
			continue;
		if (kind->is == LINE)
			got = fds[kind->line];
		else if (kind->is == EVENTFD)
			got = eventfd(kind->count, kind->flags | EFD_CLOEXEC);
		else
			got = epoll_create1(EPOLL_CLOEXEC);
		if (got < 0 || dup3(got, fd, O_CLOEXEC) < 0)
			return false;
		if (kind->is != LINE)
			close(got);
	}
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	return true;
}

/* ---- forks ---- */

/* One packet's descriptors: whether there is one; the harness wants no more otherwise. */
static bool receive(int fds[], unsigned n)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(FORK_MAX_LINES * sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t got;

	do
		got = recvmsg(control_fd, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	struct cmsghdr *c = got == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(n * sizeof(int)))
		return false;
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return true;
}

/* In the new process: be the VM. */
static void become(const int fds[], unsigned n)
{
	/* A fork has no such signal set (prctl(2)), and its parent may have gone before it was. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent || !take(fds, n))
		_exit(127);
	close(control_fd);
	first_thread = own_tid();
	*tid_of(thread_pointer()) = first_thread;
	if (!make_threads())
		_exit(127);
}

/* The first thread, at the harness's word. */
static void stand_still(void)
{
	struct fork_halt halt;
	int fds[FORK_MAX_LINES];

	/* It was not yet known to the library's constructor where the process is a daemon. */
	parent = getppid();
	if (recv(control_fd, &halt, sizeof(halt), 0) != sizeof(halt) ||
	    (halt.threads && !halt_threads()) || !let_go(&halt) ||
	    send(control_fd, "h", 1, MSG_NOSIGNAL) != 1)
		_exit(127);
	while (receive(fds, halt.n_lines)) {
		/* Not fork(3), which would wait for the locks of what it interrupted. */
		pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, 0UL);

		if (!pid) {
			become(fds, halt.n_lines);
			return;
		}
		if (pid < 0)
			pid = -errno;
		for (unsigned i = 0; i < halt.n_lines; i++)
			close(fds[i]);
		if (send(control_fd, &pid, sizeof(pid), MSG_NOSIGNAL) != sizeof(pid))
			break;
	}
	_exit(0);
}

static void on_signal(int number)
{
	int saved_errno = errno;

	(void)number;
	if (own_tid() == first_thread)
		stand_still();
	else
		stand();
	errno = saved_errno;
}

/* ---- what the program calls ---- */

/* A thread must always hear the signal. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	uint64_t kernel_set = 0, kernel_old = 0; /* the kernel's sigset_t */

	if (set)
		memcpy(&kernel_set, set, sizeof(kernel_set));
	if (how != SIG_UNBLOCK)
		kernel_set &= ~(LIBC_SIGNALS | 1ull << (FORK_SIGNAL - 1));
	if (syscall(SYS_rt_sigprocmask, how, set ? &kernel_set : NULL, &kernel_old,
		    sizeof(kernel_set)))
		return errno;
	if (old) {
		sigemptyset(old);
		memcpy(old, &kernel_old, sizeof(kernel_old));
	}
	return 0;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	int rc = pthread_sigmask(how, set, old);

	if (rc)
		errno = rc;
	return rc ? -1 : 0;
}

/* QEMU asks for a guest's memory not to be in forks: it does not mean these. */
int madvise(void *at, size_t bytes, int advice)
{
	return advice == MADV_DONTFORK ? 0 : (int)syscall(SYS_madvise, at, bytes, advice);
}

/* QEMU's RDRAND. gnutls would not see that it is in a fork, and all would draw the same numbers. */
int gnutls_rnd(int level, void *data, size_t bytes);
int gnutls_rnd(int level, void *data, size_t bytes)
{
	(void)level;
	for (size_t done = 0; done < bytes;) {
		long n = syscall(SYS_getrandom, (char *)data + done, bytes - done, 0);

		if (n < 0 && errno != EINTR)
			return -1;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv(FORK_VARIABLE);
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	first_thread = own_tid();
	if (!path || strlen(path) >= sizeof(addr.sun_path) ||
	    *tid_of(thread_pointer()) != first_thread)
		return;
	strcpy(addr.sun_path, path);
	sigfillset(&action.sa_mask);
	/* A script before the program has come here too: the harness listens to the last. */
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sigaction(FORK_SIGNAL, &action, NULL) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) || fcntl(fd, F_SETFL, 0))
		return;
	control_fd = fd;
}
