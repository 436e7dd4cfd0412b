/* The ring itself: io_uring_setup(2), the pages both sides see, and the completion queue. */
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "sentry/kernel/settings.h"
#include "sentry/kernel/eventfd.h"
#include "sentry/sys/syscall.h"
#include "sentry/uring/uring.h"

#define MAX_SQ_ENTRIES 32768u
#define MAX_CQ_ENTRIES (2 * MAX_SQ_ENTRIES)
#define HASH_MAX 1024u
#define SETUP_KNOWN                                                                     \
	(IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | \
	 IORING_SETUP_ATTACH_WQ | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | \
	 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER | \
	 IORING_SETUP_DEFER_TASKRUN)
#define FEATURES                                                                        \
	(IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS | \
	 IORING_FEAT_CUR_PERSONALITY | IORING_FEAT_FAST_POLL | IORING_FEAT_SQPOLL_NONFIXED | IORING_FEAT_POLL_32BITS | IORING_FEAT_EXT_ARG | \
	 IORING_FEAT_NATIVE_WORKERS | IORING_FEAT_RSRC_TAGS | IORING_FEAT_CQE_SKIP | IORING_FEAT_LINKED_FILE)

struct list_head all_rings = LIST_HEAD_INIT(all_rings);
spinlock_t all_rings_lock = SPINLOCK_INIT;

/* ---- pages ---- */

static void pages_free(struct pages *p)
{
	for (u32 i = 0; i < p->n; i++)
		page_put(p->page[i]);
	kfree(p->page);
	*p = (struct pages){ 0 };
}

static bool pages_alloc(struct pages *p, u64 bytes)
{
	u32 n = (u32)(PAGE_ALIGN_UP(bytes) >> PAGE_SHIFT);

	p->page = kzalloc(n * sizeof(*p->page));
	for (; p->page && p->n < n; p->n++) {
		p->page[p->n] = frame_alloc(0, FRAME_ZERO);
		if (!p->page[p->n])
			break;
	}
	if (p->n == n)
		return true;
	pages_free(p);
	return false;
}

static struct pages *pages_of(struct ring *r, u64 off)
{
	switch (off & IORING_OFF_MMAP_MASK) {
	case IORING_OFF_SQ_RING:
	case IORING_OFF_CQ_RING:
		return &r->rings;
	case IORING_OFF_SQES:
		return &r->sqes;
	}
	return NULL;
}

static struct page *ring_fault(struct vma *vma, u64 pgoff, bool write)
{
	struct pages *p = pages_of(vma->file->priv, pgoff << PAGE_SHIFT);
	u64 i = pgoff & (~IORING_OFF_MMAP_MASK >> PAGE_SHIFT);

	if (!p || i >= p->n)
		return ERR_PTR(-ENXIO);
	page_get(p->page[i]);
	return p->page[i];
}

static const struct vm_ops ring_vm_ops = { .fault = ring_fault };

static int ring_mmap(struct file *f, struct vma *vma)
{
	struct pages *p = pages_of(f->priv, vma->pgoff << PAGE_SHIFT);
	u64 first = vma->pgoff & (~IORING_OFF_MMAP_MASK >> PAGE_SHIFT);

	if (!p || first + ((vma->end - vma->start) >> PAGE_SHIFT) > p->n)
		return -EINVAL;
	vma->ops = &ring_vm_ops;
	return 0;
}

/* ---- life ---- */

void ring_get(struct ring *r)
{
	refcount_inc(&r->ref);
}

void ring_put(struct ring *r)
{
	if (!refcount_dec_and_test(&r->ref))
		return;
	while (!list_empty(&r->overflow)) {
		struct overflown *o = list_first(&r->overflow, struct overflown, node);

		list_del(&o->node);
		kfree(o);
	}
	pages_free(&r->rings);
	pages_free(&r->sqes);
	if (r->owner)
		process_put(r->owner);
	kfree(r->by_data);
	kfree(r);
}

static void ring_release(struct file *f)
{
	struct ring *r = f->priv;
	struct cancel_key all = { .flags = IORING_ASYNC_CANCEL_ANY, .opcode = -1 };

	spin_lock(&all_rings_lock);
	list_del(&r->all_node);
	spin_unlock(&all_rings_lock);
	spin_lock(&r->todo_lock);
	r->closing = true;
	spin_unlock(&r->todo_lock);
	ring_cancel(r, &all);
	mutex_lock(&r->lock);
	ring_unregister_all(r);
	mutex_unlock(&r->lock);
	ring_stop_workers(r);
	ring_put(r);
}

static u32 ring_poll(struct file *f, struct poll_table *pt)
{
	struct ring *r = f->priv;
	struct shared *s = ring_shared(r);
	u32 mask = 0;

	poll_wait(f, &r->cq_wait, pt);
	if (atomic_load(&s->sq_tail) - r->sq_head < r->sq_entries)
		mask |= EPOLLOUT | EPOLLWRNORM;
	if (ring_ready(r) || !list_empty(&r->overflow))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

static int ring_fdinfo(struct file *f, char *buf, size_t size)
{
	struct ring *r = f->priv;
	struct shared *s = ring_shared(r);

	return kscnprintf(buf, size, "SqMask:\t0x%x\nSqHead:\t%u\nSqTail:\t%u\nCachedSqHead:\t%u\nCqMask:\t0x%x\nCqHead:\t%u\n"
			  "CqTail:\t%u\nCachedCqTail:\t%u\n", s->sq_mask, atomic_load(&s->sq_head), atomic_load(&s->sq_tail),
			  r->sq_head, s->cq_mask, atomic_load(&s->cq_head), atomic_load(&s->cq_tail), r->cq_tail);
}

const struct file_ops uring_fops = {
	.release = ring_release,
	.poll = ring_poll,
	.mmap = ring_mmap,
	.show_fdinfo = ring_fdinfo,
};

bool is_uring(const struct file *f)
{
	return f->fop == &uring_fops;
}

struct ring *ring_of(struct file *f)
{
	return f->fop == &uring_fops ? f->priv : NULL;
}

/* ---- the completion queue ---- */

u32 ring_ready(struct ring *r)
{
	struct shared *s = ring_shared(r);

	return atomic_load(&s->cq_tail) - atomic_load(&s->cq_head);
}

/* req_lock held. False: no room. */
static bool cqe_put(struct ring *r, const struct io_uring_cqe *cqe)
{
	struct shared *s = ring_shared(r);
	u32 tail = atomic_load_explicit(&s->cq_tail, memory_order_relaxed);
	struct io_uring_cqe *at;

	/* What the application wrote into its head, whatever that is, decides only over its own completions. */
	if (tail - atomic_load_explicit(&s->cq_head, memory_order_acquire) >= r->cq_entries)
		return false;
	at = pages_at(&r->rings, CQES_OFF + (u64)(tail & (r->cq_entries - 1)) * r->cqe_size);
	at->user_data = cqe->user_data;
	at->res = cqe->res;
	at->flags = cqe->flags;
	if (r->cqe_size > sizeof(*at))
		at->big_cqe[0] = at->big_cqe[1] = 0;
	atomic_store_explicit(&s->cq_tail, tail + 1, memory_order_release);
	return true;
}

/* IORING_FEAT_NODROP: kept until there is room. req_lock held. */
static void cqe_keep(struct ring *r, const struct io_uring_cqe *cqe)
{
	struct overflown *o = kmalloc(sizeof(*o));
	struct shared *s = ring_shared(r);

	if (!o) {
		atomic_fetch_add(&s->cq_overflow, 1);
		return;
	}
	o->cqe.user_data = cqe->user_data;
	o->cqe.res = cqe->res;
	o->cqe.flags = cqe->flags;
	list_add_tail(&o->node, &r->overflow);
	atomic_fetch_or(&s->sq_flags, IORING_SQ_CQ_OVERFLOW);
}

static void ring_wake(struct ring *r)
{
	struct file *ev = NULL;

	atomic_thread_fence(memory_order_seq_cst);
	if (waitq_active(&r->cq_wait))
		wake_up_key(&r->cq_wait, EPOLLIN | EPOLLRDNORM, 0);
	if (!READ_ONCE(r->eventfd) || atomic_load(&ring_shared(r)->cq_flags) & IORING_CQ_EVENTFD_DISABLED)
		return;
	spin_lock(&r->rsrc_lock);
	if (r->eventfd)
		ev = file_get(r->eventfd);
	spin_unlock(&r->rsrc_lock);
	if (ev) {
		eventfd_signal(ev, 1);
		file_put(ev);
	}
}

void ring_post(struct ring *r, u64 user_data, s32 res, u32 flags)
{
	struct io_uring_cqe cqe = { .user_data = user_data, .res = res, .flags = flags };

	spin_lock(&r->req_lock);
	r->cq_tail++;
	if (!list_empty(&r->overflow) || !cqe_put(r, &cqe))
		cqe_keep(r, &cqe);
	spin_unlock(&r->req_lock);
	ring_wake(r);
}

void ring_flush_overflow(struct ring *r)
{
	bool any = false;

	if (list_empty(&r->overflow))
		return;
	spin_lock(&r->req_lock);
	while (!list_empty(&r->overflow)) {
		struct overflown *o = list_first(&r->overflow, struct overflown, node);

		if (!cqe_put(r, &o->cqe))
			break;
		list_del(&o->node);
		kfree(o);
		any = true;
	}
	if (list_empty(&r->overflow))
		atomic_fetch_and(&ring_shared(r)->sq_flags, ~(u32)IORING_SQ_CQ_OVERFLOW);
	spin_unlock(&r->req_lock);
	if (any)
		ring_wake(r);
}

/* ---- io_uring_setup(2) ---- */

static u32 roundup_pow2(u32 n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

static long check_params(u32 entries, struct io_uring_params *p)
{
	if (p->flags & ~(u32)SETUP_KNOWN)
		return -EINVAL;
	if (p->flags & IORING_SETUP_TASKRUN_FLAG && !(p->flags & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN)))
		return -EINVAL;
	if (p->flags & IORING_SETUP_SQPOLL &&
	    p->flags & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_DEFER_TASKRUN))
		return -EINVAL;
	if (p->flags & IORING_SETUP_SQ_AFF && (!(p->flags & IORING_SETUP_SQPOLL) || p->sq_thread_cpu >= num_cpus()))
		return -EINVAL;
	if (p->flags & IORING_SETUP_DEFER_TASKRUN && !(p->flags & IORING_SETUP_SINGLE_ISSUER))
		return -EINVAL;
	if (!entries)
		return -EINVAL;
	if (entries > MAX_SQ_ENTRIES) {
		if (!(p->flags & IORING_SETUP_CLAMP))
			return -EINVAL;
		entries = MAX_SQ_ENTRIES;
	}
	p->sq_entries = roundup_pow2(entries);
	if (!(p->flags & IORING_SETUP_CQSIZE)) {
		p->cq_entries = 2 * p->sq_entries;
		return 0;
	}
	if (!p->cq_entries)
		return -EINVAL;
	if (p->cq_entries > MAX_CQ_ENTRIES) {
		if (!(p->flags & IORING_SETUP_CLAMP))
			return -EINVAL;
		p->cq_entries = MAX_CQ_ENTRIES;
	}
	p->cq_entries = roundup_pow2(p->cq_entries);
	return p->cq_entries < p->sq_entries ? -EINVAL : 0;
}

static struct ring *ring_new(const struct io_uring_params *p)
{
	struct ring *r = kzalloc(sizeof(*r));
	struct shared *s;

	if (!r)
		return NULL;
	refcount_set(&r->ref, 1);
	mutex_init(&r->lock);
	waitq_init(&r->cq_wait);
	waitq_init(&r->helper_q);
	waitq_init(&r->worker_q);
	list_init(&r->all_node);
	list_init(&r->reqs);
	list_init(&r->deferred);
	list_init(&r->overflow);
	list_init(&r->again);
	list_init(&r->waiters);
	list_init(&r->work);
	list_init(&r->buf_groups);
	r->flags = p->flags;
	r->alloc_end = ~0u;
	r->sq_entries = p->sq_entries;
	r->cq_entries = p->cq_entries;
	r->sqe_size = p->flags & IORING_SETUP_SQE128 ? 128 : 64;
	r->cqe_size = p->flags & IORING_SETUP_CQE32 ? 32 : 16;
	r->array_off = (u32)(CQES_OFF + (u64)r->cq_entries * r->cqe_size);
	r->max_workers[0] = r->max_workers[1] = 256;
	r->nhash = MIN(r->cq_entries, HASH_MAX);
	r->by_data = kzalloc(r->nhash * sizeof(*r->by_data));
	if (!r->by_data || !pages_alloc(&r->rings, r->array_off + (u64)r->sq_entries * 4) || !pages_alloc(&r->sqes, (u64)r->sq_entries * r->sqe_size)) {
		pages_free(&r->rings);
		kfree(r->by_data);
		kfree(r);
		return NULL;
	}
	for (u32 i = 0; i < r->nhash; i++)
		list_init(&r->by_data[i]);
	s = ring_shared(r);
	s->sq_mask = r->sq_entries - 1;
	s->cq_mask = r->cq_entries - 1;
	s->sq_entries = r->sq_entries;
	s->cq_entries = r->cq_entries;
	/*
	 * The thread that watches the submission queue is always asleep: who has submitted wakes it by io_uring_enter(2), which does its
	 * work. Watching would take a CPU from the sandbox to save system calls that are cheap.
	 */
	if (r->flags & IORING_SETUP_SQPOLL) {
		atomic_store(&s->sq_flags, IORING_SQ_NEED_WAKEUP);
		r->owner = process_get(current->proc);
	}
	return r;
}

static void tell_offsets(const struct ring *r, struct io_uring_params *p)
{
	p->features = FEATURES;
	p->sq_off = (struct io_sqring_offsets){
		.head = offsetof(struct shared, sq_head), .tail = offsetof(struct shared, sq_tail),
		.ring_mask = offsetof(struct shared, sq_mask), .ring_entries = offsetof(struct shared, sq_entries),
		.flags = offsetof(struct shared, sq_flags), .dropped = offsetof(struct shared, sq_dropped), .array = r->array_off,
	};
	p->cq_off = (struct io_cqring_offsets){
		.head = offsetof(struct shared, cq_head), .tail = offsetof(struct shared, cq_tail),
		.ring_mask = offsetof(struct shared, cq_mask), .ring_entries = offsetof(struct shared, cq_entries),
		.overflow = offsetof(struct shared, cq_overflow), .cqes = CQES_OFF, .flags = offsetof(struct shared, cq_flags),
	};
}

/* IORING_SETUP_ATTACH_WQ: there is no pool and no thread to be shared, but the descriptor must be a ring that could have them. */
static long check_attach(const struct io_uring_params *p)
{
	struct file *f;
	long err;

	if (!(p->flags & IORING_SETUP_ATTACH_WQ))
		return 0;
	f = fget((s32)p->wq_fd);
	if (!f)
		return -ENXIO;
	err = ring_of(f) && (!(p->flags & IORING_SETUP_SQPOLL) || ring_of(f)->flags & IORING_SETUP_SQPOLL) ? 0 : -EINVAL;
	file_put(f);
	return err;
}

SYSCALL2(io_uring_setup, u32, entries, u64, uparams)
{
	struct io_uring_params p;
	struct ring *r;
	struct file *f;
	long err, fd;

	if (settings.io_uring_disabled == 2 || (settings.io_uring_disabled && !capable(CAP_SYS_ADMIN)))
		return -EPERM;
	if (copy_from_user(&p, uparams, sizeof(p)))
		return -EFAULT;
	for (u32 i = 0; i < ARRAY_SIZE(p.resv); i++)
		if (p.resv[i])
			return -EINVAL;
	err = check_params(entries, &p);
	if (!err)
		err = check_attach(&p);
	if (err)
		return err;
	r = ring_new(&p);
	if (!r)
		return -ENOMEM;
	if (p.flags & IORING_SETUP_SINGLE_ISSUER && !(p.flags & IORING_SETUP_R_DISABLED))
		r->issuer = current;
	tell_offsets(r, &p);
	f = copy_to_user(uparams, &p, sizeof(p)) ? ERR_PTR(-EFAULT) : anon_file("[io_uring]", &uring_fops, r, O_RDWR);
	if (IS_ERR(f)) {
		ring_put(r);
		return PTR_ERR(f);
	}
	spin_lock(&all_rings_lock);
	list_add_tail(&r->all_node, &all_rings);
	spin_unlock(&all_rings_lock);
	fd = fd_alloc_install(f, O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}
