/*
 * Signal-driven I/O: O_ASYNC, F_SETOWN, F_SETSIG (fcntl(2)).
 *
 * A file with O_ASYNC listens on its own wait queues, as epoll would. A wake-up comes under a queue's lock, where no signal
 * may be sent (sighand->lock is taken before it): it only starts a timer that is due at once, which sends.
 */
#include "sentry/vfs/fasync.h"

#include <asm/siginfo.h>
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"

struct fasync_hook {
	struct waiter w;
	struct waitq *q;
	struct fasync *owner;
	struct fasync_hook *next;
};
struct fasync {
	struct file *file; /* not a reference: gone before the file */
	s32 fd;		   /* as it was when O_ASYNC was set: si_fd */
	_Atomic u32 events;
	struct ktimer timer;
	struct fasync_hook *hooks;
	bool failed;
};
struct fasync_table {
	struct poll_table pt;
	struct fasync *fa;
};

static bool fasync_wake(struct waiter *w, u32 key)
{
	struct fasync *fa = container_of(w, struct fasync_hook, w)->owner;

	atomic_fetch_or(&fa->events, key);
	ktimer_start(&fa->timer, 0);
	return false;
}

static void fasync_queue(struct poll_table *pt, struct file *file, struct waitq *q)
{
	struct fasync *fa = container_of(pt, struct fasync_table, pt)->fa;
	struct fasync_hook *h = kzalloc(sizeof(*h));

	if (!h) {
		fa->failed = true;
		return;
	}
	list_init(&h->w.node);
	h->w.fn = fasync_wake;
	h->q = q;
	h->owner = fa;
	h->next = fa->hooks;
	fa->hooks = h;
	waitq_add(q, &h->w);
}

/* ---- sending ---- */

/* fcntl(2): who set the owner must be allowed to signal it. */
static bool may_signal(const struct file *f, struct process *p)
{
	struct task *t = p->leader;
	bool ok;

	spin_lock(&t->alloc_lock);
	ok = f->owner_euid == 0 || f->owner_euid == t->cred->suid || f->owner_euid == t->cred->uid ||
	     f->owner_uid == t->cred->suid || f->owner_uid == t->cred->uid;
	spin_unlock(&t->alloc_lock);
	return ok;
}

static void signal_process(const struct file *f, struct process *p, int sig, siginfo_t_k *info)
{
	if (may_signal(f, p) && send_signal_process(p, sig, info) == -EAGAIN && sig != SIGIO)
		send_signal_process(p, SIGIO, SEND_SIG_PRIV); /* the queue is full: at least say that something was */
}

static void signal_owner(const struct file *f, struct pid *owner, int sig, siginfo_t_k *info)
{
	struct process *p;
	struct task *t;

	switch (f->owner_type) {
	case F_OWNER_TID:
		t = pid_task_get(owner);
		if (t && may_signal(f, t->proc))
			send_signal_task(t, sig, info);
		if (t)
			task_put(t);
		break;
	case F_OWNER_PID:
		p = pid_process_get(owner);
		if (p) {
			signal_process(f, p, sig, info);
			process_put(p);
		}
		break;
	case F_OWNER_PGRP:
		send_signal_pgrp(owner, sig, info);
		break;
	}
}

/* si_code and si_band for what happened: sigaction(2), POLL_*. */
static s32 poll_code(u32 events, s64 *band)
{
	static const struct {
		u32 event;
		s32 code, band;
	} kinds[] = {
		{ EPOLLHUP, POLL_HUP, EPOLLHUP | EPOLLERR },
		{ EPOLLERR, POLL_ERR, EPOLLERR },
		{ EPOLLPRI, POLL_PRI, EPOLLPRI | EPOLLRDBAND },
		{ EPOLLIN, POLL_IN, EPOLLIN | EPOLLRDNORM },
		{ EPOLLOUT, POLL_OUT, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND },
	};

	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
		if (events & kinds[i].event && events != ~0u) {
			*band = kinds[i].band;
			return kinds[i].code;
		}
	*band = EPOLLIN | EPOLLRDNORM;
	return POLL_IN;
}

static void send_owner(struct file *f, int plain, siginfo_t_k *info)
{
	struct pid *owner = NULL;
	int sig;

	spin_lock(&f->lock);
	if (f->owner)
		owner = pid_get(f->owner);
	sig = f->owner_sig;
	spin_unlock(&f->lock);
	if (!owner)
		return;
	info->si_signo = sig;
	signal_owner(f, owner, sig ? sig : plain, sig ? info : SEND_SIG_PRIV);
	pid_put(owner);
}

void file_signal_owner(struct file *f, s32 fd, s32 code, s64 band)
{
	siginfo_t_k info = { .si_code = code };

	info.poll.band = band;
	info.poll.fd = fd;
	send_owner(f, SIGIO, &info);
}

static void fasync_send(struct ktimer *timer)
{
	struct fasync *fa = container_of(timer, struct fasync, timer);
	u32 events = atomic_exchange(&fa->events, 0);
	siginfo_t_k info = { 0 };

	if (!events)
		return;
	info.si_code = poll_code(events, &info.poll.band);
	info.poll.fd = fa->fd;
	send_owner(fa->file, events & EPOLLPRI && events != ~0u ? SIGURG : SIGIO, &info);
}

/* ---- on and off ---- */

static void fasync_free(struct fasync *fa)
{
	struct fasync_hook *h;

	while ((h = fa->hooks)) {
		fa->hooks = h->next;
		waitq_remove(h->q, &h->w);
		kfree(h);
	}
	ktimer_cancel_sync(&fa->timer);
	kfree(fa);
}

static struct fasync *fasync_new(struct file *f, s32 fd)
{
	struct fasync *fa = kzalloc(sizeof(*fa));
	struct fasync_table table = { .pt = { fasync_queue, ~0u }, .fa = fa };

	if (!fa)
		return NULL;
	fa->file = f;
	fa->fd = fd;
	ktimer_init(&fa->timer, fasync_send);
	f->fop->poll(f, &table.pt);
	if (!fa->failed)
		return fa;
	fasync_free(fa);
	return NULL;
}

int fasync_set(struct file *f, s32 fd, bool on)
{
	struct fasync *fresh = NULL, *old;

	if (!f->fop->poll || (!on && !f->async))
		return 0;
	if (on) {
		fresh = fasync_new(f, fd);
		if (!fresh)
			return -ENOMEM;
	}
	spin_lock(&f->lock);
	old = f->async;
	f->async = fresh;
	spin_unlock(&f->lock);
	if (old)
		fasync_free(old);
	return 0;
}

void fasync_release(struct file *f)
{
	if (f->async)
		fasync_free(f->async);
	f->async = NULL;
}
