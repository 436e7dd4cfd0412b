/*
 * Pipes and FIFOs: a ring of page fragments.
 *
 * A slot of the ring names a fragment of a page, so splice(2) can pass pages of the page cache through a pipe without
 * copying. Only pages the pipe allocated itself are appended to (PIPE_BUF_CAN_MERGE).
 * Lock order: pipe->lock (two pipes: lower address first) -> mm->lock. fifo_lock is a leaf.
 */
#ifndef SENTRY_PIPE_H
#define SENTRY_PIPE_H

#include "sentry/kernel/wait.h"
#include "sentry/vfs/vfs.h"

enum { PIPE_BUF_PACKET = 1, PIPE_BUF_CAN_MERGE = 2 };
#define PIPE_DEF_SLOTS 16u
#define PIPE_MAX_SIZE_DEFAULT (1u << 20)

struct pipe_buf {
	struct page *page; /* one reference */
	u32 off, len;
	u32 flags;
};
struct pipe {
	struct mutex lock;
	/* lock: */
	struct pipe_buf *bufs;
	u32 head, tail; /* free running; head - tail slots are in use */
	u32 size;	/* slots, a power of two */
	u32 readers, writers;
	u32 r_counter, w_counter; /* opens so far, for the blocking open of FIFOs */
	struct page *spare[2];
	bool poll_usage; /* someone polls: edge-triggered listeners want every write */
	bool anonymous;

	struct waitq rd_wait, wr_wait, open_wait;
	struct inode *inode;
	u32 files; /* fifo_lock */
};

extern const struct file_ops pipe_fops;

/* file_ops.open of every FIFO inode: blocks for the other side as fifo(7) says, and sets file->fop. */
int fifo_open(struct inode *inode, struct file *file);
/* Two connected files; flags O_NONBLOCK, O_DIRECT. 0 or -errno. */
int pipe_create_files(struct file **rd, struct file **wr, u32 flags);
/* F_SETPIPE_SZ and F_GETPIPE_SZ: the size in bytes, or -errno (-EBADF: not a pipe). */
long pipe_fcntl(struct file *f, u32 cmd, u64 arg);
/* The pipe behind a file, or NULL. */
struct pipe *file_pipe(struct file *f);

/* ---- for splice.c. Each sleeps unless `nonblock` (-EAGAIN); -ERESTARTSYS on a signal before anything moved. ---- */
/* Hand up to len bytes to `actor`, fragment by fragment; it returns what it took (short: stop) or -errno. */
long pipe_splice_out(struct pipe *p, size_t len, bool nonblock,
		     long (*actor)(void *ctx, struct page *page, u32 off, u32 len), void *ctx);
/* Append a fragment of a page by reference (takes its own): len, or -EPIPE after SIGPIPE. */
long pipe_splice_in(struct pipe *p, struct page *page, u32 off, u32 len, bool nonblock);
/* Wait for a free slot: bytes that fit without waiting (free slots times the page size), or -errno. */
long pipe_wait_space(struct pipe *p, bool nonblock);
/* tee(2) when `keep`, else the moving kind of splice between two pipes. */
long pipe_to_pipe(struct pipe *in, struct pipe *out, size_t len, bool keep, bool nonblock);
long pipe_read_to(struct pipe *p, struct iov_iter *to, bool nonblock);
long pipe_write_from(struct pipe *p, struct iov_iter *from, bool nonblock, bool packet);

#endif
