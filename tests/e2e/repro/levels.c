/* How many levels the kernel's page tables have: with five, an address above 47 bits that is asked
 * for is given (Documentation/x86/x86_64/5level-paging.rst). */
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
	void *high = (void *)(1UL << 50);
	void *got = mmap(high, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	printf("levels: %d\n", got == high ? 5 : 4);
	return 0;
}
