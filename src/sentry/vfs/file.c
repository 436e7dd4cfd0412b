/* Open files and descriptor tables: open(2) on descriptions, dup(2), close(2), close_range(2). */
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/resource.h>
#include <linux/stat.h>
#include <linux/magic.h>

#include "base/string.h"
#include "sentry/mm/shmem.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/epoll.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/notify.h"

#define FILES_MIN 64u
#define NR_OPEN (1u << 20)

struct files {
	refcount_t ref;
	spinlock_t lock; /* all below */
	u32 size;	 /* slots, a multiple of 64 */
	struct file **fd;
	u64 *open, *cloexec; /* bitmaps; open is also set for reserved slots */
	u32 next;	     /* no free slot below */
};

static struct kmem_cache *file_cache;

/* ---- files ---- */

/* Of O_PATH descriptors, of files that nothing can be done with, and of files being opened: fop is never NULL. */
static const struct file_ops no_fops;

struct file *file_alloc(void)
{
	struct file *f;

	if (!file_cache)
		file_cache = kmem_cache_create("file", sizeof(*f), 16);
	f = kmem_cache_alloc(file_cache);
	if (!f)
		return NULL;
	refcount_set(&f->ref, 1);
	f->fop = &no_fops;
	mutex_init(&f->pos_lock);
	spin_lock_init(&f->lock);
	list_init(&f->epoll_items);
	return f;
}

/* While a file is executed nobody opens it for writing or truncates it, and what is being written is not executed:
 * ETXTBSY of execve(2), open(2), truncate(2). The denial ends with the file, which is not shared yet. */
int file_deny_write(struct file *f)
{
	s32 n = READ_ONCE(f->inode->writecount);

	do
		if (n > 0)
			return -ETXTBSY;
	while (!__atomic_compare_exchange_n(&f->inode->writecount, &n, n - 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	f->mode |= FMODE_DENY_WRITE;
	return 0;
}

void file_allow_write(struct file *f)
{
	if (!(f->mode & FMODE_DENY_WRITE))
		return;
	f->mode &= ~(u32)FMODE_DENY_WRITE;
	__atomic_fetch_add(&f->inode->writecount, 1, __ATOMIC_ACQ_REL);
}

void file_put(struct file *f)
{
	struct inode *i;

	if (!f || !refcount_dec_and_test(&f->ref))
		return;
	i = f->inode;
	epoll_file_release(f);
	if (i && f->mode & FMODE_OPENED)
		notify_file(f, f->mode & FMODE_WRITE ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
	fasync_release(f);
	lease_release(f);
	if (i && S_ISDIR(i->mode))
		dnotify_release(f);
	if (i && i->flocks)
		locks_remove_file(f);
	if (f->fop->release && !(f->mode & FMODE_PATH))
		f->fop->release(f);
	if (f->mode & FMODE_WRITER)
		__atomic_fetch_sub(&i->writecount, 1, __ATOMIC_ACQ_REL);
	file_allow_write(f);
	if (f->owner)
		pid_put(f->owner);
	if (f->mode & FMODE_DISSOLVE)
		dissolve_mount(f->path.mnt);
	path_put(&f->path);
	kmem_cache_free(file_cache, f);
}

int open_flags_to_mode(u32 flags)
{
	static const int modes[] = { FMODE_READ, FMODE_WRITE, FMODE_READ | FMODE_WRITE, 0 };

	return modes[flags & O_ACCMODE];
}

/* ---- anonymous files ---- */

static struct super_block *anon_sb;
static struct mount *anon_mount;

static const struct fs_type anon_type = { .name = "anon_inodefs", .nodev = true };

static void anon_evict(struct inode *i)
{
	if (i->mapping)
		shmem_evict(i);
}

static const struct super_ops anon_super_ops = { .evict_inode = anon_evict };

void anon_init(void)
{
	struct inode *root;

	anon_sb = sb_create(&anon_type, "anon_inodefs");
	BUG_ON(!anon_sb);
	anon_sb->ops = &anon_super_ops;
	anon_sb->magic = ANON_INODE_FS_MAGIC;
	root = inode_alloc(anon_sb);
	BUG_ON(!root);
	root->mode = S_IFDIR | 0555;
	anon_mount = internal_mount(anon_sb, d_alloc_anon(anon_sb, root, "/"));
	BUG_ON(!anon_mount);
}

struct inode *anon_inode_new(u32 mode)
{
	struct inode *i = inode_alloc(anon_sb);

	if (i) {
		i->mode = mode;
		i->uid = current->cred ? current->cred->fsuid : 0;
		i->gid = current->cred ? current->cred->fsgid : 0;
	}
	return i;
}

struct file *file_on_inode(struct inode *inode, const char *name, const struct file_ops *fop, void *priv, u32 flags)
{
	struct file *f = file_alloc();
	char text[64];

	if (!f)
		return ERR_PTR(-ENOMEM);
	if (name[0] == '/')
		kstrlcpy(text, name, sizeof(text));
	else if (name[0] == '[')
		ksnprintf(text, sizeof(text), "anon_inode:%s", name);
	else
		ksnprintf(text, sizeof(text), "%s:[%lu]", name, inode->ino);
	f->path.dentry = d_alloc_anon(inode->sb, inode, text);
	if (!f->path.dentry) {
		kmem_cache_free(file_cache, f);
		return ERR_PTR(-ENOMEM);
	}
	f->path.mnt = anon_mount;
	refcount_inc(&anon_mount->ref);
	f->inode = inode;
	f->fop = fop;
	f->priv = priv;
	f->flags = flags & ~(u32)O_CLOEXEC;
	f->mode = (u32)open_flags_to_mode(flags);
	if (fop->llseek && fop->llseek != noop_llseek)
		f->mode |= FMODE_LSEEK | FMODE_PREAD;
	return f;
}

struct file *file_on_path(const struct path *path, const struct file_ops *fop, void *priv, u32 flags)
{
	struct file *f = file_alloc();

	if (!f)
		return ERR_PTR(-ENOMEM);
	f->path = *path;
	path_get(&f->path);
	f->inode = path->dentry->inode;
	f->fop = fop;
	f->priv = priv;
	f->flags = flags & ~(u32)O_CLOEXEC;
	f->mode = (u32)open_flags_to_mode(flags);
	return f;
}

struct file *anon_file(const char *name, const struct file_ops *fop, void *priv, u32 flags)
{
	struct inode *inode = anon_inode_new(0600);
	char bracketed[48];
	struct file *f;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	ksnprintf(bracketed, sizeof(bracketed), name[0] == '[' ? "%s" : "[%s]", name);
	f = file_on_inode(inode, bracketed, fop, priv, flags);
	if (IS_ERR(f))
		inode_put(inode);
	return f;
}

/* ---- tables ---- */

static bool alloc_slots(struct files *t, u32 size)
{
	t->fd = kzalloc(size * sizeof(*t->fd));
	t->open = kzalloc(size / 8);
	t->cloexec = kzalloc(size / 8);
	t->size = size;
	return t->fd && t->open && t->cloexec;
}

static void free_slots(struct files *t)
{
	kfree(t->fd);
	kfree(t->open);
	kfree(t->cloexec);
}

struct files *files_create(void)
{
	struct files *t = kzalloc(sizeof(*t));

	if (!t)
		return NULL;
	refcount_set(&t->ref, 1);
	if (!alloc_slots(t, FILES_MIN)) {
		free_slots(t);
		kfree(t);
		return NULL;
	}
	return t;
}

static bool test(const u64 *map, u32 i) { return map[i / 64] >> (i % 64) & 1; }
static void set(u64 *map, u32 i) { map[i / 64] |= 1ul << (i % 64); }
static void clear(u64 *map, u32 i) { map[i / 64] &= ~(1ul << (i % 64)); }

/* Room for at least `want` slots; lock held on entry and exit, given up to allocate. 0 or -ENOMEM. */
static int expand(struct files *t, u32 want)
{
	struct files bigger = { 0 }, old;
	u32 size = FILES_MIN;

	while (size < want)
		size *= 2;
	if (size <= t->size)
		return 0;
	spin_unlock(&t->lock);
	if (!alloc_slots(&bigger, size)) {
		free_slots(&bigger);
		spin_lock(&t->lock);
		return -ENOMEM;
	}
	spin_lock(&t->lock);
	if (size <= t->size) {
		free_slots(&bigger);
		return 0;
	}
	memcpy(bigger.fd, t->fd, t->size * sizeof(*t->fd));
	memcpy(bigger.open, t->open, t->size / 8);
	memcpy(bigger.cloexec, t->cloexec, t->size / 8);
	old = *t;
	t->fd = bigger.fd;
	t->open = bigger.open;
	t->cloexec = bigger.cloexec;
	t->size = size;
	free_slots(&old);
	return 0;
}

struct files *files_copy(struct files *old)
{
	struct files *t = kzalloc(sizeof(*t));
	u32 size;

	if (!t)
		return NULL;
	refcount_set(&t->ref, 1);
	for (;;) {
		size = READ_ONCE(old->size);
		if (!alloc_slots(t, size)) {
			free_slots(t);
			kfree(t);
			return NULL;
		}
		spin_lock(&old->lock);
		if (old->size == size)
			break;
		spin_unlock(&old->lock);
		free_slots(t);
	}
	for (u32 i = 0; i < size; i++) {
		if (!old->fd[i])
			continue;
		t->fd[i] = file_get(old->fd[i]);
		set(t->open, i);
	}
	memcpy(t->cloexec, old->cloexec, size / 8);
	t->next = 0;
	spin_unlock(&old->lock);
	return t;
}

struct files *files_get(struct files *f)
{
	refcount_inc(&f->ref);
	return f;
}

static long close_file(struct file *f, struct files *owner)
{
	long err = f->fop->flush ? f->fop->flush(f) : 0;

	if (f->inode && f->inode->flocks)
		locks_remove_posix(f, owner);
	file_put(f);
	return err;
}

void files_put(struct files *t)
{
	if (!t || !refcount_dec_and_test(&t->ref))
		return;
	for (u32 i = 0; i < t->size; i++)
		if (t->fd[i])
			close_file(t->fd[i], t);
	free_slots(t);
	kfree(t);
}

/* Take the file out of slot i; lock held. */
static struct file *take(struct files *t, u32 i)
{
	struct file *f = t->fd[i];

	t->fd[i] = NULL;
	clear(t->open, i);
	clear(t->cloexec, i);
	if (i < t->next)
		t->next = i;
	return f;
}

void files_close_on_exec(struct files *t)
{
	spin_lock(&t->lock);
	for (u32 w = 0; w < t->size / 64; w++) {
		while (t->cloexec[w]) {
			u32 i = w * 64 + (u32)__builtin_ctzl(t->cloexec[w]);
			struct file *f = take(t, i);

			spin_unlock(&t->lock);
			if (f)
				close_file(f, t);
			spin_lock(&t->lock);
		}
	}
	spin_unlock(&t->lock);
}

struct file *fget_raw(s32 fd)
{
	struct files *t = current->files;
	struct file *f = NULL;

	spin_lock(&t->lock);
	if ((u32)fd < t->size && t->fd[fd])
		f = file_get(t->fd[fd]);
	spin_unlock(&t->lock);
	return f;
}

struct fd fdget(s32 fd)
{
	struct files *t = current->files;
	struct fd f = { 0 };

	if (refcount_read(&t->ref) == 1) {
		if ((u32)fd < t->size && t->fd[fd] && !(t->fd[fd]->mode & FMODE_PATH))
			f.file = t->fd[fd];
		return f;
	}
	f.file = fget(fd);
	f.counted = f.file != NULL;
	return f;
}

struct file *fget(s32 fd)
{
	struct file *f = fget_raw(fd);

	if (f && f->mode & FMODE_PATH) {
		file_put(f);
		return NULL;
	}
	return f;
}

struct file *files_peek(struct files *t, s32 fd, u32 *fd_flags)
{
	struct file *f = NULL;

	spin_lock(&t->lock);
	if ((u32)fd < t->size && t->fd[fd]) {
		f = file_get(t->fd[fd]);
		*fd_flags = test(t->cloexec, (u32)fd);
	}
	spin_unlock(&t->lock);
	return f;
}

s32 files_next(struct files *t, s32 from)
{
	s32 found = -1;

	spin_lock(&t->lock);
	for (u32 i = (u32)from; i < t->size; i++)
		if (t->fd[i]) {
			found = (s32)i;
			break;
		}
	spin_unlock(&t->lock);
	return found;
}

/* The first free slot at or above from; lock held. */
static u32 find_free(const struct files *t, u32 from)
{
	for (u32 w = from / 64; w < t->size / 64; w++) {
		u64 free = ~t->open[w];

		if (w == from / 64)
			free &= ~0ul << (from % 64);
		if (free)
			return w * 64 + (u32)__builtin_ctzl(free);
	}
	return MAX(t->size, from);
}

s32 fd_reserve(u32 o_cloexec, s32 from)
{
	struct files *t = current->files;
	u64 limit = rlimit(RLIMIT_NOFILE);
	u32 i;

	spin_lock(&t->lock);
	for (;;) {
		int err;

		i = find_free(t, MAX((u32)from, from ? 0 : t->next));
		if (i >= limit || i >= NR_OPEN) {
			spin_unlock(&t->lock);
			return -EMFILE;
		}
		if (i < t->size)
			break;
		err = expand(t, i + 1);
		if (err) {
			spin_unlock(&t->lock);
			return err;
		}
	}
	set(t->open, i);
	if (o_cloexec)
		set(t->cloexec, i);
	else
		clear(t->cloexec, i);
	if (!from)
		t->next = i + 1;
	spin_unlock(&t->lock);
	return (s32)i;
}

void fd_install(s32 fd, struct file *f)
{
	struct files *t = current->files;

	spin_lock(&t->lock);
	t->fd[fd] = f;
	spin_unlock(&t->lock);
}

void fd_unreserve(s32 fd)
{
	struct files *t = current->files;

	spin_lock(&t->lock);
	take(t, (u32)fd);
	spin_unlock(&t->lock);
}

s32 fd_alloc_install(struct file *f, u32 o_cloexec, s32 from)
{
	s32 fd = fd_reserve(o_cloexec, from);

	if (fd >= 0)
		fd_install(fd, f);
	return fd;
}

long fd_close(s32 fd)
{
	struct files *t = current->files;
	struct file *f = NULL;

	spin_lock(&t->lock);
	if ((u32)fd < t->size && t->fd[fd])
		f = take(t, (u32)fd);
	spin_unlock(&t->lock);
	if (!f)
		return -EBADF;
	return close_file(f, t);
}

/* ---- system calls ---- */

SYSCALL1(close, s32, fd) { return fd_close(fd); }

static void set_cloexec_range(struct files *t, u32 first, u32 last)
{
	spin_lock(&t->lock);
	for (u32 i = first; i <= last && i < t->size; i++)
		if (t->fd[i])
			set(t->cloexec, i);
	spin_unlock(&t->lock);
}

static int unshare_files(void)
{
	struct files *old = current->files, *copy;

	if (refcount_read(&old->ref) == 1)
		return 0;
	copy = files_copy(old);
	if (!copy)
		return -ENOMEM;
	spin_lock(&current->alloc_lock);
	current->files = copy;
	spin_unlock(&current->alloc_lock);
	files_put(old);
	return 0;
}

SYSCALL3(close_range, u32, first, u32, last, u32, flags)
{
	if (flags & ~(u32)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		int err = unshare_files();

		if (err)
			return err;
	}
	if (flags & CLOSE_RANGE_CLOEXEC) {
		set_cloexec_range(current->files, first, last);
		return 0;
	}
	for (s32 fd = files_next(current->files, (s32)MIN(first, (u32)INT32_MAX)); fd >= 0 && (u32)fd <= last;
	     fd = files_next(current->files, fd + 1))
		fd_close(fd);
	return 0;
}

SYSCALL1(dup, s32, fd)
{
	struct file *f = fget_raw(fd);
	s32 new;

	if (!f)
		return -EBADF;
	new = fd_alloc_install(f, 0, 0);
	if (new < 0)
		file_put(f);
	return new;
}

/* Put f into slot `fd`, closing what is there. Consumes the reference. */
long replace_fd(s32 fd, struct file *f, bool cloexec)
{
	struct files *t = current->files;
	struct file *old;
	int err;

	spin_lock(&t->lock);
	err = expand(t, (u32)fd + 1);
	if (!err && !t->fd[fd] && test(t->open, (u32)fd))
		err = -EBUSY; /* an open is about to take it; dup2(2) */
	if (err) {
		spin_unlock(&t->lock);
		file_put(f);
		return err;
	}
	old = t->fd[fd];
	t->fd[fd] = f;
	set(t->open, (u32)fd);
	if (cloexec)
		set(t->cloexec, (u32)fd);
	else
		clear(t->cloexec, (u32)fd);
	spin_unlock(&t->lock);
	if (old)
		close_file(old, t);
	return fd;
}

static long dup_to(s32 from, s32 to, u32 flags)
{
	struct file *f;

	if ((u32)to >= rlimit(RLIMIT_NOFILE))
		return -EBADF;
	f = fget_raw(from);
	if (!f)
		return -EBADF;
	return replace_fd(to, f, flags & O_CLOEXEC);
}

SYSCALL2(dup2, s32, from, s32, to)
{
	struct file *f;

	if (from != to)
		return dup_to(from, to, 0);
	f = fget_raw(from);
	if (!f)
		return -EBADF;
	file_put(f);
	return to;
}

SYSCALL3(dup3, s32, from, s32, to, u32, flags)
{
	if (flags & ~(u32)O_CLOEXEC || from == to)
		return -EINVAL;
	return dup_to(from, to, flags);
}

u32 files_size(struct files *t)
{
	return READ_ONCE(t->size);
}

/* F_GETFD and F_SETFD. */
long fd_get_flags(s32 fd)
{
	u32 flags = 0;
	struct file *f = files_peek(current->files, fd, &flags);

	if (!f)
		return -EBADF;
	file_put(f);
	return flags ? FD_CLOEXEC : 0;
}

long fd_set_flags(s32 fd, bool cloexec)
{
	struct files *t = current->files;
	long ret = -EBADF;

	spin_lock(&t->lock);
	if ((u32)fd < t->size && t->fd[fd]) {
		if (cloexec)
			set(t->cloexec, (u32)fd);
		else
			clear(t->cloexec, (u32)fd);
		ret = 0;
	}
	spin_unlock(&t->lock);
	return ret;
}

/* ---- what a process has besides: working directory, root, umask ---- */

struct fs_state *fs_state_copy(struct fs_state *old)
{
	struct fs_state *f = kzalloc(sizeof(*f));

	if (!f)
		return NULL;
	refcount_set(&f->ref, 1);
	if (!old) {
		f->root = f->cwd = init_root;
		path_get(&f->root);
		path_get(&f->cwd);
		f->umask = 022;
		return f;
	}
	spin_lock(&old->lock);
	f->root = old->root;
	f->cwd = old->cwd;
	f->umask = old->umask;
	path_get(&f->root);
	path_get(&f->cwd);
	spin_unlock(&old->lock);
	return f;
}

struct fs_state *fs_state_get(struct fs_state *f)
{
	refcount_inc(&f->ref);
	return f;
}

void fs_state_put(struct fs_state *f)
{
	if (!f || !refcount_dec_and_test(&f->ref))
		return;
	path_put(&f->root);
	path_put(&f->cwd);
	kfree(f);
}

SYSCALL1(umask, u32, mask)
{
	struct fs_state *f = current->fs;
	u32 old;

	spin_lock(&f->lock);
	old = f->umask;
	f->umask = mask & 0777;
	spin_unlock(&f->lock);
	return old;
}

/* open(2), O_DIRECT: what has no pages of its own to go around cannot. Regular files take it, whatever they do about it. */
bool file_direct_allowed(const struct file *f, u32 flags)
{
	return !(flags & O_DIRECT) || S_ISREG(f->inode->mode) || S_ISBLK(f->inode->mode);
}
