/* Memory policies on a machine of one node: arguments are checked as Linux checks them, and every policy comes to the same. */
#include <asm/errno.h>
#include <linux/capability.h>
#include <linux/mempolicy.h>

#include "sentry/kernel/task.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagetable.h"
#include "sentry/sys/syscall.h"

#define MAX_NODE_BITS (64ul * PAGE_SIZE) /* as many as Linux takes in a node mask */

/* A node mask of maxnode - 1 bits from user memory. Only node 0 exists. */
static long get_nodes(u64 umask, u64 maxnode, u64 *nodes)
{
	*nodes = 0;
	if (!maxnode || --maxnode == 0 || !umask)
		return 0;
	if (maxnode > MAX_NODE_BITS)
		return -EINVAL;
	for (u64 bit = 0; bit < maxnode; bit += 64) {
		u64 word;

		if (get_user(word, umask + bit / 8))
			return -EFAULT;
		if (maxnode - bit < 64)
			word &= (1ull << (maxnode - bit)) - 1;
		if (!bit)
			*nodes = word;
		else if (word)
			return -EINVAL;
	}
	return 0;
}

/* Check a mode against its nodes; *mode loses the mode flags. */
static long check_policy(u32 *mode, u64 nodes)
{
	u32 flags = *mode & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES);

	*mode &= ~(u32)(MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING);
	if (*mode >= MPOL_MAX || flags == (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES))
		return -EINVAL;
	if (nodes & ~1ull)
		return -EINVAL;
	switch (*mode) {
	case MPOL_DEFAULT:
	case MPOL_LOCAL:
		return nodes ? -EINVAL : 0;
	case MPOL_PREFERRED:
		return !nodes && flags ? -EINVAL : 0;
	default:
		return nodes ? 0 : -EINVAL;
	}
}

SYSCALL3(set_mempolicy, u32, mode, u64, umask, u64, maxnode)
{
	u64 nodes;
	long err = get_nodes(umask, maxnode, &nodes);

	if (!err)
		err = check_policy(&mode, nodes);
	if (err)
		return err;
	current->mempolicy = mode;
	current->mempolicy_nodes = nodes;
	return 0;
}

SYSCALL5(get_mempolicy, u64, umode, u64, umask, u64, maxnode, u64, addr, u64, flags)
{
	u32 mode = current->mempolicy;
	u64 nodes = current->mempolicy_nodes;

	if (flags & ~(u64)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
		return -EINVAL;
	if (umask && maxnode < 1)
		return -EINVAL;
	if (flags & MPOL_F_MEMS_ALLOWED) {
		if (flags & (MPOL_F_NODE | MPOL_F_ADDR))
			return -EINVAL;
		mode = 0;
		nodes = 1;
	} else if (flags & MPOL_F_ADDR) {
		struct mm *mm = current->mm;
		struct vma *vma;

		down_read(&mm->lock);
		vma = vma_find(mm, addr);
		mode = vma && vma->start <= addr ? MPOL_DEFAULT : ~0u;
		up_read(&mm->lock);
		if (mode == ~0u)
			return -EFAULT;
		nodes = 0;
	} else if (addr || ((flags & MPOL_F_NODE) && mode != MPOL_INTERLEAVE)) {
		return -EINVAL;
	}
	if (flags & MPOL_F_NODE)
		mode = 0;
	if (umode && put_user(mode, umode))
		return -EFAULT;
	if (umask) {
		if (clear_user(umask, (maxnode + 62) / 64 * 8) || (maxnode > 1 && put_user(nodes, umask)))
			return -EFAULT;
	}
	return 0;
}

SYSCALL6(mbind, u64, start, u64, len, u32, mode, u64, umask, u64, maxnode, u32, flags)
{
	struct mm *mm = current->mm;
	u64 nodes, end;
	long err;

	if (flags & ~(u32)(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if ((flags & MPOL_MF_MOVE_ALL) && !capable(CAP_SYS_NICE))
		return -EPERM;
	err = get_nodes(umask, maxnode, &nodes);
	if (!err)
		err = check_policy(&mode, nodes);
	if (err)
		return err;
	if (start & ~PAGE_MASK)
		return -EINVAL;
	end = start + PAGE_ALIGN_UP(len);
	if (end < start)
		return -EINVAL;
	down_read(&mm->lock);
	while (start < end && !err) {
		struct vma *vma = vma_find(mm, start);

		if (!vma || vma->start > start)
			err = -EFAULT;
		else
			start = vma->end;
	}
	up_read(&mm->lock);
	return err;
}

SYSCALL4(set_mempolicy_home_node, u64, start, u64, len, u64, node, u64, flags)
{
	if ((start & ~PAGE_MASK) || flags || node || start + PAGE_ALIGN_UP(len) < start)
		return -EINVAL;
	return 0;
}

static long target_mm(s32 pid, struct mm **mm)
{
	struct task *t = pid ? find_task_get(pid) : task_get(current);

	if (!t)
		return -ESRCH;
	*mm = task_get_mm(t);
	task_put(t);
	return *mm ? 0 : -EINVAL;
}

SYSCALL4(migrate_pages, s32, pid, u64, maxnode, u64, uold, u64, unew)
{
	u64 old, new;
	struct mm *mm;
	long err = get_nodes(uold, maxnode, &old);

	if (!err)
		err = get_nodes(unew, maxnode, &new);
	if (!err)
		err = target_mm(pid, &mm);
	if (err)
		return err;
	mm_users_put(mm);
	return new & ~1ull || !new ? -EINVAL : 0; /* nothing can be elsewhere */
}

static s32 page_status(struct mm *mm, u64 addr)
{
	struct vma *vma;
	s32 status = -ENOENT;
	u64 *ptep;

	down_read(&mm->lock);
	vma = vma_find(mm, addr);
	if (!vma || vma->start > addr) {
		status = -EFAULT;
	} else {
		spin_lock(&mm->pt_lock);
		ptep = pt_lookup(mm, addr);
		if (ptep && pte_has_frame(*ptep))
			status = *ptep & PTE_SPECIAL ? -EFAULT : 0;
		spin_unlock(&mm->pt_lock);
	}
	up_read(&mm->lock);
	return status;
}

SYSCALL6(move_pages, s32, pid, u64, n, u64, upages, u64, unodes, u64, ustatus, u32, flags)
{
	struct mm *mm = NULL;
	long err;

	if (flags & ~(u32)(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if ((flags & MPOL_MF_MOVE_ALL) && !capable(CAP_SYS_NICE))
		return -EPERM;
	err = target_mm(pid, &mm);
	for (u64 i = 0; i < n && !err; i++) {
		u64 addr;
		s32 node = 0, status;

		if (get_user(addr, upages + i * 8) || (unodes && get_user(node, unodes + i * 4)))
			err = -EFAULT;
		else if (node)
			err = -ENODEV;
		status = err ? 0 : page_status(mm, addr);
		if (!err && put_user(status, ustatus + i * 4))
			err = -EFAULT;
	}
	if (mm)
		mm_users_put(mm);
	return err;
}
