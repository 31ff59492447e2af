/*
 * Several threads create VMs and vCPUs and close them, all at once: in each round a VM is there,
 * and while two threads race for the same vCPU id in it, a third creates and destroys another VM
 * and a fourth closes the first under their feet. Teams of four do so side by side, for most of a
 * round is waiting for the grace periods that a VM's end takes.
 *
 * Bug: none in particular; races between KVM_CREATE_VCPU, the VM's release and the VM list are a
 * standing source of syzbot's reports against virt/kvm/kvm_main.c.
 * Needs: nothing but /dev/kvm; shows more with two CPUs and KASAN or KCSAN.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "kvmrepro/kvm.h"

#define TEAMS   4
#define ROUNDS  2
#define MEMBERS 4

struct team {
	pthread_barrier_t gate;
	int vm;
	struct member {
		struct team *team;
		int created;
		pthread_t thread;
	} members[MEMBERS];
};

static struct team teams[TEAMS];
static int kvm;

static int race(const struct team *team, long me)
{
	int fd;

	switch (me) {
	case 0:
	case 1:
		fd = ioctl(team->vm, KVM_CREATE_VCPU, 0ul);
		break;
	case 2:
		fd = ioctl(kvm, KVM_CREATE_VM, 0ul);
		break;
	default:
		close(team->vm);
		return 0;
	}
	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

static void *work(void *arg)
{
	struct member *m = arg;
	struct team *team = m->team;
	long me = m - team->members;

	for (int i = 0; i < ROUNDS; i++) {
		if (!me)
			team->vm = create_vm(kvm);
		pthread_barrier_wait(&team->gate);
		m->created += race(team, me);
		pthread_barrier_wait(&team->gate);
	}
	return NULL;
}

int main(void)
{
	int created[MEMBERS] = { 0 };

	if (syscall(SYS_futex, &kvm, FUTEX_WAKE, 1, NULL, NULL, 0) < 0 && errno == ENOSYS)
		unsupported("threads need futexes (CONFIG_FUTEX)");
	kvm = open_kvm();
	for (struct team *t = teams; t < teams + TEAMS; t++) {
		pthread_barrier_init(&t->gate, NULL, MEMBERS);
		for (struct member *m = t->members; m < t->members + MEMBERS; m++) {
			m->team = t;
			errno = pthread_create(&m->thread, NULL, work, m);
			must(errno ? -1 : 0, "pthread_create");
		}
	}
	for (struct team *t = teams; t < teams + TEAMS; t++)
		for (int i = 0; i < MEMBERS; i++) {
			pthread_join(t->members[i].thread, NULL);
			created[i] += t->members[i].created;
		}
	printf("%d rounds: %d and %d vCPUs, %d other VMs created\n", TEAMS * ROUNDS, created[0],
	       created[1], created[2]);
	return 0;
}
