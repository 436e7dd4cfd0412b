/* eventfd(2): a counter that can be waited for. */
#include "sentry/kernel/eventfd.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"
#include "sentry/vfs/transfer.h"

#define EFD_SEM 1u
#define COUNT_MAX (~0ull - 1)

struct eventfd {
	struct waitq wait;
	spinlock_t lock;
	u64 count;
	bool semaphore;
	s32 id;
};
static _Atomic s32 next_id;

/* What a read gives; 0: it would wait. */
static u64 take(struct eventfd *e)
{
	u64 got;

	spin_lock(&e->lock);
	got = e->semaphore && e->count ? 1 : e->count;
	e->count -= got;
	spin_unlock(&e->lock);
	return got;
}

static bool add(struct eventfd *e, u64 n)
{
	bool fits;

	spin_lock(&e->lock);
	fits = n <= COUNT_MAX - e->count;
	if (fits)
		e->count += n;
	spin_unlock(&e->lock);
	return fits;
}

static long eventfd_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	struct eventfd *e = f->priv;
	u64 got = 0;
	long err = 0;

	if (to->count < sizeof(got))
		return -EINVAL;
	got = take(e);
	if (!got) {
		if (file_nonblock(f))
			return -EAGAIN;
		err = wait_event_interruptible(e->wait, (got = take(e)) != 0);
		if (err)
			return err;
	}
	wake_up_poll(&e->wait, EPOLLOUT | EPOLLWRNORM);
	return copy_to_iter(&got, sizeof(got), to) == sizeof(got) ? (long)sizeof(got) : -EFAULT;
}

static long eventfd_write(struct file *f, struct iov_iter *from, u64 *pos)
{
	struct eventfd *e = f->priv;
	u64 n;
	long err;

	if (from->count < sizeof(n))
		return -EINVAL;
	if (copy_from_iter(&n, sizeof(n), from) != sizeof(n))
		return -EFAULT;
	if (n == ~0ull)
		return -EINVAL;
	if (!add(e, n)) {
		if (file_nonblock(f))
			return -EAGAIN;
		err = wait_event_interruptible(e->wait, add(e, n));
		if (err)
			return err;
	}
	wake_up_poll(&e->wait, EPOLLIN | EPOLLRDNORM);
	return sizeof(n);
}

static u32 eventfd_poll(struct file *f, struct poll_table *pt)
{
	struct eventfd *e = f->priv;
	u64 count;
	u32 mask = 0;

	poll_wait(f, &e->wait, pt);
	count = READ_ONCE(e->count);
	if (count)
		mask |= EPOLLIN;
	if (count == ~0ull)
		mask |= EPOLLERR;
	if (count < COUNT_MAX)
		mask |= EPOLLOUT;
	return mask;
}

static void eventfd_release(struct file *f)
{
	struct eventfd *e = f->priv;

	wake_up_key(&e->wait, EPOLLHUP, 0);
	kfree(e);
}

static int eventfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct eventfd *e = f->priv;

	return kscnprintf(buf, size, "eventfd-count: %16lx\neventfd-id: %d\n", READ_ONCE(e->count), e->id);
}

static const struct file_ops eventfd_fops = {
	.llseek = noop_llseek,
	.read = eventfd_read,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.release = eventfd_release,
	.show_fdinfo = eventfd_fdinfo,
};

bool file_is_eventfd(const struct file *f)
{
	return f->fop == &eventfd_fops;
}

void eventfd_signal(struct file *f, u64 n)
{
	struct eventfd *e = f->priv;

	spin_lock(&e->lock);
	e->count = n > ~0ull - e->count ? ~0ull : e->count + n;
	spin_unlock(&e->lock);
	wake_up_poll(&e->wait, EPOLLIN | EPOLLRDNORM);
}

static long make_eventfd(u32 count, u32 flags)
{
	struct eventfd *e;
	struct file *f;
	long fd;

	if (flags & ~(u32)(EFD_SEM | O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	e = kzalloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	waitq_init(&e->wait);
	e->count = count;
	e->semaphore = flags & EFD_SEM;
	e->id = atomic_fetch_add(&next_id, 1);
	f = anon_file("eventfd", &eventfd_fops, e, O_RDWR | (flags & O_NONBLOCK));
	if (IS_ERR(f)) {
		kfree(e);
		return PTR_ERR(f);
	}
	fd = fd_alloc_install(f, flags & O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

SYSCALL1(eventfd, u32, count)
{
	return make_eventfd(count, 0);
}

SYSCALL2(eventfd2, u32, count, u32, flags)
{
	return make_eventfd(count, flags);
}
