/*
 * Gets a vCPU's nested state, sets it, sets it again, then tries malformed ones: sizes from nothing
 * to past the end of memory, formats, flags that contradict each other, addresses off the page or
 * off the map, control blocks of ones and of zeros; in the formats of both VMX and SVM, of which
 * KVM must refuse the other vendor's. Last, the state of a real L2 guest with one word of it
 * spoilt, each in turn.
 *
 * Bug: the family of syzbot's crashes behind KVM_SET_NESTED_STATE: states that were believed before
 * they were checked, and whose half was still there after the refusal.
 * Needs: nested virtualization in KVM (KVM_CAP_NESTED_STATE); SVM or VMX.
 */
#include "kvmrepro/nested.h"

#define GUEST       KVM_STATE_NESTED_GUEST_MODE
#define PENDING     KVM_STATE_NESTED_RUN_PENDING
#define GIF         KVM_STATE_NESTED_GIF_SET
#define HEAD        ((uint32_t)sizeof(struct kvm_nested_state))
#define WITH_BLOCK  (HEAD + 0x1000)
#define WITH_SHADOW (HEAD + 0x2000)
#define NOWHERE     (~0ull)

struct attempt {
	const char *what;
	uint16_t flags;
	uint32_t size;
	uint64_t first;  /* vmcb_pa, vmxon_pa */
	uint64_t second; /* vmcs12_pa */
	uint16_t smm;    /* VMX */
	uint8_t fill;    /* of the control blocks */
};

static const struct attempt attempts[] = {
	{ "no size", GIF, 0, NOWHERE, NOWHERE, 0, 0 },
	{ "half a header", GIF, 64, NOWHERE, NOWHERE, 0, 0 },
	{ "a header", GIF, HEAD, NOWHERE, NOWHERE, 0, 0 },
	{ "no flags", 0, HEAD, NOWHERE, NOWHERE, 0, 0 },
	{ "endless size", GIF, ~0u, NOWHERE, NOWHERE, 0, 0 },
	{ "unknown flags", 0xfe00, HEAD, NOWHERE, NOWHERE, 0, 0 },
	{ "eVMCS", KVM_STATE_NESTED_EVMCS, HEAD, NOWHERE, NOWHERE, 0, 0 },
	{ "eVMCS, VMX on", KVM_STATE_NESTED_EVMCS, WITH_BLOCK, NESTED_HOST, NOWHERE, 0, 0 },
	{ "MTF pending", KVM_STATE_NESTED_MTF_PENDING, HEAD, NESTED_HOST, NOWHERE, 0, 0 },
	{ "pending without guest", PENDING, HEAD, NESTED_HOST, NESTED_CONTROL, 0, 0 },
	{ "on", 0, HEAD, NESTED_HOST, NOWHERE, 0, 0 },
	{ "on, odd address", 0, HEAD, NESTED_HOST + 1, NOWHERE, 0, 0 },
	{ "on, beyond physical memory", 0, HEAD, 1ull << 60, NOWHERE, 0, 0 },
	{ "a block without its size", 0, HEAD, NESTED_HOST, NESTED_CONTROL, 0, 0 },
	{ "both at one address", 0, WITH_BLOCK, NESTED_HOST, NESTED_HOST, 0, 0 },
	{ "block at an odd address", 0, WITH_BLOCK, NESTED_HOST, NESTED_CONTROL + 8, 0, 0 },
	{ "block of zeros", 0, WITH_BLOCK, NESTED_HOST, NESTED_CONTROL, 0, 0 },
	{ "block of ones", 0, WITH_BLOCK, NESTED_HOST, NESTED_CONTROL, 0, 0xff },
	{ "guest, header alone", GUEST, HEAD, NESTED_CONTROL, NESTED_CONTROL, 0, 0 },
	{ "guest, odd address", GUEST | GIF, WITH_BLOCK, 0x8001, 0x8001, 0, 0 },
	{ "guest, no memory there", GUEST | GIF, WITH_BLOCK, 0xf0000000, 0xf0001000, 0, 0xff },
	{ "guest, block of zeros", GUEST, WITH_BLOCK, NESTED_HOST, NESTED_CONTROL, 0, 0 },
	{ "guest, block of ones", GUEST | GIF, WITH_BLOCK, NESTED_HOST, NESTED_CONTROL, 0, 0xff },
	{ "guest pending", GUEST | PENDING, WITH_SHADOW, NESTED_HOST, NESTED_CONTROL, 0, 0xff },
	{ "guest in SMM", GUEST, WITH_SHADOW, NESTED_HOST, NESTED_CONTROL, 3, 0 },
	{ "SMM without VMX on", 0, HEAD, NOWHERE, NOWHERE, 1, 0 },
	{ "SMM, guest but not on", 0, HEAD, NESTED_HOST, NOWHERE, 1, 0 },
	{ "SMM, unknown flags", 0, HEAD, NESTED_HOST, NOWHERE, 0xfffc, 0 },
};

/* A state that the kernel may read up to the last byte of a mapping, and no further. */
static struct kvm_nested_state *make(unsigned char *end, const struct attempt *a, uint16_t format)
{
	struct kvm_nested_state *s;
	uint32_t size = a->size > WITH_SHADOW ? WITH_SHADOW : a->size;

	s = (void *)(end - (size < HEAD ? HEAD : size));
	memset(s, a->fill, (size_t)(end - (unsigned char *)s));
	memset(s, 0, HEAD);
	s->flags = a->flags;
	s->format = format;
	s->size = a->size;
	if (format == KVM_STATE_NESTED_FORMAT_SVM) {
		s->hdr.svm.vmcb_pa = a->first;
	} else {
		s->hdr.vmx.vmxon_pa = a->first;
		s->hdr.vmx.vmcs12_pa = a->second;
		s->hdr.vmx.smm.flags = a->smm;
	}
	return s;
}

/* Tries each, with what the last one left behind still there; the good state now and then. */
static int try_all(struct nested_vm *n, unsigned char *end, uint16_t format,
		   struct kvm_nested_state *good)
{
	int taken = 0;

	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
		const struct attempt *a = &attempts[i];
		int rc = ioctl(n->vcpu, KVM_SET_NESTED_STATE, make(end, a, format));

		if (!rc)
			printf("format %u, %s: taken\n", format, a->what);
		taken += !rc;
		if (i % 4 == 3)
			ioctl(n->vcpu, KVM_SET_NESTED_STATE, good);
	}
	return taken;
}

/* Sets the state of an L2 guest as it is but for one word, for each that is or is not zero. */
static int try_spoilt(struct nested_vm *n, struct nested_state *state)
{
	int taken = 0;

	for (size_t at = HEAD; at + 8 <= state->nested.size; at += 8) {
		uint64_t word, spoilt;

		memcpy(&word, state->bytes + at, 8);
		spoilt = ~word;
		memcpy(state->bytes + at, &spoilt, 8);
		taken += !ioctl(n->vcpu, KVM_SET_NESTED_STATE, &state->nested);
		memcpy(state->bytes + at, &word, 8);
	}
	return taken;
}

/* What KVM says to the two plain calls, and to ones that reach past the end of memory. */
static void try_plain(struct nested_vm *n, struct nested_state *state, unsigned char *end)
{
	static struct nested_state small = { .nested.size = 8 };
	int rc;

	nested_save(n, state);
	printf("got format %u, flags %#x, %u bytes\n", state->nested.format, state->nested.flags,
	       state->nested.size);
	for (int i = 1; i <= 2; i++)
		printf("set, %d: %s\n", i,
		       result(ioctl(n->vcpu, KVM_SET_NESTED_STATE, &state->nested)));
	rc = ioctl(n->vcpu, KVM_GET_NESTED_STATE, &small.nested);
	printf("get with room for 8 bytes: %s, wants %u\n", result(rc), small.nested.size);
	printf("get at the end of memory: %s\n",
	       result(ioctl(n->vcpu, KVM_GET_NESTED_STATE, end - 8)));
	printf("set at the end of memory: %s\n",
	       result(ioctl(n->vcpu, KVM_SET_NESTED_STATE, end - 8)));
}

int main(void)
{
	static struct nested_state idle, active;
	struct nested_vm n;
	unsigned char *map, *end;
	int taken = 0;

	nested_create(&n, NULL);
	map = mmap(NULL, 0x5000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(map == MAP_FAILED ? -1 : 0, "mmap");
	end = map + 0x4000;
	munmap(end, 0x1000);
	try_plain(&n, &idle, end);

	/* 2: no format at all. */
	for (uint16_t format = 0; format <= 2; format++)
		taken += try_all(&n, end, format, &idle.nested);
	printf("%zu malformed states a format, %d taken\n", sizeof(attempts) / sizeof(*attempts),
	       taken);

	must(ioctl(n.vcpu, KVM_SET_NESTED_STATE, &idle.nested), "KVM_SET_NESTED_STATE");
	nested_reset(&n);
	nested_run(&n);
	nested_save(&n, &active);
	printf("L2 active, %u bytes; with a word of it spoilt: %d taken\n", active.nested.size,
	       try_spoilt(&n, &active));
	nested_restore(&n, &active);
	return !nested_finish(&n, "after all that");
}
