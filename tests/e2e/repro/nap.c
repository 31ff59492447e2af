/* Waits for four seconds, and leaves the CPU to others. */
#include <unistd.h>

int main(void)
{
	return (int)sleep(4);
}
