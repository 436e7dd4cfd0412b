/* Opening FIFOs (fifo(7)), the life of a pipe object, and F_SETPIPE_SZ. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "sentry/kernel/task.h"
#include "sentry/kernel/settings.h"
#include "sentry/vfs/pipe.h"
#include "sentry/vfs/pipe_internal.h"

static spinlock_t fifo_lock = SPINLOCK_INIT; /* inode->pipe and pipe->files */

/* The pipe of a FIFO inode with one more file counted; made when there is none. */
static struct pipe *fifo_get(struct inode *inode)
{
	struct pipe *fresh = NULL, *p;

	if (!READ_ONCE(inode->pipe)) {
		fresh = pipe_alloc();
		if (!fresh)
			return NULL;
	}
	spin_lock(&fifo_lock);
	p = inode->pipe;
	if (!p && fresh) {
		p = inode->pipe = fresh;
		p->inode = inode;
		fresh = NULL;
	}
	if (p)
		p->files++;
	spin_unlock(&fifo_lock);
	if (fresh)
		pipe_free(fresh);
	return p ? p : fifo_get(inode); /* the last user left between the look and the lock */
}

void pipe_put(struct pipe *p)
{
	bool last;

	spin_lock(&fifo_lock);
	last = --p->files == 0;
	if (last)
		p->inode->pipe = NULL;
	spin_unlock(&fifo_lock);
	if (last)
		pipe_free(p);
}

/* Wait for the first opener of the other side. Lock held; dropped while asleep. */
static int fifo_wait_partner(struct pipe *p, const u32 *counter)
{
	u32 seen = *counter;
	long err;

	mutex_unlock(&p->lock);
	err = wait_event_interruptible(p->open_wait, READ_ONCE(*counter) != seen);
	mutex_lock(&p->lock);
	return err;
}

static int fifo_open_read(struct pipe *p, struct file *f)
{
	int err = 0;

	p->r_counter++;
	if (p->readers++ == 0)
		wake_up_all(&p->open_wait);
	if (p->anonymous || p->writers)
		return 0;
	if (f->flags & O_NONBLOCK)
		f->pos = p->w_counter; /* no POLLHUP until a writer has come and gone */
	else
		err = fifo_wait_partner(p, &p->w_counter);
	if (err && --p->readers == 0)
		wake_up_all(&p->wr_wait);
	return err;
}

static int fifo_open_write(struct pipe *p, struct file *f)
{
	int err = 0;

	if (!p->anonymous && (f->flags & O_NONBLOCK) && !p->readers)
		return -ENXIO;
	p->w_counter++;
	if (p->writers++ == 0)
		wake_up_all(&p->open_wait);
	if (!p->anonymous && !p->readers)
		err = fifo_wait_partner(p, &p->r_counter);
	if (err && --p->writers == 0)
		wake_up_all(&p->rd_wait);
	return err;
}

int fifo_open(struct inode *inode, struct file *f)
{
	struct pipe *p = fifo_get(inode);
	int err = 0;

	if (!p)
		return -ENOMEM;
	f->pos = 0;
	mutex_lock(&p->lock);
	switch (f->mode & (FMODE_READ | FMODE_WRITE)) {
	case FMODE_READ:
		err = fifo_open_read(p, f);
		break;
	case FMODE_WRITE:
		err = fifo_open_write(p, f);
		break;
	case FMODE_READ | FMODE_WRITE: /* Linux: succeeds at once */
		p->r_counter++;
		p->w_counter++;
		if (p->readers++ == 0 || p->writers == 0)
			wake_up_all(&p->open_wait);
		p->writers++;
		break;
	default:
		err = -EINVAL;
	}
	mutex_unlock(&p->lock);
	if (err) {
		pipe_put(p);
		return err;
	}
	f->fop = &pipe_fops;
	f->priv = p;
	f->mode |= FMODE_STREAM;
	return 0;
}

static u32 round_up_pow2(u32 n)
{
	u32 r = 1;

	while (r < n)
		r <<= 1;
	return r;
}

static long pipe_resize(struct pipe *p, u64 bytes)
{
	u32 slots, used;
	struct pipe_buf *bufs;

	if (bytes > 1u << 31)
		return -EINVAL;
	slots = round_up_pow2(DIV_ROUND_UP(bytes, PAGE_SIZE));
	if (slots > p->size && slots * PAGE_SIZE > settings.pipe_max_size && !capable(CAP_SYS_RESOURCE))
		return -EPERM;
	bufs = kzalloc(slots * sizeof(*bufs));
	if (!bufs)
		return -ENOMEM;
	mutex_lock(&p->lock);
	used = p->head - p->tail;
	if (used > slots) {
		mutex_unlock(&p->lock);
		kfree(bufs);
		return -EBUSY;
	}
	for (u32 i = 0; i < used; i++)
		bufs[i] = *pipe_slot(p, p->tail + i);
	kfree(p->bufs);
	p->bufs = bufs;
	p->size = slots;
	p->tail = 0;
	p->head = used;
	mutex_unlock(&p->lock);
	pipe_wake_writers(p);
	return slots * PAGE_SIZE;
}

long pipe_fcntl(struct file *f, u32 cmd, u64 arg)
{
	struct pipe *p = file_pipe(f);

	if (!p)
		return -EBADF;
	return cmd == F_SETPIPE_SZ ? pipe_resize(p, (u32)arg) : (long)(p->size * PAGE_SIZE);
}
