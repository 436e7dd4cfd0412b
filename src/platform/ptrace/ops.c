/* The queue of a unit's memory calls, and running calls in a stub. */
#include <linux/mman.h>

#include "platform/ptrace/internal.h"

#define POPULATE_MAX 2u /* pages of a fill that the host enters into its page tables at once: more are often never touched */

#define OPS_SPARE 32u /* a queue is run before it is so near to overflowing */

static struct stub_op *last_op(struct unit *unit)
{
	return unit->nops ? &unit->ops[unit->nops - 1] : NULL;
}
static u64 op_end(const struct stub_op *op)
{
	return op->arg[0] + op->arg[1];
}
static bool op_within(const struct stub_op *op, u64 start, u64 end)
{
	return op->arg[0] >= start && op_end(op) <= end;
}

static struct stub_op *new_op(struct unit *unit)
{
	if (unit->nops == OPS_MAX)
		ops_reset(unit);
	return &unit->ops[unit->nops++];
}

/* The translations of the whole address space go: the page table is the truth, and faults bring them back. */
void ops_reset(struct unit *unit)
{
	unit->ops[0] = (struct stub_op){ .nr = __NR_munmap, .arg = { 0, STUB_CODE_ADDR } };
	unit->nops = 1;
	unit->urgent = true;
}

/* What the new call [start, end) overrules at the tail of the queue need not be done. */
static void drop_overruled(struct unit *unit, u64 start, u64 end)
{
	struct stub_op *op;

	while ((op = last_op(unit)) && op_within(op, start, end))
		unit->nops--;
}

/* [addr, addr + len) is what the stub's descriptor `fd` has at `off`. */
static void fill_part(struct unit *unit, u64 addr, u64 len, u32 prot, s32 fd, u64 off)
{
	struct stub_op *op = last_op(unit);

	if (!op || op->nr != __NR_mmap || op->arg[2] != prot || op->arg[4] != (u64)fd || op_end(op) != addr ||
	    op->arg[5] + op->arg[1] != off) {
		op = new_op(unit);
		*op = (struct stub_op){ .nr = __NR_mmap, .arg = { addr, 0, prot, MAP_SHARED | MAP_FIXED, (u64)fd, off } };
	}
	if (unit->nops > OPS_MAX - OPS_SPARE)
		unit->urgent = true;
	op->arg[1] += len;
	op->arg[3] = MAP_SHARED | MAP_FIXED | (op->arg[1] <= POPULATE_MAX * PAGE_SIZE ? MAP_POPULATE : 0);
}

void ops_fill(struct unit *unit, u64 addr, u64 pa, u64 npages, u32 prot)
{
	u64 len = npages * PAGE_SIZE, part, off;
	s32 fd;

	drop_overruled(unit, addr, addr + len);
	for (; len; addr += part, pa += part, len -= part) {
		part = window_place(pa, &fd, &off);
		if (!part) /* no stub can have it: let whoever touches it die of that, not spin */
			unit->dead = true;
		part = part ? MIN(part, len) : len;
		if (!unit->dead)
			fill_part(unit, addr, part, prot, fd, off);
	}
}

bool ops_will_fill(const struct unit *unit, u64 addr)
{
	for (u32 i = unit->nops; i-- > 0;) {
		const struct stub_op *op = &unit->ops[i];

		if (addr >= op->arg[0] && addr < op_end(op))
			return op->nr == __NR_mmap;
	}
	return false;
}

void ops_unmap(struct unit *unit, u64 start, u64 end)
{
	struct stub_op *op;

	unit->urgent = true;
	drop_overruled(unit, start, end);
	op = last_op(unit);
	if (op && op->nr == __NR_munmap && op->arg[0] <= end && op_end(op) >= start) {
		u64 from = MIN(op->arg[0], start), to = MAX(op_end(op), end);

		op->arg[0] = from;
		op->arg[1] = to - from;
		return;
	}
	op = new_op(unit);
	*op = (struct stub_op){ .nr = __NR_munmap, .arg = { start, end - start } };
}

void ops_protect(struct unit *unit, u64 start, u64 end, u32 prot)
{
	struct stub_op *op = last_op(unit);

	unit->urgent = true;
	if (op && op->nr == __NR_mprotect && op->arg[2] == prot && op_end(op) == start) {
		op->arg[1] += end - start;
		return;
	}
	op = new_op(unit);
	*op = (struct stub_op){ .nr = __NR_mprotect, .arg = { start, end - start, prot } };
}

/* Let the stub run injected code until its int3 (0), its ud2 (-EFAULT), or its death. Kicks are kept as flags elsewhere. */
static int run_stub_code(s32 tid)
{
	for (;;) {
		s32 status;

		if (sys_ptrace(PTRACE_CONT, tid, 0, NULL) < 0)
			return -ESRCH;
		status = sys_wait(tid);
		if (!status_stopped(status))
			return -ESRCH;
		if (status >> 16) /* an event: a group stop from outside */
			continue;
		switch (status_signal(status)) {
		case SIGTRAP:
			return 0;
		case SIGILL:
			return -EFAULT;
		case SIGSEGV:
		case SIGBUS:
		case SIGSYS:
			return -ESRCH;
		}
	}
}

#define CLEAN_EFLAGS 0x202

static int load_injection_regs(struct stub *stub, struct user_regs *regs)
{
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	regs->eflags = CLEAN_EFLAGS;
	regs->orig_rax = ~0ull;
	stub->regs_valid = false;
	return (int)sys_ptrace(PTRACE_SETREGS, stub->tid, 0, regs);
}

s64 stub_syscall(struct stub *stub, u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	struct user_regs regs = { .rip = STUB_SINGLE, .rax = nr, .r15 = nr, .rdi = a, .rsi = b, .rdx = c, .r10 = d,
				  .r8 = e, .r9 = f };

	if (load_injection_regs(stub, &regs) < 0 || run_stub_code(stub->tid) < 0 ||
	    sys_ptrace(PTRACE_GETREGS, stub->tid, 0, &regs) < 0)
		return -ESRCH;
	return (s64)regs.rax;
}

static int start_batch(struct stub *stub)
{
	struct user_regs regs = { .rip = STUB_BATCH };

	/* One register is enough when the rest does no harm: a pending single step or restart would. */
	if (stub->regs_valid && !(stub->regs.eflags & EFLAGS_TF) && stub->regs.cs == USER_CS && stub->regs.ss == USER_DS) {
		stub->regs_valid = false;
		return (int)sys_ptrace(PTRACE_POKEUSR, stub->tid, __builtin_offsetof(struct user_regs, rip),
				       (void *)STUB_BATCH);
	}
	return load_injection_regs(stub, &regs);
}

/* The call at `failed` did not work. Arrange the queue so that running it again gives a right, if emptier, result. */
static bool recover_batch(struct unit *unit, u64 rbx)
{
	u64 failed = (rbx - STUB_OPS_ADDR) / sizeof(struct stub_op);
	struct stub_op *op;

	if (rbx < STUB_OPS_ADDR || failed >= unit->nops)
		return false;
	op = &unit->ops[failed];
	if (op->nr == __NR_mprotect) {
		/* A hole in the range (mprotect(2): ENOMEM): drop the translations. */
		op->nr = __NR_munmap;
		unit->nops -= failed;
		memmove(unit->ops, op, unit->nops * sizeof(*op));
		return true;
	}
	/* Too many host mappings: begin anew. When that does not help either, the host has no memory left. */
	if (unit->collapsed)
		return false;
	unit->collapsed = true;
	ops_reset(unit);
	return true;
}

bool ops_run(struct unit *unit, struct stub *stub, struct vcpu *v)
{
	v->stats.injections++;
	v->stats.ops += unit->nops;
	for (;;) {
		struct user_regs regs;
		int ret;

		unit->ops[unit->nops].nr = ~0ull;
		if (start_batch(stub) < 0)
			return false;
		ret = run_stub_code(stub->tid);
		if (!ret)
			break;
		if (ret != -EFAULT || sys_ptrace(PTRACE_GETREGS, stub->tid, 0, &regs) < 0 ||
		    !recover_batch(unit, regs.rbx))
			return false;
	}
	if (unit->collapsed && unit->ops[unit->nops - 1].nr == __NR_mmap)
		unit->collapsed = false;
	unit->nops = 0;
	unit->urgent = false;
	return true;
}
