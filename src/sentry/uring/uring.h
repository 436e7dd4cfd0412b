/*
 * io_uring(7) inside the sandbox: a ring of requests that the application writes and one of completions that it reads, both
 * in pages that it maps.
 *
 * A request is tried where it is submitted. What would wait is hung into the wait queues of its file (poll.c) and tried again
 * when the file wakes it: by a thread that waits in io_uring_enter(2), or else by the ring's helper task (worker.c). What can
 * only be waited for by doing it - opening a FIFO, splice(2) - goes to a worker task. Both act in the name of the
 * submitter: with his memory, descriptors, working directory and credentials.
 *
 * Ownership: req->wakes counts wake-ups that are not yet dealt with. Who raises it from 0 owns the request and is the only one
 * to run, end or free it; an owner lets go by taking back what he has seen.
 * Locks: ring->lock (mutex; submission, registration) -> ring->req_lock (spin; requests in flight, the completion queue);
 * ring->todo_lock (spin) is taken inside wait-queue locks, and wakes only queues that nobody else can listen to.
 */
#ifndef SENTRY_URING_INTERNAL_H
#define SENTRY_URING_INTERNAL_H

#include <linux/errno.h>
#include <linux/io_uring.h>

#include "base/list.h"
#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/uring/io_uring.h"
#include "sentry/vfs/poll_wqueues.h"
#include "sentry/vfs/vfs.h"

struct ring;
struct req;
struct sockaddr_k;

/* What stands at the start of the shared pages; the offsets are told to the application. */
struct shared {
	_Atomic u32 sq_head, pad0[15];
	_Atomic u32 sq_tail, pad1[15];
	_Atomic u32 cq_head, pad2[15];
	_Atomic u32 cq_tail, pad3[15];
	u32 sq_mask, cq_mask, sq_entries, cq_entries;
	_Atomic u32 sq_dropped, sq_flags, cq_flags, cq_overflow;
	u32 pad4[8];
};
#define CQES_OFF sizeof(struct shared)

struct pages { /* memory that both sides see */
	struct page **page;
	u32 n;
};

struct overflown { /* a completion that found the queue full */
	struct list_head node;
	struct io_uring_cqe cqe;
};

struct slot { /* a registered file */
	struct file *file; /* reference */
	u64 tag;
};
struct fixed_buf { /* a registered buffer: a range of the application's memory */
	u64 addr, len, tag;
};

struct buf { /* a provided buffer */
	struct list_head node;
	u64 addr;
	u32 len;
	u16 bid;
};
struct buf_group {
	struct list_head node;
	u32 id;
	struct list_head bufs; /* provided by requests, or handed back */
	u32 nbufs;
	u64 ring; /* address of a struct io_uring_buf_ring, or 0 */
	u32 entries, head;
};

struct enter_wait { /* a thread that waits for completions, and meanwhile does what has become possible */
	struct list_head node; /* ring->waiters; todo_lock */
	struct task *task;
};

struct ring {
	refcount_t ref; /* the file, each request, each worker */
	u32 flags;	/* IORING_SETUP_* */
	struct mutex lock;
	struct list_head all_node; /* all_rings */

	struct pages rings, sqes;
	u32 sq_entries, cq_entries, sqe_size, cqe_size, array_off;
	u32 sq_head; /* the true value of shared->sq_head */
	struct task *issuer; /* IORING_SETUP_SINGLE_ISSUER; compared only */
	struct process *owner; /* IORING_SETUP_SQPOLL: who made it */
	u32 alloc_from, alloc_end; /* where free slots for files are looked for */

	spinlock_t req_lock;
	struct list_head reqs; /* in flight, of req.node */
	struct list_head *by_data; /* the same by their user_data, of req.hash; nhash lists, a power of two */
	u32 nhash;
	struct list_head deferred; /* IOSQE_IO_DRAIN and what came after, of req.work */
	bool draining;		   /* such a request is under way */
	u32 inflight;		   /* started or linked to what is started */
	u32 cq_tail, cq_timeouts; /* completions so far; those of them that were timeouts */
	u32 ncounted;		  /* timeouts that wait for a number of completions */
	struct list_head overflow;
	struct waitq cq_wait;
	struct file *eventfd;
	bool eventfd_async;

	spinlock_t todo_lock;
	struct list_head again;	  /* woken requests, to be tried again; of req.work */
	struct list_head waiters; /* of enter_wait.node */
	struct list_head work;	  /* requests for workers; of req.work */
	u32 nwork, nidle;
	bool helper, closing;
	struct task *helper_task; /* and the request that it is busy with; req_lock */
	struct req *helper_req;
	struct waitq helper_q, worker_q;

	spinlock_t rsrc_lock; /* what is registered */
	struct slot *files;
	u32 nfiles, file_hint;
	struct fixed_buf *bufs;
	u32 nbufs;
	struct list_head buf_groups;
	struct cred **personalities; /* number n at [n - 1] */
	u32 npersonalities;
	struct { /* IORING_REGISTER_RESTRICTIONS */
		bool set;
		u64 ops, reg_ops;
		u32 flags_allowed, flags_required;
	} restrict_to;
	u32 max_workers[2];
};

struct hook { /* a request in a wait queue */
	struct waiter w;
	struct waitq *q;
	struct req *req;
	struct hook *next;
};

struct req {
	struct list_head node, hash, work;
	struct ring *ring;
	struct task *task;   /* who submitted */
	struct files *files; /* his descriptors, from when the request goes on without him */
	struct cred *creds;
	struct file *file;
	struct req *link; /* to be started when this one has ended */
	struct io_uring_sqe sqe;
	_Atomic u32 wakes;
	bool cancelled; /* asked to end; wakes is raised afterwards */
	bool failed;	/* what is linked to it shall not start */
	bool link_holds; /* it may, in spite of the result */
	bool waits; /* on ring->deferred; req_lock */
	bool drain, drain_last; /* waits for all before it; what comes after waits for this one */
	bool multishot, started, nowait;
	struct req *head; /* link timeouts: the request it is to stop; req_lock */
	struct sockaddr_k *name; /* where to send to, read when it was submitted; or NULL */
	u8 stage; /* connect: the connection is being made; send, recv: has been waited for */
	u32 done; /* bytes so far */
	struct task *worker; /* that runs it and may be interrupted; req_lock */
	s32 error;	     /* found when it was submitted */
	/* waiting */
	u32 events;
	struct hook hook0, *hooks;
	struct ktimer timer;
	u64 expires;
	u32 base; /* timeouts: completions there were when it began, of those that it counts */
	bool counted, timer_on, timer_fired;
	/* buffers */
	struct iovec_k iov1, *iov;
	u32 niov;
	struct buf_group *group;
	struct buf picked;
	bool has_buf;
	u32 cqe_flags;
};

static inline bool is_zero_copy(const struct req *q) { return q->sqe.opcode == IORING_OP_SEND_ZC || q->sqe.opcode == IORING_OP_SENDMSG_ZC; }

/* What issuing gives when it is not a result: somebody else ends the request; only a worker can do it. */
#define IOU_QUEUED (-1000)
#define IOU_PUNT (-1001)

/* ---- ring.c ---- */
extern const struct file_ops uring_fops;
struct ring *ring_of(struct file *f); /* NULL: another kind of file */
void ring_get(struct ring *r);
void ring_put(struct ring *r);
static inline struct shared *ring_shared(const struct ring *r) { return page_to_va(r->rings.page[0]); }
static inline void *pages_at(const struct pages *p, u64 off) { return (char *)page_to_va(p->page[off >> PAGE_SHIFT]) + (off & ~PAGE_MASK); }
/* Post a completion and wake who waits; no spinlock held. */
void ring_post(struct ring *r, u64 user_data, s32 res, u32 flags);
void ring_flush_overflow(struct ring *r);
u32 ring_ready(struct ring *r); /* completions the application has not taken yet */
extern struct list_head all_rings;
extern spinlock_t all_rings_lock;

static inline struct list_head *ring_bucket(const struct ring *r, u64 user_data)
{
	return &r->by_data[(user_data * 0x9e3779b97f4a7c15ull >> 32) & (r->nhash - 1)];
}

/* ---- req.c ---- */
struct req *req_alloc(struct ring *r);
void req_start(struct req *q);		    /* owned; runs it and what is linked to it */
void req_try(struct req *q, bool may_block); /* the same, in the context it must run in */
void req_end(struct req *q, long res);	    /* owned: post, and start what waited for it */
void ring_pump_deferred(struct ring *r);  /* what stood behind a drain and may go now */
void req_fail_chain(struct req *q);	    /* a chain with a bad member: nothing of it runs */
bool req_claim(struct req *q);		    /* true: the caller owns it now */
int req_hold(struct req *q);		    /* it goes on without its submitter */
bool req_runs_in(const struct req *q, const struct task *t); /* is that task as good as the submitter? */
void ring_check_counts(struct ring *r);	    /* timeouts that wait for completions */
extern struct waitq uring_exit_q; /* uring_task_exit(): a request is gone */
void req_run_woken(struct req *q);	    /* owned, off the list */
void ring_run_again(struct ring *r);	    /* try the woken requests that may run in this task */

/* ---- ops.c, ops_file.c, ops_net.c ---- */
struct uring_op {
	long (*prep)(struct req *q); /* 0 or -errno: checks that need no file */
	long (*issue)(struct req *q, bool may_block);
	bool file, select; /* needs sqe->fd; may take provided buffers */
	u32 events;	   /* what to wait for when it would block; 0: a worker */
	bool ioprio, iopoll; /* sqe->ioprio is its own; allowed in a ring of IORING_SETUP_IOPOLL */
	bool lets_go; /* ends or hangs up its request by itself */
};
extern const struct uring_op uring_ops[IORING_OP_LAST];
bool uring_op_known(u32 op);
/* Before its submitter goes on: the vector of a request that starts later. 0 or -errno. */
long rw_import_early(struct req *q);
long prep_rw(struct req *q), issue_rw(struct req *q, bool may_block);
long issue_fsync(struct req *q, bool b), issue_sync_range(struct req *q, bool b), issue_fallocate(struct req *q, bool b);
long issue_openat(struct req *q, bool b), issue_openat2(struct req *q, bool b), issue_close(struct req *q, bool b);
long issue_statx(struct req *q, bool b), issue_fadvise(struct req *q, bool b), issue_madvise(struct req *q, bool b);
long issue_splice(struct req *q, bool b), issue_renameat(struct req *q, bool b), issue_unlinkat(struct req *q, bool b);
long issue_mkdirat(struct req *q, bool b), issue_symlinkat(struct req *q, bool b), issue_linkat(struct req *q, bool b);
long issue_xattr(struct req *q, bool b), issue_epoll_ctl(struct req *q, bool b);
long prep_send(struct req *q), issue_send(struct req *q, bool b), issue_recv(struct req *q, bool b);
long prep_accept(struct req *q), issue_accept(struct req *q, bool b), issue_connect(struct req *q, bool b);
long issue_shutdown(struct req *q, bool b), issue_socket(struct req *q, bool b);

/* ---- poll.c ---- */
/* Hang an owned request into its file's wait queues. IOU_QUEUED: it has been let go, and may be gone. 0: ready, still owned. */
long req_arm(struct req *q, u32 events);
void req_unhook(struct req *q);
void req_wake(struct req *q); /* from any context: it is to be tried again */
long prep_poll(struct req *q), issue_poll(struct req *q, bool b), issue_poll_remove(struct req *q, bool b);
void poll_again(struct req *q); /* a poll request was woken */

/* ---- timeout.c ---- */
long prep_timeout(struct req *q), issue_timeout(struct req *q, bool b), issue_timeout_remove(struct req *q, bool b);
void link_timeout_start(struct req *q);		  /* of the request that is starting: its timeout, if it has one */
struct req *link_timeout_stop(struct req *q);	  /* its request has ended: what comes after it in the chain */
void timeout_again(struct req *q);

/* ---- cancel.c ---- */
struct cancel_key {
	u64 user_data;
	const struct file *file; /* IORING_ASYNC_CANCEL_FD */
	const struct task *task; /* of this submitter only */
	const struct req *self;
	u32 flags; /* IORING_ASYNC_CANCEL_* */
	s32 opcode; /* -1: any */
};
/* 0, -ENOENT, -EALREADY (it is being carried out); with ALL or ANY the number of requests found. */
long ring_cancel(struct ring *r, const struct cancel_key *key);
long issue_cancel(struct req *q, bool b), prep_cancel(struct req *q);
/* Find one and own it; *busy: there is one that somebody else is dealing with. */
struct req *ring_claim(struct ring *r, u64 user_data, s32 opcode, bool *busy);
void req_interrupt(struct req *q); /* req_lock held: the worker that runs it shall give up */

/* ---- worker.c ---- */
int ring_need_helper(struct ring *r);	    /* before something is hung up: 0 or -ENOMEM */
void ring_queue_work(struct req *q);	    /* to a worker; ends it when there can be none */
void ring_again(struct req *q);		    /* woken: for a waiting thread or the helper; any context */
void ring_stop_workers(struct ring *r);
void ring_helper_busy(struct ring *r, struct req *q); /* the current task, should it be the helper, deals with q now */

/* ---- rsrc.c: what is registered ---- */
struct file *fixed_file(struct ring *r, u32 i);	    /* reference or NULL */
/* index: as in sqe->file_index; consumes the reference. 0, the slot that was picked, or -errno. */
long fixed_install(struct ring *r, struct file *f, u32 index);
long fixed_remove(struct ring *r, u32 i);
long fixed_update(struct ring *r, u32 off, u64 ufds, u64 utags, u32 n);
bool fixed_buf_covers(struct ring *r, u32 i, u64 addr, u64 len);
/* The calling task's rings by number (IORING_REGISTER_RING_FDS): a reference, or ERR_PTR. */
struct file *registered_ring(u32 i);
long rings_register(u64 arg, u32 n), rings_unregister(u64 arg, u32 n);
long sync_cancel(struct ring *r, u64 arg); /* ring->lock held, and dropped while it waits */
long ring_register(struct ring *r, u32 op, u64 arg, u32 n);
void ring_unregister_all(struct ring *r);

/* ---- bufs.c: provided buffers ---- */
int buf_pick(struct req *q, u64 *addr, u32 *len); /* -ENOBUFS */
void buf_done(struct req *q, long res);		  /* used (res >= 0: told in the completion) or given back */
long issue_provide(struct req *q, bool b), issue_remove_bufs(struct req *q, bool b);
long bufs_register_ring(struct ring *r, u64 arg, u32 n), bufs_unregister_ring(struct ring *r, u64 arg, u32 n);
void bufs_free(struct ring *r);

#endif
