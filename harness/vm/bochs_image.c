/*
 * The boot CD; see bochs_image.h. libarchive writes it in this process: no root, no loop device,
 * no further tool, 40 ms.
 */
#include "vm/bochs_image.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES                                                                                 \
	(1024 * 1024 * 1024) /* of a kernel or an initramfs; the user checked neither              \
			      */

/* What isolinux puts before the arguments, and what it passes on in all (syslinux,
 * doc/syslinux.txt: "the kernel command line ... 2047 characters"). */
#define ADDED_ARGUMENTS   "BOOT_IMAGE=/kernel initrd=/initrd "
#define MAX_CMDLINE_CHARS 2047

static int archive_failed(struct err *err, struct archive *a, const char *what)
{
	return err_set(err, ERR_HARNESS, "boot image: %s: %s", what, archive_error_string(a));
}

static int add_data(struct archive *a, const char *name, const char *data, size_t len,
		    struct err *err)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_size(entry, (la_int64_t)len);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	int rc = archive_write_header(a, entry);
	archive_entry_free(entry);
	if (rc != ARCHIVE_OK || archive_write_data(a, data, len) != (la_ssize_t)len)
		return archive_failed(err, a, name);
	return 0;
}

static int add_file(struct archive *a, const char *name, const char *path, struct err *err)
{
	cleanup_buf struct buf data = BUF_INIT;

	if (fs_read(path, FILE_BYTES, &data, ERR_HARNESS, err))
		return -1;
	return add_data(a, name, data.data, data.len, err);
}

static int add_all(struct archive *a, const char *kernel, const char *initrd, const char *cmdline,
		   struct err *err)
{
	cleanup_free char *config = xasprintf("DEFAULT k\n"
					      "PROMPT 0\n"
					      "LABEL k\n"
					      "LINUX /kernel\n"
					      "INITRD /initrd\n"
					      "APPEND %s\n",
					      cmdline);

	if (add_file(a, "isolinux.bin", ISOLINUX_BIN, err) ||
	    add_file(a, "ldlinux.c32", LDLINUX_C32, err) ||
	    add_data(a, "isolinux.cfg", config, strlen(config), err) ||
	    add_file(a, "kernel", kernel, err) || add_file(a, "initrd", initrd, err))
		return -1;
	return 0;
}

int bochs_image_write(const char *path, const char *kernel, const char *initrd, const char *cmdline,
		      struct err *err)
{
	size_t chars = strlen(ADDED_ARGUMENTS) + strlen(cmdline);

	if (chars > MAX_CMDLINE_CHARS)
		return err_set(err, ERR_INPUT,
			       "--append makes the kernel's command line %zu bytes long; with "
			       "Bochs it may have %d",
			       chars, MAX_CMDLINE_CHARS);
	struct archive *a = archive_write_new();
	int rc = -1;
	if (archive_write_set_format_iso9660(a) != ARCHIVE_OK ||
	    archive_write_set_options(a, "boot=isolinux.bin,boot-type=no-emulation,"
					 "boot-load-size=4,boot-info-table") != ARCHIVE_OK ||
	    archive_write_open_filename(a, path) != ARCHIVE_OK)
		archive_failed(err, a, path);
	else
		rc = add_all(a, kernel, initrd, cmdline, err);
	if (!rc && archive_write_close(a) != ARCHIVE_OK)
		rc = archive_failed(err, a, path);
	archive_write_free(a);
	return rc;
}

/*
 * The BIOS calls an option ROM (BIOS Boot Specification 1.01: 55 AA, its length in 512 bytes, code;
 * all bytes add up to 0) just before it shows its boot menu. This one does what comes after that.
 */
int bochs_rom_write(const char *path, struct err *err)
{
	unsigned char rom[512] = {
		0x55, 0xaa, sizeof(rom) / 512, /* header */
		0xfb,                          /* sti */
		0xcd, 0x19,                    /* int 0x19: boot */
		0xcb,                          /* retf: nothing to boot; let the BIOS say so */
	};
	unsigned char sum = 0;

	for (size_t i = 0; i < sizeof(rom); i++)
		sum += rom[i];
	rom[sizeof(rom) - 1] = (unsigned char)-sum;
	return fs_write(path, rom, sizeof(rom), err);
}
