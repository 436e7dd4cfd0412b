/* pipe(2), pipe(7): the ring, reading and writing, files, system calls. FIFO opening and splicing: fifo.c, pipe_splice.c. */
#include "sentry/vfs/pipe.h"

#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/pipe_internal.h"
#include "sentry/vfs/transfer.h"


struct pipe *pipe_alloc(void)
{
	struct pipe *p = kzalloc(sizeof(*p));

	if (!p)
		return NULL;
	p->bufs = kzalloc(PIPE_DEF_SLOTS * sizeof(*p->bufs));
	if (!p->bufs) {
		kfree(p);
		return NULL;
	}
	p->size = PIPE_DEF_SLOTS;
	mutex_init(&p->lock);
	waitq_init(&p->rd_wait);
	waitq_init(&p->wr_wait);
	waitq_init(&p->open_wait);
	return p;
}

void pipe_free(struct pipe *p)
{
	while (!pipe_empty(p))
		page_put(pipe_slot(p, p->tail++)->page);
	for (u32 i = 0; i < ARRAY_SIZE(p->spare); i++)
		if (p->spare[i])
			page_put(p->spare[i]);
	kfree(p->bufs);
	kfree(p);
}

struct pipe *file_pipe(struct file *f)
{
	return f->fop == &pipe_fops ? f->priv : NULL;
}

void pipe_wake_readers(struct pipe *p)
{
	if (waitq_active(&p->rd_wait))
		wake_up_key(&p->rd_wait, EPOLLIN | EPOLLRDNORM, 1);
}

void pipe_wake_writers(struct pipe *p)
{
	if (waitq_active(&p->wr_wait))
		wake_up_key(&p->wr_wait, EPOLLOUT | EPOLLWRNORM, 1);
}

static struct page *pipe_get_page(struct pipe *p)
{
	for (u32 i = 0; i < ARRAY_SIZE(p->spare); i++) {
		struct page *page = p->spare[i];

		if (page) {
			p->spare[i] = NULL;
			return page;
		}
	}
	return frame_alloc(0, 0);
}

static void pipe_put_page(struct pipe *p, struct pipe_buf *b)
{
	if ((b->flags & PIPE_BUF_CAN_MERGE) && refcount_read(&b->page->ref) == 1) {
		for (u32 i = 0; i < ARRAY_SIZE(p->spare); i++)
			if (!p->spare[i]) {
				p->spare[i] = b->page;
				return;
			}
	}
	page_put(b->page);
}

void pipe_pop(struct pipe *p)
{
	pipe_put_page(p, pipe_slot(p, p->tail));
	p->tail++;
}

/* Take what is there. Bytes, or -EFAULT when not one could be copied. Lock held. */
static long pipe_drain(struct pipe *p, struct iov_iter *to)
{
	long done = 0;

	while (to->count && !pipe_empty(p)) {
		struct pipe_buf *b = pipe_slot(p, p->tail);
		u32 n = MIN(b->len, to->count);
		bool packet = b->flags & PIPE_BUF_PACKET;
		size_t got = copy_to_iter((char *)page_to_va(b->page) + b->off, n, to);

		if (got < n) {
			/* As if nothing of this fragment had been read, but for what earlier ones gave. */
			return done ? done : -EFAULT;
		}
		done += n;
		b->off += n;
		b->len -= n;
		if (packet)
			b->len = 0; /* the rest of a packet is thrown away: pipe(2), O_DIRECT */
		if (!b->len)
			pipe_pop(p);
		if (packet)
			break;
	}
	return done;
}

long pipe_read_to(struct pipe *p, struct iov_iter *to, bool nonblock)
{
	bool was_full, freed;
	u32 tail;
	long ret;

	if (!to->count)
		return 0;
	mutex_lock(&p->lock);
	for (;;) {
		was_full = pipe_full(p);
		tail = p->tail;
		if (!pipe_empty(p)) {
			ret = pipe_drain(p, to);
			break;
		}
		ret = 0;
		if (!p->writers)
			break;
		ret = -EAGAIN;
		if (nonblock)
			break;
		mutex_unlock(&p->lock);
		ret = wait_event_interruptible(p->rd_wait, !READ_ONCE_PIPE_EMPTY(p) || !READ_ONCE(p->writers));
		if (ret)
			return ret;
		mutex_lock(&p->lock);
	}
	freed = p->tail != tail;
	was_full = (was_full || p->poll_usage) && freed;
	mutex_unlock(&p->lock);
	if (was_full)
		pipe_wake_writers(p);
	return ret;
}

/* Append to the last fragment when all of n fits there: small writes share a page. */
static long pipe_merge(struct pipe *p, struct iov_iter *from, u32 n, bool packet)
{
	struct pipe_buf *b;
	size_t got;

	if (pipe_empty(p) || packet)
		return 0;
	b = pipe_slot(p, p->head - 1);
	if (!(b->flags & PIPE_BUF_CAN_MERGE) || (b->flags & PIPE_BUF_PACKET) || b->off + b->len + n > PAGE_SIZE)
		return 0;
	got = copy_from_iter((char *)page_to_va(b->page) + b->off + b->len, n, from);
	if (got < n)
		return -EFAULT;
	b->len += n;
	return n;
}

/* Put up to a page into a new slot. Lock held, not full. */
static long pipe_push(struct pipe *p, struct iov_iter *from, bool packet)
{
	u32 n = MIN(from->count, PAGE_SIZE);
	struct page *page = pipe_get_page(p);
	struct pipe_buf b;
	size_t got;

	if (!page)
		return -ENOMEM;
	got = copy_from_iter(page_to_va(page), n, from);
	b = (struct pipe_buf){ page, 0, got, PIPE_BUF_CAN_MERGE | (packet ? PIPE_BUF_PACKET : 0) };
	if (got < n) {
		pipe_put_page(p, &b);
		return -EFAULT;
	}
	*pipe_slot(p, p->head) = b;
	p->head++;
	return n;
}

/* Fill what is free. Bytes, or -errno when none was taken. Lock held. */
static long pipe_fill(struct pipe *p, struct iov_iter *from, bool packet)
{
	long done = 0, n;

	while (from->count && !pipe_full(p)) {
		n = pipe_push(p, from, packet);
		if (n < 0)
			return done ? done : n;
		done += n;
	}
	return done;
}

long pipe_write_from(struct pipe *p, struct iov_iter *from, bool nonblock, bool packet)
{
	bool was_empty, poll_usage, first = true;
	long done = 0, n;

	if (!from->count)
		return 0;
	mutex_lock(&p->lock);
	for (;;) {
		if (!p->readers) {
			mutex_unlock(&p->lock);
			send_signal_task(current, SIGPIPE, SEND_SIG_NOINFO);
			return done ? done : -EPIPE;
		}
		was_empty = pipe_empty(p);
		n = 0;
		if (first && (from->count & (PAGE_SIZE - 1)))
			n = pipe_merge(p, from, from->count & (PAGE_SIZE - 1), packet);
		first = false;
		if (n >= 0) {
			done += n;
			n = pipe_fill(p, from, packet);
		}
		if (n > 0)
			done += n;
		if (n < 0 || !from->count)
			break;
		n = -EAGAIN;
		if (nonblock)
			break;
		mutex_unlock(&p->lock);
		if (was_empty || p->poll_usage)
			pipe_wake_readers(p);
		n = wait_event_interruptible(p->wr_wait, !READ_ONCE_PIPE_FULL(p) || !READ_ONCE(p->readers));
		if (n)
			return done ? done : n;
		mutex_lock(&p->lock);
	}
	poll_usage = p->poll_usage;
	mutex_unlock(&p->lock);
	if ((was_empty || poll_usage) && done)
		pipe_wake_readers(p);
	return done ? done : n;
}

static long pipe_fop_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	return pipe_read_to(f->priv, to, file_nonblock(f));
}

static long pipe_fop_write(struct file *f, struct iov_iter *from, u64 *pos)
{
	return pipe_write_from(f->priv, from, file_nonblock(f), f->flags & O_DIRECT);
}

static u32 pipe_poll(struct file *f, struct poll_table *pt)
{
	struct pipe *p = f->priv;
	u32 mask = 0;

	if (pt && pt->queue)
		WRITE_ONCE(p->poll_usage, true);
	if (f->mode & FMODE_READ)
		poll_wait(f, &p->rd_wait, pt);
	if (f->mode & FMODE_WRITE)
		poll_wait(f, &p->wr_wait, pt);
	if (f->mode & FMODE_READ) {
		if (!READ_ONCE_PIPE_EMPTY(p))
			mask |= EPOLLIN | EPOLLRDNORM;
		/* A FIFO opened before any writer came has not hung up yet: f->pos remembers the count at open. */
		if (!READ_ONCE(p->writers) && f->pos != READ_ONCE(p->w_counter))
			mask |= EPOLLHUP;
	}
	if (f->mode & FMODE_WRITE) {
		if (!READ_ONCE_PIPE_FULL(p))
			mask |= EPOLLOUT | EPOLLWRNORM;
		if (!READ_ONCE(p->readers))
			mask |= EPOLLERR;
	}
	return mask;
}

static long pipe_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct pipe *p = f->priv;
	s32 n = 0;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&p->lock);
	for (u32 i = p->tail; i != p->head; i++)
		n += pipe_slot(p, i)->len;
	mutex_unlock(&p->lock);
	return put_user(n, arg);
}

static void pipe_release(struct file *f)
{
	struct pipe *p = f->priv;
	bool left;

	mutex_lock(&p->lock);
	if (f->mode & FMODE_READ)
		p->readers--;
	if (f->mode & FMODE_WRITE)
		p->writers--;
	left = !p->readers != !p->writers;
	mutex_unlock(&p->lock);
	if (left) {
		wake_up_key(&p->rd_wait, EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP, 0);
		wake_up_key(&p->wr_wait, EPOLLOUT | EPOLLWRNORM | EPOLLERR | EPOLLHUP, 0);
	}
	pipe_put(p);
}

const struct file_ops pipe_fops = {
	.open = fifo_open,
	.release = pipe_release,
	.read = pipe_fop_read,
	.write = pipe_fop_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
};

int pipe_create_files(struct file **rd, struct file **wr, u32 flags)
{
	struct inode *inode = anon_inode_new(S_IFIFO | 0600);
	struct pipe *p = NULL;
	int err = -ENFILE;

	if (!inode)
		return -ENFILE;
	p = pipe_alloc();
	if (!p) {
		inode_put(inode);
		return -ENFILE;
	}
	p->anonymous = true;
	p->inode = inode;
	p->readers = p->writers = p->r_counter = p->w_counter = 1;
	p->files = 2;
	inode->pipe = p;
	inode->fop = &pipe_fops;
	*rd = file_on_inode(inode_get(inode), "pipe", &pipe_fops, p, O_RDONLY | (flags & O_NONBLOCK));
	if (IS_ERR(*rd)) {
		err = PTR_ERR(*rd);
		inode_put(inode);
		goto out_inode;
	}
	*wr = file_on_inode(inode_get(inode), "pipe", &pipe_fops, p, O_WRONLY | (flags & (O_NONBLOCK | O_DIRECT)));
	if (IS_ERR(*wr)) {
		err = PTR_ERR(*wr);
		p->files = 1;
		inode_put(inode);
		file_put(*rd); /* frees the pipe */
		inode_put(inode);
		return err;
	}
	inode_put(inode);
	return 0;
out_inode:
	inode->pipe = NULL;
	pipe_free(p);
	inode_put(inode);
	return err;
}

static long do_pipe2(u64 ufds, u32 flags)
{
	struct file *f[2];
	s32 fd[2];
	long err;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	err = pipe_create_files(&f[0], &f[1], flags);
	if (err)
		return err;
	fd[0] = fd_reserve(flags & O_CLOEXEC, 0);
	if (fd[0] < 0) {
		err = fd[0];
		goto out_files;
	}
	fd[1] = fd_reserve(flags & O_CLOEXEC, 0);
	if (fd[1] < 0) {
		err = fd[1];
		goto out_fd0;
	}
	err = copy_to_user(ufds, fd, sizeof(fd));
	if (err)
		goto out_fd1;
	fd_install(fd[0], f[0]);
	fd_install(fd[1], f[1]);
	return 0;
out_fd1:
	fd_unreserve(fd[1]);
out_fd0:
	fd_unreserve(fd[0]);
out_files:
	file_put(f[0]);
	file_put(f[1]);
	return err;
}

SYSCALL1(pipe, u64, fds)
{
	return do_pipe2(fds, 0);
}

SYSCALL2(pipe2, u64, fds, s32, flags)
{
	return do_pipe2(fds, flags);
}
