/* The engine on io_uring. One ring; its submission side under async.c's lock, its completion side the event thread's. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>

#include "host/async_priv.h"
#include "host/file_io.h"

#define ENTRIES 64
#define NFILES 4096u
#define CONTROL_SLOT (NFILES - 1)
#define NSLOTS CONTROL_SLOT /* for files; more may be open: those with the same slot take it from each other */
#define TAG_CANCEL (u64)(ASYNC_MAX + 1)

static struct io_uring ring;
static _Atomic u32 owners[NSLOTS]; /* whose slot it is: handle + 1, or 0 */

static int restrict_ring(void)
{
	static const u8 ops[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL };
	struct io_uring_restriction res[ARRAY_SIZE(ops) + 3] = { 0 };
	u32 n = 0;

	for (; n < ARRAY_SIZE(ops); n++) {
		res[n].opcode = IORING_RESTRICTION_SQE_OP;
		res[n].sqe_op = ops[n];
	}
	res[n].opcode = IORING_RESTRICTION_REGISTER_OP;
	res[n++].register_op = IORING_REGISTER_FILES_UPDATE;
	res[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	res[n++].sqe_flags = IOSQE_FIXED_FILE;
	res[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	res[n++].sqe_flags = IOSQE_FIXED_FILE;
	return io_uring_register_restrictions(&ring, res, n);
}

static int uring_init(int control_fd)
{
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE, .cq_entries = 2 * ASYNC_MAX };
	int err = io_uring_queue_init_params(ENTRIES, &ring, &p);

	if (err)
		return err;
	err = io_uring_register_files_sparse(&ring, NFILES);
	if (!err)
		err = io_uring_register_files_update(&ring, CONTROL_SLOT, &control_fd, 1) == 1 ? 0 : -EIO;
	if (!err)
		err = restrict_ring();
	if (!err)
		err = io_uring_enable_rings(&ring);
	if (err)
		io_uring_queue_exit(&ring);
	return err;
}

static u32 slot_of(hc_handle h)
{
	return handle_index(h) % NSLOTS;
}

static bool uring_knows(hc_handle h)
{
	return atomic_load(&owners[slot_of(h)]) == h + 1;
}

static int file_slot(struct async_op *op)
{
	u32 slot = slot_of(op->handle);
	int fd = op->h.fd, n;

	if (uring_knows(op->handle))
		return (int)slot;
	/* What names the slot and has not been taken by the kernel yet would get the wrong file; what it has taken holds the right one. */
	if (io_uring_sq_ready(&ring) && (io_uring_submit(&ring) < 0 || io_uring_sq_ready(&ring)))
		return -EBUSY;
	n = io_uring_register_files_update(&ring, slot, &fd, 1);
	if (n != 1)
		return n < 0 ? n : -EIO;
	atomic_store(&owners[slot], op->handle + 1);
	return (int)slot;
}

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	return sqe;
}

static void prep_file(struct io_uring_sqe *sqe, const struct async_op *op, int slot)
{
	switch (op->op) {
	case HC_OP_FSYNC:
		io_uring_prep_fsync(sqe, slot, op->poll_events & 1 ? IORING_FSYNC_DATASYNC : 0);
		break;
	case HC_OP_READ:
	case HC_OP_READV:
		io_uring_prep_readv(sqe, slot, op->iov, op->niov, op->pos);
		break;
	default:
		io_uring_prep_writev(sqe, slot, op->iov, op->niov, op->pos);
		sqe->rw_flags = op->flags & HC_RW_APPEND ? RWF_APPEND : 0;
	}
}

static int uring_start(struct async_op *op)
{
	struct io_uring_sqe *sqe;
	int slot = file_slot(op), n;

	if (slot < 0)
		return slot;
	sqe = get_sqe();
	if (!sqe)
		return -EBUSY;
	if (op->stage == STAGE_POLL)
		io_uring_prep_poll_add(sqe, slot, op->poll_events);
	else
		prep_file(sqe, op, slot);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = async_tag(op);
	n = io_uring_submit(&ring);
	return n < 0 && n != -EBUSY && n != -EAGAIN ? n : 0;
}

static void uring_cancel(struct async_op *op)
{
	struct io_uring_sqe *sqe = get_sqe();

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, async_tag(op), 0);
	sqe->flags |= IOSQE_FIXED_FILE; /* no file in it, but the restriction asks for the flag */
	sqe->user_data = TAG_CANCEL;
	io_uring_submit(&ring);
}

static void uring_arm_control(void)
{
	struct io_uring_sqe *sqe = get_sqe();

	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, (int)CONTROL_SLOT, POLLIN);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = ASYNC_CONTROL;
	io_uring_submit(&ring);
}

static void uring_forget(hc_handle h)
{
	int none = -1;

	if (!uring_knows(h)) /* another has taken it */
		return;
	io_uring_register_files_update(&ring, slot_of(h), &none, 1);
	atomic_store(&owners[slot_of(h)], 0);
}

static void uring_wait(void)
{
	struct io_uring_cqe *cqe;

	if (io_uring_wait_cqe(&ring, &cqe))
		return;
	do {
		u64 tag = cqe->user_data;
		s64 result = cqe->res;

		io_uring_cqe_seen(&ring, cqe);
		async_done(tag, result);
	} while (!io_uring_peek_cqe(&ring, &cqe));
}

const struct async_engine async_uring = {
	.init = uring_init,
	.start = uring_start,
	.cancel = uring_cancel,
	.arm_control = uring_arm_control,
	.knows = uring_knows,
	.forget = uring_forget,
	.wait = uring_wait,
};
