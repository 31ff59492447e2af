/* States in the user's cache; see kept.h. */
#include "kept.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/sparse.h"
#include "kvmrepro/protocol.h"
#include "report/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FORMAT      "kvmrepro state 1" /* of the files; part of the key */
#define NEW         "new-"             /* one that is being written: "new-XXXXXX" */
#define START_BYTES ((size_t)16 << 20) /* of start.json; 20 kB is usual */
#define GZ_BYTES    ((size_t)64 << 20) /* of the boot's console */
#define SUMS_BYTES  4096

static const char *const files[] = { "memory", "devices", "console.log.gz", "start.json" };

#define N_FILES (sizeof(files) / sizeof(*files))

/* ---- the directory ---- */

static int states_dir(char **out, struct err *err)
{
	cleanup_free char *base = NULL;

	if (fs_xdg("XDG_CACHE_HOME", ".cache", &base, err))
		return -1;
	*out = xasprintf("%s/states", base);
	return 0;
}

static void hex_digest(struct sha256_ctx *hash, char out[KEPT_KEY_BYTES])
{
	unsigned char digest[SHA256_DIGEST_SIZE];

	sha256_digest(hash, sizeof(digest), digest);
	base16_encode_update(out, sizeof(digest), digest);
	out[2 * sizeof(digest)] = '\0';
}

static int sum_page(void *opaque, off_t at, const char *page, size_t len)
{
	struct sha256_ctx *hash = opaque;

	sha256_update(hash, sizeof(at), (const uint8_t *)&at);
	sha256_update(hash, len, (const uint8_t *)page);
	return 0;
}

/* A hash of a file: its size, and its pages that are not all zero, each with its offset. */
static int sum_file(int dir_fd, const char *name, char out[KEPT_KEY_BYTES], struct err *err)
{
	cleanup_fd int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct sha256_ctx hash;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_errno(err, ERR_HARNESS, "%s", name);
	sha256_init(&hash);
	sha256_update(&hash, sizeof(st.st_size), (const uint8_t *)&st.st_size);
	if (sparse_pages(fd, sum_page, &hash))
		return err_errno(err, ERR_HARNESS, "%s", name);
	hex_digest(&hash, out);
	return 0;
}

/* One line a file: "HASH NAME". */
static int sums_of(int dir_fd, struct buf *out, struct err *err)
{
	char sum[KEPT_KEY_BYTES];

	for (size_t i = 0; i < N_FILES; i++) {
		if (sum_file(dir_fd, files[i], sum, err))
			return -1;
		buf_addf(out, "%s %s\n", sum, files[i]);
	}
	return 0;
}

/* fs_read() of a file in that directory, whatever becomes of the directory's name. */
static int read_in(int dir_fd, const char *name, size_t max_bytes, struct buf *out, struct err *err)
{
	cleanup_free char *path = xasprintf("/proc/self/fd/%d/%s", dir_fd, name);

	if (!fs_read(path, max_bytes, out, ERR_HARNESS, err))
		return 0;
	return err_set(err, ERR_HARNESS, "%s cannot be read", name);
}

/* ---- the key ---- */

int kept_key(const struct trial_config *config, const char *kernel, char key[KEPT_KEY_BYTES],
	     struct err *err)
{
	char no_token[PROTO_TOKEN_CHARS + 1];
	const struct vm_spec spec = {
		.loaded = config->loaded,
		.cmdline = config->cmdline,
		.memory_mib = config->memory_mib,
		.vcpus = config->vcpus,
	};
	cleanup_buf struct buf plan = BUF_INIT, vm = BUF_INIT;
	struct sha256_ctx hash;

	memset(no_token, '0', PROTO_TOKEN_CHARS);
	no_token[PROTO_TOKEN_CHARS] = '\0';
	if (trial_plan(config, no_token, &plan, err) ||
	    config->engine->describe(config->state, &spec, &vm, err))
		return -1;
	/* With its NUL, or its length before it: no two lists of these are one run of bytes. */
	sha256_init(&hash);
	sha256_update(&hash, sizeof(FORMAT), (const uint8_t *)FORMAT);
	sha256_update(&hash, strlen(kernel) + 1, (const uint8_t *)kernel);
	sha256_update(&hash, vm.len + 1, (const uint8_t *)vm.data);
	sha256_update(&hash, sizeof(plan.len), (const uint8_t *)&plan.len);
	sha256_update(&hash, plan.len, (const uint8_t *)plan.data);
	sha256_update(&hash, config->initramfs->len, (const uint8_t *)config->initramfs->data);
	hex_digest(&hash, key);
	return 0;
}

/* ---- start.json ---- */

#define N_WORDS 8

/* The strings of a start, by their names there. */
static void words_of(struct trial_start *s, const char *names[N_WORDS], char **fields[N_WORDS])
{
	static const char *const all[N_WORDS] = { "token",    "release", "version", "vendor",
						  "features", "nested",  "kvm",     "sandbox" };
	char **const at[N_WORDS] = { &s->token,    &s->release, &s->version, &s->vendor,
				     &s->features, &s->nested,  &s->kvm,     &s->sandbox };

	memcpy(names, all, sizeof(all));
	memcpy(fields, at, sizeof(at));
}

static char *start_text(const char *key, const struct trial_start *start)
{
	struct trial_start copy = *start;
	const char *names[N_WORDS];
	char **fields[N_WORDS];
	json_t *o = json_object();

	json_put(o, "key", json_text(key));
	json_put(o, "guest_ms", json_integer(start->guest_ms));
	words_of(&copy, names, fields);
	for (size_t i = 0; i < N_WORDS; i++)
		json_put(o, names[i], json_text(*fields[i]));
	json_put(o, "agent_log", json_text(start->agent_log.data));
	char *text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	return text;
}

/* The file's hash was right: it is as it was written. */
static int read_start(int dir_fd, const char *key, struct trial_start *start, struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	const char *names[N_WORDS];
	char **fields[N_WORDS];

	if (read_in(dir_fd, "start.json", START_BYTES, &text, err))
		return -1;
	json_t *o = json_loads(text.data, 0, NULL);
	const char *is = json_string_value(json_object_get(o, "key"));
	const char *log = json_string_value(json_object_get(o, "agent_log"));
	const char *token = json_string_value(json_object_get(o, "token"));
	bool good = is && log && token && !strcmp(is, key) && strlen(token) == PROTO_TOKEN_CHARS;
	if (good) {
		start->guest_ms = json_integer_value(json_object_get(o, "guest_ms"));
		words_of(start, names, fields);
		for (size_t i = 0; i < N_WORDS; i++) {
			const char *word = json_string_value(json_object_get(o, names[i]));

			*fields[i] = word ? xstrdup(word) : NULL;
		}
		buf_adds(&start->agent_log, log);
	}
	json_decref(o);
	return good ? 0 : err_set(err, ERR_HARNESS, "start.json is of another state");
}

/* ---- finding ---- */

static int copy_console(int dir_fd, const char *console_path, struct err *err)
{
	cleanup_buf struct buf console = BUF_INIT;

	if (read_in(dir_fd, "console.log.gz", GZ_BYTES, &console, err))
		return -1;
	return fs_write(console_path, console.data, console.len, err);
}

static int take(const struct trial_config *config, int dir_fd, const char *key,
		const char *console_path, struct trial_start *start, struct err *err)
{
	cleanup_buf struct buf sums = BUF_INIT, are = BUF_INIT;

	if (read_in(dir_fd, "sums", SUMS_BYTES, &sums, err) || sums_of(dir_fd, &are, err))
		return -1;
	if (sums.len != are.len || memcmp(sums.data, are.data, are.len) != 0)
		return err_set(err, ERR_HARNESS, "its files are not as they were written");
	if (read_start(dir_fd, key, start, err) || copy_console(dir_fd, console_path, err) ||
	    config->engine->load(dir_fd, config->memory_mib, &start->kept, err) ||
	    trial_start_initrd(config, start, err))
		return -1;
	futimens(dir_fd, NULL); /* it was used now */
	return 0;
}

bool kept_find(const struct trial_config *config, const char *key, const char *console_path,
	       struct trial_start *start)
{
	cleanup_free char *states = NULL;
	struct err err;

	if (states_dir(&states, &err))
		return false;
	cleanup_free char *path = xasprintf("%s/%s", states, key);
	cleanup_fd int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return false;
	*start = (struct trial_start){ .agent_log = BUF_INIT };
	if (!take(config, dir_fd, key, console_path, start, &err)) {
		log_info("boot: trials begin from the state that is kept in %s", path);
		return true;
	}
	log_info("boot: the kept state %s is not used, and taken away: %s", path, err.msg);
	trial_start_free(config->engine, start);
	kept_drop(key);
	return false;
}

/* Whether it is gone. */
static bool drop(const char *states, const char *key)
{
	cleanup_free char *path = xasprintf("%s/%s", states, key);
	struct err err;

	if (!fs_rmtree(path, &err))
		return true;
	log_error("%s", err.msg);
	return false;
}

void kept_drop(const char *key)
{
	cleanup_free char *states = NULL;
	struct err err;

	if (!states_dir(&states, &err))
		drop(states, key);
}

/* ---- adding ---- */

static int64_t disk_bytes(int dir_fd)
{
	int64_t sum = 0;
	struct stat st;

	for (size_t i = 0; i < N_FILES; i++)
		if (!fstatat(dir_fd, files[i], &st, AT_SYMLINK_NOFOLLOW))
			sum += (int64_t)st.st_blocks * 512;
	return sum;
}

static bool before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* One look at all states: what they take, which was not used for longest (not but; the caller frees
 * it), and what a writer that was killed left. The caller holds the lock. */
static int64_t survey(const char *states, const char *but, char **oldest)
{
	cleanup_dir DIR *dir = opendir(states);
	const struct dirent *e;
	struct timespec least = { 0 };
	int64_t sum = 0;
	struct stat st;
	struct err err;

	while (dir && (e = readdir(dir))) {
		cleanup_free char *path = xasprintf("%s/%s", states, e->d_name);
		cleanup_fd int fd = openat(dirfd(dir), e->d_name,
					   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (e->d_name[0] == '.' || fd < 0 || fstat(fd, &st))
			continue;
		if (!strncmp(e->d_name, NEW, strlen(NEW))) {
			if (fs_rmtree(path, &err))
				log_error("%s", err.msg);
			continue;
		}
		sum += disk_bytes(fd);
		if (strcmp(e->d_name, but) != 0 && (!*oldest || before(&st.st_mtim, &least))) {
			free(*oldest);
			*oldest = xstrdup(e->d_name);
			least = st.st_mtim;
		}
	}
	return sum;
}

static void make_room(const char *states, const char *but)
{
	for (bool gone = true; gone;) {
		cleanup_free char *oldest = NULL;

		if (survey(states, but, &oldest) <= KEPT_LIMIT_BYTES || !oldest)
			return;
		gone = drop(states, oldest);
	}
}

static int write_in(const char *dir, const char *name, const void *data, size_t len,
		    struct err *err)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);

	if (fs_write(path, data, len, err))
		return -1;
	return chmod(path, 0600) ? err_errno(err, ERR_HARNESS, "%s", path) : 0;
}

/* All files of it, in a directory of mode 0700. */
static int write_all(const struct trial_config *config, const char *key, const char *console_path,
		     const struct trial_start *start, const char *dir, struct err *err)
{
	cleanup_fd int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_free char *text = start_text(key, start);
	cleanup_buf struct buf console = BUF_INIT, sums = BUF_INIT;

	if (dir_fd < 0)
		return err_errno(err, ERR_HARNESS, "%s", dir);
	if (config->engine->save(start->kept, dir_fd, err) ||
	    fs_read(console_path, GZ_BYTES, &console, ERR_HARNESS, err) ||
	    write_in(dir, "console.log.gz", console.data, console.len, err) ||
	    write_in(dir, "start.json", text, strlen(text), err) || sums_of(dir_fd, &sums, err) ||
	    write_in(dir, "sums", sums.data, sums.len, err))
		return -1;
	if (disk_bytes(dir_fd) > KEPT_LIMIT_BYTES)
		return err_set(err, ERR_HARNESS, "it takes more than %lld GiB",
			       KEPT_LIMIT_BYTES >> 30);
	return 0;
}

/* The caller holds the lock. */
static int add(const struct trial_config *config, const char *key, const char *console_path,
	       const struct trial_start *start, const char *states, struct err *err)
{
	cleanup_free char *dir = xasprintf("%s/" NEW "XXXXXX", states);
	cleanup_free char *path = xasprintf("%s/%s", states, key);
	struct err ignored;

	if (!mkdtemp(dir))
		return err_errno(err, ERR_HARNESS, "%s", dir);
	int rc = write_all(config, key, console_path, start, dir, err);
	/* Another call was quicker: its state is as good. */
	if (!rc && rename(dir, path) && errno != EEXIST && errno != ENOTEMPTY)
		rc = err_errno(err, ERR_HARNESS, "%s", path);
	fs_rmtree(dir, &ignored);
	if (!rc)
		make_room(states, key);
	return rc;
}

int kept_add(const struct trial_config *config, const char *key, const char *console_path,
	     const struct trial_start *start, struct err *err)
{
	cleanup_free char *states = NULL;

	if (states_dir(&states, err) || fs_mkdirs(states, err))
		return -1;
	cleanup_free char *lock_path = xasprintf("%s/lock", states);
	cleanup_fd int lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (chmod(states, 0700) || lock_fd < 0)
		return err_errno(err, ERR_HARNESS, "%s", states);
	while (flock(lock_fd, LOCK_EX)) /* for as long as it takes to write some 200 MB */
		if (errno != EINTR)
			return err_errno(err, ERR_HARNESS, "%s", lock_path);
	return add(config, key, console_path, start, states, err);
}
