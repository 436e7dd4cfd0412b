#include "shim/ttrpc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/buffer.h"
#include "shim/frame.h"
#include "shim/loop.h"
#include "shim/shim.h"

struct connection {
	struct watch watch;
	struct buffer in, out;
	u32 calls; /* not answered */
	bool open;
};
struct call {
	struct connection *conn;
	u32 stream;
};

static struct watch listening;
static void (*serve_call)(struct call *c, const char *service, const char *method, const u8 *data, size_t n);

static void release(struct connection *c)
{
	if (c->open || c->calls)
		return;
	buffer_free(&c->in);
	buffer_free(&c->out);
	free(c);
}

static void hang_up(struct connection *c)
{
	watch_remove(&c->watch);
	c->open = false;
	release(c);
}

/* What is left goes when there is room. */
static void flush(struct connection *c)
{
	ssize_t n = buffer_write(&c->out, c->watch.fd);

	if (n < 0)
		return; /* the reader sees it, too */
	watch_change(&c->watch, c->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void respond(struct call *call, const TtrpcResponse *r)
{
	struct connection *c = call->conn;
	u32 len = (u32)ttrpc_response__get_packed_size(r);

	if (c->open) {
		u8 *out = buffer_room(&c->out, FRAME_HEADER + len);

		frame_header(out, len, call->stream, FRAME_RESPONSE);
		ttrpc_response__pack(r, out + FRAME_HEADER);
		buffer_add(&c->out, FRAME_HEADER + len);
		flush(c);
	}
	c->calls--;
	release(c);
	free(call);
}

void call_answer(struct call *call, const ProtobufCMessage *answer)
{
	TtrpcResponse r = TTRPC_RESPONSE__INIT;

	r.payload.len = protobuf_c_message_get_packed_size(answer);
	r.payload.data = must(malloc(r.payload.len + 1));
	protobuf_c_message_pack(answer, r.payload.data);
	respond(call, &r);
	free(r.payload.data);
}

void call_done(struct call *call)
{
	Empty nothing = EMPTY__INIT;

	call_answer(call, &nothing.base);
}

void call_fail(struct call *call, enum rpc_code code, const char *fmt, ...)
{
	TtrpcStatus status = TTRPC_STATUS__INIT;
	TtrpcResponse r = TTRPC_RESPONSE__INIT;
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	status.code = (s32)code;
	status.message = text;
	r.status = &status;
	respond(call, &r);
}

static void take_request(struct connection *c, const struct frame *f)
{
	TtrpcRequest *r = f->type == FRAME_REQUEST ? ttrpc_request__unpack(NULL, f->len, f->data) : NULL;
	struct call *call = must(malloc(sizeof(*call)));

	*call = (struct call){c, f->stream};
	c->calls++;
	if (r)
		serve_call(call, r->service, r->method, r->payload.data, r->payload.len);
	else
		call_fail(call, RPC_INVALID_ARGUMENT, "not a request");
	if (r)
		ttrpc_request__free_unpacked(r, NULL);
}

static void talk(struct watch *w, u32 events)
{
	struct connection *c = container_of(w, struct connection, watch);
	struct frame f;
	ssize_t n;

	if (events & EPOLLOUT)
		flush(c);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = buffer_read(&c->in, w->fd, FRAME_HEADER + FRAME_DATA_MAX);
	if (n == -EAGAIN)
		return;
	while (n > 0 && (n = frame_parse(c->in.at + c->in.off, c->in.len, &f)) > 0) {
		take_request(c, &f);
		buffer_take(&c->in, (size_t)n);
		if (!c->in.len)
			return;
	}
	if (n < 0 || !c->in.len) /* nonsense, or the end */
		hang_up(c);
}

static void welcome(struct watch *w, u32 events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct connection *c;

	if (fd < 0)
		return;
	c = must(calloc(1, sizeof(*c)));
	c->open = true;
	watch_add(&c->watch, fd, EPOLLIN, talk);
}

void ttrpc_serve(int listener,
		 void (*serve)(struct call *c, const char *service, const char *method, const u8 *data, size_t n))
{
	serve_call = serve;
	watch_add(&listening, listener, EPOLLIN, welcome);
}
