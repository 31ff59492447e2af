/* Says by its exit status whether one like it has run in this guest before: 3. */
#include <sys/stat.h>

int main(void)
{
	return mkdir("/dev/mark", 0755) ? 3 : 0;
}
