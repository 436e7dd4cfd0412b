/* io_uring_register(2): files, buffers, an event descriptor, credentials, restrictions. */
#include "sentry/kernel/eventfd.h"
#include "sentry/uring/uring.h"

#define MAX_FILES (1u << 15)
#define MAX_BUFS (1u << 14)
#define MAX_PERSONALITIES 0xffffu

/* ---- registered files ---- */

struct file *fixed_file(struct ring *r, u32 i)
{
	struct file *f = NULL;

	spin_lock(&r->rsrc_lock);
	if (i < r->nfiles && r->files[i].file)
		f = file_get(r->files[i].file);
	spin_unlock(&r->rsrc_lock);
	return f;
}

/* What was in the slot goes; its tag is told. */
static void slot_replace(struct ring *r, u32 i, struct file *f, u64 tag)
{
	struct slot old;

	spin_lock(&r->rsrc_lock);
	old = r->files[i];
	r->files[i] = (struct slot){ f, tag };
	spin_unlock(&r->rsrc_lock);
	if (!old.file)
		return;
	file_put(old.file);
	if (old.tag)
		ring_post(r, old.tag, 0, 0);
}

long fixed_install(struct ring *r, struct file *f, u32 index)
{
	u32 i = index - 1;

	if (ring_of(f)) {
		file_put(f);
		return -EBADF;
	}
	spin_lock(&r->rsrc_lock);
	if (index == IORING_FILE_INDEX_ALLOC)
		for (i = r->alloc_from; i < MIN(r->nfiles, r->alloc_end) && r->files[i].file; i++)
			;
	if (i >= (index == IORING_FILE_INDEX_ALLOC ? MIN(r->nfiles, r->alloc_end) : r->nfiles)) {
		bool any = r->nfiles;

		spin_unlock(&r->rsrc_lock);
		file_put(f);
		return index == IORING_FILE_INDEX_ALLOC ? -ENFILE : any ? -EINVAL : -ENXIO;
	}
	if (index == IORING_FILE_INDEX_ALLOC)
		r->files[i] = (struct slot){ f, 0 };
	spin_unlock(&r->rsrc_lock);
	if (index == IORING_FILE_INDEX_ALLOC)
		return i;
	slot_replace(r, i, f, 0);
	return 0;
}

long fixed_remove(struct ring *r, u32 i)
{
	if (!r->nfiles)
		return -ENXIO;
	if (i >= r->nfiles)
		return -EINVAL;
	if (!READ_ONCE(r->files[i].file))
		return -EBADF;
	slot_replace(r, i, NULL, 0);
	return 0;
}

static long set_slot(struct ring *r, u32 i, s32 fd, u64 tag)
{
	struct file *f;

	if (fd == IORING_REGISTER_FILES_SKIP)
		return 0;
	if (fd == -1) {
		if (tag)
			return -EINVAL;
		slot_replace(r, i, NULL, 0);
		return 0;
	}
	f = fget(fd);
	if (!f)
		return -EBADF;
	if (ring_of(f)) {
		file_put(f);
		return -EBADF;
	}
	slot_replace(r, i, f, tag);
	return 0;
}

/* How many were changed, or why not even the first. */
long fixed_update(struct ring *r, u32 off, u64 ufds, u64 utags, u32 n)
{
	long err = 0;
	u32 done;

	if (!r->nfiles)
		return -ENXIO;
	if (off + n < off)
		return -EOVERFLOW;
	if (off + n > r->nfiles)
		return -EINVAL;
	for (done = 0; done < n; done++) {
		u64 tag = 0;
		s32 fd;

		if (get_user(fd, ufds + done * sizeof(fd)) || (utags && get_user(tag, utags + done * sizeof(tag))))
			err = -EFAULT;
		else if ((fd == -1 || fd == IORING_REGISTER_FILES_SKIP) && tag)
			err = -EINVAL;
		else
			err = set_slot(r, off + done, fd, tag);
		if (err)
			break;
	}
	return done ? done : err;
}

static long unregister_files(struct ring *r)
{
	struct slot *old = r->files;
	u32 n = r->nfiles;

	if (!n)
		return -ENXIO;
	for (u32 i = 0; i < n; i++)
		slot_replace(r, i, NULL, 0);
	spin_lock(&r->rsrc_lock);
	r->files = NULL;
	r->nfiles = 0;
	spin_unlock(&r->rsrc_lock);
	kfree(old);
	return 0;
}

static long register_files(struct ring *r, u64 ufds, u64 utags, u32 n, bool sparse)
{
	struct slot *slots;
	long err;

	if (r->nfiles)
		return -EBUSY;
	if (!n)
		return -EINVAL;
	if (n > MAX_FILES || n > rlimit(7 /* RLIMIT_NOFILE */))
		return -EMFILE;
	slots = kzalloc(n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	spin_lock(&r->rsrc_lock);
	r->files = slots;
	r->nfiles = n;
	r->alloc_from = 0;
	r->alloc_end = n;
	spin_unlock(&r->rsrc_lock);
	if (sparse)
		return 0;
	err = fixed_update(r, 0, ufds, utags, n);
	if (err == n)
		return 0;
	if (err >= 0) { /* stopped somewhere: the error is that of the one it stopped at */
		u64 tag = 0;
		s32 fd = -1;

		err = get_user(fd, ufds + (u64)err * sizeof(fd)) || (utags && get_user(tag, utags + (u64)err * 8)) ? -EFAULT :
		      tag && fd == -1 ? -EINVAL : -EBADF;
	}
	unregister_files(r);
	return err;
}

/* ---- registered buffers: ranges of the application's memory, looked at again when they are used ---- */

bool fixed_buf_covers(struct ring *r, u32 i, u64 addr, u64 len)
{
	bool ok = false;

	spin_lock(&r->rsrc_lock);
	if (i < r->nbufs && r->bufs[i].addr)
		ok = addr >= r->bufs[i].addr && len <= r->bufs[i].len && addr - r->bufs[i].addr <= r->bufs[i].len - len;
	spin_unlock(&r->rsrc_lock);
	return ok;
}

/* Every page of it must be there to be pinned. */
static long check_buf(const struct iovec_k *v)
{
	char c;

	if (!v->base)
		return v->len ? -EFAULT : 0;
	if (!v->len)
		return -EFAULT;
	if (v->len > (1u << 30))
		return -EFAULT;
	if (!access_ok(v->base, v->len))
		return -EOVERFLOW;
	for (u64 at = v->base & PAGE_MASK; at < v->base + v->len; at += PAGE_SIZE)
		if (copy_from_user(&c, MAX(at, v->base), 1))
			return -EFAULT;
	return 0;
}

static long set_buf(struct ring *r, u32 i, u64 uvec, u64 tag)
{
	struct iovec_k v;
	u64 old_tag;
	long err;

	if (copy_from_user(&v, uvec, sizeof(v)))
		return -EFAULT;
	err = check_buf(&v);
	if (err)
		return err;
	if (!v.base && tag)
		return -EINVAL;
	spin_lock(&r->rsrc_lock);
	old_tag = r->bufs[i].tag;
	r->bufs[i] = (struct fixed_buf){ v.base, v.len, tag };
	spin_unlock(&r->rsrc_lock);
	if (old_tag)
		ring_post(r, old_tag, 0, 0);
	return 0;
}

static long unregister_bufs(struct ring *r)
{
	struct fixed_buf *old = r->bufs;
	u32 n = r->nbufs;

	if (!n)
		return -ENXIO;
	spin_lock(&r->rsrc_lock);
	r->bufs = NULL;
	r->nbufs = 0;
	spin_unlock(&r->rsrc_lock);
	for (u32 i = 0; i < n; i++)
		if (old[i].tag)
			ring_post(r, old[i].tag, 0, 0);
	kfree(old);
	return 0;
}

static long update_bufs(struct ring *r, u32 off, u64 uvecs, u64 utags, u32 n)
{
	long err = 0;
	u32 done;

	for (done = 0; done < n && !err; done++) {
		u64 tag = 0;

		err = utags && get_user(tag, utags + done * sizeof(tag)) ? -EFAULT :
		      set_buf(r, off + done, uvecs + done * sizeof(struct iovec_k), tag);
		if (err)
			break;
	}
	return done ? done : err;
}

static long register_bufs(struct ring *r, u64 uvecs, u64 utags, u32 n, bool sparse)
{
	struct fixed_buf *bufs;
	long err = 0;

	if (r->nbufs)
		return -EBUSY;
	if (!n || n > MAX_BUFS)
		return -EINVAL;
	bufs = kzalloc(n * sizeof(*bufs));
	if (!bufs)
		return -ENOMEM;
	spin_lock(&r->rsrc_lock);
	r->bufs = bufs;
	r->nbufs = n;
	spin_unlock(&r->rsrc_lock);
	for (u32 i = 0; i < n && !sparse && !err; i++) {
		u64 tag = 0;

		err = utags && get_user(tag, utags + i * sizeof(tag)) ? -EFAULT :
		      set_buf(r, i, uvecs + i * sizeof(struct iovec_k), tag);
	}
	if (err) {
		for (u32 i = 0; i < n; i++)
			bufs[i].tag = 0;
		unregister_bufs(r);
	}
	return err;
}

/* ---- the forms with tags ---- */

static long register_rsrc(struct ring *r, u64 arg, u32 size, bool files)
{
	struct io_uring_rsrc_register rr;
	bool sparse;

	if (size != sizeof(rr))
		return -EINVAL;
	if (copy_from_user(&rr, arg, sizeof(rr)))
		return -EFAULT;
	sparse = rr.flags & IORING_RSRC_REGISTER_SPARSE;
	if (!rr.nr || rr.resv2 || rr.flags & ~IORING_RSRC_REGISTER_SPARSE || (sparse && rr.data))
		return -EINVAL;
	return files ? register_files(r, rr.data, rr.tags, rr.nr, sparse) : register_bufs(r, rr.data, rr.tags, rr.nr, sparse);
}

static long update_rsrc(struct ring *r, u64 arg, u32 size, bool files)
{
	struct io_uring_rsrc_update2 u;

	if (size != sizeof(u))
		return -EINVAL;
	if (copy_from_user(&u, arg, sizeof(u)))
		return -EFAULT;
	if (!u.nr || u.resv || u.resv2)
		return -EINVAL;
	if (files)
		return fixed_update(r, u.offset, u.data, u.tags, u.nr);
	if (!r->nbufs)
		return -ENXIO;
	if (u.offset + u.nr < u.offset)
		return -EOVERFLOW;
	return u.offset + u.nr > r->nbufs ? -EINVAL : update_bufs(r, u.offset, u.data, u.tags, u.nr);
}

static long update_files(struct ring *r, u64 arg, u32 n)
{
	struct io_uring_rsrc_update u;

	if (!n)
		return -EINVAL;
	if (copy_from_user(&u, arg, sizeof(u)))
		return -EFAULT;
	return u.resv ? -EINVAL : fixed_update(r, u.offset, u.data, 0, n);
}

/* ---- the rest ---- */

static long register_eventfd(struct ring *r, u64 arg)
{
	struct file *f;
	s32 fd;

	if (r->eventfd)
		return -EBUSY;
	if (get_user(fd, arg))
		return -EFAULT;
	f = fget(fd);
	if (!f)
		return -EBADF;
	if (!file_is_eventfd(f)) {
		file_put(f);
		return -EINVAL;
	}
	spin_lock(&r->rsrc_lock);
	r->eventfd = f;
	spin_unlock(&r->rsrc_lock);
	return 0;
}

static long unregister_eventfd(struct ring *r)
{
	struct file *f;

	spin_lock(&r->rsrc_lock);
	f = r->eventfd;
	r->eventfd = NULL;
	spin_unlock(&r->rsrc_lock);
	if (!f)
		return -ENXIO;
	file_put(f);
	return 0;
}

static long register_probe(struct ring *r, u64 arg, u32 n)
{
	struct io_uring_probe head = { .last_op = IORING_OP_LAST - 1, .ops_len = (u8)MIN(n, (u32)IORING_OP_LAST) };
	u64 size = sizeof(head) + (u64)n * sizeof(struct io_uring_probe_op);

	if (n > 256)
		return -EINVAL;
	for (u64 off = 0; off < size; off += 8) {
		u64 word;

		if (get_user(word, arg + off))
			return -EFAULT;
		if (word)
			return -EINVAL;
	}
	for (u32 i = 0; i < head.ops_len; i++) {
		struct io_uring_probe_op op = { .op = (u8)i, .flags = uring_op_known(i) ? IO_URING_OP_SUPPORTED : 0 };

		if (copy_to_user(arg + sizeof(head) + i * sizeof(op), &op, sizeof(op)))
			return -EFAULT;
	}
	return copy_to_user(arg, &head, sizeof(head));
}

static long register_personality(struct ring *r)
{
	struct cred **table;
	u32 i;

	for (i = 0; i < r->npersonalities && r->personalities[i]; i++)
		;
	if (i == r->npersonalities) {
		if (i == MAX_PERSONALITIES)
			return -ENOSPC;
		table = kzalloc((i + 8) * sizeof(*table));
		if (!table)
			return -ENOMEM;
		spin_lock(&r->rsrc_lock);
		memcpy(table, r->personalities, i * sizeof(*table));
		spin_unlock(&r->rsrc_lock);
		kfree(r->personalities);
		r->personalities = table;
		r->npersonalities = MIN(i + 8, MAX_PERSONALITIES);
	}
	r->personalities[i] = cred_get(current->cred);
	return i + 1;
}

static long unregister_personality(struct ring *r, u32 id)
{
	struct cred *c = NULL;

	spin_lock(&r->rsrc_lock);
	if (id && id <= r->npersonalities) {
		c = r->personalities[id - 1];
		r->personalities[id - 1] = NULL;
	}
	spin_unlock(&r->rsrc_lock);
	if (!c)
		return -EINVAL;
	cred_put(c);
	return 0;
}

static long register_restrictions(struct ring *r, u64 arg, u32 n)
{
	struct io_uring_restriction x;

	if (!(r->flags & IORING_SETUP_R_DISABLED))
		return -EBADFD;
	if (r->restrict_to.set)
		return -EBUSY;
	if (!arg || n > 4096)
		return -EINVAL;
	for (u32 i = 0; i < n; i++) {
		if (copy_from_user(&x, arg + i * sizeof(x), sizeof(x)))
			return -EFAULT;
		switch (x.opcode) {
		case IORING_RESTRICTION_REGISTER_OP:
			if (x.register_op >= IORING_REGISTER_LAST)
				return -EINVAL;
			r->restrict_to.reg_ops |= 1ull << x.register_op;
			break;
		case IORING_RESTRICTION_SQE_OP:
			if (x.sqe_op >= IORING_OP_LAST)
				return -EINVAL;
			r->restrict_to.ops |= 1ull << x.sqe_op;
			break;
		case IORING_RESTRICTION_SQE_FLAGS_ALLOWED:
			r->restrict_to.flags_allowed = x.sqe_flags;
			break;
		case IORING_RESTRICTION_SQE_FLAGS_REQUIRED:
			r->restrict_to.flags_required = x.sqe_flags;
			break;
		default:
			return -EINVAL;
		}
	}
	r->restrict_to.set = true;
	return 0;
}

static long enable(struct ring *r)
{
	if (!(r->flags & IORING_SETUP_R_DISABLED))
		return -EBADFD;
	if (r->flags & IORING_SETUP_SINGLE_ISSUER)
		r->issuer = current;
	r->flags &= ~IORING_SETUP_R_DISABLED;
	return 0;
}

static long max_workers(struct ring *r, u64 arg, u32 n)
{
	u32 new[2], old[2] = { r->max_workers[0], r->max_workers[1] };

	if (!arg || n != 2)
		return -EINVAL;
	if (copy_from_user(new, arg, sizeof(new)))
		return -EFAULT;
	for (u32 i = 0; i < 2; i++) {
		if (new[i] > (u32)INT32_MAX)
			return -EINVAL;
		if (new[i])
			r->max_workers[i] = new[i];
	}
	return copy_to_user(arg, old, sizeof(old));
}

static long alloc_range(struct ring *r, u64 arg)
{
	struct io_uring_file_index_range range;
	u32 end;

	if (copy_from_user(&range, arg, sizeof(range)))
		return -EFAULT;
	if (__builtin_add_overflow(range.off, range.len, &end))
		return -EOVERFLOW;
	if (range.resv || end > r->nfiles)
		return -EINVAL;
	spin_lock(&r->rsrc_lock);
	r->alloc_from = range.off;
	r->alloc_end = end;
	spin_unlock(&r->rsrc_lock);
	return 0;
}

long ring_register(struct ring *r, u32 op, u64 arg, u32 n)
{
	if (r->issuer && r->issuer != current)
		return -EEXIST;
	if (r->restrict_to.set && !(r->flags & IORING_SETUP_R_DISABLED) && !(r->restrict_to.reg_ops >> op & 1))
		return -EACCES;
	switch (op) {
	case IORING_REGISTER_BUFFERS:
		return arg ? register_bufs(r, arg, 0, n, false) : -EFAULT;
	case IORING_UNREGISTER_BUFFERS:
		return arg || n ? -EINVAL : unregister_bufs(r);
	case IORING_REGISTER_FILES:
		return arg ? register_files(r, arg, 0, n, false) : -EFAULT;
	case IORING_UNREGISTER_FILES:
		return arg || n ? -EINVAL : unregister_files(r);
	case IORING_REGISTER_FILES_UPDATE:
		return update_files(r, arg, n);
	case IORING_REGISTER_EVENTFD:
	case IORING_REGISTER_EVENTFD_ASYNC:
		return n != 1 ? -EINVAL : register_eventfd(r, arg);
	case IORING_UNREGISTER_EVENTFD:
		return arg || n ? -EINVAL : unregister_eventfd(r);
	case IORING_REGISTER_PROBE:
		return arg ? register_probe(r, arg, n) : -EINVAL;
	case IORING_REGISTER_PERSONALITY:
		return arg || n ? -EINVAL : register_personality(r);
	case IORING_UNREGISTER_PERSONALITY:
		return arg ? -EINVAL : unregister_personality(r, n);
	case IORING_REGISTER_RESTRICTIONS:
		return register_restrictions(r, arg, n);
	case IORING_REGISTER_ENABLE_RINGS:
		return arg || n ? -EINVAL : enable(r);
	case IORING_REGISTER_FILES2:
		return register_rsrc(r, arg, n, true);
	case IORING_REGISTER_FILES_UPDATE2:
		return update_rsrc(r, arg, n, true);
	case IORING_REGISTER_BUFFERS2:
		return register_rsrc(r, arg, n, false);
	case IORING_REGISTER_BUFFERS_UPDATE:
		return update_rsrc(r, arg, n, false);
	case IORING_REGISTER_IOWQ_MAX_WORKERS:
		return max_workers(r, arg, n);
	case IORING_REGISTER_PBUF_RING:
		return bufs_register_ring(r, arg, n);
	case IORING_UNREGISTER_PBUF_RING:
		return bufs_unregister_ring(r, arg, n);
	case IORING_REGISTER_RING_FDS:
		return rings_register(arg, n);
	case IORING_UNREGISTER_RING_FDS:
		return rings_unregister(arg, n);
	case IORING_REGISTER_SYNC_CANCEL:
		return !arg || n != 1 ? -EINVAL : sync_cancel(r, arg);
	case IORING_REGISTER_FILE_ALLOC_RANGE:
		return !arg || n ? -EINVAL : alloc_range(r, arg);
	}
	return -EINVAL;
}

void ring_unregister_all(struct ring *r)
{
	unregister_files(r);
	unregister_bufs(r);
	unregister_eventfd(r);
	for (u32 i = 0; i < r->npersonalities; i++)
		if (r->personalities[i])
			cred_put(r->personalities[i]);
	kfree(r->personalities);
	r->personalities = NULL;
	r->npersonalities = 0;
	bufs_free(r);
}
