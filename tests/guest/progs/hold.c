/* Holds its keeper, PID 1 of its namespace, where a killed process ends, and stays. */
#include <stddef.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(void)
{
	if (ptrace(PTRACE_SEIZE, 1, NULL, PTRACE_O_TRACEEXIT))
		return 1;
	for (;;)
		pause();
}
