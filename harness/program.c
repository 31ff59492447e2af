/* The program's file; see program.h. */
#include "program.h"

#include "base/buf.h"

#include <sys/stat.h>

char *program_id(void)
{
	struct stat st;

	if (stat("/proc/self/exe", &st))
		return NULL;
	return xasprintf("%llx-%llx-%llx-%llx.%09ld", (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
			 (unsigned long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}
