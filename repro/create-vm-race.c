/*
 * Several threads create VMs and vCPUs and close them, all at once: in each round a VM is there,
 * and while two threads race for the same vCPU id in it, a third creates and destroys another VM
 * and a fourth closes the first under their feet.
 *
 * Bug: none in particular; races between KVM_CREATE_VCPU, the VM's release and the VM list are a
 * standing source of syzbot's reports against virt/kvm/kvm_main.c.
 * Needs: nothing but /dev/kvm; shows more with two CPUs and KASAN or KCSAN.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "kvmrepro/kvm.h"

#define ROUNDS  8
#define THREADS 4

static pthread_barrier_t gate;
static int kvm, vm;
static int created[THREADS];

static int race(int me)
{
	int fd;

	switch (me) {
	case 0:
	case 1:
		fd = ioctl(vm, KVM_CREATE_VCPU, 0ul);
		break;
	case 2:
		fd = ioctl(kvm, KVM_CREATE_VM, 0ul);
		break;
	default:
		close(vm);
		return 0;
	}
	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

static void *work(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&gate);
		created[me] += race(me);
		pthread_barrier_wait(&gate);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	if (syscall(SYS_futex, &vm, FUTEX_WAKE, 1, NULL, NULL, 0) < 0 && errno == ENOSYS)
		unsupported("threads need futexes (CONFIG_FUTEX)");
	kvm = open_kvm();
	pthread_barrier_init(&gate, NULL, THREADS + 1);
	for (intptr_t i = 0; i < THREADS; i++) {
		errno = pthread_create(&threads[i], NULL, work, (void *)i);
		must(errno ? -1 : 0, "pthread_create");
	}
	for (int i = 0; i < ROUNDS; i++) {
		vm = create_vm(kvm);
		pthread_barrier_wait(&gate);
		pthread_barrier_wait(&gate);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%d rounds: %d and %d vCPUs, %d other VMs created\n", ROUNDS, created[0], created[1],
	       created[2]);
	return 0;
}
