/* timerfd_create(2): a timer whose expirations are read. A periodic one is armed again when it is read, never by itself. */
#include <asm/ioctl.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/time.h>
#include <linux/timerfd.h>

#include "base/string.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/task.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"
#include "sentry/vfs/transfer.h"

struct timerfd {
	struct waitq wait;
	spinlock_t lock; /* all below; before the timer's own lock */
	struct ktimer timer;
	s32 clock;
	u32 settime_flags;
	bool armed;   /* a next expiration exists, past or to come */
	bool expired; /* it is past, and counted in ticks */
	u64 expires, interval, ticks;
};

static void timerfd_fire(struct ktimer *timer)
{
	struct timerfd *t = container_of(timer, struct timerfd, timer);

	spin_lock(&t->lock);
	if (t->armed && !t->expired && clock_mono_ns() >= t->expires) {
		t->expired = true;
		t->ticks++;
	}
	spin_unlock(&t->lock);
	wake_up_poll(&t->wait, EPOLLIN | EPOLLRDNORM);
}

/* Periods that passed since the expiration that was counted; the next one is armed. Lock held. */
static void catch_up(struct timerfd *t)
{
	u64 now, n;

	if (!t->expired || !t->interval)
		return;
	now = clock_mono_ns();
	n = (now - t->expires) / t->interval;
	t->ticks += n;
	t->expires += (n + 1) * t->interval;
	t->expired = false;
	ktimer_start(&t->timer, t->expires);
}

static u64 take_ticks(struct timerfd *t)
{
	u64 ticks;

	spin_lock(&t->lock);
	if (t->ticks)
		catch_up(t);
	ticks = t->ticks;
	t->ticks = 0;
	spin_unlock(&t->lock);
	return ticks;
}

static long timerfd_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	struct timerfd *t = f->priv;
	u64 ticks;
	long err;

	if (to->count < sizeof(ticks))
		return -EINVAL;
	ticks = take_ticks(t);
	if (!ticks) {
		if (file_nonblock(f))
			return -EAGAIN;
		err = wait_event_interruptible(t->wait, (ticks = take_ticks(t)) != 0);
		if (err)
			return err;
	}
	return copy_to_iter(&ticks, sizeof(ticks), to) == sizeof(ticks) ? (long)sizeof(ticks) : -EFAULT;
}

static u32 timerfd_poll(struct file *f, struct poll_table *pt)
{
	struct timerfd *t = f->priv;

	poll_wait(f, &t->wait, pt);
	return READ_ONCE(t->ticks) ? EPOLLIN : 0;
}

static void timerfd_release(struct file *f)
{
	struct timerfd *t = f->priv;

	ktimer_cancel_sync(&t->timer);
	kfree(t);
}

/* Lock held. */
static void remaining(struct timerfd *t, struct itimerspec_k *out)
{
	u64 now = clock_mono_ns(), left = 0;

	catch_up(t);
	if (t->armed && !t->expired)
		left = t->expires > now ? t->expires - now : 1;
	out->value = ns_timespec(left);
	out->interval = ns_timespec(t->interval);
}

static int timerfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct timerfd *t = f->priv;
	struct itimerspec_k it;

	spin_lock(&t->lock);
	remaining(t, &it);
	spin_unlock(&t->lock);
	return kscnprintf(buf, size,
			  "clockid: %d\nticks: %lu\nsettime flags: 0%o\nit_value: (%ld, %ld)\nit_interval: (%ld, %ld)\n", t->clock,
			  READ_ONCE(t->ticks), t->settime_flags, it.value.sec, it.value.nsec, it.interval.sec, it.interval.nsec);
}

static long timerfd_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct timerfd *t = f->priv;
	u64 ticks;

	if (cmd != TFD_IOC_SET_TICKS)
		return -ENOTTY;
	if (get_user(ticks, arg))
		return -EFAULT;
	if (!ticks)
		return -EINVAL;
	spin_lock(&t->lock);
	t->ticks = ticks;
	spin_unlock(&t->lock);
	wake_up_poll(&t->wait, EPOLLIN | EPOLLRDNORM);
	return 0;
}

static const struct file_ops timerfd_fops = {
	.llseek = noop_llseek,
	.read = timerfd_read,
	.poll = timerfd_poll,
	.release = timerfd_release,
	.ioctl = timerfd_ioctl,
	.show_fdinfo = timerfd_fdinfo,
};

/* ---- the calls ---- */

SYSCALL2(timerfd_create, s32, clock, u32, flags)
{
	enum clock_kind kind = clock_kind(clock);
	struct timerfd *t;
	struct file *f;
	long fd;

	if (flags & ~(u32)(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	if ((kind != CLOCK_WALL && kind != CLOCK_ALARM) || clock == CLOCK_TAI)
		return -EINVAL;
	if (kind == CLOCK_ALARM && !capable(CAP_WAKE_ALARM))
		return -EPERM;
	t = kzalloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	waitq_init(&t->wait);
	ktimer_init(&t->timer, timerfd_fire);
	t->clock = clock;
	f = anon_file("timerfd", &timerfd_fops, t, O_RDWR | (flags & O_NONBLOCK));
	if (IS_ERR(f)) {
		kfree(t);
		return PTR_ERR(f);
	}
	fd = fd_alloc_install(f, flags & O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

static struct file *timerfd_get(s32 fd)
{
	struct file *f = fget(fd);

	if (!f)
		return ERR_PTR(-EBADF);
	if (f->fop == &timerfd_fops)
		return f;
	file_put(f);
	return ERR_PTR(-EINVAL);
}

static void set_timer(struct timerfd *t, u32 flags, const struct itimerspec_k *it, struct itimerspec_k *old)
{
	u64 value = timespec_ns(&it->value);

	ktimer_cancel_sync(&t->timer);
	spin_lock(&t->lock);
	remaining(t, old);
	ktimer_cancel(&t->timer);
	t->settime_flags = flags;
	t->ticks = 0;
	t->expired = false;
	t->armed = value != 0;
	t->interval = timespec_ns(&it->interval);
	if (t->armed) {
		t->expires = flags & TFD_TIMER_ABSTIME ? clock_mono_deadline(t->clock, value) : ns_add(clock_mono_ns(), value);
		ktimer_start(&t->timer, t->expires);
	}
	spin_unlock(&t->lock);
}

SYSCALL4(timerfd_settime, s32, fd, u32, flags, u64, unew, u64, uold)
{
	struct itimerspec_k new, old;
	struct file *f;

	if (get_user(new, unew))
		return -EFAULT;
	if ((flags & ~(u32)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) || !timespec_valid(&new.value) ||
	    !timespec_valid(&new.interval))
		return -EINVAL;
	f = timerfd_get(fd);
	if (IS_ERR(f))
		return PTR_ERR(f);
	set_timer(f->priv, flags, &new, &old);
	file_put(f);
	return uold ? put_user(old, uold) : 0;
}

SYSCALL2(timerfd_gettime, s32, fd, u64, ucur)
{
	struct file *f = timerfd_get(fd);
	struct itimerspec_k cur;
	struct timerfd *t;

	if (IS_ERR(f))
		return PTR_ERR(f);
	t = f->priv;
	spin_lock(&t->lock);
	remaining(t, &cur);
	spin_unlock(&t->lock);
	file_put(f);
	return put_user(cur, ucur);
}
