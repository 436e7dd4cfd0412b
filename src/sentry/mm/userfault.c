#include "sentry/mm/userfault.h"

#include <asm/errno.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/ioctl.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/mm/pagetable.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"
#include "sentry/vfs/transfer.h"

#define FEATURES                                                                        \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS | UFFD_FEATURE_THREAD_ID | \
	 UFFD_FEATURE_EXACT_ADDRESS)
#define IOCTL(nr) (1ull << (nr))

struct uffd_ctx {
	refcount_t ref;
	struct mm *mm; /* an object reference */
	spinlock_t lock;
	bool ready, closed; /* UFFDIO_API was done; the descriptor is gone */
	u64 features;
	struct list_head unread, read; /* of struct uffd_wait */
	struct waitq readers, sleepers;
};

static void ctx_put(struct uffd_ctx *ctx)
{
	if (!refcount_dec_and_test(&ctx->ref))
		return;
	mm_put(ctx->mm);
	kfree(ctx);
}

/* ---- the faulting side ---- */

static bool still_faults(struct mm *mm, struct vma *vma, u64 addr, bool write)
{
	struct mapping *m = vma_mapping(vma);
	struct page *page;
	u64 *ptep, pte;

	spin_lock(&mm->pt_lock);
	ptep = pt_lookup(mm, addr);
	pte = ptep ? *ptep : 0;
	spin_unlock(&mm->pt_lock);
	if (pte_has_frame(pte))
		return write && (pte & PTE_UFFD_WP);
	if (!m)
		return true;
	mapping_peek_pages(m, vma_pgoff(vma, addr), 1, &page);
	if (page)
		page_put(page);
	return !page;
}

int userfault_queue(struct uffd_wait *w, struct mm *mm, struct vma *vma, u64 addr, bool write)
{
	struct uffd_ctx *ctx = vma->uffd;
	u64 *ptep;

	if (ctx->features & UFFD_FEATURE_SIGBUS)
		return -EFAULT;
	*w = (struct uffd_wait){ .ctx = ctx, .addr = ctx->features & UFFD_FEATURE_EXACT_ADDRESS ? addr : addr & PAGE_MASK };
	spin_lock(&mm->pt_lock);
	ptep = pt_lookup(mm, addr & PAGE_MASK);
	if (write)
		w->flags = UFFD_PAGEFAULT_FLAG_WRITE | (ptep && pte_has_frame(*ptep) ? UFFD_PAGEFAULT_FLAG_WP : 0);
	spin_unlock(&mm->pt_lock);
	refcount_inc(&ctx->ref);
	spin_lock(&ctx->lock);
	if (ctx->closed)
		w->done = true;
	list_init(&w->node);
	if (!w->done)
		list_add_tail(&w->node, &ctx->unread);
	spin_unlock(&ctx->lock);
	/* The page may have come before the reader could see us. */
	if (!w->done && still_faults(mm, vma, addr & PAGE_MASK, write))
		return 1;
	spin_lock(&ctx->lock);
	list_del(&w->node);
	spin_unlock(&ctx->lock);
	ctx_put(ctx);
	return 0;
}

void userfault_wait(struct uffd_wait *w)
{
	struct uffd_ctx *ctx = w->ctx;
	long ret;

	wake_up_poll(&ctx->readers, EPOLLIN);
	ret = wait_event_killable(ctx->sleepers, READ_ONCE(w->done));
	(void)ret; /* killed or woken: the fault is looked at again either way */
	spin_lock(&ctx->lock);
	list_del(&w->node);
	spin_unlock(&ctx->lock);
	ctx_put(ctx);
}

static void wake_list(struct list_head *list, u64 start, u64 end)
{
	struct uffd_wait *w, *next;

	list_for_each_safe(w, next, list, node) {
		if (w->addr < start || w->addr >= end)
			continue;
		list_del(&w->node);
		WRITE_ONCE(w->done, true);
	}
}

static void wake_range(struct uffd_ctx *ctx, u64 start, u64 end)
{
	spin_lock(&ctx->lock);
	wake_list(&ctx->unread, start, end);
	wake_list(&ctx->read, start, end);
	spin_unlock(&ctx->lock);
	wake_up_all(&ctx->sleepers);
}

/* ---- read and poll ---- */

static bool take_message(struct uffd_ctx *ctx, struct uffd_msg *msg)
{
	struct uffd_wait *w = NULL;

	memset(msg, 0, sizeof(*msg));
	spin_lock(&ctx->lock);
	if (!list_empty(&ctx->unread)) {
		w = list_first(&ctx->unread, struct uffd_wait, node);
		list_move_tail(&w->node, &ctx->read);
		msg->event = UFFD_EVENT_PAGEFAULT;
		msg->arg.pagefault.flags = w->flags;
		msg->arg.pagefault.address = w->addr;
	}
	spin_unlock(&ctx->lock);
	return w;
}

static long uffd_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct uffd_ctx *ctx = file->priv;
	struct uffd_msg msg;
	long done = 0, err;

	if (!ctx->ready)
		return -EINVAL;
	while (to->count >= sizeof(msg)) {
		if (take_message(ctx, &msg)) {
			if (copy_to_iter(&msg, sizeof(msg), to) != sizeof(msg))
				return done ? done : -EFAULT;
			done += (long)sizeof(msg);
			continue;
		}
		if (done)
			return done;
		if (file_nonblock(file))
			return -EAGAIN;
		err = wait_event_interruptible(ctx->readers, !list_empty(&ctx->unread));
		if (err)
			return err;
	}
	return done ? done : -EINVAL;
}

static u32 uffd_poll(struct file *file, struct poll_table *pt)
{
	struct uffd_ctx *ctx = file->priv;

	poll_wait(file, &ctx->readers, pt);
	if (!ctx->ready || !file_nonblock(file))
		return EPOLLERR;
	return list_empty(&ctx->unread) ? 0 : EPOLLIN;
}

static int uffd_release_vmas(struct uffd_ctx *ctx)
{
	struct mm *mm = ctx->mm;
	struct vma *vma;

	down_write(&mm->lock);
	vma_for_each(vma, mm)
		if (vma->uffd == ctx)
			userfault_forget(vma);
	vma_merge_range(mm, 0, USER_MAX);
	up_write(&mm->lock);
	return 0;
}

static void uffd_release(struct file *file)
{
	struct uffd_ctx *ctx = file->priv;

	spin_lock(&ctx->lock);
	ctx->closed = true;
	spin_unlock(&ctx->lock);
	uffd_release_vmas(ctx);
	wake_range(ctx, 0, ~0ull);
	ctx_put(ctx);
}

/* ---- ioctl ---- */

static long check_range(u64 start, u64 len)
{
	if ((start & ~PAGE_MASK) || (len & ~PAGE_MASK) || !len)
		return -EINVAL;
	return start < USER_MIN || start >= USER_MAX || len > USER_MAX - start ? -EINVAL : 0;
}

static long uffd_api(struct uffd_ctx *ctx, u64 arg)
{
	struct uffdio_api api;

	if (get_user(api, arg))
		return -EFAULT;
	if (api.api != UFFD_API || (api.features & ~(u64)FEATURES) || ctx->ready) {
		memset(&api, 0, sizeof(api));
		return put_user(api, arg) ? -EFAULT : -EINVAL;
	}
	ctx->features = api.features;
	api.features = FEATURES;
	api.ioctls = UFFD_API_IOCTLS;
	if (put_user(api, arg))
		return -EFAULT;
	ctx->ready = true;
	return 0;
}

static bool is_shmem(const struct vma *vma)
{
	struct mapping *m = vma_mapping(vma);

	return m && !m->ops && (vma->flags & VM_SHARED);
}

/* May all VMAs of the range be registered with ctx as `flags` say? mm->lock held. */
static long check_vmas(struct uffd_ctx *ctx, u64 start, u64 end, u32 flags, bool *anon)
{
	struct vma *vma = vma_find(ctx->mm, start);

	if (!vma || vma->start >= end)
		return -EINVAL;
	*anon = true;
	for (; vma && vma->start < end; vma = vma_next(vma)) {
		if (!vma_is_anon(vma) && (!is_shmem(vma) || (flags & VM_UFFD_WP)))
			return -EINVAL;
		if (!(vma->flags & VM_MAYWRITE))
			return -EPERM;
		if (vma->uffd && vma->uffd != ctx)
			return -EBUSY;
		*anon &= vma_is_anon(vma);
	}
	return 0;
}

static long uffd_register(struct uffd_ctx *ctx, u64 arg)
{
	struct uffdio_register reg;
	struct mm *mm = ctx->mm;
	u32 flags;
	u64 end;
	bool anon;
	long err;

	if (copy_from_user(&reg, arg, sizeof(reg) - sizeof(reg.ioctls)))
		return -EFAULT;
	if (!reg.mode || (reg.mode & ~(u64)(UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP)))
		return -EINVAL;
	flags = (reg.mode & UFFDIO_REGISTER_MODE_MISSING ? VM_UFFD_MISSING : 0) |
		(reg.mode & UFFDIO_REGISTER_MODE_WP ? VM_UFFD_WP : 0);
	err = check_range(reg.range.start, reg.range.len);
	if (err)
		return err;
	end = reg.range.start + reg.range.len;
	down_write(&mm->lock);
	err = check_vmas(ctx, reg.range.start, end, flags, &anon);
	if (!err && vma_split_range(mm, reg.range.start, end))
		err = -ENOMEM;
	for (struct vma *vma = vma_find(mm, reg.range.start); !err && vma && vma->start < end; vma = vma_next(vma)) {
		vma->flags = (vma->flags & ~(VM_UFFD_MISSING | VM_UFFD_WP)) | flags;
		vma->uffd = ctx;
	}
	vma_merge_range(mm, reg.range.start, end);
	up_write(&mm->lock);
	if (err)
		return err;
	reg.ioctls = IOCTL(_UFFDIO_WAKE) | IOCTL(_UFFDIO_COPY) | (anon ? IOCTL(_UFFDIO_ZEROPAGE) : 0) |
		     (flags & VM_UFFD_WP ? IOCTL(_UFFDIO_WRITEPROTECT) : 0);
	return copy_to_user(arg + offsetof(struct uffdio_register, ioctls), &reg.ioctls, sizeof(reg.ioctls)) ? -EFAULT : 0;
}

static void clear_wp(void *arg, u64 va, u64 *pte)
{
	WRITE_ONCE(*pte, *pte & ~PTE_UFFD_WP);
}

static long uffd_unregister(struct uffd_ctx *ctx, u64 arg)
{
	struct uffdio_range r;
	struct mm *mm = ctx->mm;
	bool anon;
	long err;

	if (get_user(r, arg))
		return -EFAULT;
	err = check_range(r.start, r.len);
	if (err)
		return err;
	down_write(&mm->lock);
	err = check_vmas(ctx, r.start, r.start + r.len, 0, &anon);
	if (!err && vma_split_range(mm, r.start, r.start + r.len))
		err = -ENOMEM;
	for (struct vma *vma = vma_find(mm, r.start); !err && vma && vma->start < r.start + r.len; vma = vma_next(vma))
		userfault_forget(vma);
	if (!err) {
		spin_lock(&mm->pt_lock);
		pt_for_each(mm, r.start, r.start + r.len, clear_wp, NULL);
		spin_unlock(&mm->pt_lock);
	}
	vma_merge_range(mm, r.start, r.start + r.len);
	up_write(&mm->lock);
	if (!err)
		wake_range(ctx, r.start, r.start + r.len);
	return err;
}

static long uffd_wake(struct uffd_ctx *ctx, u64 arg)
{
	struct uffdio_range r;
	long err;

	if (get_user(r, arg))
		return -EFAULT;
	err = check_range(r.start, r.len);
	if (!err)
		wake_range(ctx, r.start, r.start + r.len);
	return err;
}

/* The registered VMA around the whole range; mm->lock held. */
static struct vma *registered(struct uffd_ctx *ctx, u64 start, u64 len)
{
	struct vma *vma = vma_find(ctx->mm, start);

	return vma && vma->start <= start && start + len <= vma->end && vma->uffd == ctx ? vma : NULL;
}

/* Put `page` (consumed) at addr of an anonymous VMA; pte_bits are added. */
static long install_anon(struct mm *mm, struct vma *vma, u64 addr, struct page *page, u64 pte_bits)
{
	u64 *ptep, pte = pte_make(page_to_pa(page), vma->prot) | pte_bits;
	long err = 0;

	if (pte_bits)
		pte &= ~PTE_W;
	spin_lock(&mm->pt_lock);
	ptep = pt_walk_alloc(mm, addr);
	if (!ptep || *ptep)
		err = ptep ? -EEXIST : -ENOMEM;
	else
		pt_set(ptep, pte);
	if (!err && !(pte_bits & PTE_SPECIAL))
		mm_rss_add(mm, page, 1);
	spin_unlock(&mm->pt_lock);
	if (err && !(pte_bits & PTE_SPECIAL))
		page_put(page);
	return err;
}

/* The same into the file of a shared mapping. */
static long install_shmem(struct vma *vma, u64 addr, struct page *page)
{
	struct mapping *m = vma_mapping(vma);
	struct page *there = mapping_find_page(m, vma_pgoff(vma, addr));
	long err = 0;

	if (there) {
		err = -EEXIST;
	} else {
		there = mapping_get_page(m, vma_pgoff(vma, addr), true);
		if (IS_ERR(there)) {
			page_put(page);
			return PTR_ERR(there);
		}
		memcpy(page_to_va(there), page_to_va(page), PAGE_SIZE);
	}
	page_put(there);
	page_put(page);
	return err;
}

/* One page of UFFDIO_COPY or, without a source, UFFDIO_ZEROPAGE. */
static long fill_page(struct uffd_ctx *ctx, u64 addr, struct page *page, bool wp)
{
	struct mm *mm = ctx->mm;
	struct vma *vma;
	long err;

	down_read(&mm->lock);
	vma = registered(ctx, addr, PAGE_SIZE);
	if (!vma) {
		err = -ENOENT;
	} else if (page == zero_page) {
		err = vma_is_anon(vma) ? install_anon(mm, vma, addr, page, PTE_SPECIAL) : -EINVAL;
	} else if (wp && !(vma->flags & VM_UFFD_WP)) {
		err = -EINVAL;
	} else if (vma_is_anon(vma)) {
		err = install_anon(mm, vma, addr, page, wp ? PTE_UFFD_WP : 0);
		page = NULL;
	} else {
		err = install_shmem(vma, addr, page);
		page = NULL;
	}
	up_read(&mm->lock);
	if (page && page != zero_page)
		page_put(page);
	return err;
}

static long copy_in_page(struct uffd_ctx *ctx, u64 dst, u64 src, bool wp)
{
	struct page *page = frame_alloc(0, 0);

	if (!page)
		return -ENOMEM;
	if (copy_from_user(page_to_va(page), src, PAGE_SIZE)) {
		page_put(page);
		return -EFAULT;
	}
	return fill_page(ctx, dst, page, wp);
}

/* How COPY and ZEROPAGE end: bytes done, or the error, go to the field at `out`. */
static long finish_fill(struct uffd_ctx *ctx, u64 start, u64 len, s64 done, long err, bool wake, u64 out)
{
	s64 result = done ? done : err;

	if (done && wake)
		wake_range(ctx, start, start + (u64)done);
	if (put_user(result, out))
		return -EFAULT;
	if (!done)
		return err;
	return (u64)done == len ? 0 : -EAGAIN;
}

static long uffd_copy(struct uffd_ctx *ctx, u64 arg)
{
	struct uffdio_copy c;
	s64 done = 0;
	long err;

	if (copy_from_user(&c, arg, sizeof(c) - sizeof(c.copy)))
		return -EFAULT;
	err = check_range(c.dst, c.len);
	if (err)
		return err;
	if (c.src + c.len <= c.src || (c.mode & ~(u64)(UFFDIO_COPY_MODE_DONTWAKE | UFFDIO_COPY_MODE_WP)))
		return -EINVAL;
	for (; !err && (u64)done < c.len; done += err ? 0 : (s64)PAGE_SIZE)
		err = copy_in_page(ctx, c.dst + (u64)done, c.src + (u64)done, c.mode & UFFDIO_COPY_MODE_WP);
	return finish_fill(ctx, c.dst, c.len, done, err, !(c.mode & UFFDIO_COPY_MODE_DONTWAKE),
			   arg + offsetof(struct uffdio_copy, copy));
}

static long uffd_zeropage(struct uffd_ctx *ctx, u64 arg)
{
	struct uffdio_zeropage z;
	s64 done = 0;
	long err;

	if (copy_from_user(&z, arg, sizeof(z) - sizeof(z.zeropage)))
		return -EFAULT;
	err = check_range(z.range.start, z.range.len);
	if (err)
		return err;
	if (z.mode & ~(u64)UFFDIO_ZEROPAGE_MODE_DONTWAKE)
		return -EINVAL;
	for (; !err && (u64)done < z.range.len; done += err ? 0 : (s64)PAGE_SIZE)
		err = fill_page(ctx, z.range.start + (u64)done, zero_page, false);
	return finish_fill(ctx, z.range.start, z.range.len, done, err, !(z.mode & UFFDIO_ZEROPAGE_MODE_DONTWAKE),
			   arg + offsetof(struct uffdio_zeropage, zeropage));
}

static void set_wp(void *arg, u64 va, u64 *pte)
{
	WRITE_ONCE(*pte, (*pte & ~PTE_W) | PTE_UFFD_WP);
}

static long uffd_writeprotect(struct uffd_ctx *ctx, u64 arg)
{
	struct uffdio_writeprotect w;
	struct mm *mm = ctx->mm;
	struct vma *vma;
	bool protect;
	long err;

	if (get_user(w, arg))
		return -EFAULT;
	err = check_range(w.range.start, w.range.len);
	if (err)
		return err;
	if (w.mode & ~(u64)(UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE))
		return -EINVAL;
	protect = w.mode & UFFDIO_WRITEPROTECT_MODE_WP;
	if (protect && (w.mode & UFFDIO_WRITEPROTECT_MODE_DONTWAKE))
		return -EINVAL;
	down_read(&mm->lock);
	vma = registered(ctx, w.range.start, w.range.len);
	if (!vma || !(vma->flags & VM_UFFD_WP)) {
		err = -ENOENT;
	} else {
		spin_lock(&mm->pt_lock);
		pt_for_each(mm, w.range.start, w.range.start + w.range.len, protect ? set_wp : clear_wp, NULL);
		spin_unlock(&mm->pt_lock);
		if (protect)
			platform->as_flush(mm, w.range.start, w.range.start + w.range.len, (int)(vma->prot & ~PROT_WRITE));
	}
	up_read(&mm->lock);
	if (!err && !protect && !(w.mode & UFFDIO_WRITEPROTECT_MODE_DONTWAKE))
		wake_range(ctx, w.range.start, w.range.start + w.range.len);
	return err;
}

static long uffd_ioctl(struct file *file, u32 cmd, u64 arg)
{
	struct uffd_ctx *ctx = file->priv;

	if (cmd != UFFDIO_API && !ctx->ready)
		return -EINVAL;
	switch (cmd) {
	case UFFDIO_API: return uffd_api(ctx, arg);
	case UFFDIO_REGISTER: return uffd_register(ctx, arg);
	case UFFDIO_UNREGISTER: return uffd_unregister(ctx, arg);
	case UFFDIO_WAKE: return uffd_wake(ctx, arg);
	case UFFDIO_COPY: return uffd_copy(ctx, arg);
	case UFFDIO_ZEROPAGE: return uffd_zeropage(ctx, arg);
	case UFFDIO_WRITEPROTECT: return uffd_writeprotect(ctx, arg);
	default: return -EINVAL;
	}
}

static const struct file_ops uffd_fops = {
	.read = uffd_read,
	.poll = uffd_poll,
	.ioctl = uffd_ioctl,
	.release = uffd_release,
};

SYSCALL1(userfaultfd, u32, flags)
{
	struct uffd_ctx *ctx;
	struct file *file;
	s32 fd;

	if (!(flags & UFFD_USER_MODE_ONLY) && !capable(CAP_SYS_PTRACE))
		return -EPERM;
	if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY))
		return -EINVAL;
	ctx = kzalloc(sizeof(*ctx));
	if (!ctx)
		return -ENOMEM;
	refcount_set(&ctx->ref, 1);
	spin_lock_init(&ctx->lock);
	list_init(&ctx->unread);
	list_init(&ctx->read);
	waitq_init(&ctx->readers);
	waitq_init(&ctx->sleepers);
	ctx->mm = current->mm;
	mm_get(ctx->mm);
	file = anon_file("[userfaultfd]", &uffd_fops, ctx, O_RDWR | (flags & O_NONBLOCK));
	if (IS_ERR(file)) {
		ctx_put(ctx);
		return PTR_ERR(file);
	}
	fd = fd_alloc_install(file, flags & O_CLOEXEC, 0);
	if (fd < 0)
		file_put(file);
	return fd;
}
