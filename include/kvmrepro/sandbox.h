/*
 * The devices through which a program could write into the console or the agent line, or stop the
 * machine. The harness's filter keeps their nodes from being made, and the guest's init takes away
 * those that are there and keeps any other from being opened. docs/sandbox.md says what else the
 * guest's sandbox is.
 */
#ifndef KVMREPRO_SANDBOX_H
#define KVMREPRO_SANDBOX_H

/* Character devices; numbers from Documentation/admin-guide/devices.txt, minors from low to high.
 */
static const struct sandbox_device {
	unsigned char major, low, high;
} sandbox_devices[] = {
	{ 1, 1, 2 },      /* /dev/mem, /dev/kmem */
	{ 1, 4, 4 },      /* /dev/port */
	{ 1, 11, 11 },    /* /dev/kmsg */
	{ 4, 64, 255 },   /* /dev/ttyS* */
	{ 5, 1, 1 },      /* /dev/console */
	{ 5, 3, 3 },      /* /dev/ttyprintk */
	{ 10, 130, 130 }, /* /dev/watchdog resets the machine when it is not fed */
	{ 10, 227, 227 }, /* /dev/mcelog */
	{ 10, 231, 231 }, /* /dev/snapshot freezes all processes, init too */
	{ 229, 0, 255 },  /* /dev/hvc* */
};

#define SANDBOX_N_DEVICES (sizeof(sandbox_devices) / sizeof(*sandbox_devices))

#endif
