/*
 * What Bochs boots; see bochs_image.h. This is the half of a boot loader that can be done before
 * there is a machine: the kernel's header is filled in, and everything lies on the disk as it is to
 * lie in memory, so that the ROM (bochs_rom.S) has but to copy it. docs/boot.md says what isolinux,
 * which takes a CD, would cost. Offsets and rules are those of Linux,
 * Documentation/arch/x86/boot.rst.
 */
#include "vm/bochs_image.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "embed.h"
#include "vm/bochs_rom.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

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
	HEADER_END = 0x264,

	PROTOCOL_INIT_SIZE = 0x020a,
	CAN_USE_HEAP = 0x80,
	LOADER_UNDEFINED = 0xff,
	VID_MODE_NORMAL = 0xffff,
};

#define SECTOR_BYTES 512
/* Bochs takes a disk to be a whole number of these. */
#define CYLINDER_BYTES (16 * 63 * SECTOR_BYTES)
#define PAGE_BYTES     4096

/* Memory. The part in real mode has code, heap, stack and command line in one segment. */
#define REAL_ADDRESS    (BOCHS_REAL_SEGMENT * 16)
#define HEAP_BYTES      0x2000
#define REAL_BYTES      (BOCHS_REAL_STACK + 2048)
#define KERNEL_ADDRESS  0x100000
#define HIGHEST_BYTES   (1U << 20) /* of the memory, where the BIOS has its tables */
#define HIGHEST_ADDRESS (2ULL << 30)

struct copy {
	uint32_t sector, sectors, address;
};

struct copies {
	struct copy v[BOCHS_COPIES_MAX];
	size_t n;
};

/* A kernel's file, and what of its header counts here. */
struct kernel {
	int fd;
	uint64_t bytes;
	unsigned protocol;
	uint64_t setup_bytes; /* boot sector included */
	uint64_t initrd_max;  /* where the initramfs must have ended */
	uint64_t end; /* of what the kernel writes to before it has looked for its initramfs;
			 before protocol 2.10 it does not say, and this is its own end */
	char head[BOCHS_REAL_STACK];
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

static int read_header(struct kernel *k, const char *path, struct err *err)
{
	unsigned sectors = (unsigned char)k->head[SETUP_SECTS];

	k->protocol = le16(k->head + PROTOCOL);
	k->setup_bytes = ((sectors ? sectors : 4U) + 1) * SECTOR_BYTES;
	if (k->bytes < HEADER_END || k->setup_bytes > k->bytes)
		return err_set(err, ERR_INPUT, "%s: too short for a kernel", path);
	if (k->setup_bytes > sizeof(k->head) - HEAP_BYTES)
		return err_set(err, ERR_INPUT, "%s: %u sectors of setup code; with Bochs %zu fit",
			       path, sectors, (sizeof(k->head) - HEAP_BYTES) / SECTOR_BYTES - 1);
	k->initrd_max = (uint64_t)le32(k->head + INITRD_ADDR_MAX) + 1;
	k->end = KERNEL_ADDRESS + k->bytes - k->setup_bytes;
	if (k->protocol >= PROTOCOL_INIT_SIZE) {
		uint64_t end = (uint64_t)le32(k->head + PREF_ADDRESS) + le32(k->head + INIT_SIZE);
		k->end = end > k->end ? end : k->end;
	}
	return 0;
}

/* k->fd is the caller's, also after an error. */
static int open_kernel(const char *path, struct kernel *k, struct err *err)
{
	struct stat st;

	memset(k, 0, sizeof(*k));
	k->fd = fs_open(path, ERR_HARNESS, err);
	if (k->fd < 0)
		return -1;
	if (fstat(k->fd, &st) || pread(k->fd, k->head, sizeof(k->head), 0) < 0)
		return err_errno(err, ERR_HARNESS, "%s", path);
	k->bytes = (uint64_t)st.st_size;
	return read_header(k, path, err);
}

/* Where the initramfs goes: as high as may be. */
static int place_initrd(const struct kernel *k, uint64_t size, unsigned memory_mib, uint32_t *out,
			struct err *err)
{
	uint64_t memory = (uint64_t)memory_mib << 20, need = k->end + size + PAGE_BYTES;
	uint64_t highest = k->initrd_max < HIGHEST_ADDRESS ? k->initrd_max : HIGHEST_ADDRESS;

	if (need > highest)
		return err_set(err, ERR_INPUT,
			       "an initramfs of %llu MiB is too large for this kernel with Bochs",
			       (unsigned long long)size >> 20);
	if (need + HIGHEST_BYTES > memory)
		return err_set(err, ERR_INPUT,
			       "--memory %u: to be loaded with Bochs, this kernel and its "
			       "initramfs take %llu MiB, and to run they take more",
			       memory_mib, (unsigned long long)(need >> 20) + 2);
	memory -= HIGHEST_BYTES;
	*out = (uint32_t)((memory < highest ? memory : highest) - size) & ~(PAGE_BYTES - 1U);
	return 0;
}

int bochs_image_check(const char *path, uint64_t initrd_bytes, unsigned memory_mib, struct err *err)
{
	cleanup_free struct kernel *k = xcalloc(1, sizeof(*k));
	uint32_t address;

	int rc = open_kernel(path, k, err) ||
		 place_initrd(k, initrd_bytes, memory_mib, &address, err);
	cleanup_fd_(&k->fd);
	return rc ? -1 : 0;
}

/* ---- the disk and the ROM ---- */

/* Put this part of the file on the disk, behind what is there; where it goes to is told to the
 * ROM. */
static int add_part(int disk_fd, struct copies *copies, int fd, off_t from, uint64_t len,
		    uint64_t address)
{
	off_t at = lseek(disk_fd, 0, SEEK_END);
	off_t end = at + (off_t)((len + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES);

	copies->v[copies->n++] =
		(struct copy){ (uint32_t)(at / SECTOR_BYTES), (uint32_t)((end - at) / SECTOR_BYTES),
			       (uint32_t)address };
	while (len) {
		ssize_t n = sendfile(disk_fd, fd, &from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			errno = EIO; /* it was longer */
		if (n <= 0)
			return -1;
		len -= (uint64_t)n;
	}
	return at < 0 || ftruncate(disk_fd, end) ? -1 : 0;
}

/* The kernel's part in protected mode, but for its file's holes (kernel/unpacked.h has some between
 * the segments): memory is zero already. */
static int add_kernel(int disk_fd, struct copies *copies, const struct kernel *k)
{
	off_t end = (off_t)k->bytes, from = (off_t)k->setup_bytes, hole;

	for (; from < end; from = hole) {
		off_t data = lseek(k->fd, from, SEEK_DATA);

		if (data < 0)
			return errno == ENXIO ? 0 : -1;
		/* One copy is left for the initramfs; the last of these has all that is left. */
		hole = copies->n + 2 < BOCHS_COPIES_MAX ? lseek(k->fd, data, SEEK_HOLE) : end;
		if (hole < 0 || add_part(disk_fd, copies, k->fd, data, (uint64_t)(hole - data),
					 KERNEL_ADDRESS + (uint64_t)data - k->setup_bytes))
			return -1;
	}
	return 0;
}

/* The kernel's first part, as it is entered. */
static void make_real(const struct kernel *k, const char *cmdline, uint32_t initrd,
		      uint64_t initrd_bytes, char *real)
{
	memcpy(real, k->head, k->setup_bytes);
	real[VID_MODE] = real[VID_MODE + 1] = (char)(VID_MODE_NORMAL & 0xff);
	real[TYPE_OF_LOADER] = (char)LOADER_UNDEFINED;
	real[LOADFLAGS] |= (char)CAN_USE_HEAP;
	put32(real + RAMDISK_IMAGE, initrd);
	put32(real + RAMDISK_SIZE, (uint32_t)initrd_bytes);
	real[HEAP_END_PTR] = (char)((BOCHS_REAL_STACK - 0x200) & 0xff);
	real[HEAP_END_PTR + 1] = (char)((BOCHS_REAL_STACK - 0x200) >> 8);
	put32(real + CMD_LINE_PTR, REAL_ADDRESS + BOCHS_REAL_STACK);
	snprintf(real + BOCHS_REAL_STACK, REAL_BYTES - BOCHS_REAL_STACK, "%s", cmdline);
}

static int write_disk(const struct kernel *k, int initrd_fd, const struct bochs_boot *boot,
		      const char *path, struct copies *copies, struct err *err)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	cleanup_free char *real = xcalloc(1, REAL_BYTES);
	uint32_t initrd = 0;
	struct stat st;

	if (fd < 0 || fstat(initrd_fd, &st))
		return err_errno(err, ERR_HARNESS, "%s", fd < 0 ? path : boot->initrd);
	if (place_initrd(k, (uint64_t)st.st_size, boot->memory_mib, &initrd, err))
		return -1;
	make_real(k, boot->cmdline, initrd, (uint64_t)st.st_size, real);
	/* The first sector is for a partition table and boot code: there are none. */
	copies->v[copies->n++] = (struct copy){ 1, REAL_BYTES / SECTOR_BYTES, REAL_ADDRESS };
	if (pwrite(fd, real, REAL_BYTES, SECTOR_BYTES) != REAL_BYTES || add_kernel(fd, copies, k) ||
	    add_part(fd, copies, initrd_fd, 0, (uint64_t)st.st_size, initrd))
		return err_errno(err, ERR_HARNESS, "%s", path);
	off_t end = lseek(fd, 0, SEEK_END);
	if (end < 0 || ftruncate(fd, end + CYLINDER_BYTES - end % CYLINDER_BYTES))
		return err_errno(err, ERR_HARNESS, "%s", path);
	return 0;
}

static int write_rom(const char *path, const struct copies *copies, struct err *err)
{
	char rom[BOCHS_ROM_BYTES], *at = rom + BOCHS_ROM_COPIES;
	unsigned char sum = 0;

	memcpy(rom, embed_bochs_rom().data, sizeof(rom));
	for (size_t i = 0; i < copies->n; i++, at += BOCHS_COPY_BYTES) {
		put32(at, copies->v[i].sector);
		put32(at + 4, copies->v[i].sectors);
		put32(at + 8, copies->v[i].address);
	}
	for (size_t i = 0; i < sizeof(rom); i++)
		sum += (unsigned char)rom[i];
	rom[sizeof(rom) - 1] = (char)-sum;
	return fs_write_scratch(path, rom, sizeof(rom), err);
}

int bochs_image_write(const struct bochs_boot *boot, const char *disk, const char *rom,
		      struct err *err)
{
	cleanup_free struct kernel *k = xcalloc(1, sizeof(*k));
	cleanup_fd int initrd_fd = fs_open(boot->initrd, ERR_HARNESS, err);
	struct copies copies = { .n = 0 };

	if (initrd_fd < 0)
		return -1;
	int rc = open_kernel(boot->kernel, k, err) ||
		 write_disk(k, initrd_fd, boot, disk, &copies, err) || write_rom(rom, &copies, err);
	cleanup_fd_(&k->fd);
	return rc ? -1 : 0;
}
