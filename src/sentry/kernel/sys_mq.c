/* mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2). */
#include <asm/siginfo.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "base/string.h"
#include "net/sock.h"
#include "sentry/kernel/ipc_mq_internal.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

struct mq_attr_k {
	s64 flags, maxmsg, msgsize, curmsgs, reserved[4];
};
struct sigevent_k {
	u64 value;
	s32 signo, notify;
	u8 rest[48];
};

/* ---- names ---- */

static char *get_name(u64 uname)
{
	char *name = getname(uname);
	size_t len;

	if (IS_ERR(name))
		return name;
	len = strlen(name);
	if (len <= MQ_NAME_MAX && !kstrchr(name, '/'))
		return name;
	kfree(name);
	return ERR_PTR(len > MQ_NAME_MAX ? -ENAMETOOLONG : -EACCES);
}

static int check_access(struct mqueue *q, u32 flags)
{
	static const u32 want[4] = { MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, 0 };

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	return inode_permission(q->inode, want[flags & O_ACCMODE]);
}

static struct mqueue *find_or_create(const char *name, u32 flags, u32 mode, const s64 *attr)
{
	struct mqueue *q = mq_find(name, strlen(name));
	int err;

	if (!q)
		return flags & O_CREAT ? mq_create(name, strlen(name), mode, attr) : ERR_PTR(-ENOENT);
	err = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? -EEXIST : check_access(q, flags);
	if (!err)
		return q;
	mq_put(q);
	return ERR_PTR(err);
}

static long open_queue(const char *name, u32 flags, u32 mode, const s64 *attr)
{
	char shown[MQ_NAME_MAX + 2];
	struct mqueue *q = find_or_create(name, flags, mode, attr);
	struct file *f;
	long fd;

	if (IS_ERR(q))
		return PTR_ERR(q);
	ksnprintf(shown, sizeof(shown), "/%s", name);
	f = file_on_inode(inode_get(q->inode), shown, &mq_fops, q, flags & (O_ACCMODE | O_NONBLOCK));
	if (IS_ERR(f)) {
		inode_put(q->inode);
		mq_put(q);
		return PTR_ERR(f);
	}
	fd = fd_alloc_install(f, O_CLOEXEC, 0); /* always, on Linux */
	if (fd < 0)
		file_put(f);
	return fd;
}

SYSCALL4(mq_open, u64, uname, u32, flags, u32, mode, u64, uattr)
{
	struct mq_attr_k attr;
	char *name;
	long ret;

	if (uattr && flags & O_CREAT && copy_from_user(&attr, uattr, sizeof(attr)))
		return -EFAULT;
	name = get_name(uname);
	if (IS_ERR(name))
		return PTR_ERR(name);
	ret = open_queue(name, flags, mode, uattr && flags & O_CREAT ? (const s64 *)&attr : NULL);
	kfree(name);
	return ret;
}

SYSCALL1(mq_unlink, u64, uname)
{
	char *name = get_name(uname);
	struct mqueue *q;
	long ret = -ENOENT;

	if (IS_ERR(name))
		return PTR_ERR(name);
	q = mq_find(name, strlen(name));
	kfree(name);
	if (!q)
		return -ENOENT;
	/* The directory is sticky: its owner and the queue's may. */
	if (current->cred->fsuid != q->inode->uid && current->cred->fsuid != 0 && !capable(CAP_FOWNER))
		ret = -EPERM;
	else
		ret = mq_remove(q);
	mq_put(q);
	return ret;
}

/* ---- messages ---- */

static struct mqueue *queue_of(s32 fd, u32 mode, struct file **f)
{
	*f = fget(fd);
	if (!*f)
		return ERR_PTR(-EBADF);
	if ((*f)->fop == &mq_fops && ((*f)->mode & mode) == mode)
		return (*f)->priv;
	file_put(*f);
	return ERR_PTR(-EBADF);
}

/* An absolute CLOCK_REALTIME time as a deadline. */
static int get_deadline(u64 uts, u64 *deadline)
{
	u64 now = clock_real_ns(), at;
	s64 ts[2];

	*deadline = ~0ull;
	if (!uts)
		return 0;
	if (copy_from_user(ts, uts, sizeof(ts)))
		return -EFAULT;
	if (ts[0] < 0 || ts[1] < 0 || ts[1] >= (s64)NSEC_PER_SEC)
		return -EINVAL;
	if ((u64)ts[0] > ~0ull / NSEC_PER_SEC - 1)
		return 0;
	at = ts[0] * NSEC_PER_SEC + ts[1];
	*deadline = clock_mono_ns() + (at > now ? at - now : 0);
	return 0;
}

static struct mq_msg *make_msg(u64 udata, u64 len, u32 prio)
{
	struct mq_msg *m = kmalloc(sizeof(*m) + len);

	if (!m)
		return ERR_PTR(-ENOMEM);
	m->prio = prio;
	m->len = len;
	if (!copy_from_user(m->data, udata, len))
		return m;
	kfree(m);
	return ERR_PTR(-EFAULT);
}

SYSCALL5(mq_timedsend, s32, fd, u64, udata, u64, len, u32, prio, u64, uts)
{
	struct mq_msg *m;
	struct mqueue *q;
	struct file *f;
	u64 deadline;
	long ret = get_deadline(uts, &deadline);

	if (ret)
		return ret;
	if (prio >= MQ_PRIO_MAX_K)
		return -EINVAL;
	q = queue_of(fd, FMODE_WRITE, &f);
	if (IS_ERR(q))
		return PTR_ERR(q);
	m = len > q->msg_size ? ERR_PTR(-EMSGSIZE) : make_msg(udata, len, prio);
	ret = IS_ERR(m) ? PTR_ERR(m) : mq_send(q, m, f->flags & O_NONBLOCK, deadline);
	if (ret && !IS_ERR(m))
		kfree(m);
	file_put(f);
	return ret;
}

SYSCALL5(mq_timedreceive, s32, fd, u64, udata, u64, len, u64, uprio, u64, uts)
{
	struct mq_msg *m;
	struct mqueue *q;
	struct file *f;
	u64 deadline;
	long ret = get_deadline(uts, &deadline);

	if (ret)
		return ret;
	q = queue_of(fd, FMODE_READ, &f);
	if (IS_ERR(q))
		return PTR_ERR(q);
	m = len < q->msg_size ? ERR_PTR(-EMSGSIZE) : mq_receive(q, f->flags & O_NONBLOCK, deadline);
	file_put(f);
	if (IS_ERR(m))
		return PTR_ERR(m);
	ret = m->len;
	if ((uprio && put_user(m->prio, uprio)) || copy_to_user(udata, m->data, m->len))
		ret = -EFAULT;
	kfree(m);
	return ret;
}

/* ---- notification and attributes ---- */

/* SIGEV_THREAD: glibc passes a netlink socket and a cookie to be written to it. */
static int notify_socket(const struct sigevent_k *ev, struct mq_notify *n)
{
	struct file *f;
	struct sock *sk;

	if (copy_from_user(n->cookie, ev->value, MQ_COOKIE_LEN))
		return -EFAULT;
	sk = sock_from_fd(ev->signo, &f);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	if (sk->family == AF_NETLINK)
		n->sock = sock_get(sk);
	file_put(f);
	return n->sock ? 0 : -EINVAL;
}

static int notify_request(u64 uev, struct mq_notify *n)
{
	struct sigevent_k ev;

	memset(n, 0, sizeof(*n));
	if (copy_from_user(&ev, uev, sizeof(ev)))
		return -EFAULT;
	if (ev.notify != SIGEV_NONE && ev.notify != SIGEV_SIGNAL && ev.notify != SIGEV_THREAD)
		return -EINVAL;
	if (ev.notify == SIGEV_SIGNAL && (u32)ev.signo > SIG_COUNT)
		return -EINVAL;
	n->how = ev.notify;
	n->signo = ev.signo;
	n->value = ev.value;
	n->uid = current->cred->uid;
	return ev.notify == SIGEV_THREAD ? notify_socket(&ev, n) : 0;
}

SYSCALL2(mq_notify, s32, fd, u64, uev)
{
	struct mq_notify n = { .owner = NULL };
	struct mqueue *q;
	struct file *f;
	long err = 0;

	if (uev)
		err = notify_request(uev, &n);
	if (err)
		return err;
	q = queue_of(fd, 0, &f);
	if (IS_ERR(q)) {
		if (n.sock)
			sock_put(n.sock);
		return PTR_ERR(q);
	}
	if (uev) {
		n.owner = process_get(current->proc);
		err = mq_notify_set(q, &n);
		if (err) {
			process_put(n.owner);
			if (n.sock)
				sock_put(n.sock);
		}
	} else {
		mq_notify_drop(q, current->proc);
	}
	file_put(f);
	return err;
}

SYSCALL3(mq_getsetattr, s32, fd, u64, unew, u64, uold)
{
	struct mq_attr_k new, old = { 0 };
	struct mqueue *q;
	struct file *f;
	long err = 0;

	if (unew) {
		if (copy_from_user(&new, unew, sizeof(new)))
			return -EFAULT;
		if (new.flags & ~O_NONBLOCK)
			return -EINVAL;
	}
	q = queue_of(fd, 0, &f);
	if (IS_ERR(q))
		return PTR_ERR(q);
	old.flags = f->flags & O_NONBLOCK;
	old.maxmsg = q->max_msgs;
	old.msgsize = q->msg_size;
	old.curmsgs = READ_ONCE(q->count);
	if (unew) {
		if (new.flags & O_NONBLOCK)
			atomic_fetch_or(&f->flags, O_NONBLOCK);
		else
			atomic_fetch_and(&f->flags, ~(u32)O_NONBLOCK);
	}
	if (uold && copy_to_user(uold, &old, sizeof(old)))
		err = -EFAULT;
	file_put(f);
	return err;
}
