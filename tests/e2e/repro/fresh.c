/* Prints what a guest must not share with another that begins from the same state: random bytes,
 * the kernel's and the CPU's, and whether a mark was left in the kernel (its host name) by an
 * earlier one. */
#include <stdio.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
	unsigned char bytes[16];
	struct utsname uts;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes) || uname(&uts))
		return 1;
	printf("random ");
	for (unsigned i = 0; i < sizeof(bytes); i++)
		printf("%02x", bytes[i]);
	printf("\nhost %s\n", uts.nodename);
	if (__builtin_cpu_supports("rdrnd")) {
		unsigned long value;

		__asm__ volatile("1: rdrand %0; jnc 1b" : "=r"(value) : : "cc");
		printf("rdrand %lx\n", value);
	}
	return sethostname("used", 4);
}
