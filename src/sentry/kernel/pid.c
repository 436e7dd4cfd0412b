/*
 * Process numbers. A struct pid has a number in its namespace and in each above it; a tree a namespace finds it. A number is
 * taken as long as anyone refers to its struct pid, be it as thread, thread group, process group, session or through a pidfd;
 * so a number never means two things. pid_lock is a leaf.
 */
#include <linux/errno.h>

#include "base/string.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"

#define PID_MAX 4194304 /* pid_max of a 64-bit Linux: proc(5) */
#define RESERVED_PIDS 300

static spinlock_t pid_lock = SPINLOCK_INIT;
static struct kmem_cache *pid_cache;
struct pid_ns init_pid_ns;

void pid_init(void)
{
	pid_cache = kmem_cache_create("pid", sizeof(struct pid), 16);
}

/* ---- one namespace's numbers; pid_lock held ---- */

static struct pid_number *find_locked(const struct pid_ns *ns, s32 nr)
{
	struct rb_node *n = ns->numbers.node;

	while (n) {
		struct pid_number *p = container_of(n, struct pid_number, node);

		if (p->nr == nr)
			return p;
		n = nr < p->nr ? n->left : n->right;
	}
	return NULL;
}

static void link_locked(struct pid_ns *ns, struct pid_number *p)
{
	struct rb_node **link = &ns->numbers.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = p->nr < container_of(parent, struct pid_number, node)->nr ? &parent->left : &parent->right;
	}
	rb_link_node(&p->node, parent, link);
	rb_insert(&p->node, &ns->numbers, NULL);
}

static s32 next_free(const struct pid_ns *ns)
{
	s32 nr = ns->last;

	for (s32 tries = 0; tries < PID_MAX; tries++) {
		nr = nr + 1 >= PID_MAX ? RESERVED_PIDS : nr + 1;
		if (!find_locked(ns, nr))
			return nr;
	}
	return 0;
}

static long take_number(struct pid_ns *ns, struct pid_number *p, s32 want)
{
	if (want) {
		if (want < 0 || want >= PID_MAX || (want != 1 && !ns->reaper && ns->parent))
			return -EINVAL;
		if (find_locked(ns, want))
			return -EEXIST;
		p->nr = want;
	} else {
		/* Nobody but process 1 is the first one of a namespace; when its fork failed there will be none. */
		if (unlikely(!ns->reaper && ns->parent && ns->last))
			return -ENOMEM;
		p->nr = next_free(ns);
		if (!p->nr)
			return -EAGAIN;
		ns->last = p->nr;
	}
	link_locked(ns, p);
	return 0;
}

static struct pid_number *number_at(struct pid *p, u32 level)
{
	return level ? &p->inner[level - 1] : &p->first;
}

static void drop_numbers(struct pid *p)
{
	struct pid_ns *ns = p->ns;

	for (u32 level = p->level + 1; level-- > 0; ns = ns->parent)
		rb_erase(&number_at(p, level)->node, &ns->numbers, NULL);
}

/* From the innermost outwards, as the wishes in `want` come. */
static long take_numbers(struct pid *p, const s32 *want, u32 nwant)
{
	struct pid_ns *ns = p->ns;
	long err = ns->dead ? -ENOMEM : 0;

	for (u32 level = p->level + 1; level-- > 0 && !err; ns = ns->parent) {
		u32 i = p->level - level;

		err = take_number(ns, number_at(p, level), i < nwant ? want[i] : 0);
		if (!err)
			continue;
		for (struct pid_ns *undo = p->ns; undo != ns; undo = undo->parent)
			rb_erase(&number_at(p, undo->level)->node, &undo->numbers, NULL);
	}
	return err;
}

/* ---- struct pid ---- */

static void pid_free(struct pid *p)
{
	if (p->inner)
		ns_put(&p->ns->c);
	kfree(p->inner);
	kmem_cache_free(pid_cache, p);
}

static struct pid *pid_new(struct pid_ns *ns)
{
	struct pid *p = kmem_cache_alloc(pid_cache);

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	refcount_set(&p->ref, 1);
	p->ns = ns;
	p->level = ns->level;
	for (u32 i = 0; i < PIDTYPE_MAX; i++)
		list_init(&p->tasks[i]);
	waitq_init(&p->wait);
	p->first.pid = p;
	if (!ns->level)
		return p;
	p->inner = kzalloc(ns->level * sizeof(*p->inner));
	if (!p->inner) {
		kmem_cache_free(pid_cache, p);
		return NULL;
	}
	for (u32 i = 0; i < ns->level; i++)
		p->inner[i].pid = p;
	ns_get(&ns->c);
	return p;
}

struct pid *pid_alloc(struct pid_ns *ns, const s32 *want, u32 nwant)
{
	struct pid *p = pid_new(ns);
	long err;

	if (!p)
		return ERR_PTR(-ENOMEM);
	spin_lock(&pid_lock);
	err = take_numbers(p, want, nwant);
	p->nr = p->first.nr;
	spin_unlock(&pid_lock);
	if (!err)
		return p;
	pid_free(p);
	return ERR_PTR(err);
}

struct pid *pid_find_in(const struct pid_ns *ns, s32 nr)
{
	struct pid_number *n;
	struct pid *p = NULL;

	if (nr <= 0)
		return NULL;
	spin_lock(&pid_lock);
	n = find_locked(ns, nr);
	if (n && refcount_inc_not_zero(&n->pid->ref))
		p = n->pid;
	spin_unlock(&pid_lock);
	return p;
}

struct pid *pid_find_get(s32 nr)
{
	return pid_find_in(task_pid_ns(current), nr);
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
	drop_numbers(p);
	spin_unlock(&pid_lock);
	pid_free(p);
}

s32 pid_shown(s32 first)
{
	struct pid *pid;
	s32 nr;

	if (task_pid_ns(current) == &init_pid_ns)
		return first;
	pid = pid_find_in(&init_pid_ns, first);
	nr = pid ? pid_nr(pid) : 0;
	pid_put(pid);
	return nr;
}

s32 pid_nr_in(const struct pid *p, const struct pid_ns *ns)
{
	if (!p || p->level < ns->level)
		return 0;
	if (!ns->level)
		return p->nr;
	for (const struct pid_ns *n = p->ns; n; n = n->parent)
		if (n == ns)
			return p->inner[ns->level - 1].nr;
	return 0;
}

s32 pid_nr_slow(const struct pid *p)
{
	return pid_nr_in(p, task_pid_ns(current));
}

s32 pid_nr_own(const struct pid *p)
{
	return p->level ? p->inner[p->level - 1].nr : p->nr;
}

s32 pid_last(const struct pid_ns *ns)
{
	return READ_ONCE(ns->last);
}

/* The smallest number >= nr that is a thread group, 0: none. */
s32 next_tgid(const struct pid_ns *ns, s32 nr)
{
	struct rb_node *n, *best = NULL;
	s32 found = 0;

	spin_lock(&tasklist_lock);
	spin_lock(&pid_lock);
	for (n = ns->numbers.node; n;) {
		if (container_of(n, struct pid_number, node)->nr >= nr) {
			best = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	for (n = best; n; n = rb_next(n)) {
		struct pid_number *p = container_of(n, struct pid_number, node);

		if (p->pid->process) {
			found = p->nr;
			break;
		}
	}
	spin_unlock(&pid_lock);
	spin_unlock(&tasklist_lock);
	return found;
}

/* ---- namespaces ---- */

struct pid_ns *pid_ns_create(struct pid_ns *parent, struct user_ns *owner)
{
	struct pid_ns *ns;

	if (!user_ns_is_below(owner, parent->c.owner))
		return ERR_PTR(-EINVAL);
	if (parent->level + 1 >= PID_NS_LEVELS)
		return ERR_PTR(-ENOSPC);
	ns = kzalloc(sizeof(*ns));
	if (!ns)
		return ERR_PTR(-ENOMEM);
	ns_init(&ns->c, NS_PID, owner);
	ns_get(&parent->c);
	ns->parent = parent;
	ns->level = parent->level + 1;
	return ns;
}

void pid_ns_free(struct ns_common *n)
{
	struct pid_ns *ns = container_of(n, struct pid_ns, c);
	struct pid_ns *parent = ns->parent;

	kfree(ns);
	ns_put(&parent->c);
}

bool pid_ns_is_below(const struct pid_ns *ns, const struct pid_ns *ancestor)
{
	while (ns && ns->level > ancestor->level)
		ns = ns->parent;
	return ns == ancestor;
}

void pid_ns_close(struct pid_ns *ns)
{
	spin_lock(&pid_lock);
	ns->dead = true;
	spin_unlock(&pid_lock);
}

void pid_ns_count(const struct pid *p, s32 change)
{
	for (struct pid_ns *ns = p->ns; ns->level; ns = ns->parent) {
		ns->nr_tasks += (u32)change;
		if (ns->dead && change < 0) /* its first process waits for the others to go */
			wake_up_all(&ns->reaper->wait_child);
	}
}
