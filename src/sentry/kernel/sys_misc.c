/* sysinfo(2), syslog(2), kcmp(2), membarrier(2). */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <linux/sysinfo.h>

#include "base/string.h"
#include "sentry/kernel/loadavg.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/task_access.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

SYSCALL1(sysinfo, u64, uinfo)
{
	struct sysinfo si = { 0 };
	struct meminfo mi;
	u64 avg[3];

	mm_meminfo(&mi);
	si.uptime = (long)((clock_mono_ns() - boot_params->boot_mono_ns + (u64)time_offsets()->boot) / NSEC_PER_SEC);
	si.totalram = mi.total << PAGE_SHIFT;
	si.freeram = mi.free << PAGE_SHIFT;
	si.sharedram = mi.shmem << PAGE_SHIFT;
	si.procs = (u16)MIN(nr_threads, 65535u);
	si.mem_unit = 1;
	loadavg_get(avg);
	for (u32 i = 0; i < 3; i++)
		si.loads[i] = avg[i] << (SI_LOAD_SHIFT - LOADAVG_SHIFT);
	return copy_to_user(uinfo, &si, sizeof(si));
}

/* The kernel log is empty, and stays so. */
SYSCALL3(syslog, s32, type, u64, ubuf, s32, len)
{
	if (type != 3 && type != 10 && !capable(CAP_SYSLOG))
		return -EPERM;
	switch (type) {
	case 2: case 3: case 4: /* read */
		if (!ubuf || len < 0)
			return -EINVAL;
		return 0;
	case 8: /* console level */
		return len < 1 || len > 8 ? -EINVAL : 0;
	case 10: /* size of the buffer */
		return 1 << 17;
	case 0: case 1: case 5: case 6: case 7: case 9:
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- kcmp ---- */

static struct task *kcmp_target(s32 nr)
{
	return find_task_get(nr);
}

static void *file_of(struct task *t, u64 fd)
{
	struct files *files = NULL;
	struct file *f = NULL;
	u32 flags;

	spin_lock(&t->alloc_lock);
	if (t->files)
		files = files_get(t->files);
	spin_unlock(&t->alloc_lock);
	if (files && fd <= INT32_MAX)
		f = files_peek(files, (s32)fd, &flags);
	if (files)
		files_put(files);
	if (f)
		file_put(f); /* only its identity is compared */
	return f;
}

/* An order that does not tell addresses: both are multiplied by an odd number of the boot. */
static long order(const void *a, const void *b)
{
	u64 secret = ((const u64 *)boot_params->random)[3] | 1;
	u64 x = (u64)a * secret, y = (u64)b * secret;

	return x == y ? 0 : x < y ? 1 : 2;
}

static long kcmp_files(struct task *a, struct task *b, u64 fd_a, u64 fd_b)
{
	void *fa = file_of(a, fd_a), *fb = file_of(b, fd_b);

	return fa && fb ? order(fa, fb) : -EBADF;
}

static long do_kcmp(struct task *a, struct task *b, s32 type, u64 i, u64 j)
{
	if (!may_access_task(a, false) || !may_access_task(b, false))
		return -EPERM;
	switch (type) {
	case KCMP_FILE:
		return kcmp_files(a, b, i, j);
	case KCMP_VM:
		return order(a->mm, b->mm);
	case KCMP_FILES:
		return order(a->files, b->files);
	case KCMP_FS:
		return order(a->fs, b->fs);
	case KCMP_SIGHAND:
		return order(a->sighand, b->sighand);
	case KCMP_IO:
		return order(NULL, NULL); /* nobody has an I/O context */
	case KCMP_SYSVSEM:
		return order(a->sem_undo, b->sem_undo);
	default:
		return -EINVAL;
	}
}

SYSCALL5(kcmp, s32, nr_a, s32, nr_b, s32, type, u64, i, u64, j)
{
	struct task *a = kcmp_target(nr_a), *b = kcmp_target(nr_b);
	long ret = a && b ? do_kcmp(a, b, type, i, j) : -ESRCH;

	task_put(a);
	task_put(b);
	return ret;
}

/* ---- membarrier ---- */

#define MEMBARRIER_ALL                                                                  \
	(MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | \
	 MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |  \
	 MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | \
	 MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ)

static long private_barrier(u64 needed)
{
	struct mm *mm = current->mm;

	if (!((u64)mm->membarrier_state & needed))
		return -EPERM;
	sched_sync_cpus(mm);
	return 0;
}

/* Threads that run in user mode, on one processor or all, leave the restartable sequence they are in: rseq(2). */
static long rseq_barrier(s32 cpu)
{
	struct mm *mm = current->mm;

	if (!((u64)mm->membarrier_state & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ))
		return -EPERM;
	sched_restart_sequences(mm, cpu);
	return 0;
}

static long register_barrier(u64 bit)
{
	atomic_fetch_or((_Atomic u64 *)&current->mm->membarrier_state, bit);
	return 0;
}

SYSCALL3(membarrier, s32, cmd, u32, flags, s32, cpu)
{
	if (cmd == MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ ? flags & ~(u32)MEMBARRIER_CMD_FLAG_CPU : flags)
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY:
		return MEMBARRIER_ALL;
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
		sched_sync_cpus(NULL);
		return 0;
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
		return 0;
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
		return private_barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE:
		return private_barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ:
		return rseq_barrier(flags & MEMBARRIER_CMD_FLAG_CPU ? cpu : -1);
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ:
		return register_barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
		return register_barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
		return register_barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
	default:
		return -EINVAL;
	}
}
