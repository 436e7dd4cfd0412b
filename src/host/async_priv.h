/* Between async.c and its two engines. */
#ifndef HOST_ASYNC_PRIV_H
#define HOST_ASYNC_PRIV_H

#include <sys/uio.h>

#include "host/async.h"

enum async_stage {
	STAGE_FREE,
	STAGE_POLL, /* waits for readiness; then the transfer is tried, or the mask is the result */
	STAGE_FILE, /* a transfer or fsync of a regular file is on its way */
};
struct async_op {
	u8 stage; /* enum async_stage */
	u8 op;	  /* enum hc_submit_op */
	bool cancelled;
	u16 generation;
	u32 poll_events;
	u32 flags; /* HC_RW_* */
	hc_handle handle;
	struct handle h;
	u64 cookie;
	u64 pos;
	u32 niov;
	u32 next_free; /* index + 1 */
	struct iovec iov[HC_SEGS_MAX];
};
extern struct async_op async_ops[ASYNC_MAX];
#define ASYNC_CONTROL ASYNC_MAX /* "operation" number of the control socket's poll */

/* Calls below are made under async.c's lock, but for wait. Results 0 or -errno. */
struct async_engine {
	int (*init)(int control_fd);
	int (*start)(struct async_op *op);  /* its stage says what */
	void (*cancel)(struct async_op *op);
	void (*arm_control)(void);
	bool (*knows)(hc_handle h); /* without the lock: has it something to forget? */
	void (*forget)(hc_handle h);
	/* The event thread: wait, and call async_done() for what completed. */
	void (*wait)(void);
};
extern const struct async_engine async_uring, async_poll;

static inline u64 async_tag(const struct async_op *op)
{
	return (u64)op->generation << 32 | (u64)(op - async_ops);
}
/* `tag` as above, or ASYNC_CONTROL. Takes the lock. */
void async_done(u64 tag, s64 result);

#endif
