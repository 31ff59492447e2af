/* Modules found in trees of every shape, their closure in load order, and damaged ones. */
#include "kernel/modules.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "kernel/image.h"
#include "kernel/modinfo.h"
#include "readers.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define RELEASE "6.1.0-test"
#define MAGIC   "vermagic=" RELEASE " SMP mod_unload \0"

static char *dir;

static int make_dir(void **state)
{
	struct err err;

	(void)state;
	return cage_setup(readers, &err) || fs_tmpdir(&dir, &err);
}

static int remove_dir(void **state)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)state;
	free(dir);
	return rc;
}

/* A relocatable ELF with .modinfo, and with .debug_info of 1000 bytes before .text if debug. */
static void make_module(struct buf *b, const char *info, size_t info_len, bool debug)
{
	static const char names[] = "\0.modinfo\0.debug_info\0.text\0.bss\0.shstrtab";
	static const char text[] = "the code";
	char dwarf[1000];
	Elf64_Ehdr head = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_REL,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 6,
		.e_shstrndx = 5,
	};
	Elf64_Shdr sections[6] = {
		[1] = { .sh_name = 1,
			.sh_type = SHT_PROGBITS,
			.sh_flags = SHF_ALLOC,
			.sh_addralign = 1 },
		[2] = { .sh_name = debug ? 10 : 22, .sh_type = SHT_PROGBITS, .sh_addralign = 1 },
		[3] = { .sh_name = 22,
			.sh_type = SHT_PROGBITS,
			.sh_flags = SHF_ALLOC,
			.sh_addralign = 16 },
		[4] = { .sh_name = 28,
			.sh_type = SHT_NOBITS,
			.sh_flags = SHF_ALLOC,
			.sh_size = 1 << 20,
			.sh_addralign = 32 },
		[5] = { .sh_name = 33, .sh_type = SHT_STRTAB, .sh_addralign = 1 },
	};
	const struct {
		const void *data;
		size_t len;
	} contents[6] = {
		[1] = { info, info_len },
		[2] = { dwarf, debug ? sizeof(dwarf) : 0 },
		[3] = { text, sizeof(text) },
		[5] = { names, sizeof(names) },
	};

	memset(dwarf, 'D', sizeof(dwarf));
	buf_clear(b);
	buf_add(b, &head, sizeof(head));
	for (size_t i = 1; i < 6; i++) {
		while (b->len % 16)
			buf_addc(b, '\0');
		sections[i].sh_offset = b->len;
		if (!contents[i].data)
			continue;
		sections[i].sh_size = contents[i].len;
		buf_add(b, contents[i].data, contents[i].len);
	}
	head.e_shoff = b->len;
	memcpy(b->data, &head, sizeof(head));
	buf_add(b, sections, sizeof(sections));
}

static void write_file(const char *path, const void *data, size_t len)
{
	cleanup_free char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	struct err err;

	assert_int_equal(fs_mkdirs(parent, &err), 0);
	unlink(path); /* ext4 syncs a file that is cut and written again */
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void write_text(const char *path, const char *text)
{
	write_file(path, text, strlen(text));
}

/* A module at TREE/path; depends and softdep may be NULL. */
static void put_module(const char *tree, const char *path, const char *release, const char *depends,
		       const char *softdep)
{
	cleanup_free char *file = xasprintf("%s/%s", tree, path);
	cleanup_buf struct buf info = BUF_INIT, elf = BUF_INIT;

	buf_addf(&info, "license=GPL%cdepends=%s%c", 0, depends ? depends : "", 0);
	if (softdep)
		buf_addf(&info, "softdep=%s%c", softdep, 0);
	buf_addf(&info, "vermagic=%s SMP mod_unload %c", release, 0);
	make_module(&elf, info.data, info.len, false);
	write_file(file, elf.data, elf.len);
}

static char *new_tree(void)
{
	static int n;

	return xasprintf("%s/tree%d", dir, n++);
}

static void put_kvm(const char *tree)
{
	put_module(tree, "kernel/arch/x86/kvm/kvm.ko", RELEASE, "irqbypass", NULL);
	put_module(tree, "kernel/arch/x86/kvm/kvm-amd.ko", RELEASE, "kvm,ccp", NULL);
	put_module(tree, "kernel/arch/x86/kvm/kvm-intel.ko", RELEASE, "kvm", NULL);
	put_module(tree, "kernel/virt/lib/irqbypass.ko", RELEASE, NULL, NULL);
	put_module(tree, "kernel/drivers/crypto/ccp/ccp.ko", RELEASE, NULL, NULL);
	put_module(tree, "kernel/net/dummy.ko", RELEASE, "kvm", NULL);
}

static struct kernel_image image_at(char *path)
{
	return (struct kernel_image){ .path = path, .release = (char *)RELEASE };
}

/* The names in load order, "kvm kvm_amd", then the absent ones, "| a b(builtin)". */
static char *names_of(const struct kernel_modules *m)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < m->n; i++)
		buf_addf(&b, "%s%s", i ? " " : "", m->v[i].name);
	for (size_t i = 0; i < m->n_absent; i++)
		buf_addf(&b, "%s%s%s",
			 i       ? " "
			 : b.len ? " | "
				 : "| ",
			 m->absent[i].name, m->absent[i].builtin ? "(builtin)" : "");
	return buf_steal(&b);
}

static void assert_closure(const char *tree, const char *const *wanted, const char *names)
{
	struct kernel_image image = image_at((char *)"/none/bzImage");
	struct kernel_modules m;
	struct err err;

	if (modules_closure(&image, tree, wanted, &m, &err))
		fail_msg("%s", err.msg);
	cleanup_free char *got = names_of(&m);
	assert_string_equal(got, names);
	kernel_modules_free(&m);
}

static void assert_no_closure(const char *tree, const char *why)
{
	struct kernel_image image = image_at((char *)"/none/bzImage");
	struct kernel_modules m;
	struct err err;

	assert_int_equal(modules_closure(&image, tree, modules_for_kvm, &m, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.msg, why))
		fail_msg("'%s' lacks '%s'", err.msg, why);
}

static void test_kvm(void **state)
{
	struct kernel_image image = image_at((char *)"/none/bzImage");
	cleanup_free char *tree = new_tree();
	struct kernel_modules m;
	struct err err;

	(void)state;
	put_kvm(tree);
	assert_int_equal(modules_for_image(&image, tree, &m, &err), 0);
	cleanup_free char *names = names_of(&m);
	assert_string_equal(names, "irqbypass kvm ccp kvm_amd kvm_intel");
	assert_string_equal(m.v[1].params, "");
	assert_string_equal(m.v[3].params, "nested=1");
	assert_string_equal(m.v[4].params, "nested=1");
	assert_non_null(strstr(m.v[3].path, "/kernel/arch/x86/kvm/kvm-amd.ko"));
	assert_string_equal(m.dir, tree);
	kernel_modules_free(&m);
	kernel_modules_free(&m);
}

static void test_none(void **state)
{
	struct kernel_image image = image_at((char *)"/none/bzImage");
	cleanup_free char *empty = new_tree();
	struct kernel_modules m;
	struct err err;

	(void)state;
	assert_closure(NULL, modules_for_kvm, "| kvm kvm_amd kvm_intel");
	assert_int_equal(fs_mkdirs(empty, &err), 0);
	assert_closure(empty, modules_for_kvm, "| kvm kvm_amd kvm_intel");
	assert_int_equal(modules_for_image(&image, empty, &m, &err), -1);
	assert_non_null(strstr(err.msg, "no kernel modules"));
}

static void test_builtin(void **state)
{
	cleanup_free char *tree = new_tree();
	cleanup_free char *list = xasprintf("%s/modules.builtin", tree);

	(void)state;
	put_kvm(tree);
	write_text(list, "kernel/virt/lib/irqbypass.ko\nkernel/arch/x86/kvm/kvm-intel.ko\n");
	assert_closure(tree, modules_for_kvm,
		       "kvm ccp kvm_amd | irqbypass(builtin) kvm_intel(builtin)");
}

static void test_all_builtin(void **state)
{
	cleanup_free char *tree = new_tree(), *list = xasprintf("%s/modules.builtin", tree);
	struct kernel_image image = image_at((char *)"/none/bzImage");
	struct kernel_modules m;
	struct err err;

	(void)state;
	assert_int_equal(fs_mkdirs(tree, &err), 0);
	write_text(list, "kernel/arch/x86/kvm/kvm.ko\nkernel/arch/x86/kvm/kvm-amd.ko\n");
	assert_int_equal(modules_for_image(&image, tree, &m, &err), 0);
	assert_int_equal(m.n, 0);
	assert_true(m.absent[0].builtin && m.absent[1].builtin);
	kernel_modules_free(&m);
}

static void test_dependencies(void **state)
{
	static const char *const wanted[] = { "a", "e-1", NULL };
	cleanup_free char *tree = new_tree();

	(void)state;
	/* A cycle, a diamond, soft ones that are there and are not, a hard one that is not. */
	put_module(tree, "a.ko", RELEASE, "b-x,c", "pre: soft-1 soft_2 post: late");
	put_module(tree, "b_x.ko", RELEASE, "d,gone", NULL);
	put_module(tree, "c.ko", RELEASE, "d", NULL);
	put_module(tree, "d.ko", RELEASE, "a", NULL);
	put_module(tree, "soft_1.ko", RELEASE, NULL, NULL);
	put_module(tree, "late.ko", RELEASE, NULL, NULL);
	put_module(tree, "e_1.ko", RELEASE, "d", NULL);
	cleanup_free char *names = NULL;
	struct kernel_image image = image_at((char *)"/none/bzImage");
	struct kernel_modules m;
	struct err err;
	assert_int_equal(modules_closure(&image, tree, wanted, &m, &err), 0);
	names = names_of(&m);
	kernel_modules_free(&m);
	/* Whichever of soft_1 and the hard ones comes first. */
	if (strcmp(names, "soft_1 d b_x c a e_1 | gone") &&
	    strcmp(names, "d b_x c soft_1 a e_1 | gone"))
		fail_msg("%s", names);
}

static void test_too_many(void **state)
{
	cleanup_free char *tree = new_tree();

	(void)state;
	put_module(tree, "kvm.ko", RELEASE, "m0", NULL);
	for (int i = 0; i < MODULES_MAX; i++) {
		cleanup_free char *path = xasprintf("m%d.ko", i);
		cleanup_free char *next = xasprintf("m%d", i + 1);

		put_module(tree, path, RELEASE, next, NULL);
	}
	assert_no_closure(tree, "more than 32 modules");
}

static void test_release(void **state)
{
	cleanup_free char *tree = new_tree();

	(void)state;
	put_module(tree, "kernel/kvm.ko", "6.1.0-other", NULL, NULL);
	assert_no_closure(tree, "kvm.ko: built for kernel 6.1.0-other, but the image is " RELEASE);
}

static void test_which_file(void **state)
{
	static const char *const wanted[] = { "kvm", NULL };
	struct kernel_image image = image_at((char *)"/none/bzImage");
	cleanup_free char *tree = new_tree();
	cleanup_free char *mark = xasprintf("%s/aaa/include/config/kernel.release", tree);
	struct kernel_modules m;
	struct err err;

	(void)state;
	put_module(tree, "kernel/kvm.ko", RELEASE, NULL, NULL);
	put_module(tree, "updates/kvm.ko", RELEASE, NULL, NULL);
	/* Another build's, and what nobody means. */
	put_module(tree, "aaa/updates/kvm.ko", "6.1.0-other", NULL, NULL);
	write_text(mark, "6.1.0-other\n");
	put_module(tree, ".git/updates/kvm.ko", "6.1.0-other", NULL, NULL);
	assert_int_equal(modules_closure(&image, tree, wanted, &m, &err), 0);
	assert_int_equal(m.n, 1);
	assert_non_null(strstr(m.v[0].path, "/updates/kvm.ko"));
	assert_null(strstr(m.v[0].path, "aaa"));
	kernel_modules_free(&m);
}

static void compress(const char *path, const char *filter, const struct buf *b)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
	assert_int_equal(archive_write_add_filter_by_name(a, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, b->data, b->len), b->len);
	archive_entry_free(entry);
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static void test_compressed(void **state)
{
	static const char *const kinds[][2] = { { "xz", "xz" },
						{ "zstd", "zst" },
						{ "gzip", "gz" } };
	static const char *const wanted[] = { "kvm", NULL };
	cleanup_buf struct buf elf = BUF_INIT;

	(void)state;
	make_module(&elf, MAGIC, sizeof(MAGIC) - 1, false);
	for (size_t i = 0; i < 3; i++) {
		cleanup_free char *tree = new_tree();
		cleanup_free char *path = xasprintf("%s/kvm.ko.%s", tree, kinds[i][1]);
		cleanup_buf struct buf back = BUF_INIT;
		struct err err;

		assert_int_equal(fs_mkdirs(tree, &err), 0);
		compress(path, kinds[i][0], &elf);
		assert_closure(tree, wanted, "kvm");
		assert_int_equal(module_read(path, &back, &err), 0);
		assert_int_equal(back.len, elf.len);
		assert_memory_equal(back.data, elf.data, elf.len);
	}
}

static void test_bomb(void **state)
{
	cleanup_free char *path = xasprintf("%s/bomb.ko.zst", dir);
	cleanup_buf struct buf zeros = BUF_INIT, out = BUF_INIT;
	cleanup_free char *mb = xcalloc(1, 1 << 20);
	struct err err;

	(void)state;
	while (zeros.len <= MODULE_BYTES)
		buf_add(&zeros, mb, 1 << 20);
	compress(path, "zstd", &zeros);
	buf_free(&zeros);
	assert_int_equal(module_read(path, &out, &err), -1);
	assert_non_null(strstr(err.msg, "larger than 256 MiB"));
	assert_int_equal(out.len, 0);
}

static void test_damaged(void **state)
{
	static const char *const texts[] = { "", "hello", "\177ELF\2\1\1", "\xfd\x37zXZ" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cleanup_free char *tree = new_tree();
		cleanup_free char *path = xasprintf("%s/kvm.ko", tree);

		write_text(path, texts[i]);
		assert_no_closure(tree, "kvm.ko: ");
	}
	cleanup_free char *tree = new_tree();
	put_module(tree, "kvm.ko", RELEASE, "../../etc", NULL);
	assert_no_closure(tree, "dependencies make no sense");
}

static void test_noise(void **state)
{
	cleanup_buf struct buf elf = BUF_INIT;
	uint32_t x = 7;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct modinfo info;
		struct err err;

		make_module(&elf, MAGIC, sizeof(MAGIC) - 1, round % 2);
		for (int i = 0; i < 4; i++) {
			x = x * 1664525 + 1013904223;
			size_t at = (x >> 8) % (sizeof(Elf64_Ehdr) + 6 * sizeof(Elf64_Shdr));
			if (at >= sizeof(Elf64_Ehdr))
				at += elf.len - sizeof(Elf64_Ehdr) - 6 * sizeof(Elf64_Shdr);
			elf.data[at] = (char)(x >> 24);
		}
		if (round % 5 == 0)
			elf.len = (x >> 4) % elf.len;
		if (!modinfo_parse(&elf, &info, &err))
			modinfo_free(&info);
		size_t was = elf.len;
		module_strip_debug(&elf);
		assert_true(elf.len <= was + 6 * sizeof(Elf64_Shdr) + 8);
	}
}

static void test_strip(void **state)
{
	cleanup_buf struct buf elf = BUF_INIT, text = BUF_INIT;
	cleanup_free char *path = xasprintf("%s/slim.ko", dir);
	Elf64_Ehdr head;
	Elf64_Shdr sections[6];
	struct modinfo info;
	struct err err;

	(void)state;
	make_module(&elf, MAGIC, sizeof(MAGIC) - 1, true);
	size_t was = elf.len;
	module_strip_debug(&elf);
	assert_true(elf.len <= was - 1000 + 32);
	memcpy(&head, elf.data, sizeof(head));
	memcpy(sections, elf.data + head.e_shoff, sizeof(sections));
	assert_int_equal(sections[2].sh_type, SHT_NULL);
	assert_string_equal(elf.data + sections[3].sh_offset, "the code");
	assert_int_equal(sections[3].sh_offset % 16, 0);
	assert_int_equal(sections[4].sh_size, 1 << 20);
	write_file(path, elf.data, elf.len);
	assert_int_equal(modinfo_read(path, &info, &err), 0);
	assert_string_equal(info.release, RELEASE);
	modinfo_free(&info);
	/* Without DWARF nothing is touched, a signature least of all. */
	make_module(&elf, MAGIC, sizeof(MAGIC) - 1, false);
	buf_adds(&elf, "~Module signature appended~\n");
	was = elf.len;
	module_strip_debug(&elf);
	assert_int_equal(elf.len, was);
	buf_adds(&text, "no ELF");
	module_strip_debug(&text);
	assert_string_equal(text.data, "no ELF");
}

/* The signature of one module that was built as info says; tail: what lies behind its ELF. */
static void sign_module(const char *info, size_t info_len, bool debug, const char *tail, char code,
			char out[SIGNATURE_BYTES])
{
	cleanup_free char *path = xasprintf("%s/signed.ko", dir);
	struct kernel_module module = { (char *)"kvm", path, "nested=1" };
	const struct kernel_modules modules = { .v = &module, .n = 1 };
	cleanup_buf struct buf elf = BUF_INIT;
	struct err err;

	make_module(&elf, info, info_len, debug);
	char *text = memmem(elf.data, elf.len, "the code", 8);
	assert_non_null(text);
	*text = code;
	buf_adds(&elf, tail);
	write_file(path, elf.data, elf.len);
	assert_int_equal(modules_signature(&modules, out, &err), 0);
}

static void test_signature(void **state)
{
	static const char other[] = "vermagic=6.1.0-rc9-other SMP mod_unload \0";
	static const char smp[] = "vermagic=" RELEASE " mod_unload \0";
	static const char parm[] = MAGIC "parm=nested:bool\0";
	char first[SIGNATURE_BYTES], next[SIGNATURE_BYTES];

	(void)state;
	sign_module(MAGIC, sizeof(MAGIC) - 1, true, "", 't', first);
	sign_module(other, sizeof(other) - 1, true, "~Module signature appended~\n", 't', next);
	assert_string_equal(first, next);
	sign_module(MAGIC, sizeof(MAGIC) - 1, true, "", 'T', next);
	assert_string_not_equal(first, next);
	sign_module(smp, sizeof(smp) - 1, true, "", 't', next);
	assert_string_not_equal(first, next);
	sign_module(parm, sizeof(parm) - 1, true, "", 't', next);
	assert_string_not_equal(first, next);
}

static void test_signature_of_long_params(void **state)
{
	cleanup_free char *path = xasprintf("%s/signed.ko", dir);
	char params[PATH_MAX + 2], out[SIGNATURE_BYTES];
	struct kernel_module module = { (char *)"kvm", path, params };
	const struct kernel_modules modules = { .v = &module, .n = 1 };
	cleanup_buf struct buf elf = BUF_INIT;
	struct err err;

	(void)state;
	make_module(&elf, MAGIC, sizeof(MAGIC) - 1, true);
	write_file(path, elf.data, elf.len);
	memset(params, 'p', sizeof(params));
	params[PATH_MAX + 1] = '\0';
	assert_int_equal(modules_signature(&modules, out, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.msg, "too long"));
	params[PATH_MAX] = '\0';
	assert_int_equal(modules_signature(&modules, out, &err), 0);
}

static void assert_found(const char *image_path, const char *given, const char *want)
{
	struct kernel_image image = image_at((char *)image_path);
	cleanup_free char *got = NULL;
	struct err err;

	assert_int_equal(modules_find_dir(&image, given, &got, &err), 0);
	if (!want)
		assert_null(got);
	else
		assert_string_equal(got, want);
}

static void test_find_dir(void **state)
{
	cleanup_free char *tree = new_tree();
	cleanup_free char *lib = xasprintf("%s/lib/modules/" RELEASE, tree);
	cleanup_free char *image_path = xasprintf("%s/arch/x86/boot/bzImage", tree);
	cleanup_free char *package = xasprintf("%s/boot/vmlinuz-" RELEASE, tree);
	cleanup_free char *beside = xasprintf("%s/bzImage", tree);
	cleanup_free char *usr = new_tree();
	cleanup_free char *usr_lib = xasprintf("%s/usr/lib/modules/" RELEASE, usr);
	cleanup_free char *usr_package = xasprintf("%s/boot/vmlinuz-" RELEASE, usr);
	cleanup_free char *none = xasprintf("%s/none", dir);
	struct kernel_image image = image_at((char *)"/bzImage");
	char *out;
	struct err err;

	(void)state;
	assert_int_equal(fs_mkdirs(lib, &err), 0);
	assert_int_equal(fs_mkdirs(usr_lib, &err), 0);
	assert_found(image_path, NULL, tree);
	assert_found(package, NULL, lib);
	assert_found(beside, NULL, lib);
	assert_found(usr_package, NULL, usr_lib);
	assert_found("/none/bzImage", NULL, NULL);
	assert_found("/bzImage", tree, lib);
	assert_found("/bzImage", usr, usr_lib);
	assert_found("/bzImage", lib, lib);
	assert_int_equal(modules_find_dir(&image, none, &out, &err), -1);
	assert_non_null(strstr(err.msg, "no such modules directory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kvm),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_builtin),
		cmocka_unit_test(test_all_builtin),
		cmocka_unit_test(test_dependencies),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_which_file),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_strip),
		cmocka_unit_test(test_find_dir),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_signature_of_long_params),
	};

	return cmocka_run_group_tests_name("modules", tests, make_dir, remove_dir);
}
