/*
 * System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2). A segment is an unlinked shmem file; an attachment is a
 * mapping of it whose vm_ops count attachments on top of what every file mapping does.
 */
#include <asm/errno.h>
#include <linux/capability.h>
#include <linux/ipc.h>
#include <linux/mman.h>
#include <linux/shm.h>

#include "base/string.h"
#include "sentry/kernel/ipc_ids.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/shmem.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

#define SHM_IDS 4096u
#define IPC_MODE_MASK 0777u
#define SHM_STATE_DEST 01000u
#define SHM_STATE_LOCKED 02000u

struct shm_segment {
	refcount_t ref; /* the table and each attachment */
	s32 id, key;
	bool removed; /* IPC_RMID was called: gone with the last detach */
	u32 mode, uid, gid, cuid, cgid;
	u64 size;
	struct file *file;
	s64 atime, dtime, ctime;
	s32 cpid, lpid;
	u64 nattch;
	struct ipc_ns *ns; /* that it is seen in; NULL: gone, attachments are left */
};

/* Guards everything here but the pages. Taken inside mm->lock, so user memory is not touched while it is held. */
static struct mutex shm_lock;
static bool shm_ready;
static struct shm_segment *segments[SHM_IDS];
static u32 next_seq;

static void lock_shm(void)
{
	if (!shm_ready) {
		mutex_init(&shm_lock);
		shm_ready = true;
	}
	mutex_lock(&shm_lock);
}

static s64 now_s(void)
{
	return (s64)(clock_real_ns() / NSEC_PER_SEC);
}

/* As the current IPC namespace sees it. */
static struct shm_segment *at_slot(u32 slot)
{
	struct shm_segment *s = segments[slot];

	return s && s->ns == ipc_ns() ? s : NULL;
}

static struct shm_segment *find_id(s32 id)
{
	struct shm_segment *s = id >= 0 ? at_slot((u32)id % SHM_IDS) : NULL;

	return s && s->id == id ? s : NULL;
}

static bool shm_permits(const struct shm_segment *s, u32 want /* 4 read, 2 write */)
{
	const struct cred *c = current->cred;
	u32 bits = s->mode;

	if (c->euid == s->uid || c->euid == s->cuid)
		bits >>= 6;
	else if (in_group(c, s->gid) || in_group(c, s->cgid))
		bits >>= 3;
	return !(want & ~bits & 7) || ns_capable(ipc_ns()->c.owner, CAP_IPC_OWNER);
}

/* A reference went; the last one frees the memory. shm_lock held; the file is returned for file_put() without it. */
static struct file *segment_put(struct shm_segment *s)
{
	struct file *file = s->file;

	if (!refcount_dec_and_test(&s->ref))
		return NULL;
	kfree(s);
	return file;
}

static struct file *segment_remove(struct shm_segment *s)
{
	segments[(u32)s->id % SHM_IDS] = NULL;
	if (s->ns) {
		s->ns->nsegments--;
		s->ns->shm_pages -= PAGE_ALIGN_UP(s->size) >> PAGE_SHIFT;
	}
	return segment_put(s);
}

void shm_ns_free(const struct ipc_ns *n)
{
	struct file *file;

	for (u32 i = 0; i < SHM_IDS; i++) {
		lock_shm();
		file = NULL;
		if (segments[i] && segments[i]->ns == n) {
			segments[i]->ns = NULL;
			segments[i]->removed = true;
			if (!segments[i]->nattch) /* else with the last detach */
				file = segment_remove(segments[i]);
		}
		mutex_unlock(&shm_lock);
		if (file)
			file_put(file);
	}
}

/* ---- shmget ---- */

static long segment_new(s32 key, u64 size, u32 flags)
{
	const struct cred *c = current->cred;
	struct shm_segment *s;
	char name[32];
	struct ipc_ns *ns = ipc_ns();
	u64 pages = PAGE_ALIGN_UP(size) >> PAGE_SHIFT;
	u32 slot = 0;

	if (size < 1 || size > ns->settings.shmmax || PAGE_ALIGN_UP(size) < size)
		return -EINVAL;
	if (ns->shm_pages + pages > ns->settings.shmall || ns->nsegments >= ns->settings.shmmni)
		return -ENOSPC;
	while (slot < SHM_IDS && segments[slot])
		slot++;
	if (slot == SHM_IDS)
		return -ENOSPC;
	if (flags & SHM_HUGETLB)
		return -ENOMEM;
	if (!(flags & SHM_NORESERVE) && !overcommit_ok(PAGE_ALIGN_UP(size) >> PAGE_SHIFT))
		return -ENOMEM;
	s = kzalloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	ksnprintf(name, sizeof(name), "/SYSV%08x (deleted)", (u32)key);
	s->file = shmem_file_new(name, size);
	if (IS_ERR(s->file)) {
		long err = PTR_ERR(s->file);

		kfree(s);
		return err;
	}
	refcount_set(&s->ref, 1);
	s->ns = ns;
	s->id = (s32)(slot + (next_seq++ % 32768) * SHM_IDS);
	s->key = key;
	s->mode = flags & IPC_MODE_MASK;
	s->uid = s->cuid = c->euid;
	s->gid = s->cgid = c->egid;
	s->size = size;
	s->ctime = now_s();
	s->cpid = current->proc->tgid->nr;
	s->file->inode->ino = (u64)s->id;
	segments[slot] = s;
	ns->nsegments++;
	ns->shm_pages += pages;
	return s->id;
}

static long segment_open(struct shm_segment *s, u64 size, u32 flags)
{
	u32 want = (flags >> 6 | flags >> 3 | flags) & 6;

	if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
		return -EEXIST;
	if (size > s->size)
		return -EINVAL;
	return shm_permits(s, want) ? s->id : -EACCES;
}

SYSCALL3(shmget, s32, key, u64, size, u32, flags)
{
	struct shm_segment *s = NULL;
	long ret;

	lock_shm();
	for (u32 i = 0; key != IPC_PRIVATE && i < SHM_IDS && !s; i++)
		if (at_slot(i) && segments[i]->key == key)
			s = segments[i];
	if (s)
		ret = segment_open(s, size, flags);
	else if (key != IPC_PRIVATE && !(flags & IPC_CREAT))
		ret = -ENOENT;
	else
		ret = segment_new(key, size, flags);
	mutex_unlock(&shm_lock);
	return ret;
}

/* ---- attachments ---- */

static struct page *shm_fault(struct vma *vma, u64 pgoff, bool write)
{
	return filemap_vm_ops.fault(vma, pgoff, write);
}

static void shm_open(struct vma *vma)
{
	struct shm_segment *s = vma->priv;

	lock_shm();
	refcount_inc(&s->ref);
	s->nattch++;
	s->atime = now_s();
	s->lpid = current->proc->tgid->nr;
	mutex_unlock(&shm_lock);
}

static void shm_close(struct vma *vma)
{
	struct shm_segment *s = vma->priv;
	struct file *file = NULL, *last;

	lock_shm();
	s->dtime = now_s();
	s->lpid = current->proc->tgid->nr;
	if (!--s->nattch && (s->removed || s->ns->settings.shm_rmid_forced))
		file = segment_remove(s);
	last = segment_put(s);
	mutex_unlock(&shm_lock);
	if (file)
		file_put(file);
	if (last)
		file_put(last);
}

static const struct vm_ops shm_vm_ops = { .fault = shm_fault, .open = shm_open, .close = shm_close };

static int shm_mmap(struct file *file, struct vma *vma)
{
	vma->ops = &shm_vm_ops;
	vma->priv = file->priv;
	shm_open(vma);
	return 0;
}

static const struct file_ops shm_file_ops = { .mmap = shm_mmap };

/* An open file of the segment's inode for one shmat(), so that the attachment has rights of its own. */
static struct file *attach_file(struct shm_segment *s, bool readonly)
{
	char name[32];
	struct file *file;

	ksnprintf(name, sizeof(name), "/SYSV%08x (deleted)", (u32)s->key);
	file = file_on_inode(inode_get(s->file->inode), name, &shm_file_ops, s, readonly ? 0 /* O_RDONLY */ : 2 /* O_RDWR */);
	if (!IS_ERR_OR_NULL(file))
		file->mode |= FMODE_READ | (readonly ? 0 : FMODE_WRITE);
	return file ? file : ERR_PTR(-ENOMEM);
}

static long do_attach(struct shm_segment *s, u64 addr, u32 flags)
{
	u32 prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
	struct file *file = attach_file(s, flags & SHM_RDONLY);
	struct mm *mm = current->mm;
	u32 map_flags = MAP_SHARED;
	struct vma *vma;
	long at;

	if (IS_ERR(file))
		return PTR_ERR(file);
	if (addr) {
		map_flags |= MAP_FIXED;
		down_read(&mm->lock);
		vma = flags & SHM_REMAP ? NULL : vma_find(mm, addr);
		at = vma && vma->start < addr + PAGE_ALIGN_UP(s->size) ? -EINVAL : 0;
		up_read(&mm->lock);
		if (at) {
			file_put(file);
			return at;
		}
	}
	at = mm_mmap(mm, addr, s->size, prot, map_flags, file, 0);
	file_put(file);
	return at;
}

SYSCALL3(shmat, s32, id, u64, addr, u32, flags)
{
	u32 want = 4 | (flags & SHM_RDONLY ? 0 : 2) | (flags & SHM_EXEC ? 1 : 0);
	struct shm_segment *s;
	struct file *last;
	long ret = 0;

	if (id < 0)
		return -EINVAL;
	if (addr & (PAGE_SIZE - 1)) {
		if (!(flags & SHM_RND))
			return -EINVAL;
		addr &= ~(PAGE_SIZE - 1);
		if (!addr && (flags & SHM_REMAP))
			return -EINVAL;
	} else if (!addr && (flags & SHM_REMAP)) {
		return -EINVAL;
	}
	lock_shm();
	s = find_id(id);
	if (!s)
		ret = -EINVAL;
	else if (!shm_permits(s, want))
		ret = -EACCES;
	else
		refcount_inc(&s->ref); /* mmap runs without shm_lock */
	mutex_unlock(&shm_lock);
	if (ret)
		return ret;
	ret = do_attach(s, addr, flags);
	lock_shm();
	last = segment_put(s);
	mutex_unlock(&shm_lock);
	if (last)
		file_put(last);
	return ret;
}

SYSCALL1(shmdt, u64, addr)
{
	struct mm *mm = current->mm;
	struct vma *vma;
	u64 size, end;
	long ret = -EINVAL;

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	down_write(&mm->lock);
	/* The attachment that began at addr, perhaps in pieces by now (shmdt(2)). */
	for (vma = vma_find(mm, addr); vma; vma = vma_next(vma))
		if (vma->ops == &shm_vm_ops && vma->start - addr == vma->pgoff << PAGE_SHIFT)
			break;
	if (vma) {
		struct shm_segment *s = vma->priv;

		size = PAGE_ALIGN_UP(s->size);
		end = addr + size;
		ret = 0;
		while (vma && vma->end <= end) {
			struct vma *next = vma_next(vma);

			if (vma->ops == &shm_vm_ops && vma->priv == s && vma->start - addr == vma->pgoff << PAGE_SHIFT)
				ret = do_munmap(mm, vma->start, vma->end - vma->start);
			if (ret)
				break;
			vma = next;
		}
	}
	up_write(&mm->lock);
	return ret;
}

/* ---- shmctl ---- */

static void fill_ds(const struct shm_segment *s, struct shmid64_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	ds->shm_perm.key = s->key;
	ds->shm_perm.uid = s->uid;
	ds->shm_perm.gid = s->gid;
	ds->shm_perm.cuid = s->cuid;
	ds->shm_perm.cgid = s->cgid;
	ds->shm_perm.mode = s->mode | (s->removed ? SHM_STATE_DEST : 0);
	ds->shm_perm.seq = (unsigned short)((u32)s->id / SHM_IDS);
	ds->shm_segsz = s->size;
	ds->shm_atime = s->atime;
	ds->shm_dtime = s->dtime;
	ds->shm_ctime = s->ctime;
	ds->shm_cpid = pid_shown(s->cpid);
	ds->shm_lpid = pid_shown(s->lpid);
	ds->shm_nattch = s->nattch;
}

static s32 highest_slot(void)
{
	for (s32 i = SHM_IDS - 1; i >= 0; i--)
		if (at_slot(i))
			return i;
	return 0;
}

/* What a command gives back, copied out when the lock is gone. */
struct ctl_out {
	u64 len;
	union {
		struct shminfo64 info;
		struct shm_info usage;
		struct shmid64_ds ds;
	};
};

static long ctl_info(struct ctl_out *out)
{
	const struct ipc_settings *set = &ipc_ns()->settings;

	out->info = (struct shminfo64){ .shmmax = set->shmmax, .shmmin = 1, .shmmni = set->shmmni, .shmseg = set->shmmni,
					.shmall = set->shmall };
	out->len = sizeof(out->info);
	return highest_slot();
}

static long ctl_usage(struct ctl_out *out)
{
	struct shm_info *u = &out->usage;

	*u = (struct shm_info){ .used_ids = (int)ipc_ns()->nsegments };
	for (u32 i = 0; i < SHM_IDS; i++) {
		if (!at_slot(i))
			continue;
		u->shm_tot += PAGE_ALIGN_UP(segments[i]->size) >> PAGE_SHIFT;
		u->shm_rss += segments[i]->file->inode->mapping->nrpages;
	}
	out->len = sizeof(*u);
	return highest_slot();
}

static long ctl_stat(s32 id, s32 cmd, struct ctl_out *out)
{
	struct shm_segment *s = cmd == IPC_STAT ? find_id(id) : id >= 0 && id < (s32)SHM_IDS ? at_slot((u32)id) : NULL;

	if (!s)
		return -EINVAL;
	if (cmd != SHM_STAT_ANY && !shm_permits(s, 4))
		return -EACCES;
	fill_ds(s, &out->ds);
	out->len = sizeof(out->ds);
	return cmd == IPC_STAT ? 0 : s->id;
}

static long ctl_owner(s32 id, s32 cmd, const struct shmid64_ds *ds, struct file **drop)
{
	struct shm_segment *s = find_id(id);
	u32 euid = current->cred->euid;

	if (!s)
		return -EINVAL;
	if (euid != s->uid && euid != s->cuid && !ns_capable(ipc_ns()->c.owner, CAP_SYS_ADMIN))
		return -EPERM;
	if (cmd == IPC_SET) {
		s->uid = ds->shm_perm.uid;
		s->gid = ds->shm_perm.gid;
		s->mode = (s->mode & ~IPC_MODE_MASK) | (ds->shm_perm.mode & IPC_MODE_MASK);
		s->ctime = now_s();
		return 0;
	}
	if (s->nattch) { /* its key is free at once, the memory with the last detach */
		s->removed = true;
		s->key = IPC_PRIVATE;
		return 0;
	}
	*drop = segment_remove(s);
	return 0;
}

static long ctl_lock(s32 id, bool lock)
{
	struct shm_segment *s = find_id(id);
	u32 euid = current->cred->euid;

	if (!s)
		return -EINVAL;
	if (!capable(CAP_IPC_LOCK)) {
		if (euid != s->uid && euid != s->cuid)
			return -EPERM;
		if (lock && !rlimit(8 /* RLIMIT_MEMLOCK */))
			return -EPERM;
	}
	s->mode = lock ? s->mode | SHM_STATE_LOCKED : s->mode & ~SHM_STATE_LOCKED;
	return 0;
}

SYSCALL3(shmctl, s32, id, s32, cmd, u64, ubuf)
{
	struct ctl_out out = { 0 };
	struct shmid64_ds ds;
	struct file *drop = NULL;
	long ret = -EINVAL;

	if (cmd < 0 || id < 0)
		return -EINVAL;
	if (cmd == IPC_SET && get_user(ds, ubuf))
		return -EFAULT;
	lock_shm();
	switch (cmd) {
	case IPC_INFO:
		ret = ctl_info(&out);
		break;
	case SHM_INFO:
		ret = ctl_usage(&out);
		break;
	case IPC_STAT:
	case SHM_STAT:
	case SHM_STAT_ANY:
		ret = ctl_stat(id, cmd, &out);
		break;
	case IPC_SET:
	case IPC_RMID:
		ret = ctl_owner(id, cmd, &ds, &drop);
		break;
	case SHM_LOCK:
	case SHM_UNLOCK:
		ret = ctl_lock(id, cmd == SHM_LOCK);
		break;
	}
	mutex_unlock(&shm_lock);
	if (drop)
		file_put(drop);
	if (ret >= 0 && out.len && copy_to_user(ubuf, &out.info, out.len))
		return -EFAULT;
	return ret;
}
