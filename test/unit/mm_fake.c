#include "mm_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/log.h"
#include "hostcall.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/pagetable.h"
#include "sentry/vfs/vfs.h"

char *direct_map;
const struct platform_ops *platform;
struct boot_params *boot_params;
enum log_level log_level = LOG_ERR;
static struct task *task;

/* ---- a TLB: what the CPU may still use until it is flushed ---- */

#define TLB_SIZE 4096u
static struct tlb_entry {
	struct mm *mm;
	u64 va, pte;
} tlb[TLB_SIZE];

static struct tlb_entry *tlb_slot(struct mm *mm, u64 va)
{
	return &tlb[((va >> PAGE_SHIFT) ^ ((u64)mm >> 6)) % TLB_SIZE];
}

static int as_create(struct mm *mm) { (void)mm; return 0; }
static int as_fork(struct mm *parent, struct mm *child) { (void)parent; (void)child; return 0; }
static void drop(struct mm *mm, u64 start, u64 end)
{
	for (u32 i = 0; i < TLB_SIZE; i++)
		if (tlb[i].mm == mm && tlb[i].va >= start && tlb[i].va < end)
			tlb[i].mm = NULL;
}
static void as_destroy(struct mm *mm) { drop(mm, 0, ~0ull); }
static void as_fill(struct mm *mm, u64 addr, u64 pa, u64 n, u32 prot)
{
	for (u64 i = 0; i < n; i++) {
		u64 va = addr + i * PAGE_SIZE, *pte = pt_lookup(mm, va);

		if (!pte || pte_pa(*pte) != pa + i * PAGE_SIZE || pte_prot(*pte) != prot)
			panic("as_fill is not what the page table says");
		*tlb_slot(mm, va) = (struct tlb_entry){ mm, va, *pte };
	}
}
static void as_flush(struct mm *mm, u64 start, u64 end, int prot)
{
	(void)prot;
	drop(mm, start, end);
}

static int walk(struct mm *mm, u64 va, bool write, u64 **word)
{
	struct tlb_entry *e = tlb_slot(mm, va & PAGE_MASK);
	int sig, code;

	for (int tries = 0; tries < 8; tries++) {
		u64 *pte = pt_lookup(mm, va);

		if ((e->mm != mm || e->va != (va & PAGE_MASK) || (write && !(e->pte & PTE_W))) && pte && pte_present(*pte))
			*e = (struct tlb_entry){ mm, va & PAGE_MASK, *pte };
		if (e->mm == mm && e->va == (va & PAGE_MASK) && pte_present(e->pte) && (!write || (e->pte & PTE_W))) {
			*word = (u64 *)((char *)pa_to_va(pte_pa(e->pte)) + (va & ~PAGE_MASK));
			return 0;
		}
		if (mm_fault(mm, va, PF_USER | (write ? PF_WRITE : 0), &sig, &code))
			return sig;
	}
	u64 *pte = pt_lookup(mm, va);
	struct vma *vma = vma_find(mm, va);

	panic("a fault at %lx does not go away: entry %lx, VMA %lx flags %x prot %x", va, pte ? *pte : 0, vma->start, vma->flags,
	      vma->prot);
}

int fake_write(struct mm *mm, u64 va, u64 value)
{
	u64 *word;
	int sig = walk(mm, va, true, &word);

	if (!sig)
		*word = value;
	return sig;
}

int fake_read(struct mm *mm, u64 va, u64 *value)
{
	u64 *word;
	int sig = walk(mm, va, false, &word);

	if (!sig)
		*value = *word;
	return sig;
}

static const struct platform_ops fake_platform = {
	.name = "fake",
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

u32 this_cpu_id(void) { return 0; }
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
s32 next_tgid(s32 from);
s32 next_tgid(s32 from) { (void)from; return 0; }
long send_signal_process(struct process *p, int sig, siginfo_t_k *info) { (void)p; (void)sig; (void)info; return 0; }
u64 clock_real_ns(void) { return 0; }

/* ---- locks without anyone to wait for ---- */

void waitq_init(struct waitq *q) { list_init(&q->waiters); }
void prepare_to_wait(struct waitq *q, struct waiter *w, enum task_state s) { (void)q; (void)w; (void)s; }
void finish_wait(struct waitq *q, struct waiter *w) { (void)q; (void)w; }
void wake_up_key(struct waitq *q, u32 key, int n) { (void)q; (void)key; (void)n; }
bool schedule_until(u64 deadline) { (void)deadline; panic("the only task sleeps"); }
void mutex_init(struct mutex *m) { m->state = 0; }
void mutex_lock(struct mutex *m) { BUG_ON(m->state); m->state = 1; }
void mutex_unlock(struct mutex *m) { m->state = 0; }
void rwsem_init(struct rwsem *s) { s->count = 0; }
void down_read(struct rwsem *s) { BUG_ON(s->count < 0); s->count++; }
void up_read(struct rwsem *s) { s->count--; }
void down_write(struct rwsem *s) { BUG_ON(s->count); s->count = -1; }
void up_write(struct rwsem *s) { s->count = 0; }
void downgrade_write(struct rwsem *s) { s->count = 1; }
void spin_lock_slow(spinlock_t *l) { (void)l; panic("a spinlock is taken twice"); }

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
s64 generic_file_llseek(struct file *f, s64 off, int whence) { (void)f; (void)off; (void)whence; return 0; }

/* ---- start ---- */

void fake_boot(u64 bytes)
{
	static struct boot_params bp;
	static struct cred cred;

	direct_map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bp.first_free_pa = LAYOUT_END_PA;
	bp.mem_size = bytes;
	boot_params = &bp;
	platform = &fake_platform;
	task = calloc(1, sizeof(*task));
	task->cred = &cred;
	task->proc = calloc(1, sizeof(*task->proc));
	mm_init();
}

static void (*entry_fn)(void);
static void entry(void) { entry_fn(); }

void fake_run(void (*fn)(void))
{
	char *stack = aligned_alloc(KSTACK_SIZE, KSTACK_SIZE);
	ucontext_t here, there;

	*(struct task **)(stack + KSTACK_SIZE - 16) = task;
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = KSTACK_SIZE - 64;
	there.uc_link = &here;
	entry_fn = fn;
	makecontext(&there, entry, 0);
	swapcontext(&here, &there);
	free(stack);
}
