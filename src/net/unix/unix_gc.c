/*
 * Descriptors under way (unix(7), SCM_RIGHTS) and garbage among them: a socket that lies in its own queue, or sockets that
 * lie in each other's, can never be received or closed by anyone. Mark and sweep over the sockets in flight:
 *   candidates: those all of whose file references are in flight;
 *   subtract from each the references that lie in candidates' queues: who is left with some is reachable from outside,
 *   and so is everything in its queue; the queues of the rest are emptied.
 * Taking a message off a queue needs no lock against this: unix_notinflight() comes before its descriptors are installed.
 */
#include <linux/capability.h>
#include <linux/resource.h>

#include "net/unix/unix.h"
#include "sentry/kernel/task.h"

enum { GC_NONE, GC_CANDIDATE, GC_REACHABLE };
static spinlock_t unix_gc_lock = SPINLOCK_INIT;
static LIST_HEAD(gc_inflight); /* unix_sock.gc_node */
static u32 total_inflight;

static struct unix_sock *file_unix(struct file *f)
{
	struct sock *sk = f->fop == &socket_fops ? f->priv : NULL;

	return sk && sk->family == AF_UNIX ? to_unix(sk) : NULL;
}

int unix_inflight(struct scm_fp *fp)
{
	struct unix_sock *u;

	if (total_inflight > rlimit(RLIMIT_NOFILE) && !capable(CAP_SYS_RESOURCE) && !capable(CAP_SYS_ADMIN))
		return -ETOOMANYREFS;
	spin_lock(&unix_gc_lock);
	for (u32 i = 0; i < fp->count; i++) {
		total_inflight++;
		u = file_unix(fp->files[i]);
		if (!u)
			continue;
		fp->nunix++;
		if (u->inflight++ == 0)
			list_add_tail(&u->gc_node, &gc_inflight);
	}
	fp->inflight = true;
	spin_unlock(&unix_gc_lock);
	return 0;
}

void unix_notinflight(struct scm_fp *fp)
{
	struct unix_sock *u;

	if (!fp->inflight)
		return;
	spin_lock(&unix_gc_lock);
	for (u32 i = 0; i < fp->count; i++) {
		total_inflight--;
		u = file_unix(fp->files[i]);
		if (u && --u->inflight == 0)
			list_del(&u->gc_node);
	}
	fp->inflight = false;
	spin_unlock(&unix_gc_lock);
}

/* fn on every bundle of files in the sock's own queue. Its lock held. */
static void each_fp_locked(struct unix_sock *u, void (*fn)(struct scm_fp **fp, void *arg), void *arg)
{
	struct unix_mark *mk;
	struct pkt *p;

	list_for_each(mk, &u->marks, node)
		if (mk->fp)
			fn(&mk->fp, arg);
	list_for_each(p, &u->st.sk.rxq, node)
		if (p->fp)
			fn(&p->fp, arg);
}

/* And in those of the connections that wait to be accepted. */
static void each_fp(struct unix_sock *u, void (*fn)(struct scm_fp **fp, void *arg), void *arg)
{
	struct sock *child;

	spin_lock(&u->st.sk.lock);
	each_fp_locked(u, fn, arg);
	list_for_each(child, &u->st.sk.acceptq, accept_node) {
		spin_lock(&child->lock);
		each_fp_locked(to_unix(child), fn, arg);
		spin_unlock(&child->lock);
	}
	spin_unlock(&u->st.sk.lock);
}

static void gc_subtract(struct scm_fp **fpp, void *arg)
{
	struct unix_sock *u;

	for (u32 i = 0; i < (*fpp)->count; i++) {
		u = file_unix((*fpp)->files[i]);
		if (u && u->gc_state == GC_CANDIDATE)
			u->gc_count--;
	}
}

static void gc_reach(struct scm_fp **fpp, void *arg)
{
	struct list_head *work = arg;
	struct unix_sock *u;

	for (u32 i = 0; i < (*fpp)->count; i++) {
		u = file_unix((*fpp)->files[i]);
		if (u && u->gc_state == GC_CANDIDATE) {
			u->gc_state = GC_REACHABLE;
			list_move_tail(&u->gc_node, work);
		}
	}
}

static void gc_take(struct scm_fp **fpp, void *arg)
{
	struct list_head *hits = arg;

	list_add_tail(&(*fpp)->node, hits);
	*fpp = NULL;
}

static void gc_collect(struct list_head *hits)
{
	LIST_HEAD(cand);
	LIST_HEAD(work);
	struct unix_sock *u, *tmp;

	list_for_each_safe(u, tmp, &gc_inflight, gc_node) {
		struct file *f = READ_ONCE(u->st.sk.file);

		if (!f || refcount_read(&f->ref) != u->inflight)
			continue;
		u->gc_state = GC_CANDIDATE;
		u->gc_count = u->inflight;
		list_move_tail(&u->gc_node, &cand);
	}
	list_for_each(u, &cand, gc_node)
		each_fp(u, gc_subtract, NULL);
	list_for_each_safe(u, tmp, &cand, gc_node)
		if (u->gc_count) {
			u->gc_state = GC_REACHABLE;
			list_move_tail(&u->gc_node, &work);
		}
	while (!list_empty(&work)) {
		u = list_first(&work, struct unix_sock, gc_node);
		u->gc_state = GC_NONE;
		list_move_tail(&u->gc_node, &gc_inflight);
		each_fp(u, gc_reach, &work);
	}
	list_for_each(u, &cand, gc_node) {
		u->gc_state = GC_NONE;
		each_fp(u, gc_take, hits);
	}
	list_splice_tail(&cand, &gc_inflight);
}

void unix_gc(void)
{
	LIST_HEAD(hits);

	if (list_empty(&gc_inflight))
		return;
	spin_lock(&unix_gc_lock);
	gc_collect(&hits);
	spin_unlock(&unix_gc_lock);
	while (!list_empty(&hits)) {
		struct scm_fp *fp = list_first(&hits, struct scm_fp, node);

		list_del(&fp->node);
		scm_fp_put(fp);
	}
}
