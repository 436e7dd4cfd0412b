#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/gofer/gofer_priv.h"

#define CHUNK 1024u
#define CHUNKS 8192u
#define FD_RESERVE 64 /* for what is open during a request, and to open what a node stands for */
#define FD_CACHE_MAX 16384u
#define FD_CACHE_MIN 32u

static struct node *chunks[CHUNKS];
static u32 used = 1; /* indexes ever used; 0 is none */
static struct node *free_nodes;
/* Nodes of read-only trees with a descriptor, the least recently used first. */
static struct node lru = { .prev = &lru, .next = &lru };
static u32 cached, cache_limit;
static u32 held, budget; /* nodes of writable trees with a descriptor, which they keep; how many all nodes may have */

static struct node *slot(u32 index)
{
	return &chunks[index / CHUNK][index % CHUNK];
}

static struct node *node_new(void)
{
	struct node *n = free_nodes;

	if (n) {
		free_nodes = n->next;
		n->generation = n->generation + 1 ? n->generation + 1 : 1;
		return n;
	}
	if (used >= CHUNK * CHUNKS)
		return NULL;
	if (!chunks[used / CHUNK]) {
		chunks[used / CHUNK] = calloc(CHUNK, sizeof(struct node));
		if (!chunks[used / CHUNK])
			return NULL;
	}
	n = slot(used);
	n->index = used++;
	return n;
}

int nodes_init(const int *tree_fds)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return -errno;
	budget = (u32)MIN(r.rlim_cur, (rlim_t)CHUNK * CHUNKS);
	budget = budget > FD_RESERVE + 2 * FD_CACHE_MIN ? budget - FD_RESERVE : 2 * FD_CACHE_MIN;
	cache_limit = MIN(budget / 2, FD_CACHE_MAX);
	for (u32 i = 0; i < gofer_ntrees; i++) {
		struct gofer_attr attr;
		struct node *n = node_new();
		int err = n ? attr_of(tree_fds[i], "", &attr, NULL) : -ENOMEM;

		if (err)
			return err;
		n->given = true;
		n->tree = (u8)i;
		n->fd = tree_fds[i];
		n->type = attr.mode & S_IFMT;
		n->dev = attr.dev;
		n->ino = attr.ino;
	}
	return 0;
}

struct node *node_get(u64 id)
{
	u32 index = (u32)id;
	struct node *n = index && index < used ? slot(index) : NULL;

	return n && n->given && n->generation == id >> 32 ? n : NULL;
}

struct node *node_root(const struct node *n) { return slot(1 + n->tree); }

static bool evictable(const struct node *n)
{
	return n->parent && node_readonly(n);
}

static void lru_remove(struct node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->prev = n->next = NULL;
	cached--;
}

static void lru_add(struct node *n)
{
	n->prev = lru.prev;
	n->next = &lru;
	lru.prev->next = n;
	lru.prev = n;
	cached++;
}

static void has_fd(struct node *n, int fd)
{
	n->fd = fd;
	if (evictable(n))
		lru_add(n);
	else
		held++;
}

static void drop_fd(struct node *n)
{
	if (n->fd < 0)
		return;
	if (n->next)
		lru_remove(n);
	else
		held--;
	close(n->fd);
	n->fd = -1;
}

int open_beneath(int dir, const char *name, u64 flags, u32 mode)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* Everything on the way up has to be there first; a path is as deep as the sandbox walked it, so no recursion. */
static struct node *deepest_without_fd(struct node *n)
{
	while (n->parent && n->parent->fd < 0)
		n = n->parent;
	return n;
}

static int open_node(struct node *n)
{
	struct gofer_attr attr;
	int fd, err;

	fd = open_beneath(n->parent->fd, n->name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd == -ELOOP ? -ESTALE : fd;
	err = attr_of(fd, "", &attr, NULL);
	if (!err && (attr.dev != n->dev || attr.ino != n->ino || (attr.mode & S_IFMT) != n->type))
		err = -ESTALE; /* another file took the name */
	if (err) {
		close(fd);
		return err;
	}
	has_fd(n, fd);
	return 0;
}

int node_fd(struct node *n)
{
	while (n->fd < 0) {
		int err = open_node(deepest_without_fd(n));

		if (err)
			return err;
	}
	if (n->next) { /* used last */
		lru_remove(n);
		lru_add(n);
	}
	return n->fd;
}

bool nodes_crowded(const struct node *parent)
{
	return !node_readonly(parent) && held + FD_CACHE_MIN >= budget;
}

struct node *node_make(struct node *parent, const char *name, size_t len, int fd, const struct gofer_attr *attr)
{
	bool crowded = fd >= 0 && nodes_crowded(parent);
	struct node *n = crowded ? NULL : node_new();
	char *copy = n ? malloc(len + 1) : NULL;

	if (!copy) {
		if (n) {
			n->next = free_nodes;
			free_nodes = n;
		}
		if (fd >= 0)
			close(fd);
		return ERR_PTR(crowded ? -EMFILE : -ENOMEM);
	}
	memcpy(copy, name, len);
	copy[len] = '\0';
	n->pins = 0;
	n->given = true;
	n->opaque = false;
	n->tree = parent->tree;
	n->fd = -1;
	n->type = attr->mode & S_IFMT;
	n->dev = attr->dev;
	n->ino = attr->ino;
	n->parent = parent;
	n->prev = n->next = NULL;
	n->name = copy;
	parent->pins++;
	if (fd >= 0)
		has_fd(n, fd);
	return n;
}

static void release(struct node *n)
{
	while (n->parent && !n->given && !n->pins) {
		struct node *parent = n->parent;

		drop_fd(n);
		free(n->name);
		n->name = NULL;
		n->parent = NULL;
		n->next = free_nodes;
		free_nodes = n;
		parent->pins--;
		n = parent;
	}
}

void node_forget(u64 id)
{
	struct node *n = node_get(id);

	if (!n || !n->parent) /* roots stay */
		return;
	readdir_forget(n);
	n->given = false;
	release(n);
}

void nodes_trim(void)
{
	while (cached > cache_limit || (cached > FD_CACHE_MIN && cached + held > budget))
		drop_fd(lru.next);
}

bool mount_is_foreign(int fd)
{
	static const u32 magics[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC, DEVPTS_SUPER_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
		TRACEFS_MAGIC, SECURITYFS_MAGIC, SELINUX_MAGIC, BPF_FS_MAGIC, EFIVARFS_MAGIC, PSTOREFS_MAGIC, 0x62656570 /* configfs */,
		0x65735543 /* fusectl */, 0x19800202 /* mqueue */, BINFMTFS_MAGIC, NSFS_MAGIC,
	};
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return true;
	for (u32 i = 0; i < ARRAY_SIZE(magics); i++)
		if ((u32)st.f_type == magics[i])
			return true;
	return false;
}

int attr_of(int fd, const char *name, struct gofer_attr *a, bool *mount_root)
{
	struct statx s;

	if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC | (*name ? 0 : AT_EMPTY_PATH),
		  STATX_BASIC_STATS | STATX_BTIME, &s) < 0)
		return -errno;
	*a = (struct gofer_attr){
		.ino = s.stx_ino,
		.dev = makedev(s.stx_dev_major, s.stx_dev_minor),
		.rdev = makedev(s.stx_rdev_major, s.stx_rdev_minor),
		.size = s.stx_size,
		.blocks = s.stx_blocks,
		.mode = s.stx_mode,
		.nlink = s.stx_nlink,
		.uid = s.stx_uid,
		.gid = s.stx_gid,
		.blksize = s.stx_blksize,
		.atime_s = s.stx_atime.tv_sec,
		.mtime_s = s.stx_mtime.tv_sec,
		.ctime_s = s.stx_ctime.tv_sec,
		.btime_s = s.stx_btime.tv_sec,
		.atime_ns = s.stx_atime.tv_nsec,
		.mtime_ns = s.stx_mtime.tv_nsec,
		.ctime_ns = s.stx_ctime.tv_nsec,
		.btime_ns = s.stx_btime.tv_nsec,
	};
	if (mount_root)
		*mount_root = s.stx_attributes & STATX_ATTR_MOUNT_ROOT;
	return 0;
}
