/* Requests to the gofer: built in sandbox memory, sent by one hostcall. */
#include "base/string.h"
#include "fs/gofer/internal.h"
#include "sentry/mm/frames.h"

int rpc_begin(struct rpc *r, u32 op, u64 node, size_t reply_cap)
{
	*r = (struct rpc){ .cap = MAX(PAGE_SIZE, reply_cap), .handle = HC_NO_HANDLE };
	while (PAGE_SIZE << r->order < r->cap)
		r->order++;
	r->page = frame_alloc(r->order, 0);
	if (!r->page)
		return -ENOMEM;
	r->cap = PAGE_SIZE << r->order;
	r->buf = page_to_va(r->page);
	r->req = (struct gofer_req *)r->buf;
	r->rep = (struct gofer_rep *)r->buf;
	memset(r->req, 0, sizeof(*r->req));
	r->req->op = op;
	r->req->len = sizeof(*r->req);
	r->req->node = node;
	return 0;
}

int rpc_add(struct rpc *r, const void *bytes, size_t n)
{
	if (r->req->len + n > r->cap)
		return -E2BIG;
	memcpy(r->buf + r->req->len, bytes, n);
	r->req->len += (u32)n;
	return 0;
}

static int call_once(struct rpc *r, u32 len)
{
	struct hc_gofer call = { .req_off = va_to_pa(r->buf), .req_len = len, .rep_off = va_to_pa(r->buf), .rep_cap = r->cap,
				 .handle = HC_NO_HANDLE };
	s64 n = hostcall(HC_GOFER, &call, sizeof(call));

	if (n < 0)
		return (int)n;
	r->handle = call.handle;
	if ((u64)n < sizeof(*r->rep) || (u64)n > r->cap || r->rep->len > (u64)n)
		return -EIO;
	return r->rep->status;
}

/* A gofer that may have no more descriptors is asked again when it has been told what is not needed: the request is kept for that. */
int rpc_call(struct rpc *r)
{
	u32 len = r->req->len;
	void *request = gofer_is_crowded() && r->req->op != GOFER_FORGET ? kmalloc(len) : NULL;
	int err;

	if (request)
		memcpy(request, r->buf, len);
	err = call_once(r, len);

	if (request && (err == -EMFILE || err == -ENFILE)) {
		gofer_make_room();
		memcpy(r->buf, request, len);
		err = call_once(r, len);
	}
	kfree(request);
	return err;
}

void rpc_end(struct rpc *r)
{
	frames_free_run(r->page, 1ull << r->order);
}

/* ---- nodes that nobody needs any more, told in batches ---- */

#define FORGET_BATCH 256u
static spinlock_t forget_lock = SPINLOCK_INIT;
static u64 forgotten[FORGET_BATCH];
static u32 nforgotten;

/* What is on the list goes; forget_lock is held, and given up. */
static void tell_forgotten(void)
{
	struct rpc r;
	bool told = nforgotten && !rpc_begin(&r, GOFER_FORGET, 0, 0);

	if (told) {
		r.req->forget.n = nforgotten;
		rpc_add(&r, forgotten, nforgotten * sizeof(forgotten[0]));
	}
	nforgotten = 0; /* without memory the gofer keeps them */
	spin_unlock(&forget_lock);
	if (told) {
		rpc_call(&r);
		rpc_end(&r);
	}
}

void rpc_forget_all(void)
{
	spin_lock(&forget_lock);
	tell_forgotten();
}

void rpc_forget(u64 node)
{
	if (!node)
		return;
	spin_lock(&forget_lock);
	forgotten[nforgotten++] = node;
	if (nforgotten == FORGET_BATCH)
		tell_forgotten();
	else
		spin_unlock(&forget_lock);
}
