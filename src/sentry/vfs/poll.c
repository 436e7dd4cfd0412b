/* poll(2) and ppoll(2), and the wait-queue sets that select(2) uses too. */
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/poll.h>
#include <linux/resource.h>
#include <linux/time_types.h>

#include "base/string.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/poll_wqueues.h"
#include "sentry/vfs/select.h"

struct poll_chunk {
	struct poll_chunk *next;
	u32 n;
	struct poll_entry entries[];
};
#define CHUNK_ENTRIES ((PAGE_SIZE - sizeof(struct poll_chunk)) / sizeof(struct poll_entry))

static bool poll_wake(struct waiter *w, u32 key)
{
	struct poll_entry *e = container_of(w, struct poll_entry, w);

	if (!(key & e->key))
		return false;
	atomic_store(&e->pwq->triggered, 1);
	wake_up_task(e->pwq->task);
	return true;
}

static struct poll_entry *poll_new_entry(struct poll_wqueues *pwq)
{
	struct poll_chunk *c = pwq->chunks;

	if (pwq->n_inline < POLL_INLINE_ENTRIES)
		return &pwq->entries[pwq->n_inline++];
	if (!c || c->n == CHUNK_ENTRIES) {
		c = kmalloc(PAGE_SIZE);
		if (!c)
			return NULL;
		c->next = pwq->chunks;
		c->n = 0;
		pwq->chunks = c;
	}
	return &c->entries[c->n++];
}

static void poll_queue(struct poll_table *pt, struct file *file, struct waitq *q)
{
	struct poll_wqueues *pwq = container_of(pt, struct poll_wqueues, pt);
	struct poll_entry *e = poll_new_entry(pwq);

	if (!e) {
		pwq->error = -ENOMEM;
		return;
	}
	memset(&e->w, 0, sizeof(e->w));
	list_init(&e->w.node);
	e->w.fn = poll_wake;
	e->w.task = pwq->task;
	e->q = q;
	e->file = file_get(file);
	e->pwq = pwq;
	e->key = pt->events | EPOLLERR | EPOLLHUP;
	waitq_add(q, &e->w);
}

void poll_init(struct poll_wqueues *pwq)
{
	pwq->pt.queue = poll_queue;
	pwq->pt.events = ~0u;
	pwq->task = current;
	atomic_init(&pwq->triggered, 0);
	pwq->error = 0;
	pwq->n_inline = 0;
	pwq->chunks = NULL;
}

static void poll_free_entry(struct poll_entry *e)
{
	waitq_remove(e->q, &e->w);
	file_put(e->file);
}

void poll_free(struct poll_wqueues *pwq)
{
	struct poll_chunk *c;

	for (u32 i = 0; i < pwq->n_inline; i++)
		poll_free_entry(&pwq->entries[i]);
	while ((c = pwq->chunks)) {
		for (u32 i = 0; i < c->n; i++)
			poll_free_entry(&c->entries[i]);
		pwq->chunks = c->next;
		kfree(c);
	}
}

bool poll_sleep(struct poll_wqueues *pwq, u64 deadline)
{
	bool late = false;

	set_current_state(TASK_INTERRUPTIBLE);
	if (!atomic_load(&pwq->triggered) && !signal_pending())
		late = schedule_until(deadline);
	set_current_state(TASK_RUNNING);
	/* Cleared before the files are asked again, so that no later event is lost. */
	atomic_store(&pwq->triggered, 0);
	return late;
}

u64 poll_deadline(u64 sec, u64 nsec)
{
	u64 now = clock_mono_ns(), rel;

	if (sec >= (~0ull / NSEC_PER_SEC) - 1)
		return ~0ull;
	rel = sec * NSEC_PER_SEC + nsec;
	return now + rel < now ? ~0ull : now + rel;
}

/* One pass over one entry: the ready events. */
static u32 do_pollfd(struct pollfd *pfd, struct poll_table *pt)
{
	u32 mask, filter;
	struct file *f;

	if (pfd->fd < 0)
		return 0;
	f = fget(pfd->fd);
	if (!f)
		return POLLNVAL;
	filter = (u16)pfd->events | EPOLLERR | EPOLLHUP;
	pt->events = filter;
	mask = vfs_poll(f, pt) & filter;
	file_put(f);
	return mask;
}

static int do_poll(struct pollfd *fds, u32 nfds, struct poll_wqueues *pwq, u64 deadline, bool nowait)
{
	bool timed_out = nowait;
	int count = 0;

	if (nowait)
		pwq->pt.queue = NULL;
	for (;;) {
		for (u32 i = 0; i < nfds; i++) {
			u32 mask = do_pollfd(&fds[i], &pwq->pt);

			fds[i].revents = mask;
			if (mask) {
				count++;
				pwq->pt.queue = NULL; /* no need to wait any more */
			}
		}
		pwq->pt.queue = NULL; /* the entries stay from the first pass on */
		if (!count) {
			count = pwq->error;
			if (signal_pending())
				count = -ERESTARTNOHAND;
		}
		if (count || timed_out)
			return count;
		timed_out = poll_sleep(pwq, deadline);
	}
}

static int copy_revents(u64 ufds, const struct pollfd *fds, u32 nfds)
{
	for (u32 i = 0; i < nfds; i++)
		if (put_user(fds[i].revents, ufds + i * sizeof(*fds) + offsetof(struct pollfd, revents)))
			return -EFAULT;
	return 0;
}

#define POLL_STACK_FDS 16

static long do_sys_poll_common(u64 ufds, u32 nfds, u64 deadline, bool nowait)
{
	struct pollfd stack_fds[POLL_STACK_FDS], *fds = stack_fds;
	size_t bytes = nfds * sizeof(*fds);
	struct poll_wqueues pwq;
	long ret = -EFAULT;

	if (nfds > rlimit(RLIMIT_NOFILE))
		return -EINVAL;
	if (nfds > POLL_STACK_FDS) {
		fds = kmalloc(bytes);
		if (!fds)
			return -ENOMEM;
	}
	if (!copy_from_user(fds, ufds, bytes)) {
		poll_init(&pwq);
		ret = do_poll(fds, nfds, &pwq, deadline, nowait);
		poll_free(&pwq);
		if (copy_revents(ufds, fds, nfds))
			ret = -EFAULT;
	}
	if (fds != stack_fds)
		kfree(fds);
	return ret;
}

/* restart_syscall(2) after a stop: the same call up to the same deadline. */
static long poll_restart(struct restart_block *rb)
{
	long ret = do_sys_poll_common(rb->a[0], rb->a[1], rb->a[2], false);

	return ret == -ERESTARTNOHAND ? -ERESTART_RESTARTBLOCK : ret;
}

SYSCALL3(poll, u64, ufds, u32, nfds, s32, timeout_ms)
{
	u64 deadline = ~0ull;
	long ret;

	if (timeout_ms > 0)
		deadline = poll_deadline(timeout_ms / 1000, timeout_ms % 1000 * NSEC_PER_MSEC);
	ret = do_sys_poll_common(ufds, nfds, deadline, timeout_ms == 0);
	if (ret == -ERESTARTNOHAND) {
		current->restart = (struct restart_block){ poll_restart, { ufds, nfds, deadline } };
		ret = -ERESTART_RESTARTBLOCK;
	}
	return ret;
}

int poll_get_timeout(u64 uts, enum poll_time_kind kind, u64 *deadline, bool *nowait)
{
	s64 tv[2];

	*deadline = ~0ull;
	*nowait = false;
	if (!uts)
		return 0;
	if (copy_from_user(tv, uts, sizeof(tv)))
		return -EFAULT;
	if (kind == POLL_TIMEVAL) {
		if (tv[0] < 0 || tv[1] < 0)
			return -EINVAL;
		/* select(2): microseconds beyond a second are carried over */
		if (tv[1] / 1000000 > (s64)(~0ull >> 1) - tv[0])
			return 0;
		tv[0] += tv[1] / 1000000;
		tv[1] = tv[1] % 1000000 * 1000;
	}
	if (tv[0] < 0 || tv[1] < 0 || tv[1] >= (s64)NSEC_PER_SEC)
		return -EINVAL;
	*nowait = !tv[0] && !tv[1];
	*deadline = *nowait ? 0 : poll_deadline(tv[0], tv[1]);
	return 0;
}

long poll_finish(long ret, u64 uts, enum poll_time_kind kind, u64 deadline)
{
	u64 now, left;
	s64 tv[2];

	restore_saved_sigmask_unless(ret == -ERESTARTNOHAND);
	if (!uts || deadline == ~0ull)
		return ret;
	now = clock_mono_ns();
	left = deadline > now ? deadline - now : 0;
	tv[0] = left / NSEC_PER_SEC;
	tv[1] = left % NSEC_PER_SEC;
	if (kind == POLL_TIMEVAL)
		tv[1] /= 1000;
	/* The time left is a courtesy; when it cannot be told, a restart would wait too long. */
	if (copy_to_user(uts, tv, sizeof(tv)) && ret == -ERESTARTNOHAND)
		ret = -EINTR;
	return ret;
}

int poll_set_sigmask(u64 umask, u64 size)
{
	sigset64 mask;

	if (!umask)
		return 0;
	if (size != sizeof(mask))
		return -EINVAL;
	if (copy_from_user(&mask, umask, sizeof(mask)))
		return -EFAULT;
	set_user_sigmask(mask);
	return 0;
}

SYSCALL5(ppoll, u64, ufds, u32, nfds, u64, uts, u64, sigmask, u64, sigsetsize)
{
	u64 deadline;
	bool nowait;
	long ret = poll_get_timeout(uts, POLL_TIMESPEC, &deadline, &nowait);

	if (!ret)
		ret = poll_set_sigmask(sigmask, sigsetsize);
	if (ret)
		return ret;
	ret = do_sys_poll_common(ufds, nfds, deadline, nowait);
	return poll_finish(ret, uts, POLL_TIMESPEC, deadline);
}
