/* The table of docs/policies.md: each method in each world, 10,000 bisections a cell. */
#include "../sim/bisection.h"

#include <stdio.h>

#define BISECTIONS 10000

static double percent(unsigned long n)
{
	return 100.0 * (double)n / BISECTIONS;
}

int main(void)
{
	static const double rates[] = { 1.0, 0.8, 0.5, 0.2 }, carriers[] = { 0, 0.1, 0.3 };

	printf("| rate | carriers |");
	for (int m = 0; m < SIM_METHODS; m++)
		printf(" %s |", sim_methods[m].name);
	printf("\n|---|---|");
	for (int m = 0; m < SIM_METHODS; m++)
		printf("---|");
	for (int i = 0; i < 12; i++) {
		const struct sim_world w = { rates[i / 3], carriers[i % 3], 0.05, 0 };

		printf("\n| %.1f | %.0f %% |", w.rate, 100 * w.carriers);
		for (int m = 0; m < SIM_METHODS; m++) {
			struct sim_result r = sim_run(&w, &sim_methods[m], BISECTIONS);

			printf(" %.2f · %.2f · %.0f |", percent(r.wrong), percent(r.undecided),
			       (double)r.trials / BISECTIONS);
			fflush(stdout);
		}
	}
	putchar('\n');
	return 0;
}
