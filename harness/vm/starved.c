/* Time without a CPU; see starved.h. */
#include "vm/starved.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>

static int64_t of_thread(const char *tasks, const char *tid)
{
	cleanup_free char *path = xasprintf("%s/%s/schedstat", tasks, tid);
	cleanup_buf struct buf text = BUF_INIT;
	uint64_t ran_ns, waited_ns;
	struct err err;

	if (fs_read(path, 256, &text, ERR_HARNESS, &err) ||
	    sscanf(text.data, "%" SCNu64 " %" SCNu64, &ran_ns, &waited_ns) != 2)
		return 0;
	return (int64_t)(waited_ns / 1000000);
}

int64_t starved_ms(pid_t pid)
{
	cleanup_free char *tasks = xasprintf("/proc/%d/task", (int)pid);
	DIR *dir = opendir(tasks);
	const struct dirent *e;
	int64_t longest = 0;

	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		int64_t ms = of_thread(tasks, e->d_name);
		longest = ms > longest ? ms : longest;
	}
	closedir(dir);
	return longest;
}

bool starved_by_stop(pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) && info.si_pid == pid;
}
