/* Units and stubs: making, seizing, pooling, ending them. See internal.h for what they are. */
#include <linux/mman.h>
#include <linux/memfd.h>
#include <linux/ptrace.h>
#include <linux/sched.h>

#include "platform/ptrace/control.h"
#include "platform/ptrace/internal.h"

#define POOL_MAX 32u /* idle units kept; a shell script's fork and exit then make no process */

struct control *pt_control;
int pt_control_fd = -1;
static struct unit *units;
static struct stub *stubs; /* [unit][vCPU][STUBS_PER_VCPU] */

static struct {
	spinlock_t lock;
	struct unit *idle; /* dead address spaces whose processes wait for a new one */
	u32 nidle;
	u32 next_slot;	   /* never used ones from here on */
	struct unit *free_slots;
} pool;

static void unit_views(struct unit *unit)
{
	char *base = (char *)pt_control + control_unit_offset(unit->index);

	unit->ops = (struct stub_op *)base;
	unit->fpu = (struct fpu_page *)(base + OPS_SIZE);
}

static void *reserve(u64 size)
{
	s64 ret = sys_call6(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return ret < 0 ? NULL : (void *)ret;
}

int units_init(const char **what)
{
	s64 ret;

	units = reserve(MAX_UNITS * sizeof(struct unit));
	stubs = reserve((u64)MAX_UNITS * pt_config.ncpus * STUBS_PER_VCPU * sizeof(struct stub));
	*what = "memory for the stub tables";
	if (!units || !stubs)
		return -ENOMEM;
	*what = "memfd_create for the stub page";
	ret = sys_call2(__NR_memfd_create, "stubs", MFD_CLOEXEC);
	if (ret < 0)
		return (int)ret;
	pt_control_fd = (int)ret;
	*what = "the stub page";
	ret = sys_call2(__NR_ftruncate, pt_control_fd, control_unit_offset(MAX_UNITS));
	if (ret < 0)
		return (int)ret;
	ret = sys_call6(__NR_mmap, 0, control_unit_offset(MAX_UNITS), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			pt_control_fd, 0);
	if (ret < 0)
		return (int)ret;
	pt_control = (struct control *)ret;
	unit_views(&units[0]);
	pool.next_slot = 1;
	return 0;
}

struct unit *unit_master(void)
{
	return &units[0];
}

/* The first of the vCPU's stubs. */
static struct stub *vcpu_stubs(struct unit *unit, u32 cpu)
{
	return &stubs[((u64)unit->index * pt_config.ncpus + cpu) * STUBS_PER_VCPU];
}

u32 stub_number(const struct unit *unit, const struct stub *stub)
{
	return (u32)(stub - vcpu_stubs((struct unit *)unit, 0));
}

/* Become the tracer of a sleeping thread and stop it. */
int seize_stub(s32 tid)
{
	s64 ret = sys_ptrace(PTRACE_SEIZE, tid, 0, (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD));
	s32 status;

	if (ret < 0)
		return (int)ret;
	ret = sys_ptrace(PTRACE_INTERRUPT, tid, 0, NULL);
	if (ret < 0)
		return (int)ret;
	status = sys_wait(tid);
	return status_stopped(status) ? 0 : -ESRCH;
}

static int make_spare(struct unit *unit, struct stub *stub)
{
	s64 tid = stub_syscall(stub, __NR_clone, CLONE_SPARE, 0, 0, 0, 0, 0);

	if (tid < 0)
		return (int)tid;
	unit->spare = (s32)tid;
	return 0;
}

static int map_ops_page(struct unit *unit, struct stub *stub)
{
	s64 ret = stub_syscall(stub, __NR_mmap, STUB_OPS_ADDR, control_unit_size(), PROT_READ | PROT_EXEC,
			       MAP_SHARED | MAP_FIXED, STUB_CTL_FD, control_unit_offset(unit->index));

	if (ret < 0)
		return (int)ret;
	unit->has_ops = true;
	return 0;
}

static void mark_dead(struct unit *unit)
{
	unit->dead = true;
	sys_call2(__NR_kill, unit->pid, SIGKILL);
}

/* At most one stub of a vCPU has a context for its owner: the one that has it is always taken. */
static struct stub *choose_stub(struct stub *set, const struct user_ctx *ctx)
{
	struct stub *best = NULL;

	for (u32 i = 0; i < STUBS_PER_VCPU; i++)
		if (set[i].fpu_owner == ctx)
			return &set[i];
	for (u32 i = 0; i < STUBS_PER_VCPU; i++)
		if (!best || (best->fpu_owner && (!set[i].fpu_owner || set[i].last_turn < best->last_turn)))
			best = &set[i];
	return best;
}

struct stub *unit_get_stub(struct unit *unit, struct vcpu *v, const struct user_ctx *ctx)
{
	struct stub *stub = vcpu_stubs(unit, v->cpu);

	if (ctx) {
		stub = choose_stub(stub, ctx);
		stub->last_turn = ++v->turns;
	}
	if (unit->dead)
		return NULL;
	if (likely(stub->tid))
		return stub;
	if (!unit->spare || seize_stub(unit->spare) < 0) {
		mark_dead(unit);
		return NULL;
	}
	*stub = (struct stub){ .tid = unit->spare, .pinned = -1, .last_turn = stub->last_turn };
	unit->spare = 0;
	unit->nstubs++;
	place_stub(v, stub);
	/* The first thread makes the next spare, which costs a clone; only then is the unit open to other vCPUs. */
	if ((!unit->has_ops && map_ops_page(unit, stub) < 0) ||
	    (unit->nstubs < pt_config.ncpus * STUBS_PER_VCPU && make_spare(unit, stub) < 0)) {
		mark_dead(unit);
		return NULL;
	}
	return stub;
}

static struct unit *pool_take(u32 cpu)
{
	struct unit **link, **best = NULL, *unit;

	spin_lock(&pool.lock);
	for (link = &pool.idle; *link; link = &(*link)->next) {
		if (!best)
			best = link;
		if (vcpu_stubs(*link, cpu)->tid) {
			best = link;
			break;
		}
	}
	unit = best ? *best : NULL;
	if (unit) {
		*best = unit->next;
		pool.nidle--;
	}
	spin_unlock(&pool.lock);
	return unit;
}

static struct unit *slot_take(void)
{
	struct unit *unit = NULL;

	spin_lock(&pool.lock);
	if (pool.free_slots) {
		unit = pool.free_slots;
		pool.free_slots = unit->next;
	} else if (pool.next_slot < MAX_UNITS) {
		unit = &units[pool.next_slot];
		unit->index = pool.next_slot++;
		unit_views(unit);
	}
	spin_unlock(&pool.lock);
	return unit;
}

static void slot_give(struct unit *unit)
{
	spin_lock(&pool.lock);
	unit->next = pool.free_slots;
	pool.free_slots = unit;
	spin_unlock(&pool.lock);
}

struct unit *unit_alloc(struct vcpu *v)
{
	struct unit *unit = pool_take(v->cpu), *master = v->master;
	struct stub *stub;
	s64 pid = -ESRCH;

	if (unit)
		return unit;
	unit = slot_take();
	if (!unit)
		return NULL;
	spin_lock(&master->lock);
	stub = unit_get_stub(master, v, NULL);
	if (stub)
		pid = stub_syscall(stub, __NR_clone, CLONE_UNIT, 0, 0, 0, 0, 0);
	spin_unlock(&master->lock);
	if (pid < 0) {
		slot_give(unit);
		return NULL;
	}
	unit->pid = unit->spare = (s32)pid;
	unit->nstubs = unit->nops = 0;
	unit->dead = unit->has_ops = unit->prefill = unit->collapsed = false;
	v->stats.units++;
	return unit;
}

/* SIGKILL works on ptrace-stopped threads too. Non-leaders that are traced have to be reaped before the leader. */
static void unit_end(struct unit *unit)
{
	sys_call2(__NR_kill, unit->pid, SIGKILL);
	for (u32 i = 0; i < pt_config.ncpus * STUBS_PER_VCPU; i++) {
		struct stub *stub = &vcpu_stubs(unit, 0)[i];

		if (stub->tid && stub->tid != unit->pid)
			sys_wait(stub->tid);
		*stub = (struct stub){ 0 };
	}
	sys_wait(unit->pid);
	unit->pid = unit->spare = 0;
	slot_give(unit);
}

void unit_free(struct unit *unit)
{
	bool keep;

	for (u32 i = 0; i < pt_config.ncpus * STUBS_PER_VCPU; i++)
		vcpu_stubs(unit, 0)[i].fpu_owner = NULL;
	fpu_pages_clear(unit);
	unit->prefill = false;
	ops_reset(unit);
	spin_lock(&pool.lock);
	keep = !unit->dead && pool.nidle < POOL_MAX;
	if (keep) {
		unit->next = pool.idle;
		pool.idle = unit;
		pool.nidle++;
	}
	spin_unlock(&pool.lock);
	if (!keep)
		unit_end(unit);
}

void unit_kill_all(void)
{
	for (u32 i = 0; units && i < pool.next_slot; i++)
		if (units[i].pid)
			sys_call2(__NR_kill, units[i].pid, SIGKILL);
}
