/* select(2) and pselect6(2). */
#include "sentry/vfs/select.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/poll_wqueues.h"

#define SEL_IN (EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR)
#define SEL_OUT (EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR)
#define SEL_EX EPOLLPRI

struct fdsets {
	u32 nwords;
	u64 *in[3];  /* read, write, except as asked */
	u64 *res[3]; /* and as found */
};
static const u32 sel_mask[3] = { SEL_IN, SEL_OUT, SEL_EX };
static const u32 sel_key[3] = { SEL_IN, SEL_OUT, SEL_EX };

/* The bit of one descriptor in the three sets: ready sets by bit, or -EBADF. */
static int select_one(struct fdsets *s, u32 fd, struct poll_table *pt)
{
	u64 bit = 1ull << (fd % 64);
	u32 w = fd / 64, mask, want = 0, count = 0;
	struct file *f;

	for (u32 i = 0; i < 3; i++)
		if (s->in[i][w] & bit)
			want |= sel_key[i];
	if (!want)
		return 0;
	f = fget(fd);
	if (!f)
		return -EBADF;
	pt->events = want;
	mask = vfs_poll(f, pt);
	file_put(f);
	for (u32 i = 0; i < 3; i++)
		if ((s->in[i][w] & bit) && (mask & sel_mask[i])) {
			s->res[i][w] |= bit;
			count++;
		}
	return count;
}

static int select_pass(struct fdsets *s, u32 n, struct poll_wqueues *pwq)
{
	int count = 0, got;

	for (u32 w = 0; w < s->nwords; w++) {
		u64 any = s->in[0][w] | s->in[1][w] | s->in[2][w];

		while (any) {
			u32 fd = w * 64 + __builtin_ctzll(any);

			any &= any - 1;
			if (fd >= n)
				break;
			got = select_one(s, fd, &pwq->pt);
			if (got < 0)
				return got;
			count += got;
			if (got)
				pwq->pt.queue = NULL;
		}
	}
	return count;
}

static int do_select(struct fdsets *s, u32 n, u64 deadline, bool nowait)
{
	struct poll_wqueues pwq;
	bool timed_out = nowait;
	int ret;

	poll_init(&pwq);
	if (nowait)
		pwq.pt.queue = NULL;
	for (;;) {
		ret = select_pass(s, n, &pwq);
		pwq.pt.queue = NULL;
		if (ret || timed_out)
			break;
		ret = pwq.error;
		if (!ret && signal_pending())
			ret = -ERESTARTNOHAND;
		if (ret)
			break;
		timed_out = poll_sleep(&pwq, deadline);
	}
	poll_free(&pwq);
	return ret;
}

#define SELECT_STACK_WORDS 16 /* 1024 descriptors: what glibc's fd_set holds */

static long core_select(s32 n, const u64 usets[3], u64 deadline, bool nowait)
{
	u64 stack[6 * SELECT_STACK_WORDS], *words = stack;
	struct fdsets s;
	size_t bytes;
	long ret;

	if (n < 0)
		return -EINVAL;
	n = MIN(n, (s32)files_size(current->files)); /* no file lies beyond, and Linux does not look there */
	s.nwords = DIV_ROUND_UP((u32)n, 64);
	bytes = s.nwords * 8;
	if (s.nwords > SELECT_STACK_WORDS) {
		words = kmalloc(6 * bytes);
		if (!words)
			return -ENOMEM;
	}
	for (u32 i = 0; i < 3; i++) {
		s.in[i] = words + i * s.nwords;
		s.res[i] = words + (3 + i) * s.nwords;
		memset(s.in[i], 0, bytes);
		memset(s.res[i], 0, bytes);
		ret = -EFAULT;
		if (usets[i] && copy_from_user(s.in[i], usets[i], bytes))
			goto out;
	}
	ret = do_select(&s, n, deadline, nowait);
	if (ret < 0)
		goto out;
	for (u32 i = 0; i < 3; i++)
		if (usets[i] && copy_to_user(usets[i], s.res[i], bytes))
			ret = -EFAULT;
out:
	if (words != stack)
		kfree(words);
	return ret;
}

SYSCALL5(select, s32, n, u64, rd, u64, wr, u64, ex, u64, utv)
{
	const u64 sets[3] = { rd, wr, ex };
	u64 deadline;
	bool nowait;
	long ret = poll_get_timeout(utv, POLL_TIMEVAL, &deadline, &nowait);

	if (ret)
		return ret;
	ret = core_select(n, sets, deadline, nowait);
	return poll_finish(ret, utv, POLL_TIMEVAL, deadline);
}

SYSCALL6(pselect6, s32, n, u64, rd, u64, wr, u64, ex, u64, uts, u64, usig)
{
	struct {
		u64 mask, size;
	} sig = { 0, 0 };
	const u64 sets[3] = { rd, wr, ex };
	u64 deadline;
	bool nowait;
	long ret;

	if (usig && copy_from_user(&sig, usig, sizeof(sig)))
		return -EFAULT;
	ret = poll_get_timeout(uts, POLL_TIMESPEC, &deadline, &nowait);
	if (!ret)
		ret = poll_set_sigmask(sig.mask, sig.size);
	if (ret)
		return ret;
	ret = core_select(n, sets, deadline, nowait);
	return poll_finish(ret, uts, POLL_TIMESPEC, deadline);
}
