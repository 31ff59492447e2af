/* The embedded driver's root directory; see embed_root.h. */
#include "vm/embed_root.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

#include <string.h>
#include <unistd.h>

/*
 * Left to its defaults the driver starts QEMU as another user, labels files, makes control groups
 * and mount namespaces, and asks for the virtlogd daemon: a start takes 56 s then, with the root
 * here 0.3 s. None of it protects anything in a VM that has no disk and no network.
 */
static const char for_all[] = "stdio_handler = \"file\"\n";

/* Only root has these to give up; for another user they are errors. */
static const char for_root[] = "user = \"root\"\n"
			       "group = \"root\"\n"
			       "security_driver = \"none\"\n"
			       "dynamic_ownership = 0\n"
			       "remember_owner = 0\n"
			       "cgroup_controllers = []\n"
			       "namespaces = []\n";

/* libvirt keeps its cache in ROOT/cache/qemu; let that be a link to the lasting place. */
static int link_cache(const char *root, struct err *err)
{
	cleanup_free char *base = NULL;
	struct err ignored;

	if (fs_xdg("XDG_CACHE_HOME", ".cache", &base, &ignored))
		return 0;
	cleanup_free char *kept = xasprintf("%s/libvirt", base);
	if (fs_mkdirs(kept, &ignored) || access(kept, W_OK))
		return 0;
	cleanup_free char *learnt = xasprintf("%s/capabilities", kept);
	if (!fs_exists(learnt))
		log_info("libvirt asks QEMU what it can do, which takes some seconds, once");
	cleanup_free char *cache = xasprintf("%s/cache", root);
	cleanup_free char *qemu = xasprintf("%s/cache/qemu", root);
	if (fs_mkdirs(cache, err))
		return -1;
	if (symlink(kept, qemu))
		return err_errno(err, ERR_HARNESS, "%s", qemu);
	return 0;
}

int embed_root_make(const char *root, struct err *err)
{
	cleanup_free char *etc = xasprintf("%s/etc", root);
	cleanup_free char *path = xasprintf("%s/qemu.conf", etc);
	cleanup_free char *conf = xasprintf("%s%s", for_all, geteuid() ? "" : for_root);

	if (fs_mkdirs(etc, err) || link_cache(root, err))
		return -1;
	return fs_write_scratch(path, conf, strlen(conf), err);
}

char *embed_root_uri(const char *root)
{
	cleanup_buf struct buf uri = BUF_INIT;

	buf_adds(&uri, "qemu:///embed?root=");
	for (const char *p = root; *p; p++) {
		if (strchr("/-_.~", *p) || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
		    (*p >= 'A' && *p <= 'Z'))
			buf_addc(&uri, *p);
		else
			buf_addf(&uri, "%%%02X", (unsigned char)*p);
	}
	return buf_steal(&uri);
}
