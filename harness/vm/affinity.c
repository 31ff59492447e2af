/* For a while on one CPU; see affinity.h. */
#include "vm/affinity.h"

#include <dirent.h>
#include <stdlib.h>

void affinity_narrow(struct affinity *was)
{
	was->known = !sched_getaffinity(0, sizeof(was->cpus), &was->cpus);
	for (int cpu = 0; was->known && cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!sched_setaffinity(0, sizeof(one), &one))
			return;
	}
}

void affinity_restore(const struct affinity *was)
{
	DIR *tasks = was->known ? opendir("/proc/self/task") : NULL;
	struct dirent *e;

	if (was->known)
		sched_setaffinity(0, sizeof(was->cpus), &was->cpus);
	while (tasks && (e = readdir(tasks)))
		if (atoi(e->d_name) > 0)
			sched_setaffinity(atoi(e->d_name), sizeof(was->cpus), &was->cpus);
	if (tasks)
		closedir(tasks);
}
