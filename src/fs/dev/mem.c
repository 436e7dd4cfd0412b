/* The memory devices: null(4), full(4), random(4). */
#include <linux/errno.h>
#include <linux/eventpoll.h>

#include "fs/dev/dev.h"
#include "fs/dev/tty.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/shmem.h"
#include "sentry/vfs/vfs.h"

static long null_read(struct file *f, struct iov_iter *to, u64 *pos) { return 0; }

static long discard(struct file *f, struct iov_iter *from, u64 *pos)
{
	size_t n = from->count;

	iov_iter_advance(from, n);
	return (long)n;
}

static long zero_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	size_t want = to->count, n = iov_iter_zero(want, to);

	return n || !want ? (long)n : -EFAULT;
}

static long full_write(struct file *f, struct iov_iter *from, u64 *pos) { return from->count ? -ENOSPC : 0; }

static long random_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	u8 chunk[256];
	long done = 0;

	while (to->count) {
		size_t n = MIN(sizeof(chunk), to->count);

		random_bytes(chunk, n);
		if (copy_to_iter(chunk, n, to) != n)
			return done ? done : -EFAULT;
		done += (long)n;
	}
	return done;
}

static s64 null_llseek(struct file *f, s64 off, int whence) { return (s64)(f->pos = 0); }

/* A private mapping of /dev/zero is anonymous memory; a shared one, shared anonymous memory. */
static int zero_mmap(struct file *f, struct vma *vma)
{
	if (vma->flags & VM_SHARED)
		return shmem_zero_setup(vma);
	return 0;
}

static const struct file_ops null_fops = { .read = null_read, .write = discard, .llseek = null_llseek };
static const struct file_ops zero_fops = { .read = zero_read, .write = discard, .llseek = null_llseek, .mmap = zero_mmap };
static const struct file_ops full_fops = { .read = zero_read, .write = full_write, .llseek = null_llseek };
static const struct file_ops random_fops = { .read = random_read, .write = discard, .llseek = null_llseek };

void mem_devices_register(void)
{
	register_chrdev(1, 3, 1, &null_fops);
	register_chrdev(1, 5, 1, &zero_fops);
	register_chrdev(1, 7, 1, &full_fops);
	register_chrdev(1, 8, 2, &random_fops); /* random and urandom */
}
