/* Operations on sockets. */
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "net/sock.h"
#include "sentry/sys/syscall.h"
#include "sentry/uring/uring.h"

static struct sock *sock_of(const struct req *q)
{
	return q->file->fop == &socket_fops ? q->file->priv : NULL;
}

/* ---- sending and receiving ---- */

long prep_send(struct req *q)
{
	u32 op = q->sqe.opcode, flags = q->sqe.ioprio;
	bool recv = op == IORING_OP_RECV || op == IORING_OP_RECVMSG, zc = is_zero_copy(q);
	long ret;

	if (zc && (q->sqe.flags & IOSQE_CQE_SKIP_SUCCESS || q->sqe.addr3 || q->sqe.__pad2[0] || (op == IORING_OP_SENDMSG_ZC && q->sqe.off)))
		return -EINVAL;
	if (zc)
		;
	else if (op == IORING_OP_SEND ? q->sqe.splice_fd_in && q->sqe.addr_len > sizeof(struct sockaddr_k) : q->sqe.off || q->sqe.splice_fd_in)
		return -EINVAL;
	if (flags & ~(u32)(IORING_RECVSEND_POLL_FIRST | (op == IORING_OP_RECV ? IORING_RECV_MULTISHOT : 0) | (zc ? IORING_RECVSEND_FIXED_BUF : 0)))
		return -EINVAL;
	if (op == IORING_OP_SEND_ZC && flags & IORING_RECVSEND_FIXED_BUF && !fixed_buf_covers(q->ring, q->sqe.buf_index, q->sqe.addr, q->sqe.len))
		return -EFAULT;
	if (op == IORING_OP_SENDMSG_ZC && flags & IORING_RECVSEND_FIXED_BUF)
		return -EINVAL;
	q->nowait = q->sqe.msg_flags & MSG_DONTWAIT;
	if ((op == IORING_OP_SEND || op == IORING_OP_SEND_ZC) && q->sqe.addr2) {
		q->name = kzalloc(sizeof(*q->name));
		if (!q->name)
			return -ENOMEM;
		ret = addr_from_user(q->name, q->sqe.addr2, q->sqe.addr_len);
		if (ret)
			return ret;
	}
	/* The bytes are copied, as where a network cannot do without; the completion that says so follows at once (req.c). */
	if (zc)
		q->cqe_flags = IORING_CQE_F_MORE;
	if (recv && flags & IORING_RECV_MULTISHOT) {
		/* The buffers come from a group, one for each completion. */
		if (!(q->sqe.flags & IOSQE_BUFFER_SELECT) || q->sqe.msg_flags & MSG_WAITALL || q->sqe.len)
			return -EINVAL;
		q->multishot = true;
	}
	return 0;
}

/* IORING_RECVSEND_POLL_FIRST: wait before the first attempt. */
static bool poll_first(struct req *q, bool may_block)
{
	bool first = q->sqe.ioprio & IORING_RECVSEND_POLL_FIRST && !q->stage && !may_block;
	u32 want = uring_ops[q->sqe.opcode].events | EPOLLERR | EPOLLHUP;

	if (first)
		q->stage = 1;
	return first && !(vfs_poll(q->file, NULL) & want);
}

static u32 call_flags(const struct req *q, bool may_block)
{
	return q->sqe.msg_flags | MSG_NOSIGNAL | (may_block ? 0 : MSG_DONTWAIT);
}

/* A stream takes or gives a part and waits for the rest: what is done so far counts from there. */
static long add_up(struct req *q, long ret, u32 len, bool all)
{
	if (ret > 0) {
		q->done += (u32)ret;
		if (all && q->done < len)
			return -EAGAIN;
	}
	if ((ret == -EAGAIN && all) || !q->done)
		return ret;
	return q->done;
}

long issue_send(struct req *q, bool may_block)
{
	struct sock *sk = sock_of(q);
	struct msg m = { .flags = call_flags(q, may_block) };
	struct iovec_k iov;
	bool all = q->sqe.msg_flags & MSG_WAITALL;
	long ret;

	if (!sk)
		return -ENOTSOCK;
	if (poll_first(q, may_block))
		return -EAGAIN;
	if (q->sqe.opcode == IORING_OP_SENDMSG || q->sqe.opcode == IORING_OP_SENDMSG_ZC) {
		if (q->sqe.msg_flags & MSG_WAITALL && sk->type == SOCK_STREAM && !may_block)
			return IOU_PUNT;
		return sock_sendmsg_user(sk, q->file, q->sqe.addr, m.flags);
	}
	ret = iov_iter_user(&m.it, &iov, q->sqe.addr + q->done, q->sqe.len - q->done);
	if (ret)
		return ret;
	if (q->name) {
		m.name = q->name;
		m.namelen = q->sqe.addr_len;
	}
	ret = add_up(q, sk->ops->sendmsg(sk, &m), q->sqe.len, all && sk->type == SOCK_STREAM);
	if (ret >= 0 && ret < (long)q->sqe.len && all)
		q->failed = true;
	return ret;
}

static long recv_once(struct req *q, struct sock *sk, bool may_block)
{
	struct msg m = { .flags = call_flags(q, may_block) };
	struct iovec_k iov;
	u64 addr = q->sqe.addr + q->done;
	u32 len = q->sqe.len - q->done;
	bool all = q->sqe.msg_flags & MSG_WAITALL;
	long ret = q->sqe.flags & IOSQE_BUFFER_SELECT ? buf_pick(q, &addr, &len) : 0;

	if (!ret)
		ret = iov_iter_user(&m.it, &iov, addr, len);
	if (ret)
		return ret;
	ret = sk->ops->recvmsg(sk, &m);
	if (q->sqe.flags & IOSQE_BUFFER_SELECT || sk->type != SOCK_STREAM)
		return ret;
	ret = add_up(q, ret, q->sqe.len, all && ret);
	if (ret >= 0 && ret < (long)q->sqe.len && all)
		q->failed = true;
	return ret;
}

/* One provided buffer takes the place of the message's vector, which may say how much of it. */
static long recvmsg_into_buffer(struct req *q, struct sock *sk, u32 flags)
{
	struct iovec_k into;
	u64 addr;
	u32 len;
	long ret = sock_msghdr_length(q->sqe.addr, &len);

	if (!ret)
		ret = buf_pick(q, &addr, &len);
	if (ret)
		return ret;
	into = (struct iovec_k){ addr, len };
	return sock_recvmsg_into(sk, q->file, q->sqe.addr, &into, flags);
}

static long recvmsg_once(struct req *q, struct sock *sk, bool may_block)
{
	u32 flags = call_flags(q, may_block) & ~MSG_NOSIGNAL;

	if (q->sqe.flags & IOSQE_BUFFER_SELECT)
		return recvmsg_into_buffer(q, sk, flags);
	if (q->sqe.msg_flags & MSG_WAITALL && sk->type == SOCK_STREAM && !may_block) /* parts are put together where it may wait */
		return IOU_PUNT;
	return sock_recvmsg_user(sk, q->file, q->sqe.addr, flags);
}

long issue_recv(struct req *q, bool may_block)
{
	struct sock *sk = sock_of(q);
	long ret;

	if (!sk)
		return -ENOTSOCK;
	if (poll_first(q, may_block))
		return -EAGAIN;
	if (q->sqe.opcode == IORING_OP_RECVMSG)
		return recvmsg_once(q, sk, may_block);
	for (;;) {
		ret = recv_once(q, sk, may_block);
		if (!q->multishot || ret <= 0 || READ_ONCE(q->cancelled))
			return ret;
		buf_done(q, ret);
		ring_post(q->ring, q->sqe.user_data, (s32)ret, q->cqe_flags | IORING_CQE_F_MORE);
		q->cqe_flags = 0;
	}
}

/* ---- connections ---- */

long prep_accept(struct req *q)
{
	if (q->sqe.len || q->sqe.buf_index || q->sqe.ioprio & ~(u32)IORING_ACCEPT_MULTISHOT)
		return -EINVAL;
	if (q->sqe.accept_flags & ~(u32)(SOCK_CLOEXEC | SOCK_NONBLOCK) || (q->sqe.file_index && q->sqe.accept_flags & SOCK_CLOEXEC))
		return -EINVAL;
	q->multishot = q->sqe.ioprio & IORING_ACCEPT_MULTISHOT;
	return q->multishot && q->sqe.file_index && q->sqe.file_index != IORING_FILE_INDEX_ALLOC ? -EINVAL : 0;
}

static long accept_once(struct req *q, bool may_block)
{
	struct file *f;
	s32 fd = -1;

	if (!q->sqe.file_index) {
		fd = fd_reserve(q->sqe.accept_flags & O_CLOEXEC, 0);
		if (fd < 0)
			return fd;
	}
	f = sock_accept_file(q->file, q->sqe.addr, q->sqe.off, q->sqe.accept_flags, !may_block);
	if (IS_ERR(f)) {
		if (fd >= 0)
			fd_unreserve(fd);
		return PTR_ERR(f);
	}
	if (fd < 0)
		return fixed_install(q->ring, f, q->sqe.file_index);
	fd_install(fd, f);
	return fd;
}

long issue_accept(struct req *q, bool may_block)
{
	long ret;

	for (;;) {
		ret = accept_once(q, may_block);
		if (!q->multishot || ret < 0 || READ_ONCE(q->cancelled))
			return ret;
		ring_post(q->ring, q->sqe.user_data, (s32)ret, IORING_CQE_F_MORE);
	}
}

long issue_connect(struct req *q, bool may_block)
{
	struct sock *sk = sock_of(q);
	struct sockaddr_k addr;
	long err;

	if (q->sqe.len || q->sqe.buf_index || q->sqe.rw_flags || q->sqe.splice_fd_in)
		return -EINVAL;
	if (!sk)
		return -ENOTSOCK;
	if (!sk->ops->connect)
		return -EOPNOTSUPP;
	if (q->stage) { /* the connection is being made */
		if (!(vfs_poll(q->file, NULL) & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			return -EAGAIN;
		return sock_pending_error(sk);
	}
	err = addr_from_user(&addr, q->sqe.addr, (s32)q->sqe.off);
	if (err)
		return err;
	err = sk->ops->connect(sk, &addr, (u32)q->sqe.off, !may_block);
	if (err == -EAGAIN && !may_block)
		return IOU_PUNT; /* a full backlog is nothing that poll tells of */
	if (err == -EINPROGRESS && !may_block) {
		q->stage = 1;
		return -EAGAIN;
	}
	return err;
}

long issue_shutdown(struct req *q, bool may_block)
{
	struct sock *sk = sock_of(q);
	s32 how = (s32)q->sqe.len;

	if (q->sqe.off || q->sqe.addr || q->sqe.rw_flags || q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	if (!sk)
		return -ENOTSOCK;
	return how < SHUT_RD || how > SHUT_RDWR ? -EINVAL : sk->ops->shutdown ? sk->ops->shutdown(sk, how) : -EOPNOTSUPP;
}

long issue_socket(struct req *q, bool may_block)
{
	long sys_socket(const struct sysargs *);
	struct file *f;
	long fd;

	if (q->sqe.addr || q->sqe.rw_flags || q->sqe.buf_index)
		return -EINVAL;
	if (q->sqe.file_index && q->sqe.off & SOCK_CLOEXEC)
		return -EINVAL;
	fd = sys_socket(&(struct sysargs){ { (u64)q->sqe.fd, q->sqe.off, q->sqe.len } });
	if (fd < 0 || !q->sqe.file_index)
		return fd;
	f = fget((s32)fd);
	fd_close((s32)fd);
	return f ? fixed_install(q->ring, f, q->sqe.file_index) : -EBADF;
}
