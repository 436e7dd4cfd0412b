/* send(2), recv(2) and their families. */
#include <linux/fcntl.h>

#include "base/string.h"
#include "net/sock.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/select.h"
#include "sentry/vfs/transfer.h"

#define OPTMEM_MAX 20480u
#define UIO_FAST 8

static u32 file_msg_flags(const struct file *f, u32 flags)
{
	return file_nonblock(f) ? flags | MSG_DONTWAIT : flags;
}

/* ---- one message ---- */

SYSCALL6(sendto, s32, fd, u64, buf, u64, len, u32, flags, u64, uaddr, s32, addrlen)
{
	struct msg m = { .flags = flags };
	struct sockaddr_k addr;
	struct iovec_k iov;
	struct file *f;
	struct sock *sk;
	long ret = iov_iter_user(&m.it, &iov, buf, len);

	if (ret)
		return ret;
	sk = sock_from_fd(fd, &f);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	if (uaddr) {
		ret = addr_from_user(&addr, uaddr, addrlen);
		m.name = &addr;
		m.namelen = addrlen;
	}
	m.flags = file_msg_flags(f, flags);
	if (!ret)
		ret = sk->ops->sendmsg(sk, &m);
	file_put(f);
	return ret;
}

SYSCALL6(recvfrom, s32, fd, u64, buf, u64, len, u32, flags, u64, uaddr, u64, ulenp)
{
	struct sockaddr_k addr = { 0 };
	struct msg m = { .name = &addr };
	struct iovec_k iov;
	struct file *f;
	struct sock *sk;
	long ret = iov_iter_user(&m.it, &iov, buf, len);

	if (ret)
		return ret;
	sk = sock_from_fd(fd, &f);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	m.flags = file_msg_flags(f, flags);
	ret = sk->ops->recvmsg(sk, &m);
	file_put(f);
	if (ret >= 0 && uaddr) {
		int err = addr_to_user(&addr, m.namelen, uaddr, ulenp);

		if (err)
			ret = err;
	}
	return ret;
}

/* A message header from user memory, with its vector and, for sending, address and control data. */
struct umsg {
	struct user_msghdr h;
	struct msg m;
	struct sockaddr_k addr;
	struct iovec_k fast[UIO_FAST], *iov;
	u8 *ctl;
};

static int umsg_import(struct umsg *u, u64 umsg)
{
	if (copy_from_user(&u->h, umsg, sizeof(u->h)))
		return -EFAULT;
	if (!u->h.name)
		u->h.namelen = 0;
	if (u->h.namelen < 0)
		return -EINVAL;
	if (u->h.namelen > (s32)sizeof(u->addr))
		u->h.namelen = sizeof(u->addr);
	if (u->h.iovlen > IOV_MAX_K)
		return -EMSGSIZE;
	u->iov = u->fast;
	return iov_iter_import(&u->m.it, u->h.iov, u->h.iovlen, u->fast, &u->iov);
}

static void umsg_free(struct umsg *u)
{
	if (u->iov && u->iov != u->fast)
		kfree(u->iov);
	kfree(u->ctl);
}

static int umsg_import_send(struct umsg *u, u64 umsg)
{
	int err = umsg_import(u, umsg);

	if (err)
		return err;
	if (u->h.name && u->h.namelen) {
		err = addr_from_user(&u->addr, u->h.name, u->h.namelen);
		u->m.name = &u->addr;
		u->m.namelen = u->h.namelen;
	}
	if (err || !u->h.controllen)
		return err;
	if (u->h.controllen > OPTMEM_MAX)
		return -ENOBUFS;
	u->ctl = kmalloc(u->h.controllen);
	if (!u->ctl)
		return -ENOBUFS;
	u->m.ctl = u->ctl;
	u->m.ctl_len = u->h.controllen;
	return copy_from_user(u->ctl, u->h.control, u->h.controllen);
}

long sock_sendmsg_user(struct sock *sk, struct file *f, u64 umsg, u32 flags)
{
	struct umsg u;
	long ret;

	memset(&u, 0, sizeof(u));
	ret = umsg_import_send(&u, umsg);
	if (!ret) {
		u.m.flags = file_msg_flags(f, flags);
		ret = sk->ops->sendmsg(sk, &u.m);
	}
	umsg_free(&u);
	return ret;
}

static int umsg_export(struct umsg *u, u64 umsg, u32 flags)
{
	u32 out = u->m.out_flags | (flags & MSG_CMSG_CLOEXEC);

	if (u->h.name) {
		u32 n = MIN((u32)u->h.namelen, u->m.namelen);

		if (copy_to_user(u->h.name, &u->addr, MIN(n, sizeof(u->addr))) ||
		    put_user((s32)u->m.namelen, umsg + offsetof(struct user_msghdr, namelen)))
			return -EFAULT;
	}
	if (put_user(out, umsg + offsetof(struct user_msghdr, flags)) ||
	    put_user(u->m.uctl_used, umsg + offsetof(struct user_msghdr, controllen)))
		return -EFAULT;
	return 0;
}

long sock_msghdr_length(u64 umsg, u32 *len)
{
	struct user_msghdr h;
	struct iovec_k v;

	if (copy_from_user(&h, umsg, sizeof(h)))
		return -EFAULT;
	*len = 0;
	if (h.iovlen > 1)
		return -EINVAL;
	if (!h.iovlen)
		return 0;
	if (copy_from_user(&v, h.iov, sizeof(v)))
		return -EFAULT;
	if (v.len > (u64)INT32_MAX)
		return -EINVAL;
	*len = (u32)v.len;
	return 0;
}

long sock_recvmsg_user(struct sock *sk, struct file *f, u64 umsg, u32 flags)
{
	return sock_recvmsg_into(sk, f, umsg, NULL, flags);
}

long sock_recvmsg_into(struct sock *sk, struct file *f, u64 umsg, struct iovec_k *into, u32 flags)
{
	struct umsg u;
	long ret;

	memset(&u, 0, sizeof(u));
	ret = umsg_import(&u, umsg);
	if (!ret && into)
		u.m.it = (struct iov_iter){ .iov = into, .nr = 1, .count = into->len };
	if (!ret) {
		u.m.name = &u.addr;
		u.m.flags = file_msg_flags(f, flags);
		u.m.uctl = u.h.control;
		u.m.uctl_left = u.h.control ? u.h.controllen : 0;
		ret = sk->ops->recvmsg(sk, &u.m);
		if (ret >= 0 && umsg_export(&u, umsg, flags))
			ret = -EFAULT;
	}
	umsg_free(&u);
	return ret;
}

/* The flag that the kernel sets for 32-bit programs: nobody else may. */
#define MSG_COMPAT 0x80000000u

SYSCALL3(sendmsg, s32, fd, u64, umsg, u32, flags)
{
	struct file *f;
	struct sock *sk = flags & MSG_COMPAT ? ERR_PTR(-EINVAL) : sock_from_fd(fd, &f);
	long ret;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	ret = sock_sendmsg_user(sk, f, umsg, flags);
	file_put(f);
	return ret;
}

SYSCALL3(recvmsg, s32, fd, u64, umsg, u32, flags)
{
	struct file *f;
	struct sock *sk = flags & MSG_COMPAT ? ERR_PTR(-EINVAL) : sock_from_fd(fd, &f);
	long ret;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	ret = sock_recvmsg_user(sk, f, umsg, flags);
	file_put(f);
	return ret;
}

/* ---- many messages ---- */

SYSCALL4(sendmmsg, s32, fd, u64, umsgs, u32, n, u32, flags)
{
	struct file *f;
	struct sock *sk = flags & MSG_COMPAT ? ERR_PTR(-EINVAL) : sock_from_fd(fd, &f);
	long ret = 0;
	u32 done;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	n = MIN(n, IOV_MAX_K);
	for (done = 0; done < n; done++) {
		u64 um = umsgs + done * sizeof(struct mmsghdr);

		ret = sock_sendmsg_user(sk, f, um, flags);
		if (ret < 0)
			break;
		if (put_user((u32)ret, um + offsetof(struct mmsghdr, len))) {
			ret = -EFAULT;
			break;
		}
	}
	file_put(f);
	return done ? done : ret;
}

static long recv_many(struct sock *sk, struct file *f, u64 umsgs, u32 n, u32 flags, u64 deadline)
{
	long ret = 0;
	u32 done = 0;

	while (done < n) {
		u64 um = umsgs + done * sizeof(struct mmsghdr);

		ret = sock_recvmsg_user(sk, f, um, flags & ~MSG_WAITFORONE);
		if (ret < 0)
			break;
		if (put_user((u32)ret, um + offsetof(struct mmsghdr, len))) {
			ret = -EFAULT;
			break;
		}
		done++;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		/* The time is only looked at between messages: recvmmsg(2), BUGS. */
		if (deadline != ~0ull && clock_mono_ns() >= deadline)
			break;
	}
	if (done && ret < 0 && ret != -EAGAIN)
		atomic_store(&sk->err, ret == -ERESTARTSYS || ret == -EINTR ? 0 : -ret);
	return done ? done : ret;
}

SYSCALL5(recvmmsg, s32, fd, u64, umsgs, u32, n, u32, flags, u64, uts)
{
	struct file *f;
	struct sock *sk;
	u64 deadline;
	bool nowait;
	long ret = poll_get_timeout(uts, POLL_TIMESPEC, &deadline, &nowait);

	if (ret)
		return ret;
	sk = sock_from_fd(fd, &f);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	ret = sock_take_error(sk);
	if (!ret)
		ret = recv_many(sk, f, umsgs, MIN(n, IOV_MAX_K), flags, deadline);
	file_put(f);
	if (ret > 0 && uts && deadline != ~0ull) {
		u64 now = clock_mono_ns(), left = deadline > now ? deadline - now : 0;
		s64 ts[2] = { left / NSEC_PER_SEC, left % NSEC_PER_SEC };

		if (copy_to_user(uts, ts, sizeof(ts)))
			ret = -EFAULT;
	}
	return ret;
}
