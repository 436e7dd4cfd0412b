/* Making, finding and freeing tasks and processes. */
#include <linux/errno.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/ipc_sem.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/keys.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

spinlock_t tasklist_lock = SPINLOCK_INIT;
struct list_head all_tasks = LIST_HEAD_INIT(all_tasks);
u32 nr_threads;
struct process *init_process;
struct process kernel_process;

static struct kmem_cache *task_cache, *process_cache, *fpu_cache;
static struct cred *kernel_cred;

/* Kernel stacks of the dead, for the next fork: the platform's are not cheap to make. */
#define STACK_CACHE_MAX 32
static struct {
	spinlock_t lock;
	u32 n;
	void *stack[STACK_CACHE_MAX];
} stack_cache;

static void *stack_get(void)
{
	void *s = NULL;

	spin_lock(&stack_cache.lock);
	if (stack_cache.n)
		s = stack_cache.stack[--stack_cache.n];
	spin_unlock(&stack_cache.lock);
	return s ? s : platform->kstack_alloc();
}

static void stack_put(void *s)
{
	spin_lock(&stack_cache.lock);
	if (stack_cache.n < STACK_CACHE_MAX) {
		stack_cache.stack[stack_cache.n++] = s;
		s = NULL;
	}
	spin_unlock(&stack_cache.lock);
	if (s)
		platform->kstack_free(s);
}

/* ---- processes ---- */

static void process_init_fields(struct process *p)
{
	refcount_set(&p->ref, 1);
	list_init(&p->threads);
	list_init(&p->children);
	list_init(&p->sibling);
	list_init(&p->pgid_node);
	list_init(&p->sid_node);
	list_init(&p->posix_timers);
	sigpending_init(&p->shared_pending);
	waitq_init(&p->wait_child);
	waitq_init(&p->core_wait);
	mutex_init(&p->exec_lock);
	p->dumpable = true;
}

struct process *process_alloc(void)
{
	struct process *p = kmem_cache_alloc(process_cache);

	if (p)
		process_init_fields(p);
	return p;
}

struct process *process_get(struct process *p)
{
	refcount_inc(&p->ref);
	return p;
}

void process_put(struct process *p)
{
	if (!p || !refcount_dec_and_test(&p->ref))
		return;
	sigpending_flush(&p->shared_pending);
	keys_process_free(p);
	pid_put(p->tgid);
	pid_put(p->pgid);
	pid_put(p->sid);
	kmem_cache_free(process_cache, p);
}

void task_init(void)
{
	task_cache = kmem_cache_create("task", sizeof(struct task), 64);
	process_cache = kmem_cache_create("process", sizeof(struct process), 64);
	fpu_cache = kmem_cache_create("fpu", platform->fpu_size, 64);
	kernel_cred = cred_alloc_init(0, 0);
	BUG_ON(!task_cache || !process_cache || !fpu_cache || !kernel_cred);
	process_init_fields(&kernel_process);
	for (u32 i = 0; i < RLIM_COUNT; i++)
		kernel_process.rlim[i] = (struct rlimit_val){ ~0ull, ~0ull };
	nsproxy_init();
}

/* ---- tasks ---- */

static void task_init_fields(struct task *t)
{
	list_init(&t->thread_node);
	list_init(&t->pid_node);
	list_init(&t->all_node);
	list_init(&t->ptraced);
	list_init(&t->ptrace_node);
	list_init(&t->pi_held);
	sigpending_init(&t->pending);
	ktimer_init(&t->sleep_timer, NULL);
	t->ctx.fpu_cpu = -1;
	t->cpu_mask = ~0ull;
	t->timer_slack_ns = 50000;
	t->start_ns = clock_mono_ns();
}

struct task *task_alloc(void)
{
	struct task *t = kmem_cache_alloc(task_cache);

	if (!t)
		return NULL;
	task_init_fields(t);
	refcount_set(&t->ref, 2);
	atomic_store(&t->state, TASK_UNINTERRUPTIBLE);
	t->kstack = stack_get();
	t->ctx.fpu = kmem_cache_alloc(fpu_cache);
	if (t->kstack && t->ctx.fpu)
		return t;
	task_free_unstarted(t);
	return NULL;
}

static void task_become_kernel(struct task *t)
{
	t->proc = process_get(&kernel_process);
	t->cred = cred_get(kernel_cred);
	t->ns = nsproxy_get(&init_nsproxy);
	t->is_kthread = true;
}

struct task *task_alloc_idle(u32 cpu)
{
	struct task *t = kmem_cache_alloc(task_cache);

	if (!t)
		return NULL;
	task_init_fields(t);
	refcount_set(&t->ref, 1);
	task_become_kernel(t);
	t->is_idle = t->on_rq = true;
	t->cpu = cpu;
	ksnprintf(t->comm, sizeof(t->comm), "idle/%u", cpu);
	return t;
}

static void task_free(struct task *t)
{
	if (t->kstack)
		stack_put(t->kstack);
	if (t->ctx.fpu)
		kmem_cache_free(fpu_cache, t->ctx.fpu);
	sigpending_flush(&t->pending);
	if (t->sighand)
		sighand_put(t->sighand);
	if (t->retired_sighand)
		sighand_put(t->retired_sighand);
	if (t->cred)
		cred_put(t->cred);
	seccomp_exit(t);
	nsproxy_put(t->ns);
	kfree(t->ctx.debug);
	keys_task_free(t);
	pid_put(t->pid);
	process_put(t->proc);
	kmem_cache_free(task_cache, t);
}

/* Never scheduled: whatever it holds so far is given back. */
void task_free_unstarted(struct task *t)
{
	if (t->mm)
		mm_users_put(t->mm);
	if (t->files)
		files_put(t->files);
	if (t->fs)
		fs_state_put(t->fs);
	sem_exit(t);
	task_free(t);
}

void task_put(struct task *t)
{
	if (t && refcount_dec_and_test(&t->ref))
		task_free(t);
}

/* Its stack and FPU area are free at once; the rest when the last reference goes. */
void task_gone(struct task *t)
{
	void *stack = t->kstack;

	t->kstack = NULL;
	stack_put(stack);
	task_put(t);
}

/* ---- sentry-only tasks ---- */

struct kthread_start {
	void (*fn)(void *);
	void *arg;
};

static void kthread_main(void *arg)
{
	struct kthread_start start = *(struct kthread_start *)arg;

	kfree(arg);
	start.fn(start.arg);
	ktimer_cancel_sync(&current->sleep_timer);
	set_current_state(TASK_DEAD);
	schedule();
	panic("a dead kernel task ran");
}

struct task *kthread_create(void (*fn)(void *), void *arg, const char *name)
{
	struct kthread_start *start = kmalloc(sizeof(*start));
	struct task *t = start ? task_alloc() : NULL;

	if (!t) {
		kfree(start);
		return NULL;
	}
	*start = (struct kthread_start){ fn, arg };
	refcount_set(&t->ref, 1); /* the scheduler's; nobody waits for it */
	task_become_kernel(t);
	kstrlcpy(t->comm, name, sizeof(t->comm));
	task_set_entry(t, kthread_main, start);
	sched_new_task(t);
	return t;
}

/* ---- relations; tasklist_lock held ---- */

void attach_task(struct task *t, struct process *p)
{
	list_add_tail(&t->thread_node, &p->threads);
	list_add_tail(&t->pid_node, &t->pid->tasks[PIDTYPE_PID]);
	list_add_tail(&t->all_node, &all_tasks);
	p->nthreads++;
	nr_threads++;
	pid_ns_count(t->pid, 1);
}

void attach_process(struct process *p, struct process *parent, struct pid *pgid, struct pid *sid)
{
	process_get(p); /* being listed, until process_release(); each task has a reference of its own */
	p->parent = parent;
	list_add_tail(&p->sibling, &parent->children);
	p->tgid->process = p;
	if (pid_nr_own(p->tgid) == 1)
		p->tgid->ns->reaper = p;
	p->pgid = pid_get(pgid);
	list_add_tail(&p->pgid_node, &pgid->tasks[PIDTYPE_PGID]);
	p->sid = pid_get(sid);
	list_add_tail(&p->sid_node, &sid->tasks[PIDTYPE_SID]);
}

void detach_task(struct task *t)
{
	spin_lock(&t->sighand->lock); /* signals walk the threads under it */
	list_del(&t->thread_node);
	spin_unlock(&t->sighand->lock);
	list_del(&t->pid_node);
	list_del(&t->all_node);
	nr_threads--;
	pid_ns_count(t->pid, -1);
	t->proc->utime_ns += task_utime(t);
	t->proc->stime_ns += task_stime(t);
	t->proc->min_flt += t->min_flt;
	t->proc->maj_flt += t->maj_flt;
	t->proc->nvcsw += t->nvcsw;
	t->proc->nivcsw += t->nivcsw;
}

void process_set_pgid(struct process *p, struct pid *pgid)
{
	struct pid *old = p->pgid;

	list_del(&p->pgid_node);
	p->pgid = pgid;
	list_add_tail(&p->pgid_node, &pgid->tasks[PIDTYPE_PGID]);
	pid_put(old);
}

void process_set_sid(struct process *p, struct pid *sid)
{
	struct pid *old = p->sid;

	list_del(&p->sid_node);
	p->sid = sid;
	list_add_tail(&p->sid_node, &sid->tasks[PIDTYPE_SID]);
	pid_put(old);
}

void process_unlink(struct process *p)
{
	list_del(&p->sibling);
	list_del(&p->pgid_node);
	list_del(&p->sid_node);
	p->tgid->process = NULL;
}

/* ---- finding ---- */

struct task *pid_task_get(struct pid *pid)
{
	struct task *t = NULL;

	spin_lock(&tasklist_lock);
	if (!list_empty(&pid->tasks[PIDTYPE_PID]))
		t = task_get(list_first(&pid->tasks[PIDTYPE_PID], struct task, pid_node));
	spin_unlock(&tasklist_lock);
	return t;
}

struct task *find_task_get(s32 tid)
{
	struct pid *pid = pid_find_get(tid);
	struct task *t = pid ? pid_task_get(pid) : NULL;

	pid_put(pid);
	return t;
}

struct process *pid_process_get(struct pid *pid)
{
	struct process *p = NULL;

	spin_lock(&tasklist_lock);
	if (pid->process)
		p = process_get(pid->process);
	spin_unlock(&tasklist_lock);
	return p;
}

struct process *find_process_get(s32 tgid)
{
	struct pid *pid = pid_find_get(tgid);
	struct process *p = pid ? pid_process_get(pid) : NULL;

	pid_put(pid);
	return p;
}

s32 task_tgid(const struct task *t)
{
	return pid_nr(t->proc->tgid);
}

s32 task_ppid(const struct task *t)
{
	s32 nr;

	spin_lock(&tasklist_lock);
	nr = t->proc->parent ? pid_nr(t->proc->parent->tgid) : 0;
	spin_unlock(&tasklist_lock);
	return nr;
}

struct mm *task_get_mm(struct task *t)
{
	struct mm *mm;

	spin_lock(&t->alloc_lock);
	mm = t->mm;
	if (mm)
		mm_users_get(mm);
	spin_unlock(&t->alloc_lock);
	return mm;
}

/* ---- accounting ---- */

void process_cputime_locked(struct process *p, u64 *utime, u64 *stime)
{
	struct task *t;

	*utime = p->utime_ns;
	*stime = p->stime_ns;
	list_for_each(t, &p->threads, thread_node) {
		*utime += task_utime(t);
		*stime += task_stime(t);
	}
}

void process_cputime(struct process *p, u64 *utime, u64 *stime)
{
	spin_lock(&tasklist_lock);
	process_cputime_locked(p, utime, stime);
	spin_unlock(&tasklist_lock);
}
