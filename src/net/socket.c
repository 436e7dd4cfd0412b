/* Socket objects, their files, and the calls that make, name and connect them. Data: sendrecv.c. Options: sockopt.c. */
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/sockios.h>
#include <linux/stat.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/net_ns.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/user_ns.h"
#include "net/sock.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/transfer.h"

static const struct net_family *families[AF_MAX];

void net_register_family(const struct net_family *f)
{
	families[f->family] = f;
}

void net_init(void)
{
	unix_init();
	inet_init();
	netlink_init();
	packet_init();
}

/* ---- objects ---- */

static LIST_HEAD(all_socks); /* all_lock */
static spinlock_t all_lock = SPINLOCK_INIT;

void sock_enlist(struct sock *sk)
{
	spin_lock(&all_lock);
	list_add_tail(&sk->all_node, &all_socks);
	spin_unlock(&all_lock);
}

static void sock_delist(struct sock *sk)
{
	spin_lock(&all_lock);
	list_del(&sk->all_node);
	spin_unlock(&all_lock);
}

void sock_for_each(u16 family, void (*fn)(struct sock *sk, void *arg), void *arg)
{
	struct sock *sk;

	spin_lock(&all_lock);
	list_for_each(sk, &all_socks, all_node)
		if (sk->family == family)
			fn(sk, arg);
	spin_unlock(&all_lock);
}

void sock_init(struct sock *sk, const struct proto_ops *ops, u16 family, u16 type, s32 protocol)
{
	refcount_set(&sk->ref, 1);
	sk->ops = ops;
	sk->net = current_net_ns();
	ns_get(&sk->net->c);
	sk->family = family;
	sk->type = type;
	sk->protocol = protocol;
	waitq_init(&sk->wait);
	spin_lock_init(&sk->lock);
	list_init(&sk->all_node);
	list_init(&sk->acceptq);
	list_init(&sk->accept_node);
	list_init(&sk->rxq);
	sk->sndbuf = sk->rcvbuf = SOCK_BUF_DEFAULT;
	sk->rcvlowat = 1;
	sk->rcvtimeo = sk->sndtimeo = ~0ull;
	sk->peek_off = -1;
	sk->incoming_cpu = -1;
	sk->pacing_rate = ~0ull;
	sk->peercred = (struct ucred_k){ 0, ~0u, ~0u };
}

void sock_put(struct sock *sk)
{
	if (!refcount_dec_and_test(&sk->ref))
		return;
	sock_delist(sk); /* first: who walks the list sees whole sockets */
	if (sk->ops->destroy)
		sk->ops->destroy(sk);
	sock_drop_filter(sk);
	ns_put(&sk->net->c);
	kfree(sk);
}

void sock_inherit(struct sock *to, const struct sock *from)
{
	if (to->net != from->net) { /* who accepts may be elsewhere by now */
		ns_put(&to->net->c);
		to->net = from->net;
		ns_get(&to->net->c);
	}
	to->sndbuf = from->sndbuf;
	to->rcvbuf = from->rcvbuf;
	to->rcvlowat = from->rcvlowat;
	to->priority = from->priority;
	to->mark = from->mark;
	to->rcvtimeo = from->rcvtimeo;
	to->sndtimeo = from->sndtimeo;
	to->linger = from->linger;
	to->passcred = from->passcred;
	to->reuseaddr = from->reuseaddr;
	to->reuseport = from->reuseport;
	to->keepalive = from->keepalive;
	to->oobinline = from->oobinline;
	to->dontroute = from->dontroute;
}

/* Numbers of the first namespaces become what the current task calls them. */
struct ucred_k sock_show_cred(const struct ucred_k *c)
{
	struct ucred_k shown = { .pid = c->pid, .uid = uid_out(c->uid), .gid = gid_out(c->gid) };

	if (task_pid_ns(current) != &init_pid_ns) {
		struct pid *pid = pid_find_in(&init_pid_ns, c->pid);

		shown.pid = pid ? pid_nr(pid) : 0;
		pid_put(pid);
	}
	return shown;
}

void sock_set_cred(struct ucred_k *c)
{
	c->pid = current->proc->tgid->nr;
	c->uid = current->cred->euid;
	c->gid = current->cred->egid;
}

void sock_wake_all(struct sock *sk)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (waitq_active(&sk->wait))
		wake_up_key(&sk->wait, ~0u, 0);
}

u64 sock_deadline(u64 timeo)
{
	return timeo == ~0ull ? ~0ull : clock_mono_ns() + timeo;
}

long sock_epipe(const struct msg *m)
{
	if (!(m->flags & MSG_NOSIGNAL))
		send_signal_task(current, SIGPIPE, SEND_SIG_NOINFO);
	return -EPIPE;
}

struct sock *acceptq_pop(struct sock *sk)
{
	struct sock *child = NULL;

	spin_lock(&sk->lock);
	if (!list_empty(&sk->acceptq)) {
		child = list_first(&sk->acceptq, struct sock, accept_node);
		list_del(&child->accept_node);
		sk->nacceptq--;
	}
	spin_unlock(&sk->lock);
	return child;
}

struct sock *sock_accept_wait(struct sock *sk, bool nonblock)
{
	u64 deadline = sock_deadline(sk->rcvtimeo);
	struct sock *child;
	long err;

	for (;;) {
		if (READ_ONCE(sk->state) != SS_LISTEN)
			return ERR_PTR(-EINVAL);
		child = acceptq_pop(sk);
		if (child)
			return child;
		if (nonblock)
			return ERR_PTR(-EAGAIN);
		err = sock_wait(sk, READ_ONCE(sk->nacceptq) || READ_ONCE(sk->state) != SS_LISTEN, sk->rcvtimeo, deadline);
		if (err)
			return ERR_PTR(err);
	}
}

/* ---- files ---- */

static long sock_fop_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	struct sock *sk = f->priv;
	struct msg m = { .it = *to, .flags = file_nonblock(f) ? MSG_DONTWAIT : 0 };
	long n;

	if (!to->count)
		return 0;
	n = sk->ops->recvmsg(sk, &m);
	*to = m.it;
	return n;
}

static long sock_fop_write(struct file *f, struct iov_iter *from, u64 *pos)
{
	struct sock *sk = f->priv;
	struct msg m = { .it = *from, .flags = file_nonblock(f) ? MSG_DONTWAIT : 0 };
	long n;

	if (sk->type == SOCK_SEQPACKET)
		m.flags |= MSG_EOR;
	n = sk->ops->sendmsg(sk, &m);
	*from = m.it;
	return n;
}

static u32 sock_fop_poll(struct file *f, struct poll_table *pt)
{
	struct sock *sk = f->priv;

	poll_wait(f, &sk->wait, pt);
	return sk->ops->poll(f, sk, pt);
}

static long sock_fop_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct sock *sk = f->priv;
	long err;
	s32 who;

	switch (cmd) {
	case FIOSETOWN:
	case SIOCSPGRP:
		return get_user(who, arg) ? -EFAULT : file_set_owner_signed(f, who);
	case FIOGETOWN:
	case SIOCGPGRP:
		return put_user(file_owner_signed(f), arg);
	}
	err = ifconf_ioctl(cmd, arg);
	if (err != -ENOIOCTLCMD)
		return err;
	err = sk->ops->ioctl ? sk->ops->ioctl(sk, cmd, arg) : -ENOIOCTLCMD;
	return err == -ENOIOCTLCMD ? -ENOTTY : err;
}

static void sock_fop_release(struct file *f)
{
	struct sock *sk = f->priv;

	sk->ops->release(sk);
	sock_put(sk);
}

const struct file_ops socket_fops = {
	.release = sock_fop_release,
	.read = sock_fop_read,
	.write = sock_fop_write,
	.poll = sock_fop_poll,
	.ioctl = sock_fop_ioctl,
};

struct file *sock_make_file(struct sock *sk, u32 flags)
{
	struct inode *inode = anon_inode_new(S_IFSOCK | 0777);
	struct file *f = ERR_PTR(-ENFILE);

	if (inode) {
		inode->fop = &socket_fops;
		f = file_on_inode(inode, "socket", &socket_fops, sk, O_RDWR | (flags & O_NONBLOCK));
		if (IS_ERR(f))
			inode_put(inode);
	}
	if (IS_ERR(f)) {
		sk->ops->release(sk);
		sock_put(sk);
		return f;
	}
	f->mode |= FMODE_STREAM;
	sk->uid = current->cred->fsuid;
	sk->ino = inode->ino;
	WRITE_ONCE(sk->file, f);
	return f;
}

struct sock *sock_from_fd(s32 fd, struct file **f)
{
	*f = fget(fd);
	if (!*f)
		return ERR_PTR(-EBADF);
	if ((*f)->fop == &socket_fops)
		return (*f)->priv;
	file_put(*f);
	return ERR_PTR(-ENOTSOCK);
}

/* ---- making ---- */

static struct sock *sock_create(s32 family, u32 type, s32 protocol)
{
	if (family < 0 || family >= AF_MAX)
		return ERR_PTR(-EAFNOSUPPORT);
	if (type >= SOCK_MAX)
		return ERR_PTR(-EINVAL);
	if (family == AF_INET && type == SOCK_PACKET)
		family = AF_PACKET;
	if (family == AF_PACKET && !net_capable(current_net_ns(), CAP_NET_RAW))
		return ERR_PTR(-EPERM);
	if (!families[family])
		return ERR_PTR(-EAFNOSUPPORT);
	return families[family]->create(type, protocol);
}

SYSCALL3(socket, s32, family, u32, type, s32, protocol)
{
	u32 flags = type & ~SOCK_TYPE_MASK;
	struct sock *sk;
	struct file *f;
	long fd;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	sk = sock_create(family, type & SOCK_TYPE_MASK, protocol);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	f = sock_make_file(sk, flags);
	if (IS_ERR(f))
		return PTR_ERR(f);
	fd = fd_alloc_install(f, flags & O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

static int pair_files(s32 family, u32 type, s32 protocol, u32 flags, struct file *f[2])
{
	struct sock *sk[2];
	int err;

	for (u32 i = 0; i < 2; i++) {
		sk[i] = sock_create(family, type, protocol);
		f[i] = IS_ERR(sk[i]) ? (void *)sk[i] : sock_make_file(sk[i], flags);
		if (IS_ERR(f[i])) {
			if (i)
				file_put(f[0]);
			return PTR_ERR(f[i]);
		}
	}
	err = sk[0]->ops->socketpair ? sk[0]->ops->socketpair(sk[0], sk[1]) : -EOPNOTSUPP;
	if (err) {
		file_put(f[0]);
		file_put(f[1]);
	}
	return err;
}

SYSCALL4(socketpair, s32, family, u32, type, s32, protocol, u64, usv)
{
	u32 flags = type & ~SOCK_TYPE_MASK;
	struct file *f[2];
	s32 fd[2];
	long err;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	fd[0] = fd_reserve(flags & O_CLOEXEC, 0);
	if (fd[0] < 0)
		return fd[0];
	fd[1] = fd_reserve(flags & O_CLOEXEC, 0);
	if (fd[1] < 0) {
		fd_unreserve(fd[0]);
		return fd[1];
	}
	err = copy_to_user(usv, fd, sizeof(fd));
	if (!err)
		err = pair_files(family, type & SOCK_TYPE_MASK, protocol, flags, f);
	if (err) {
		fd_unreserve(fd[1]);
		fd_unreserve(fd[0]);
		return err;
	}
	fd_install(fd[0], f[0]);
	fd_install(fd[1], f[1]);
	return 0;
}

/* ---- naming and connecting ---- */

int addr_from_user(struct sockaddr_k *a, u64 uaddr, s32 len)
{
	if (len < 0 || len > (s32)sizeof(*a))
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	return len ? copy_from_user(a, uaddr, len) : 0;
}

int addr_to_user(const struct sockaddr_k *a, u32 klen, u64 uaddr, u64 ulenp)
{
	s32 ulen;

	if (get_user(ulen, ulenp))
		return -EFAULT;
	if (ulen < 0)
		return -EINVAL;
	if (copy_to_user(uaddr, a, MIN((u32)ulen, MIN(klen, sizeof(*a)))))
		return -EFAULT;
	return put_user((s32)klen, ulenp);
}

SYSCALL3(bind, s32, fd, u64, uaddr, s32, len)
{
	struct sockaddr_k addr;
	struct file *f;
	struct sock *sk = sock_from_fd(fd, &f);
	int err;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	err = addr_from_user(&addr, uaddr, len);
	if (!err)
		err = sk->ops->bind ? sk->ops->bind(sk, &addr, len) : -EOPNOTSUPP;
	file_put(f);
	return err;
}

SYSCALL3(connect, s32, fd, u64, uaddr, s32, len)
{
	struct sockaddr_k addr;
	struct file *f;
	struct sock *sk = sock_from_fd(fd, &f);
	int err;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	err = addr_from_user(&addr, uaddr, len);
	if (!err)
		err = sk->ops->connect ? sk->ops->connect(sk, &addr, len, f->flags & O_NONBLOCK) : -EOPNOTSUPP;
	file_put(f);
	return err;
}

SYSCALL2(listen, s32, fd, s32, backlog)
{
	struct file *f;
	struct sock *sk = sock_from_fd(fd, &f);
	int err;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	if ((u32)backlog > sk->net->settings.somaxconn)
		backlog = (s32)sk->net->settings.somaxconn;
	err = sk->ops->listen ? sk->ops->listen(sk, backlog) : -EOPNOTSUPP;
	file_put(f);
	return err;
}

/* The accepted sock as a file, its address told; consumes the sock. */
static struct file *accepted_file(struct sock *sk, u64 uaddr, u64 ulenp, u32 flags)
{
	struct file *f = sock_make_file(sk, flags);
	struct sockaddr_k addr = { 0 };
	u32 len = 0;
	int err;

	if (IS_ERR(f) || !uaddr)
		return f;
	err = sk->ops->getname(sk, &addr, &len, true) ? -ECONNABORTED : addr_to_user(&addr, len, uaddr, ulenp);
	if (!err)
		return f;
	file_put(f);
	return ERR_PTR(err);
}

struct file *sock_accept_file(struct file *f, u64 uaddr, u64 ulenp, u32 flags, bool nonblock)
{
	struct sock *sk = f->priv, *child;

	if (f->fop != &socket_fops)
		return ERR_PTR(-ENOTSOCK);
	child = sk->ops->accept ? sk->ops->accept(sk, nonblock) : ERR_PTR(-EOPNOTSUPP);
	return IS_ERR(child) ? (void *)child : accepted_file(child, uaddr, ulenp, flags);
}

static long do_accept(s32 fd, u64 uaddr, u64 ulenp, u32 flags)
{
	struct file *f, *nf;
	struct sock *sk;
	s32 nfd;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	sk = sock_from_fd(fd, &f);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	nfd = fd_reserve(flags & O_CLOEXEC, 0);
	if (nfd < 0)
		goto out;
	nf = sock_accept_file(f, uaddr, ulenp, flags, f->flags & O_NONBLOCK);
	if (IS_ERR(nf)) {
		fd_unreserve(nfd);
		nfd = PTR_ERR(nf);
	} else {
		fd_install(nfd, nf);
	}
out:
	file_put(f);
	return nfd;
}

SYSCALL3(accept, s32, fd, u64, uaddr, u64, ulenp)
{
	return do_accept(fd, uaddr, ulenp, 0);
}

SYSCALL4(accept4, s32, fd, u64, uaddr, u64, ulenp, u32, flags)
{
	return do_accept(fd, uaddr, ulenp, flags);
}

static long do_getname(s32 fd, u64 uaddr, u64 ulenp, bool peer)
{
	struct sockaddr_k addr = { 0 };
	struct file *f;
	struct sock *sk = sock_from_fd(fd, &f);
	u32 len = 0;
	int err;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	err = sk->ops->getname(sk, &addr, &len, peer);
	if (!err)
		err = addr_to_user(&addr, len, uaddr, ulenp);
	file_put(f);
	return err;
}

SYSCALL3(getsockname, s32, fd, u64, uaddr, u64, ulenp)
{
	return do_getname(fd, uaddr, ulenp, false);
}

SYSCALL3(getpeername, s32, fd, u64, uaddr, u64, ulenp)
{
	return do_getname(fd, uaddr, ulenp, true);
}

SYSCALL2(shutdown, s32, fd, s32, how)
{
	struct file *f;
	struct sock *sk = sock_from_fd(fd, &f);
	int err;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	err = how < SHUT_RD || how > SHUT_RDWR ? -EINVAL : sk->ops->shutdown ? sk->ops->shutdown(sk, how) : -EOPNOTSUPP;
	file_put(f);
	return err;
}
