/*
 * Who carries on with requests when their submitter does not wait: a helper task for each ring, which tries again what was woken
 * and never waits for files itself; and workers, one for each request that must wait by being carried out. Both take on
 * the submitter's identity for as long as they act for him.
 */
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/timer.h"
#include "sentry/uring/uring.h"

#define IDLE_NS (2 * NSEC_PER_SEC)

/* ---- being somebody else ---- */

struct self {
	struct process *proc;
	struct cred *cred;
	struct nsproxy *ns;
};

static void become(struct self *self, struct req *q)
{
	struct task *me = current, *t = q->task;
	struct mm *mm = task_get_mm(t);

	*self = (struct self){ me->proc, me->cred, me->ns };
	spin_lock(&t->alloc_lock);
	me->fs = fs_state_get(t->fs);
	me->ns = nsproxy_get(t->ns);
	spin_unlock(&t->alloc_lock);
	spin_lock(&me->alloc_lock);
	me->mm = mm;
	me->files = files_get(q->files);
	me->cred = cred_get(q->creds);
	spin_unlock(&me->alloc_lock);
	me->proc = process_get(t->proc);
	me->pid = pid_get(t->pid);
	me->sighand = sighand_get(READ_ONCE(t->sighand)); /* one that execve(2) replaced stays with its task */
}

static void be_oneself(const struct self *self)
{
	struct task *me = current;
	struct mm *mm = me->mm;
	struct files *files = me->files;
	struct fs_state *fs = me->fs;
	struct cred *cred = me->cred;
	struct nsproxy *ns = me->ns;
	struct process *proc = me->proc;
	struct pid *pid = me->pid;
	struct sighand *sighand = me->sighand;

	spin_lock(&me->alloc_lock);
	me->mm = NULL;
	me->files = NULL;
	me->fs = NULL;
	me->cred = self->cred;
	spin_unlock(&me->alloc_lock);
	me->ns = self->ns;
	me->proc = self->proc;
	me->pid = NULL;
	me->sighand = NULL;
	if (mm)
		mm_users_put(mm);
	files_put(files);
	fs_state_put(fs);
	cred_put(cred);
	nsproxy_put(ns);
	process_put(proc);
	pid_put(pid);
	sighand_put(sighand);
}

/* ---- the helper ---- */

static struct req *first_woken(struct ring *r)
{
	struct req *q = NULL;

	spin_lock(&r->todo_lock);
	if (!list_empty(&r->again)) {
		q = list_first(&r->again, struct req, work);
		list_del(&q->work);
	}
	spin_unlock(&r->todo_lock);
	return q;
}

void ring_helper_busy(struct ring *r, struct req *q)
{
	if (r->helper_task != current)
		return;
	spin_lock(&r->req_lock);
	r->helper_req = q;
	spin_unlock(&r->req_lock);
}

/* What makes it wait, such as a fault that a program is to serve, must not outlast the submitter: it can be interrupted. */
static void help(struct ring *r, struct req *q)
{
	r->helper_task = current;
	ring_helper_busy(r, q);
	req_run_woken(q);
	spin_lock(&r->req_lock);
	r->helper_req = NULL;
	atomic_fetch_and(&current->flags, ~(u32)TIF_SIGPENDING);
	spin_unlock(&r->req_lock);
}

static void helper_main(void *arg)
{
	struct ring *r = arg;
	struct self self;
	struct req *q;

	for (;;) {
		wait_event(r->helper_q, !list_empty(&r->again) || (READ_ONCE(r->closing) && list_empty(&r->reqs)));
		q = first_woken(r);
		if (q) {
			become(&self, q);
			help(r, q);
			be_oneself(&self);
		} else if (READ_ONCE(r->closing) && list_empty(&r->reqs)) {
			break;
		}
	}
	ring_put(r);
}

int ring_need_helper(struct ring *r)
{
	bool make;

	if (READ_ONCE(r->helper))
		return 0;
	spin_lock(&r->todo_lock);
	make = !r->helper;
	r->helper = true;
	spin_unlock(&r->todo_lock);
	if (!make)
		return 0;
	ring_get(r);
	if (kthread_create(helper_main, r, "iou-helper"))
		return 0;
	r->helper = false;
	ring_put(r);
	return -ENOMEM;
}

void ring_again(struct req *q)
{
	struct ring *r = q->ring;
	struct enter_wait *w;
	bool told = false;

	spin_lock(&r->todo_lock);
	list_add_tail(&q->work, &r->again);
	list_for_each(w, &r->waiters, node)
		if (req_runs_in(q, w->task)) {
			wake_up_task(w->task);
			told = true;
			break;
		}
	if (!told) /* todo_lock is held so that the ring does not go meanwhile */
		wake_up_all(&r->helper_q);
	spin_unlock(&r->todo_lock);
}

/* ---- workers ---- */

static struct req *take_work(struct ring *r)
{
	struct req *q = NULL;

	spin_lock(&r->todo_lock);
	if (!list_empty(&r->work)) {
		q = list_first(&r->work, struct req, work);
		list_del(&q->work);
		r->nwork--;
	}
	spin_unlock(&r->todo_lock);
	return q;
}

static void work_on(struct ring *r, struct req *q)
{
	struct self self;

	become(&self, q);
	spin_lock(&r->req_lock);
	q->worker = current;
	spin_unlock(&r->req_lock);
	req_try(q, true);
	atomic_fetch_and(&current->flags, ~(u32)TIF_SIGPENDING);
	be_oneself(&self);
}

static void worker_main(void *arg)
{
	struct ring *r = arg;
	struct req *q;
	long late = 0;

	for (;;) {
		while ((q = take_work(r)))
			work_on(r, q);
		if (late || READ_ONCE(r->closing))
			break;
		spin_lock(&r->todo_lock);
		r->nidle++;
		spin_unlock(&r->todo_lock);
		late = wait_event_full(r->worker_q, !list_empty(&r->work) || READ_ONCE(r->closing), TASK_UNINTERRUPTIBLE,
				       clock_mono_ns() + IDLE_NS);
		spin_lock(&r->todo_lock);
		r->nidle--;
		spin_unlock(&r->todo_lock);
	}
	ring_put(r);
}

void ring_queue_work(struct req *q)
{
	struct ring *r = q->ring;
	bool make;

	spin_lock(&r->todo_lock);
	make = r->nidle <= r->nwork;
	if (!make) {
		list_add_tail(&q->work, &r->work);
		r->nwork++;
	}
	spin_unlock(&r->todo_lock);
	if (!make) {
		wake_up_all(&r->worker_q);
		return;
	}
	ring_get(r);
	spin_lock(&r->todo_lock);
	list_add_tail(&q->work, &r->work);
	r->nwork++;
	spin_unlock(&r->todo_lock);
	if (kthread_create(worker_main, r, "iou-wrk"))
		return;
	/* No memory for another task: those at work will come to it, or nobody will. */
	q = take_work(r);
	ring_put(r);
	if (q)
		req_end(q, -ENOMEM);
}

void ring_stop_workers(struct ring *r)
{
	spin_lock(&r->todo_lock);
	r->closing = true;
	wake_up_all(&r->helper_q);
	wake_up_all(&r->worker_q);
	spin_unlock(&r->todo_lock);
}
