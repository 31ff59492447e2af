/*
 * Fails the allocations that KVM_CREATE_VM makes, one a call, through /proc/self/fail-nth: each of
 * the first ones and of the last ones. Most of those between are four or five for each of the VM's
 * files in debugfs, made in a loop; of them every seventh is failed, for a call costs a tenth of a
 * second and more in an emulator.
 *
 * Bug: syzbot "general protection fault in kvm_coalesced_mmio_init" and "INFO: task hung in
 * synchronize_rcu", from 9121923c457d ("kvm: Allocate memslots and buses before calling
 * kvm_arch_init_vm"): an error path of kvm_create_vm() returned no error, so that what was not
 * there was used, and left the VM's SRCU structures behind. Needs: CONFIG_FAULT_INJECTION with
 * CONFIG_FAILSLAB or CONFIG_FAIL_PAGE_ALLOC; debugfs for the allocations that may sleep, which are
 * nearly all.
 */
#include "kvmrepro/kvm.h"

#define MAX_NTH    2000
#define FIRST_ONES 48
#define LAST_ONES  24
#define BETWEEN    7 /* prime: in a loop of fewer allocations it meets every one */

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		printf("%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Allocations that may sleep and of a single page fail too; no stack dump for each. */
static void set_up_debugfs(void)
{
	static const char *const rows[][2] = {
		{ "failslab/verbose", "0" },
		{ "failslab/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", rows[i][0]);
		set(path, rows[i][1]);
	}
}

/* Where copies from and to user memory fail too, this call may be the one that does: once more. */
static void set_nth(int fail_nth, int nth)
{
	char text[16];
	ssize_t n = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(fail_nth, text, (size_t)n, 0) < 0)
		must(pwrite(fail_nth, text, (size_t)n, 0) < 0 ? -1 : 0, "fail-nth");
}

/*
 * Makes the call with its nth allocation failed. Returns how many it made, as far as they were
 * counted: fewer than nth when none was failed.
 */
static int call(int kvm, int fail_nth, int nth, int *failed)
{
	char left[16];
	ssize_t n;
	int vm;

	set_nth(fail_nth, nth);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	*failed = vm < 0 ? errno : 0;
	n = pread(fail_nth, left, sizeof(left) - 1, 0);
	set_nth(fail_nth, 0);
	if (vm >= 0)
		close(vm);
	left[n > 0 ? n : 0] = '\0';
	return nth - atoi(left);
}

int main(void)
{
	int kvm = open_kvm();
	int fail_nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	int calls = 0, refused = 0, error, total, step;

	if (fail_nth < 0)
		unsupported("no /proc/self/fail-nth (CONFIG_FAULT_INJECTION)");
	set_up_debugfs();
	total = call(kvm, fail_nth, MAX_NTH, &error);
	for (int nth = 1; nth < MAX_NTH && call(kvm, fail_nth, nth, &error) >= nth; nth += step) {
		if (error && error != ENOMEM)
			printf("allocation %d failed: %s\n", nth, strerror(error));
		refused += !!error;
		calls++;
		step = nth < FIRST_ONES || nth + BETWEEN > total - LAST_ONES ? 1 : BETWEEN;
	}
	printf("failed %d of %d allocations of KVM_CREATE_VM, which refused %d times\n", calls,
	       total, refused);
	return 0;
}
