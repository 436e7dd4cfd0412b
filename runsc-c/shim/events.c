/* What containerd is told of: calls of its event service, one after the other, each repeated while containerd is away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/buffer.h"
#include "shim/frame.h"
#include "shim/loop.h"
#include "shim/shim.h"

#define RETRY_S 1
#define TRIES 10

struct event {
	u8 *frame; /* FRAME_HEADER, then the request */
	size_t len;
	char *topic;
	u32 tries;
	struct event *next;
};
static struct event *first, **last = &first;
static bool asked; /* the first one has been sent */
static struct watch server = {.fd = -1}, timer = {.fd = -1};
static struct buffer in, out;
static u32 stream = 1;
static void (*when_empty)(void);

static void pump(void);

static void drop_first(void)
{
	struct event *e = first;

	first = e->next;
	if (!first)
		last = &first;
	free(e->frame);
	free(e->topic);
	free(e);
	asked = false;
}

static void disconnect(void)
{
	watch_remove(&server);
	buffer_free(&in);
	buffer_free(&out);
	asked = false;
}

static void try_again(struct watch *w, u32 events)
{
	watch_remove(w);
	pump();
}

static void later(void)
{
	const struct itimerspec at = {.it_value = {RETRY_S, 0}};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	disconnect();
	while (first && (++first->tries >= TRIES || when_empty)) { /* at the end nobody waits for who does not listen */
		say("containerd was not told of %s", first->topic);
		drop_first();
	}
	timerfd_settime(fd, 0, &at, NULL);
	watch_add(&timer, fd, EPOLLIN, try_again);
	if (!first && when_empty)
		when_empty();
}

static void hear(struct watch *w, u32 events)
{
	struct frame f;
	ssize_t n;

	if (events & EPOLLOUT && buffer_write(&out, w->fd) == 0)
		watch_change(w, EPOLLIN);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = buffer_read(&in, w->fd, FRAME_HEADER + FRAME_DATA_MAX);
	if (n == -EAGAIN)
		return;
	if (n > 0)
		n = frame_parse(in.at + in.off, in.len, &f);
	else
		n = -EPIPE;
	if (n < 0) {
		later();
	} else if (n) { /* said, or refused: it will not be better the next time */
		buffer_take(&in, (size_t)n);
		if (asked)
			drop_first();
		pump();
	}
}

static bool connect_server(void)
{
	const char *address = getenv("TTRPC_ADDRESS");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (!address || strlen(address) >= sizeof(a.sun_path))
		return false;
	strcpy(a.sun_path, address);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (void *)&a, sizeof(a)) < 0) {
		close(fd);
		return false;
	}
	watch_add(&server, fd, EPOLLIN, hear);
	return true;
}

static void pump(void)
{
	if (!first && when_empty)
		when_empty();
	if (!first || asked || timer.fd >= 0)
		return;
	if (server.fd < 0 && !connect_server()) {
		later();
		return;
	}
	frame_header(first->frame, (u32)(first->len - FRAME_HEADER), stream, FRAME_REQUEST);
	stream += 2; /* those of a client are odd */
	memcpy(buffer_room(&out, first->len), first->frame, first->len);
	buffer_add(&out, first->len);
	asked = true;
	if (buffer_write(&out, server.fd) != 0)
		watch_change(&server, EPOLLIN | EPOLLOUT);
}

static void *pack(const ProtobufCMessage *m, size_t before, size_t *len)
{
	u8 *p;

	*len = before + protobuf_c_message_get_packed_size(m);
	p = must(malloc(*len + 1));
	protobuf_c_message_pack(m, p + before);
	return p;
}

void publish(const char *topic, const char *type, const ProtobufCMessage *message)
{
	struct event *e = must(calloc(1, sizeof(*e)));
	Any any = ANY__INIT;
	Timestamp now = TIMESTAMP__INIT;
	Envelope envelope = ENVELOPE__INIT;
	ForwardRequest forward = FORWARD_REQUEST__INIT;
	TtrpcRequest request = TTRPC_REQUEST__INIT;
	TtrpcKeyValue namespace = TTRPC_KEY_VALUE__INIT, *metadata[] = {&namespace};
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	now.seconds = ts.tv_sec;
	now.nanos = (s32)ts.tv_nsec;
	any.type_url = (char *)type;
	any.value.data = pack(message, 0, &any.value.len);
	envelope.timestamp = &now;
	envelope.namespace_ = (char *)shim.namespace;
	envelope.topic = (char *)topic;
	envelope.event = &any;
	forward.envelope = &envelope;
	namespace.key = (char *)"containerd-namespace-ttrpc";
	namespace.value = (char *)shim.namespace;
	request.service = (char *)"containerd.services.events.ttrpc.v1.Events";
	request.method = (char *)"Forward";
	request.payload.data = pack(&forward.base, 0, &request.payload.len);
	request.n_metadata = 1;
	request.metadata = metadata;
	e->frame = pack(&request.base, FRAME_HEADER, &e->len);
	e->topic = copy_of(topic);
	free(any.value.data);
	free(request.payload.data);
	*last = e;
	last = &e->next;
	pump();
}

void publish_flush(void (*then)(void))
{
	when_empty = then;
	pump();
}
