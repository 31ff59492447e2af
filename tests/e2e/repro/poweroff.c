/* Powers the machine off as if all were done. */
#include <sys/reboot.h>

int main(void)
{
	return reboot(RB_POWER_OFF) ? 1 : 0;
}
