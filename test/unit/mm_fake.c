#include "mm_fake.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/log.h"
#include "hostcall.h"
#include "sentry/kernel/ipc_ids.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/pagetable.h"
#include "sentry/vfs/vfs.h"

char *direct_map;
const struct platform_ops *platform;
struct boot_params *boot_params;
enum log_level log_level = LOG_ERR;
static struct process process;
static struct cred cred;

/* ---- a TLB a vCPU: what the CPU may still use until it is flushed ---- */

#define TLB_SIZE 4096u
static struct tlb {
	spinlock_t lock; /* held while a translation is used, so that a flush waits for that */
	struct tlb_entry {
		struct mm *mm;
		u64 va, pte;
	} entry[TLB_SIZE];
} tlbs[FAKE_CPUS];

static struct tlb_entry *tlb_slot(struct tlb *tlb, struct mm *mm, u64 va)
{
	return &tlb->entry[((va >> PAGE_SHIFT) ^ ((u64)mm >> 6)) % TLB_SIZE];
}

static int as_create(struct mm *mm) { (void)mm; return 0; }
static int as_fork(struct mm *parent, struct mm *child) { (void)parent; (void)child; return 0; }

static void as_flush(struct mm *mm, u64 start, u64 end, int prot)
{
	(void)prot;
	for (u32 cpu = 0; cpu < FAKE_CPUS; cpu++) {
		struct tlb *tlb = &tlbs[cpu];

		spin_lock(&tlb->lock);
		if (end - start <= TLB_SIZE * PAGE_SIZE / 8) {
			for (u64 va = start & PAGE_MASK; va < end; va += PAGE_SIZE) {
				struct tlb_entry *e = tlb_slot(tlb, mm, va);

				if (e->mm == mm && e->va == va)
					e->mm = NULL;
			}
		} else {
			for (u32 i = 0; i < TLB_SIZE; i++)
				if (tlb->entry[i].mm == mm && tlb->entry[i].va >= start && tlb->entry[i].va < end)
					tlb->entry[i].mm = NULL;
		}
		spin_unlock(&tlb->lock);
	}
}

static void as_destroy(struct mm *mm) { as_flush(mm, 0, ~0ull & PAGE_MASK, -1); }

static void as_fill(struct mm *mm, u64 addr, u64 pa, u64 n, u32 prot)
{
	struct tlb *tlb = &tlbs[this_cpu_id()];

	BUG_ON(!spin_is_locked(&mm->pt_lock));
	spin_lock(&tlb->lock);
	for (u64 i = 0; i < n; i++) {
		u64 va = addr + i * PAGE_SIZE, *pte = pt_lookup(mm, va);

		if (!pte || pte_pa(*pte) != pa + i * PAGE_SIZE || pte_prot(*pte) != prot)
			panic("as_fill is not what the page table says");
		*tlb_slot(tlb, mm, va) = (struct tlb_entry){ mm, va, *pte };
	}
	spin_unlock(&tlb->lock);
}

/* Load the translation if the table has one that allows the access. */
static void tlb_load(struct tlb *tlb, struct mm *mm, u64 va)
{
	u64 *pte;

	spin_lock(&mm->pt_lock);
	pte = pt_lookup(mm, va);
	if (pte && pte_present(*pte)) {
		spin_lock(&tlb->lock);
		*tlb_slot(tlb, mm, va) = (struct tlb_entry){ mm, va, *pte };
		spin_unlock(&tlb->lock);
	}
	spin_unlock(&mm->pt_lock);
}

static bool tlb_access(struct tlb *tlb, struct mm *mm, u64 va, bool write, u64 *value)
{
	struct tlb_entry *e = tlb_slot(tlb, mm, va & PAGE_MASK);
	bool ok = false;

	spin_lock(&tlb->lock);
	if (e->mm == mm && e->va == (va & PAGE_MASK) && pte_present(e->pte) && (!write || (e->pte & PTE_W))) {
		u64 *word = (u64 *)((char *)pa_to_va(pte_pa(e->pte)) + (va & ~PAGE_MASK));

		if (write)
			*word = *value;
		else
			*value = *word;
		ok = true;
	}
	spin_unlock(&tlb->lock);
	return ok;
}

static int user_access(struct mm *mm, u64 va, bool write, u64 *value)
{
	struct tlb *tlb = &tlbs[this_cpu_id()];
	int sig, code;

	for (int tries = 0; tries < 1000; tries++) {
		if (tlb_access(tlb, mm, va, write, value))
			return 0;
		tlb_load(tlb, mm, va & PAGE_MASK);
		if (tlb_access(tlb, mm, va, write, value))
			return 0;
		if (mm_fault(mm, va, PF_USER | (write ? PF_WRITE : 0), &sig, &code))
			return sig;
	}
	panic("a fault at %lx does not go away", va);
}

int fake_write(struct mm *mm, u64 va, u64 value)
{
	return user_access(mm, va, true, &value);
}

int fake_read(struct mm *mm, u64 va, u64 *value)
{
	return user_access(mm, va, false, value);
}

static const struct platform_ops fake_platform = {
	.name = "fake",
	.fault_around = 16,
	.as_create = as_create,
	.as_fork = as_fork,
	.as_destroy = as_destroy,
	.as_fill = as_fill,
	.as_flush = as_flush,
};

s64 hostcall(u32 nr, void *req, size_t len)
{
	struct hc_mem *m = req;

	(void)len;
	if (nr == HC_MEM_RELEASE && madvise(direct_map + m->off, m->len, MADV_REMOVE))
		return -1;
	return 0;
}

/* ---- tasks ---- */

u32 this_cpu_id(void) { return current->cpu; }
u64 rlimit(u32 which) { (void)which; return ~0ull; }
bool capable(int cap) { (void)cap; return true; }
bool in_group(const struct cred *c, u32 gid) { (void)c; (void)gid; return true; }
bool signal_pending(void) { return false; }
bool fatal_signal_pending(void) { return false; }
void sched_yield_current(void) {}
s32 task_tgid(const struct task *t) { (void)t; return 1; }
struct task *find_task_get(s32 tid) { (void)tid; return NULL; }
struct mm *task_get_mm(struct task *t) { return t->mm; }
void task_put(struct task *t) { (void)t; }
struct pid_ns init_pid_ns;
s32 next_tgid(const struct pid_ns *ns, s32 from) { (void)ns; (void)from; return 0; }
struct pid *pid_find_in(const struct pid_ns *ns, s32 nr) { (void)ns; (void)nr; return NULL; }
struct task *pid_task_get(struct pid *pid) { (void)pid; return NULL; }
s32 pid_nr_slow(const struct pid *p) { (void)p; return 1; }
static struct ipc_ns ipc_namespace = { .settings = { .shmmax = ~0ull, .shmall = ~0ull, .shmmni = 4096 } };
struct ipc_ns *ipc_ns(void) { return &ipc_namespace; }
struct kernel_settings settings = { .max_map_count = 65530 };
bool ns_capable(const struct user_ns *u, int cap) { (void)u; (void)cap; return true; }
long send_signal_process(struct process *p, int sig, siginfo_t_k *info) { (void)p; (void)sig; (void)info; return 0; }
bool may_access_task(struct task *t, bool attach);
bool may_access_task(struct task *t, bool attach) { (void)t; (void)attach; return true; }
struct pid *pidfd_get(s32 fd, u32 *flags);
struct pid *pidfd_get(s32 fd, u32 *flags) { (void)fd; (void)flags; return ERR_PTR(-9); }
void pid_put(struct pid *p) { (void)p; }
u64 clock_real_ns(void) { return 0; }

/* ---- locks: waiting is trying again ---- */

void waitq_init(struct waitq *q) { list_init(&q->waiters); }
void prepare_to_wait(struct waitq *q, struct waiter *w, enum task_state s) { (void)q; (void)w; (void)s; }
void finish_wait(struct waitq *q, struct waiter *w) { (void)q; (void)w; }
void wake_up_key(struct waitq *q, u32 key, int n) { (void)q; (void)key; (void)n; }
bool schedule_until(u64 deadline) { (void)deadline; sched_yield(); return false; }
void mutex_init(struct mutex *m) { atomic_store(&m->state, 0); }
void mutex_lock(struct mutex *m)
{
	while (atomic_exchange(&m->state, 1))
		sched_yield();
}
void mutex_unlock(struct mutex *m) { atomic_store(&m->state, 0); }
void rwsem_init(struct rwsem *s) { spin_lock_init(&s->lock); s->count = 0; }

static bool rwsem_try(struct rwsem *s, bool write)
{
	bool ok;

	spin_lock(&s->lock);
	ok = write ? !s->count : s->count >= 0;
	if (ok)
		s->count += write ? -1 : 1;
	spin_unlock(&s->lock);
	return ok;
}
static void rwsem_set(struct rwsem *s, s32 add)
{
	spin_lock(&s->lock);
	s->count += add;
	spin_unlock(&s->lock);
}
void down_read(struct rwsem *s)
{
	while (!rwsem_try(s, false))
		sched_yield();
}
void up_read(struct rwsem *s) { rwsem_set(s, -1); }
void down_write(struct rwsem *s)
{
	while (!rwsem_try(s, true))
		sched_yield();
}
void up_write(struct rwsem *s) { rwsem_set(s, 1); }
void downgrade_write(struct rwsem *s) { rwsem_set(s, 2); }
void spin_lock_slow(spinlock_t *l)
{
	while (!spin_trylock(l))
		sched_yield();
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	abort();
}
void klog_line(enum log_level level, const char *fmt, ...) { (void)level; (void)fmt; }

/* ---- files ---- */

struct inode *anon_inode_new(u32 mode)
{
	struct inode *i = calloc(1, sizeof(*i));

	refcount_set(&i->ref, 1);
	i->mode = mode;
	return i;
}
void inode_put(struct inode *i)
{
	if (!refcount_dec_and_test(&i->ref))
		return;
	mapping_destroy(i->mapping);
	kfree(i->mapping);
	free(i);
}
struct file *file_on_inode(struct inode *inode, const char *name, const struct file_ops *fop, void *priv, u32 flags)
{
	struct file *f = calloc(1, sizeof(*f));

	(void)name;
	refcount_set(&f->ref, 1);
	f->inode = inode;
	f->fop = fop;
	f->priv = priv;
	f->flags = flags;
	return f;
}
struct file *anon_file(const char *name, const struct file_ops *fop, void *priv, u32 flags)
{
	return file_on_inode(anon_inode_new(0), name, fop, priv, flags);
}
u64 dcache_shrink(u64 n)
{
	(void)n;
	return 0;
}

void file_put(struct file *f)
{
	if (!refcount_dec_and_test(&f->ref))
		return;
	inode_put(f->inode);
	free(f);
}
struct file *fget(s32 fd) { (void)fd; return NULL; }
s32 fd_alloc_install(struct file *f, u32 cloexec, s32 from) { (void)f; (void)cloexec; (void)from; return -1; }
void touch_atime(struct file *f) { (void)f; }
struct timespec_k current_time(void) { return (struct timespec_k){ 0 }; }
s64 host_io(struct hc_submit *io, bool interruptible) { (void)io; (void)interruptible; return 0; }
s64 generic_file_llseek(struct file *f, s64 off, int whence) { (void)f; (void)off; (void)whence; return 0; }

/* ---- start ---- */

void fake_boot(u64 bytes)
{
	static struct boot_params bp;

	direct_map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bp.first_free_pa = LAYOUT_END_PA;
	bp.mem_size = bytes;
	boot_params = &bp;
	platform = &fake_platform;
	mm_init();
}

static void entry(u32 low, u32 high)
{
	void (*fn)(void) = (void (*)(void))((u64)high << 32 | low);

	fn();
}

void fake_run(u32 cpu, void (*fn)(void))
{
	char *stack = aligned_alloc(KSTACK_SIZE, KSTACK_SIZE);
	struct task *task = calloc(1, sizeof(*task));
	ucontext_t here, there;

	task->cred = &cred;
	task->proc = &process;
	task->cpu = cpu;
	*(struct task **)(stack + KSTACK_SIZE - 16) = task;
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = KSTACK_SIZE - 64;
	there.uc_link = &here;
	makecontext(&there, (void (*)(void))entry, 2, (u32)(u64)fn, (u32)((u64)fn >> 32));
	swapcontext(&here, &there);
	free(task);
	free(stack);
}

void aio_exit(struct mm *mm) {}
