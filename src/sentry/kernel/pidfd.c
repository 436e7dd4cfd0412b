/* Process descriptors: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2). */
#include <asm/fcntl.h>
#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/capability.h>

#include "base/string.h"
#include "fs/proc/proc.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_access.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

static void pidfd_release(struct file *f)
{
	pid_put(f->priv);
}

static bool process_over(struct pid *pid)
{
	bool over;

	spin_lock(&tasklist_lock);
	over = !pid->process || pid->process->flags & PROC_ZOMBIE;
	spin_unlock(&tasklist_lock);
	return over;
}

static u32 pidfd_poll(struct file *f, struct poll_table *pt)
{
	struct pid *pid = f->priv;

	poll_wait(f, &pid->wait, pt);
	return process_over(pid) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int pidfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct pid *pid = f->priv;
	s32 nr;

	spin_lock(&tasklist_lock);
	nr = pid->process ? pid_nr(pid) : -1;
	spin_unlock(&tasklist_lock);
	return kscnprintf(buf, size, "Pid:\t%d\nNSpid:\t%d\n", nr, nr);
}

static const struct file_ops pidfd_fops = {
	.release = pidfd_release,
	.poll = pidfd_poll,
	.show_fdinfo = pidfd_fdinfo,
};

struct file *pidfd_file(struct pid *pid, u32 flags)
{
	struct file *f = anon_file("pidfd", &pidfd_fops, pid, O_RDWR | flags);

	if (!IS_ERR(f))
		pid_get(pid);
	return f;
}

struct pid *pidfd_get(s32 fd, u32 *file_flags)
{
	struct file *f = fget(fd);
	struct pid *pid;

	if (!f)
		return ERR_PTR(-EBADF);
	pid = f->fop == &pidfd_fops ? pid_get(f->priv) : ERR_PTR(-EBADF);
	*file_flags = f->flags;
	file_put(f);
	return pid;
}

SYSCALL2(pidfd_open, s32, nr, u32, flags)
{
	struct process *p;
	struct file *f;
	s32 fd;

	if (flags & ~(u32)O_NONBLOCK || nr <= 0)
		return -EINVAL;
	p = find_process_get(nr);
	if (!p) { /* a thread that leads no group is no process */
		struct task *t = find_task_get(nr);

		task_put(t);
		return t ? -EINVAL : -ESRCH;
	}
	f = pidfd_file(p->tgid, flags);
	process_put(p);
	if (IS_ERR(f))
		return PTR_ERR(f);
	fd = fd_alloc_install(f, O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

/* As pidfd_send_signal(2) says, a descriptor of a /proc/PID directory will do there too. */
static struct pid *signal_pid_get(s32 fd)
{
	struct file *f = fget(fd);
	struct pid *pid;

	if (!f)
		return ERR_PTR(-EBADF);
	pid = f->fop == &pidfd_fops ? pid_get(f->priv) : proc_directory_pid(f);
	file_put(f);
	return pid ? pid : ERR_PTR(-EBADF);
}

static struct pid *plain_pid_get(s32 fd)
{
	u32 flags;

	return pidfd_get(fd, &flags);
}

/* Takes the reference on `pid`, which may be an error. */
static struct process *process_of(struct pid *pid)
{
	struct process *p = NULL;

	if (IS_ERR(pid))
		return ERR_PTR(PTR_ERR(pid));
	spin_lock(&tasklist_lock);
	if (pid->process)
		p = process_get(pid->process);
	spin_unlock(&tasklist_lock);
	pid_put(pid);
	return p ? p : ERR_PTR(-ESRCH);
}

static long decode_info(u64 uinfo, s32 sig, const struct process *p, siginfo_t_k *info)
{
	if (!uinfo) {
		*info = (siginfo_t_k){ .si_signo = sig, .si_code = SI_USER };
		info->rt.pid = task_tgid(current);
		info->rt.uid = uid_out(current->cred->uid);
		return 0;
	}
	if (copy_from_user(info, uinfo, sizeof(*info)))
		return -EFAULT;
	if (info->si_signo != sig)
		return -EINVAL;
	if (p != current->proc && (info->si_code >= 0 || info->si_code == SI_TKILL))
		return -EPERM;
	return 0;
}

SYSCALL4(pidfd_send_signal, s32, fd, s32, sig, u64, uinfo, u32, flags)
{
	siginfo_t_k info;
	struct process *p;
	long err;

	if (flags)
		return -EINVAL;
	p = process_of(signal_pid_get(fd));
	if (IS_ERR(p))
		return PTR_ERR(p);
	err = sig < 0 || sig > SIG_COUNT ? -EINVAL : decode_info(uinfo, sig, p, &info);
	if (!err)
		err = check_kill_permission(p, sig);
	if (!err && sig)
		err = send_signal_process(p, sig, &info);
	process_put(p);
	return err;
}

SYSCALL3(pidfd_getfd, s32, pidfd, s32, fd, u32, flags)
{
	struct files *files = NULL;
	struct file *f = NULL;
	struct process *p;
	struct task *t;
	u32 fd_flags;
	s32 ret = -EBADF;

	if (flags)
		return -EINVAL;
	p = process_of(plain_pid_get(pidfd));
	if (IS_ERR(p))
		return PTR_ERR(p);
	spin_lock(&tasklist_lock);
	t = task_get(p->leader);
	spin_unlock(&tasklist_lock);
	process_put(p);
	if (!may_access_task(t, true)) {
		task_put(t);
		return -EPERM;
	}
	spin_lock(&t->alloc_lock);
	if (t->files)
		files = files_get(t->files);
	spin_unlock(&t->alloc_lock);
	task_put(t);
	if (!files)
		return -ESRCH;
	f = files_peek(files, fd, &fd_flags);
	files_put(files);
	if (f) {
		ret = fd_alloc_install(f, O_CLOEXEC, 0);
		if (ret < 0)
			file_put(f);
	}
	return ret;
}
