/* States in the user's cache: found under the key of all that they were made from and no other, and
 * only as they were written. The engine is one whose states are a few bytes. */
#include "kept.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "kvmrepro/protocol.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

#define TOKEN  "0123456789abcdef0123456789abcdef"
#define KERNEL "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"
#define MIB    (1 << 20)

static char *dir;
static const char *qemu = "QEMU 7.2.22"; /* what the engine says */

struct vm_kept {
	char memory[8];
};

static int describe(struct engine_state *state, const struct vm_spec *spec, struct buf *out,
		    struct err *err)
{
	(void)state, (void)err;
	buf_addf(out, "%s %s %u %u", qemu, spec->cmdline, spec->memory_mib, spec->vcpus);
	return 0;
}

/* Something at each end of 1 MiB of nothing. */
static int save(const struct vm_kept *kept, int dir_fd, struct err *err)
{
	cleanup_fd int memory = openat(dir_fd, "memory", O_WRONLY | O_CREAT | O_EXCL, 0600);
	cleanup_fd int devices = openat(dir_fd, "devices", O_WRONLY | O_CREAT | O_EXCL, 0600);

	(void)err;
	assert_int_equal(pwrite(memory, kept->memory, sizeof(kept->memory), 0), 8);
	assert_int_equal(pwrite(memory, "end", 3, MIB - 3), 3);
	assert_int_equal(write(devices, "devices", 7), 7);
	return 0;
}

static int load(int dir_fd, unsigned memory_mib, struct vm_kept **out, struct err *err)
{
	cleanup_fd int memory = openat(dir_fd, "memory", O_RDONLY);

	(void)err;
	assert_int_equal(memory_mib, 1024);
	*out = xcalloc(1, sizeof(**out));
	assert_int_equal(read(memory, (*out)->memory, sizeof((*out)->memory)), 8);
	return 0;
}

static void forget(struct vm_kept *kept)
{
	free(kept);
}

static const struct engine engine = {
	.name = "test", .forget = forget, .describe = describe, .save = save, .load = load
};

static struct buf initramfs = BUF_INIT;
static const struct reproducers repros;

static struct trial_config config_of(void)
{
	return (struct trial_config){
		.engine = &engine,
		.workdir = dir,
		.cmdline = "console=ttyS0",
		.initramfs = &initramfs,
		.repros = &repros,
		.memory_mib = 1024,
		.vcpus = 2,
		.limits = { .boot_ms = 1000, .detector_ms = 2000, .stuck_ms = 3000 },
	};
}

static char *path_of(const char *key, const char *name)
{
	return xasprintf("%s/cache/kvmrepro/states/%s/%s", dir, key, name);
}

static void key_of(const struct trial_config *config, const char *kernel, char *key)
{
	struct err err;

	if (kept_key(config, kernel, key, &err))
		fail_msg("%s", err.msg);
}

static int add(const char *key, struct err *err)
{
	char token[] = TOKEN, release[] = "6.1.0", agent_log[] = "0 0 hello\n";
	struct vm_kept kept = { "memory!" };
	const struct trial_config config = config_of();
	cleanup_free char *console = xasprintf("%s/console", dir);
	const struct trial_start start = {
		.kept = &kept,
		.token = token,
		.release = release,
		.guest_ms = 1234,
		.agent_log = { agent_log, strlen(agent_log), 0 },
	};

	if (fs_write(console, "gzip", 4, err))
		return -1;
	return kept_add(&config, key, console, &start, err);
}

static void add_ok(const char *key)
{
	struct err err;

	if (add(key, &err))
		fail_msg("%s", err.msg);
}

static bool found(const char *key)
{
	const struct trial_config config = config_of();
	cleanup_free char *console = xasprintf("%s/console.found", dir);
	struct trial_start start = { .agent_log = BUF_INIT };

	unlink(console);
	if (!kept_find(&config, key, console, &start))
		return false;
	assert_string_equal(start.kept->memory, "memory!");
	assert_string_equal(start.token, TOKEN);
	assert_string_equal(start.release, "6.1.0");
	assert_null(start.kvm);
	assert_int_equal(start.guest_ms, 1234);
	assert_string_equal(start.agent_log.data, "0 0 hello\n");
	assert_true(fs_exists(start.initrd));
	assert_true(fs_exists(console));
	trial_start_free(&engine, &start);
	return true;
}

static int set_up(void **opaque)
{
	struct err err;

	(void)opaque;
	if (fs_tmpdir(&dir, &err))
		return -1;
	cleanup_free char *cache = xasprintf("%s/cache", dir);
	buf_clear(&initramfs);
	buf_adds(&initramfs, "070701 and so on");
	return setenv("XDG_CACHE_HOME", cache, 1);
}

static int tear_down(void **opaque)
{
	struct err err;
	int rc = fs_rmtree(dir, &err);

	(void)opaque;
	free(dir);
	buf_free(&initramfs);
	return rc;
}

static void test_found_again(void **opaque)
{
	const struct trial_config config = config_of();
	char key[KEPT_KEY_BYTES];
	struct stat st;

	(void)opaque;
	key_of(&config, KERNEL, key);
	assert_false(found(key));
	add_ok(key);
	assert_true(found(key));
	assert_true(found(key));
	/* Another call that made the same at the same time. */
	add_ok(key);
	assert_true(found(key));
	cleanup_free char *start = path_of(key, "start.json"), *memory = path_of(key, "memory");
	cleanup_free char *own = path_of(key, "");
	assert_int_equal(stat(start, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(memory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(own, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	kept_drop(key);
	assert_false(found(key));
}

/* Whatever a state depends on is in its key. */
static void test_key(void **opaque)
{
	char key[KEPT_KEY_BYTES], other[KEPT_KEY_BYTES], kernel[] = KERNEL;
	struct trial_config config = config_of();

	(void)opaque;
	key_of(&config, KERNEL, key);
	key_of(&config, KERNEL, other);
	assert_string_equal(key, other);
	kernel[10] ^= 1;
	key_of(&config, kernel, other);
	assert_string_not_equal(key, other);
	initramfs.data[3] ^= 1;
	key_of(&config, KERNEL, other);
	assert_string_not_equal(key, other);
	initramfs.data[3] ^= 1;
	config.vcpus++;
	key_of(&config, KERNEL, other);
	assert_string_not_equal(key, other);
	config = config_of();
	config.cmdline = "console=ttyS1";
	key_of(&config, KERNEL, other);
	assert_string_not_equal(key, other);
	config = config_of();
	config.limits.detector_ms++; /* in the guest's plan */
	key_of(&config, KERNEL, other);
	assert_string_not_equal(key, other);
	config = config_of();
	qemu = "QEMU 7.2.23";
	key_of(&config, KERNEL, other);
	assert_string_not_equal(key, other);
	qemu = "QEMU 7.2.22";
}

static void flip(const char *path, off_t at)
{
	cleanup_fd int fd = open(path, O_RDWR);
	char byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* One byte of each file; in the memory also where there was nothing. */
static void test_damage(void **opaque)
{
	static const struct {
		const char *name;
		off_t at, cut_to; /* the byte that is changed, if the file is not cut */
	} rows[] = {
		{ "memory", 0, 0 },
		{ "memory", MIB / 2, 0 },
		{ "memory", MIB - 1, 0 },
		{ "memory", 0, MIB - 1 },
		{ "memory", 0, MIB + 4096 },
		{ "devices", 3, 0 },
		{ "devices", 0, 6 },
		{ "console.log.gz", 0, 0 },
		{ "start.json", 30, 0 },
		{ "start.json", 0, 20 },
		{ "sums", 0, 0 },
		{ "sums", 0, 64 },
	};
	const struct trial_config config = config_of();
	char key[KEPT_KEY_BYTES];

	(void)opaque;
	key_of(&config, KERNEL, key);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cleanup_free char *path = path_of(key, rows[i].name), *own = path_of(key, "");

		add_ok(key);
		if (rows[i].cut_to)
			assert_int_equal(truncate(path, rows[i].cut_to), 0);
		else
			flip(path, rows[i].at);
		assert_false(found(key));
		assert_false(fs_exists(own));
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cleanup_free char *path = path_of(key, rows[i].name);

		add_ok(key);
		assert_int_equal(unlink(path), 0);
		assert_false(found(key));
	}
}

/* A state under another's name, whole as it is. */
static void test_moved(void **opaque)
{
	struct trial_config config = config_of();
	char key[KEPT_KEY_BYTES], other[KEPT_KEY_BYTES];

	(void)opaque;
	key_of(&config, KERNEL, key);
	config.vcpus++;
	key_of(&config, KERNEL, other);
	add_ok(key);
	cleanup_free char *from = path_of(key, ""), *to = path_of(other, "");
	to[strlen(to) - 1] = '\0';
	assert_int_equal(rename(from, to), 0);
	assert_false(found(other));
}

/* What a writer that was killed left goes with the next state; and those not used for longest go
 * when all take too much. */
static void test_limit(void **opaque)
{
	static const char *const names[] = { "first", "second", "third" };
	const struct trial_config config = config_of();
	char key[KEPT_KEY_BYTES];
	struct err err;

	(void)opaque;
	key_of(&config, KERNEL, key);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		cleanup_free char *own = path_of(names[i], "");
		cleanup_free char *memory = path_of(names[i], "memory");
		const struct timespec times[2] = { { 1000 - (time_t)i, 0 },
						   { 1000 - (time_t)i, 0 } };

		assert_int_equal(fs_mkdirs(own, &err), 0);
		cleanup_fd int fd = open(memory, O_WRONLY | O_CREAT, 0600);
		if (fallocate(fd, 0, 0, KEPT_LIMIT_BYTES * 2 / 5))
			skip(); /* this file system has not that much, or no fallocate() */
		assert_int_equal(utimensat(AT_FDCWD, own, times, 0), 0);
	}
	cleanup_free char *left = path_of("new-abcdef", ""), *first = path_of("first", "");
	cleanup_free char *second = path_of("second", ""), *third = path_of("third", "");
	assert_int_equal(fs_mkdirs(left, &err), 0);
	add_ok(key);
	assert_false(fs_exists(left));
	assert_false(fs_exists(third));
	assert_true(fs_exists(second));
	assert_true(fs_exists(first));
	assert_true(found(key));
}

/* It cannot be written: an error, and nothing is left of it. */
static void test_no_room(void **opaque)
{
	cleanup_free char *console = xasprintf("%s/console", dir), *states = path_of("", "");
	const struct trial_config config = config_of();
	char key[KEPT_KEY_BYTES];
	struct err err;
	size_t n = 0;

	(void)opaque;
	key_of(&config, KERNEL, key);
	add_ok(key);
	kept_drop(key);
	assert_int_equal(mkdir(console, 0700), -1);
	assert_int_equal(unlink(console), 0);
	assert_int_equal(mkdir(console, 0700), 0);
	assert_int_equal(add(key, &err), -1);
	cleanup_dir DIR *d = opendir(states);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.' && strcmp(e->d_name, "lock") != 0;
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
