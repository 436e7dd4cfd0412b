/* The table of operations, and those that concern rings themselves. */
#include <linux/eventpoll.h>

#include "sentry/uring/uring.h"

#define IN (EPOLLIN | EPOLLRDNORM)
#define OUT (EPOLLOUT | EPOLLWRNORM)

static long issue_nop(struct req *q, bool may_block)
{
	return 0;
}

static long issue_files_update(struct req *q, bool may_block)
{
	struct ring *r = q->ring;
	const struct io_uring_sqe *sqe = &q->sqe;
	long n = 0;

	if (sqe->flags & IOSQE_FIXED_FILE || sqe->rw_flags || sqe->splice_fd_in || !sqe->len)
		return -EINVAL;
	if ((u32)sqe->off != IORING_FILE_INDEX_ALLOC)
		return fixed_update(r, (u32)sqe->off, sqe->addr, 0, sqe->len);
	if (!r->nfiles)
		return -ENXIO;
	for (; n < sqe->len; n++) { /* any free slots; their numbers are told */
		struct file *f;
		long slot;
		s32 fd;

		if (get_user(fd, sqe->addr + (u64)n * 4))
			return n ? n : -EFAULT;
		f = fget(fd);
		slot = f ? fixed_install(r, f, IORING_FILE_INDEX_ALLOC) : -EBADF;
		if (slot >= 0 && put_user((s32)slot, sqe->addr + (u64)n * 4))
			slot = -EFAULT;
		if (slot < 0)
			return n ? n : slot;
	}
	return n;
}

/* A registered file of this ring into a slot of the other. */
static long send_slot(struct req *q, struct ring *to)
{
	struct file *f;
	long ret;

	if (to == q->ring || q->sqe.len)
		return -EINVAL;
	f = fixed_file(q->ring, (u32)q->sqe.addr3);
	if (!f)
		return -EBADF;
	ret = fixed_install(to, f, q->sqe.file_index);
	if (ret >= 0 && !(q->sqe.msg_ring_flags & IORING_MSG_RING_CQE_SKIP))
		ring_post(to, q->sqe.off, (s32)ret, 0);
	return ret;
}

static long issue_msg_ring(struct req *q, bool may_block)
{
	const struct io_uring_sqe *sqe = &q->sqe;
	struct ring *to = ring_of(q->file);

	if (sqe->buf_index || sqe->personality || sqe->msg_ring_flags & ~IORING_MSG_RING_CQE_SKIP)
		return -EINVAL;
	if (!to || to->flags & IORING_SETUP_R_DISABLED)
		return -EBADFD;
	if (sqe->addr == IORING_MSG_SEND_FD)
		return send_slot(q, to);
	if (sqe->addr != IORING_MSG_DATA || sqe->splice_fd_in || sqe->msg_ring_flags)
		return -EINVAL;
	ring_post(to, sqe->off, (s32)sqe->len, 0);
	return 0;
}

const struct uring_op uring_ops[IORING_OP_LAST] = {
	[IORING_OP_NOP] = { .issue = issue_nop, .iopoll = true },
	[IORING_OP_READV] = { prep_rw, issue_rw, .file = true, .select = true, .events = IN, .ioprio = true, .iopoll = true },
	[IORING_OP_WRITEV] = { prep_rw, issue_rw, .file = true, .events = OUT, .ioprio = true, .iopoll = true },
	[IORING_OP_FSYNC] = { .issue = issue_fsync, .file = true },
	[IORING_OP_READ_FIXED] = { prep_rw, issue_rw, .file = true, .events = IN, .ioprio = true, .iopoll = true },
	[IORING_OP_WRITE_FIXED] = { prep_rw, issue_rw, .file = true, .events = OUT, .ioprio = true, .iopoll = true },
	[IORING_OP_POLL_ADD] = { prep_poll, issue_poll, .file = true, .lets_go = true },
	[IORING_OP_POLL_REMOVE] = { .issue = issue_poll_remove },
	[IORING_OP_SYNC_FILE_RANGE] = { .issue = issue_sync_range, .file = true },
	[IORING_OP_SENDMSG] = { prep_send, issue_send, .file = true, .events = OUT, .ioprio = true },
	[IORING_OP_RECVMSG] = { prep_send, issue_recv, .file = true, .select = true, .events = IN, .ioprio = true },
	[IORING_OP_TIMEOUT] = { prep_timeout, issue_timeout, .lets_go = true },
	[IORING_OP_TIMEOUT_REMOVE] = { .issue = issue_timeout_remove },
	[IORING_OP_ACCEPT] = { prep_accept, issue_accept, .file = true, .events = IN, .ioprio = true },
	[IORING_OP_ASYNC_CANCEL] = { prep_cancel, issue_cancel },
	/* Never started by itself: link_timeout_start(). */
	[IORING_OP_LINK_TIMEOUT] = { prep_timeout, issue_timeout, .lets_go = true },
	[IORING_OP_CONNECT] = { .issue = issue_connect, .file = true, .events = OUT },
	[IORING_OP_FALLOCATE] = { .issue = issue_fallocate, .file = true },
	[IORING_OP_OPENAT] = { .issue = issue_openat },
	[IORING_OP_CLOSE] = { .issue = issue_close },
	[IORING_OP_FILES_UPDATE] = { .issue = issue_files_update, .iopoll = true },
	[IORING_OP_STATX] = { .issue = issue_statx },
	[IORING_OP_READ] = { prep_rw, issue_rw, .file = true, .select = true, .events = IN, .ioprio = true, .iopoll = true },
	[IORING_OP_WRITE] = { prep_rw, issue_rw, .file = true, .events = OUT, .ioprio = true, .iopoll = true },
	[IORING_OP_FADVISE] = { .issue = issue_fadvise, .file = true },
	[IORING_OP_MADVISE] = { .issue = issue_madvise },
	[IORING_OP_SEND] = { prep_send, issue_send, .file = true, .events = OUT, .ioprio = true },
	[IORING_OP_RECV] = { prep_send, issue_recv, .file = true, .select = true, .events = IN, .ioprio = true },
	[IORING_OP_OPENAT2] = { .issue = issue_openat2 },
	[IORING_OP_EPOLL_CTL] = { .issue = issue_epoll_ctl },
	[IORING_OP_SPLICE] = { .issue = issue_splice, .file = true },
	[IORING_OP_PROVIDE_BUFFERS] = { .issue = issue_provide, .iopoll = true },
	[IORING_OP_REMOVE_BUFFERS] = { .issue = issue_remove_bufs, .iopoll = true },
	[IORING_OP_TEE] = { .issue = issue_splice, .file = true },
	[IORING_OP_SHUTDOWN] = { .issue = issue_shutdown, .file = true },
	[IORING_OP_RENAMEAT] = { .issue = issue_renameat },
	[IORING_OP_UNLINKAT] = { .issue = issue_unlinkat },
	[IORING_OP_MKDIRAT] = { .issue = issue_mkdirat },
	[IORING_OP_SYMLINKAT] = { .issue = issue_symlinkat },
	[IORING_OP_LINKAT] = { .issue = issue_linkat },
	[IORING_OP_MSG_RING] = { .issue = issue_msg_ring, .file = true, .iopoll = true },
	[IORING_OP_FSETXATTR] = { .issue = issue_xattr },
	[IORING_OP_SETXATTR] = { .issue = issue_xattr },
	[IORING_OP_FGETXATTR] = { .issue = issue_xattr },
	[IORING_OP_GETXATTR] = { .issue = issue_xattr },
	[IORING_OP_SEND_ZC] = { prep_send, issue_send, .file = true, .events = OUT, .ioprio = true },
	[IORING_OP_SENDMSG_ZC] = { prep_send, issue_send, .file = true, .events = OUT, .ioprio = true },
	[IORING_OP_SOCKET] = { .issue = issue_socket },
};

bool uring_op_known(u32 op)
{
	return op < IORING_OP_LAST && uring_ops[op].issue;
}
