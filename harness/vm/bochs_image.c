/*
 * What Bochs boots; see bochs_image.h. This is the half of a boot loader that can be done before
 * there is a machine: the kernel's header is filled in, and everything lies on the disk as it is to
 * lie in memory, so that the ROM (bochs_rom.S) has but to copy it. isolinux from a CD took six
 * times as many instructions for a small kernel, a tenth of its boot. Offsets and rules are those
 * of Linux, Documentation/arch/x86/boot.rst.
 */
#include "vm/bochs_image.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "embed.h"

#include <stdint.h>
#include <string.h>

enum {
	SETUP_SECTS = 0x1f1,
	VID_MODE = 0x1fa,
	PROTOCOL = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	HEAP_END_PTR = 0x224,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,

	PROTOCOL_INIT_SIZE = 0x020a,
	CAN_USE_HEAP = 0x80,
	LOADER_UNDEFINED = 0xff,
	VID_MODE_NORMAL = 0xffff,
};

#define FILE_BYTES   (1024 * 1024 * 1024) /* of a kernel or an initramfs */
#define SECTOR_BYTES 512
/* Bochs takes a disk to be a whole number of these. */
#define CYLINDER_BYTES (16 * 63 * SECTOR_BYTES)
#define PAGE_BYTES     4096

/* Memory. The part in real mode has code, heap, stack and command line in one segment. */
#define REAL_ADDRESS   0x10000
#define REAL_STACK     0xe000 /* the stack begins below, the command line at it */
#define HEAP_BYTES     0x2000
#define REAL_BYTES     0xe800
#define KERNEL_ADDRESS 0x100000
#define HIGHEST_BYTES  (1U << 20) /* of the memory, where the BIOS has its tables */

/* bochs_rom.S */
#define ROM_COPIES 448

struct copy {
	uint32_t sector, sectors, address;
};

static unsigned le16(const char *p)
{
	return (unsigned char)p[0] | (unsigned)(unsigned char)p[1] << 8;
}

static uint32_t le32(const char *p)
{
	return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static void put32(char *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(value >> 8 * i);
}

/* The setup code, boot sector included; 0 where the file cannot be a kernel's. */
static size_t setup_bytes(const struct buf *kernel)
{
	if (kernel->len < INIT_SIZE + sizeof(uint32_t))
		return 0;
	unsigned sectors = (unsigned char)kernel->data[SETUP_SECTS];
	size_t bytes = ((sectors ? sectors : 4) + 1) * SECTOR_BYTES;
	return bytes <= kernel->len && bytes <= REAL_STACK - HEAP_BYTES ? bytes : 0;
}

/* Where the initramfs goes: as high as may be, and above all that the kernel writes to before it
 * knows of it. */
static int place_initrd(const struct buf *kernel, size_t size, unsigned memory_mib, uint32_t *out,
			struct err *err)
{
	const char *header = kernel->data;
	uint64_t end = ((uint64_t)memory_mib << 20) - HIGHEST_BYTES;
	uint64_t kernel_end = KERNEL_ADDRESS + kernel->len;

	if (end > (uint64_t)le32(header + INITRD_ADDR_MAX) + 1)
		end = (uint64_t)le32(header + INITRD_ADDR_MAX) + 1;
	if (le16(header + PROTOCOL) >= PROTOCOL_INIT_SIZE)
		kernel_end = (uint64_t)le32(header + PREF_ADDRESS) + le32(header + INIT_SIZE);
	if (kernel_end + size + PAGE_BYTES > end)
		return err_set(err, ERR_INPUT,
			       "the kernel and its initramfs need %llu MiB of memory with Bochs; "
			       "--memory gives %u",
			       (unsigned long long)((kernel_end + size + PAGE_BYTES) >> 20) + 2,
			       memory_mib);
	*out = (uint32_t)(end - size) & ~(PAGE_BYTES - 1U);
	return 0;
}

/* Put data on the disk; where it goes to is told to the ROM. */
static void add(struct buf *disk, struct copy *copy, const char *data, size_t len, uint32_t address)
{
	static const char zeros[SECTOR_BYTES];

	copy->sector = (uint32_t)(disk->len / SECTOR_BYTES);
	copy->sectors = (uint32_t)((len + SECTOR_BYTES - 1) / SECTOR_BYTES);
	copy->address = address;
	buf_add(disk, data, len);
	buf_add(disk, zeros, -len % SECTOR_BYTES);
}

static int write_rom(const char *path, const struct copy *copies, size_t n, struct err *err)
{
	char rom[512];
	unsigned char sum = 0;

	memcpy(rom, embed_bochs_rom().data, sizeof(rom));
	for (size_t i = 0; i < n; i++) {
		put32(rom + ROM_COPIES + 12 * i, copies[i].sector);
		put32(rom + ROM_COPIES + 12 * i + 4, copies[i].sectors);
		put32(rom + ROM_COPIES + 12 * i + 8, copies[i].address);
	}
	for (size_t i = 0; i < sizeof(rom); i++)
		sum += (unsigned char)rom[i];
	rom[sizeof(rom) - 1] = (char)-sum;
	return fs_write_scratch(path, rom, sizeof(rom), err);
}

/* The kernel's first part, as it is entered. */
static void make_real(char *real, const char *cmdline, uint32_t initrd, size_t initrd_bytes)
{
	real[VID_MODE] = real[VID_MODE + 1] = (char)(VID_MODE_NORMAL & 0xff);
	real[TYPE_OF_LOADER] = (char)LOADER_UNDEFINED;
	real[LOADFLAGS] |= (char)CAN_USE_HEAP;
	put32(real + RAMDISK_IMAGE, initrd);
	put32(real + RAMDISK_SIZE, (uint32_t)initrd_bytes);
	real[HEAP_END_PTR] = (char)((REAL_STACK - 0x200) & 0xff);
	real[HEAP_END_PTR + 1] = (char)((REAL_STACK - 0x200) >> 8);
	put32(real + CMD_LINE_PTR, REAL_ADDRESS + REAL_STACK);
	snprintf(real + REAL_STACK, REAL_BYTES - REAL_STACK, "%s", cmdline);
}

int bochs_image_write(const struct bochs_boot *boot, const char *disk_path, const char *rom,
		      struct err *err)
{
	cleanup_buf struct buf kernel = BUF_INIT, initrd = BUF_INIT, disk = BUF_INIT;
	cleanup_free char *real = xcalloc(1, REAL_BYTES), *pad = xcalloc(1, CYLINDER_BYTES);
	struct copy copies[3];
	uint32_t address = 0;

	if (fs_read(boot->kernel, FILE_BYTES, &kernel, ERR_HARNESS, err) ||
	    fs_read(boot->initrd, FILE_BYTES, &initrd, ERR_HARNESS, err))
		return -1;
	size_t setup = setup_bytes(&kernel);
	if (!setup)
		return err_set(err, ERR_INPUT, "its setup code is too long");
	if (place_initrd(&kernel, initrd.len, boot->memory_mib, &address, err))
		return -1;
	memcpy(real, kernel.data, setup);
	make_real(real, boot->cmdline, address, initrd.len);
	buf_add(&disk, pad, SECTOR_BYTES); /* no partition table, no boot code */
	add(&disk, &copies[0], real, REAL_BYTES, REAL_ADDRESS);
	add(&disk, &copies[1], kernel.data + setup, kernel.len - setup, KERNEL_ADDRESS);
	add(&disk, &copies[2], initrd.data, initrd.len, address);
	buf_add(&disk, pad, CYLINDER_BYTES - disk.len % CYLINDER_BYTES);
	if (write_rom(rom, copies, sizeof(copies) / sizeof(*copies), err))
		return -1;
	return fs_write_scratch(disk_path, disk.data, disk.len, err);
}
