/* Other address spaces' memory: ptrace, /proc/pid/mem, process_vm_readv(2) and process_vm_writev(2). */
#include <asm/errno.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_access.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagetable.h"
#include "sentry/sys/syscall.h"

/* What is done with the bytes of one page: true copies them. Returns bytes done. */
typedef size_t (*page_fn)(void *arg, void *page_part, size_t n);

/* Run fn over [addr, addr + n) page by page, without mm->lock held in fn (it may touch user memory). */
static long for_each_page(struct mm *mm, u64 addr, size_t n, bool write, bool force, page_fn fn, void *arg)
{
	size_t done = 0;

	while (done < n) {
		size_t off = (addr + done) & ~PAGE_MASK, part = MIN(n - done, PAGE_SIZE - off), ok;
		struct page *page;

		down_read(&mm->lock);
		page = mm_get_page(mm, (addr + done) & PAGE_MASK, write, force);
		up_read(&mm->lock);
		if (IS_ERR(page))
			return done ? (long)done : -EFAULT;
		ok = fn(arg, (char *)page_to_va(page) + off, part);
		page_put(page);
		done += ok;
		if (ok < part)
			break;
	}
	return (long)done;
}

struct buffer {
	char *at;
	bool write;
};

static size_t copy_buffer(void *arg, void *part, size_t n)
{
	struct buffer *b = arg;

	if (b->write)
		memcpy(part, b->at, n);
	else
		memcpy(b->at, part, n);
	b->at += n;
	return n;
}

long mm_access(struct mm *mm, u64 addr, void *buf, size_t n, bool write, bool force)
{
	struct buffer b = { .at = buf, .write = write };

	return for_each_page(mm, addr, n, write, force, copy_buffer, &b);
}

struct iter_arg {
	struct iov_iter *it;
	bool write;
};

static size_t copy_iter(void *arg, void *part, size_t n)
{
	struct iter_arg *a = arg;

	return a->write ? copy_from_iter(part, n, a->it) : copy_to_iter(part, n, a->it);
}

static long remote_mm(s32 pid, struct mm **mm)
{
	struct task *t = find_task_get(pid);
	long err = 0;

	if (!t)
		return -ESRCH;
	if (!may_access_task(t, true))
		err = -EPERM;
	if (!err) {
		*mm = task_get_mm(t);
		if (!*mm)
			err = -ESRCH;
	}
	task_put(t);
	return err;
}

static long copy_remote(struct mm *mm, const struct iovec_k *remote, u64 nr, struct iov_iter *local, bool write)
{
	struct iter_arg arg = { .it = local, .write = write };
	long total = 0, done;

	for (u64 i = 0; i < nr && local->count; i++) {
		u64 want = MIN(remote[i].len, local->count);

		if (!want)
			continue;
		done = for_each_page(mm, remote[i].base, want, write, false, copy_iter, &arg);
		if (done > 0)
			total += done;
		if (done < (long)want)
			return total ? total : -EFAULT;
	}
	return total;
}

static long process_vm_rw(s32 pid, u64 ulocal, u64 nlocal, u64 uremote, u64 nremote, u64 flags, bool write)
{
	struct iovec_k fast[8], *storage, *remote = NULL;
	struct iov_iter local;
	struct mm *mm;
	long ret;

	if (flags || nlocal > IOV_MAX_K)
		return -EINVAL;
	ret = iov_iter_import(&local, ulocal, (u32)nlocal, fast, &storage);
	if (ret)
		return ret;
	if (nremote > IOV_MAX_K) {
		ret = -EINVAL;
		goto out;
	}
	if (!local.count || !nremote)
		goto out;
	remote = kmalloc(nremote * sizeof(*remote));
	ret = !remote ? -ENOMEM : copy_from_user(remote, uremote, nremote * sizeof(*remote));
	for (u64 i = 0; i < nremote && !ret; i++)
		if ((s64)remote[i].len < 0)
			ret = -EINVAL;
	if (!ret)
		ret = remote_mm(pid, &mm);
	if (!ret) {
		ret = copy_remote(mm, remote, nremote, &local, write);
		mm_users_put(mm);
	}
	kfree(remote);
out:
	if (storage != fast)
		kfree(storage);
	return ret;
}

SYSCALL6(process_vm_readv, s32, pid, u64, local, u64, nlocal, u64, remote, u64, nremote, u64, flags)
{
	return process_vm_rw(pid, local, nlocal, remote, nremote, flags, false);
}

SYSCALL6(process_vm_writev, s32, pid, u64, local, u64, nlocal, u64, remote, u64, nremote, u64, flags)
{
	return process_vm_rw(pid, local, nlocal, remote, nremote, flags, true);
}
