/*
 * Process numbers: a tree of struct pid by number. A number is taken as long as anyone refers to its struct pid, be it as
 * thread, thread group, process group, session or through a pidfd; so a number never means two things.
 * pid_lock is a leaf.
 */
#include <linux/errno.h>

#include "sentry/kernel/boot.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#define PID_MAX 4194304 /* pid_max of a 64-bit Linux: proc(5) */
#define RESERVED_PIDS 300

static spinlock_t pid_lock = SPINLOCK_INIT;
static struct rb_root pid_tree;
static s32 last_pid;
static struct kmem_cache *pid_cache;

void pid_init(void)
{
	pid_cache = kmem_cache_create("pid", sizeof(struct pid), 16);
}

static struct pid *find_locked(s32 nr)
{
	struct rb_node *n = pid_tree.node;

	while (n) {
		struct pid *p = container_of(n, struct pid, node);

		if (p->nr == nr)
			return p;
		n = nr < p->nr ? n->left : n->right;
	}
	return NULL;
}

static void link_locked(struct pid *p)
{
	struct rb_node **link = &pid_tree.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = p->nr < container_of(parent, struct pid, node)->nr ? &parent->left : &parent->right;
	}
	rb_link_node(&p->node, parent, link);
	rb_insert(&p->node, &pid_tree, NULL);
}

static s32 next_free(void)
{
	s32 nr = last_pid;

	for (s32 tries = 0; tries < PID_MAX; tries++) {
		nr = nr + 1 >= PID_MAX ? RESERVED_PIDS : nr + 1;
		if (!find_locked(nr))
			return nr;
	}
	return 0;
}

struct pid *pid_alloc(s32 want)
{
	struct pid *p = kmem_cache_alloc(pid_cache);
	long err = 0;

	if (!p)
		return ERR_PTR(-ENOMEM);
	refcount_set(&p->ref, 1);
	for (u32 i = 0; i < PIDTYPE_MAX; i++)
		list_init(&p->tasks[i]);
	waitq_init(&p->wait);
	spin_lock(&pid_lock);
	if (want) {
		p->nr = want;
		err = want < 0 || want >= PID_MAX ? -EINVAL : find_locked(want) ? -EEXIST : 0;
	} else {
		p->nr = next_free();
		last_pid = p->nr;
		err = p->nr ? 0 : -EAGAIN;
	}
	if (!err)
		link_locked(p);
	spin_unlock(&pid_lock);
	if (!err)
		return p;
	kmem_cache_free(pid_cache, p);
	return ERR_PTR(err);
}

struct pid *pid_find_get(s32 nr)
{
	struct pid *p;

	if (nr <= 0)
		return NULL;
	spin_lock(&pid_lock);
	p = find_locked(nr);
	if (p && !refcount_inc_not_zero(&p->ref))
		p = NULL;
	spin_unlock(&pid_lock);
	return p;
}

struct pid *pid_get(struct pid *p)
{
	refcount_inc(&p->ref);
	return p;
}

void pid_put(struct pid *p)
{
	if (!p || !refcount_dec_and_test(&p->ref))
		return;
	spin_lock(&pid_lock);
	rb_erase(&p->node, &pid_tree, NULL);
	spin_unlock(&pid_lock);
	kmem_cache_free(pid_cache, p);
}

s32 pid_last(void)
{
	return READ_ONCE(last_pid);
}

/* The smallest number >= nr that is a thread group, 0: none. */
s32 next_tgid(s32 nr)
{
	struct rb_node *n, *best = NULL;
	s32 found = 0;

	spin_lock(&tasklist_lock);
	spin_lock(&pid_lock);
	for (n = pid_tree.node; n;) {
		if (container_of(n, struct pid, node)->nr >= nr) {
			best = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	for (n = best; n; n = rb_next(n))
		if (container_of(n, struct pid, node)->process) {
			found = container_of(n, struct pid, node)->nr;
			break;
		}
	spin_unlock(&pid_lock);
	spin_unlock(&tasklist_lock);
	return found;
}
