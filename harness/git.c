/* git as a program; see git.h. */
#include "git.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "interrupt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

extern char **environ;

#define WORDS_BYTES 65536 /* of standard error that are kept */
#define POLL_MS     100
#define END_MS      1000 /* from SIGTERM to SIGKILL */

/* git-rev-parse(1), --local-env-vars: they would lead git to another repository. */
static const char *const local[] = {
	"GIT_ALTERNATE_OBJECT_DIRECTORIES=",
	"GIT_CONFIG=",
	"GIT_CONFIG_PARAMETERS=",
	"GIT_CONFIG_COUNT=",
	"GIT_OBJECT_DIRECTORY=",
	"GIT_DIR=",
	"GIT_WORK_TREE=",
	"GIT_IMPLICIT_WORK_TREE=",
	"GIT_GRAFT_FILE=",
	"GIT_INDEX_FILE=",
	"GIT_NO_REPLACE_OBJECTS=",
	"GIT_REPLACE_REF_BASE=",
	"GIT_PREFIX=",
	"GIT_SHALLOW_FILE=",
	"GIT_COMMON_DIR=",
	/* Not local, but what it prints is read here. */
	"LC_ALL=",
	"LANGUAGE=",
	"GIT_TRACE=",
};

static char **make_environment(void)
{
	size_t n = 0, k = 0;

	while (environ[n])
		n++;
	char **env = xcalloc(n + 2, sizeof(*env));
	for (size_t i = 0; i < n; i++) {
		bool drop = false;

		for (size_t j = 0; j < sizeof(local) / sizeof(*local); j++)
			drop |= !strncmp(environ[i], local[j], strlen(local[j]));
		if (!drop)
			env[k++] = environ[i];
	}
	env[k] = "LC_ALL=C";
	return env;
}

/* Start git with its output in two pipes; *pid is the caller's to wait for. */
static int spawn(char *const *argv, const int out[2], const int words[2], pid_t *pid,
		 struct err *err)
{
	cleanup_free char **env = make_environment();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE); /* ignored by us */
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, words[1], STDERR_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	errno = posix_spawnp(pid, "git", &actions, &attr, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return errno ? err_errno(err, ERR_HARNESS, "cannot run git") : 0;
}

/* Read what there is; what is past max is dropped. false: the pipe is at its end. */
static bool drain(int fd, struct buf *to, size_t max)
{
	char chunk[16384];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && to->len < max)
			buf_add(to, chunk, (size_t)n);
	return n < 0 && errno == EAGAIN;
}

/* What git prints, until it has ended. */
struct collector {
	pid_t pid;
	int fds[2];
	struct buf *to[2];
	size_t max[2];
	int64_t deadline_ms; /* 0: there is none */
	bool stopped;
};

/* A signal came while git was at work: it may finish, then it is asked to end, then made to. */
static void stop(struct collector *c)
{
	if (clock_ms() < c->deadline_ms)
		return;
	kill(-c->pid, c->stopped ? SIGKILL : SIGTERM);
	c->deadline_ms = c->stopped ? 0 : clock_ms() + END_MS;
	c->stopped = true;
}

/* Not to the end of the pipes: what a hook leaves behind may hold them. */
static int collect(struct collector *c, struct err *err)
{
	cleanup_fd int pid_fd = pidfd_open(c->pid, 0);
	struct pollfd fds[4] = {
		{ .fd = c->fds[0], .events = POLLIN },
		{ .fd = c->fds[1], .events = POLLIN },
		{ .fd = pid_fd, .events = POLLIN },
		/* What puts the tree in order after a signal has all the time it needs. */
		{ .fd = interrupt_signal() ? -1 : interrupt_fd(), .events = POLLIN },
	};

	if (pid_fd < 0) {
		err_errno(err, ERR_HARNESS, "pidfd_open");
		kill(-c->pid, SIGKILL); /* or it would wait for us to read */
		return -1;
	}
	for (bool ended = false; !ended;) {
		if (poll(fds, 4, c->deadline_ms ? POLL_MS : -1) < 0)
			continue;
		ended = fds[2].revents != 0; /* all that it wrote is in the pipes by now */
		for (int i = 0; i < 2; i++)
			if ((fds[i].revents || ended) && fds[i].fd >= 0 &&
			    !drain(fds[i].fd, c->to[i], c->max[i]))
				fds[i].fd = -1;
		if (fds[3].revents) {
			fds[3].fd = -1;
			c->deadline_ms = clock_ms() + GIT_FINISH_MS;
		}
		if (c->deadline_ms && !ended)
			stop(c);
	}
	return 0;
}

static int wait_for(pid_t pid, struct err *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, ERR_HARNESS, "waiting for git");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The last line that says something: git puts hints in front of it or behind. */
static const char *last_words(struct buf *words)
{
	char *best = NULL, *save = NULL;

	for (char *l = strtok_r(words->data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (!best || !strncmp(l, "fatal: ", 7) || !strncmp(l, "error: ", 7))
			best = l;
	return best ? best : "it said nothing";
}

int git_run(const char *tree, const char *const *args, struct buf *out, int *status,
	    struct err *err)
{
	cleanup_buf struct buf words = BUF_INIT, said = BUF_INIT;
	cleanup_fd int out_fd = -1, words_fd = -1;
	struct collector c = { .to = { &said, &words }, .max = { GIT_OUTPUT_BYTES, WORDS_BYTES } };
	int a[2], b[2];
	size_t n = 0;

	while (args[n])
		n++;
	cleanup_free const char **argv = xcalloc(n + 4, sizeof(*argv));
	argv[0] = "git";
	argv[1] = "-C";
	argv[2] = tree;
	memcpy(argv + 3, args, n * sizeof(*argv));
	if (pipe2(a, O_CLOEXEC))
		return err_errno(err, ERR_HARNESS, "pipe2");
	if (pipe2(b, O_CLOEXEC)) {
		close(a[0]);
		close(a[1]);
		return err_errno(err, ERR_HARNESS, "pipe2");
	}
	c.fds[0] = out_fd = a[0];
	c.fds[1] = words_fd = b[0];
	fcntl(out_fd, F_SETFL, O_NONBLOCK);
	fcntl(words_fd, F_SETFL, O_NONBLOCK);
	int rc = spawn((char *const *)argv, a, b, &c.pid, err);
	close(a[1]);
	close(b[1]);
	if (rc)
		return -1;
	rc = collect(&c, err);
	int ended = wait_for(c.pid, rc ? &(struct err){ 0 } : err);
	if (rc || ended < 0)
		return -1;
	if (c.stopped)
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	if (said.len >= GIT_OUTPUT_BYTES)
		return err_set(err, ERR_INPUT, "%s: git %s prints too much", tree, args[0]);
	if (out)
		buf_add(out, said.data, said.len);
	if (status)
		*status = ended;
	else if (ended)
		return err_set(err, ERR_INPUT, "%s: git %s: %s", tree, args[0], last_words(&words));
	return 0;
}

static void trim(struct buf *b)
{
	while (b->len && isspace((unsigned char)b->data[b->len - 1]))
		b->data[--b->len] = '\0';
}

int git_commit(const char *tree, const char *what, const char *text, char **out, struct err *err)
{
	cleanup_free char *peeled = xasprintf("%s^{commit}", text);
	cleanup_buf struct buf hash = BUF_INIT;
	int status;

	if (git(tree, &hash, &status, err, "rev-parse", "--verify", "--quiet", "--end-of-options",
		peeled))
		return -1;
	trim(&hash);
	if (status || !hash.len)
		return err_set(err, ERR_INPUT, "%s: '%s' names no commit in %s", what, text, tree);
	*out = buf_steal(&hash);
	return 0;
}

int git_subject(const char *tree, const char *hash, char **out, struct err *err)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (git(tree, &b, NULL, err, "show", "--no-patch", "--no-show-signature", "--format=%s",
		hash))
		return -1;
	trim(&b);
	*out = buf_steal(&b);
	return 0;
}

int git_parents(const char *tree, const char *hash, char ***out, size_t *n, struct err *err)
{
	cleanup_free char *parents = xasprintf("%s^@", hash);
	cleanup_buf struct buf b = BUF_INIT;
	char *save = NULL;

	if (git(tree, &b, NULL, err, "rev-parse", parents))
		return -1;
	*out = NULL;
	*n = 0;
	for (char *p = strtok_r(b.data, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
		*out = xrealloc(*out, (*n + 1) * sizeof(**out));
		(*out)[(*n)++] = xstrdup(p);
	}
	return 0;
}

int git_is_ancestor(const char *tree, const char *older, const char *newer, bool *yes,
		    struct err *err)
{
	int status;

	if (git(tree, NULL, &status, err, "merge-base", "--is-ancestor", older, newer))
		return -1;
	if (status != 0 && status != 1) /* no answer: an object is missing, or git was killed */
		return err_set(err, ERR_HARNESS, "%s: git merge-base: exit status %d", tree,
			       status);
	*yes = status == 0;
	return 0;
}

int git_head(const char *tree, struct git_head *out, struct err *err)
{
	cleanup_buf struct buf branch = BUF_INIT;
	char *hash;
	int status;

	if (git_commit(tree, "HEAD", "HEAD", &hash, err))
		return -1;
	if (git(tree, &branch, &status, err, "symbolic-ref", "--quiet", "--short", "HEAD")) {
		free(hash);
		return -1;
	}
	trim(&branch);
	out->branch = status || !branch.len ? NULL : buf_steal(&branch);
	out->hash = hash;
	return 0;
}

void git_head_free(struct git_head *head)
{
	free(head->branch);
	free(head->hash);
	*head = (struct git_head){ 0 };
}

int git_dirty(const char *tree, char **name, struct err *err)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (git(tree, &b, NULL, err, "status", "--porcelain", "--untracked-files=no",
		"--ignore-submodules=dirty"))
		return -1;
	*name = NULL;
	if (b.len > 3)
		*name = xstrndup(b.data + 3, strcspn(b.data + 3, "\n"));
	return 0;
}

int git_path(const char *tree, const char *name, char **out, struct err *err)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (git(tree, &b, NULL, err, "rev-parse", "--path-format=absolute", "--git-path", name))
		return -1;
	trim(&b);
	*out = buf_steal(&b);
	return 0;
}
