/*
 * A Bochs's state, kept and begun from: the Bochs that booted stands still, and those that begin
 * from it are its forks (forks.h), made when they are to run.
 */
#include "vm/bochs_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct vm_kept {
	struct forks *forks;
	char *definition;
};

static int name_file(int fd, struct fork_line *out, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_errno(err, ERR_HARNESS, "fstat");
	*out = (struct fork_line){ .by = FORK_BY_INODE, .device = st.st_dev, .inode = st.st_ino };
	return 0;
}

/* What Bochs knows the other ends of ours as. */
static int name_lines(const struct bochs_vm *v, struct fork_line lines[BOCHS_LINES],
		      struct err *err)
{
	struct fork_line *agent = &lines[BOCHS_AGENT];

	agent->by = FORK_BY_PEER;
	agent->name_bytes = sizeof(agent->name);
	if (getsockname(v->vm.agent_fd, (struct sockaddr *)&agent->name, &agent->name_bytes))
		return err_errno(err, ERR_HARNESS, "getsockname");
	return name_file(v->vm.console_fd, &lines[BOCHS_CONSOLE], err) ||
			       name_file(v->log_fd, &lines[BOCHS_LOG], err)
		       ? -1
		       : 0;
}

int bochs_keep(struct vm *vm, struct vm_kept **out, struct err *err)
{
	struct bochs_vm *v = (struct bochs_vm *)vm;
	struct fork_halt halt = { .n_lines = BOCHS_LINES };

	if (!v->forks)
		return err_set(err, ERR_HARNESS, "nothing can be loaded into Bochs");
	/* First: when it lets go of its log, that is not its end. */
	__atomic_store_n(&v->given_away, true, __ATOMIC_RELEASE);
	if (name_lines(v, halt.lines, err) || forks_halt(v->forks, v->child.pid, &halt, err)) {
		__atomic_store_n(&v->given_away, false, __ATOMIC_RELEASE);
		return -1;
	}
	*out = xcalloc(1, sizeof(**out));
	(*out)->forks = steal(v->forks);
	(*out)->definition = xstrdup(v->definition);
	v->child.pid = 0;
	return 0;
}

void bochs_forget(struct vm_kept *kept)
{
	forks_free(kept->forks);
	free(kept->definition);
	free(kept);
}

bool bochs_lasts(struct vm_kept *kept)
{
	return forks_lasts(kept->forks);
}

const char *bochs_kept_definition(const struct vm_kept *kept)
{
	return kept->definition;
}

int bochs_fork(struct bochs_vm *v, struct err *err)
{
	if (forks_make(v->kept->forks, v->its_fds, &v->child.pid, err))
		return -1;
	for (size_t i = 0; i < BOCHS_LINES; i++)
		close(steal_fd(v->its_fds[i]));
	return 0;
}
