/* Programs that the command asks to be started in the running sandbox: requests wait here until the sentry fetches them. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/events.h"
#include "host/exit.h"
#include "host/hostmem.h"
#include "host/sandbox.h"
#include "host/serve.h"

#define WAITING_MAX 64

static struct waiting {
	u32 id;
	size_t len;
	struct hc_spawn *request; /* NULL: free */
} waiting[WAITING_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void close_all(const int *fds)
{
	for (u32 i = 0; i < 3; i++)
		close(fds[i]);
}

static void make_handles(struct hc_spawn *r, const int *fds)
{
	for (u32 i = 0; i < 3; i++) {
		struct hc_stdio *s = &r->stdio[i];
		s64 h = s->kind > STDIO_CHAR || s->kind == STDIO_CLOSED ? -EBADF : handle_add(fds[i], stdio_handle_kind(s->kind), false);

		s->handle = h < 0 ? HC_NO_HANDLE : (hc_handle)h;
		if (h < 0) {
			s->kind = STDIO_CLOSED;
			close(fds[i]);
		}
	}
}

void spawn_arrived(u32 id, const void *request, size_t len, const int *fds)
{
	struct waiting *w = waiting;
	struct hc_spawn *copy;

	if (len < sizeof(*copy) || len > SPAWN_MAX) {
		close_all(fds);
		host_say_spawn(id, SPAWN_FAILED, EINVAL);
		return;
	}
	pthread_mutex_lock(&lock);
	while (w < waiting + WAITING_MAX && w->request)
		w++;
	copy = w < waiting + WAITING_MAX ? malloc(len) : NULL;
	if (copy) {
		memcpy(copy, request, len);
		make_handles(copy, fds);
		*w = (struct waiting){ id, len, copy };
	}
	pthread_mutex_unlock(&lock);
	if (copy) {
		events_push(HC_EV_SPAWN, id, (s64)len);
	} else {
		close_all(fds);
		host_say_spawn(id, SPAWN_FAILED, EAGAIN);
	}
}

s64 serve_spawn_take(u32 cpu, void *req)
{
	const struct hc_spawn_take *t = req;
	char *to = hostmem_at(t->off, t->len);
	s64 err = -ENOENT;

	if (!to)
		return -EFAULT;
	pthread_mutex_lock(&lock);
	for (struct waiting *w = waiting; w < waiting + WAITING_MAX; w++) {
		if (!w->request || w->id != t->id)
			continue;
		if (w->len == t->len) {
			memcpy(to, w->request, w->len);
			free(w->request);
			w->request = NULL;
			err = 0;
		} else {
			err = -EINVAL;
		}
		break;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

s64 serve_spawn_say(u32 cpu, void *req)
{
	const struct hc_spawn_say *s = req;

	if (s->state > SPAWN_READY)
		return -EINVAL;
	host_say_spawn(s->id, s->state, s->value);
	return 0;
}
