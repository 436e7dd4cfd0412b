#include "host/handle.h"

#include <errno.h>
#include <pthread.h>

#define GENERATIONS 0x7fffu /* fifteen bits, so that no handle equals HC_NO_HANDLE */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot {
	struct handle h;
	u16 generation;
	u32 next_free; /* index + 1 */
} slots[HANDLE_MAX];
static u32 used;       /* slots ever used: the table's touched part */
static u32 first_free; /* index + 1; 0: none */

static struct slot *slot_of(hc_handle h)
{
	struct slot *s = &slots[handle_index(h)];

	if (h >> 31 || s->h.kind == HANDLE_FREE || s->generation != h >> 16)
		return NULL;
	return s;
}

s64 handle_add(int fd, enum handle_kind kind, bool nonblock)
{
	s64 h = -ENFILE;
	struct slot *s = NULL;

	pthread_mutex_lock(&lock);
	if (first_free) {
		s = &slots[first_free - 1];
		first_free = s->next_free;
	} else if (used < HANDLE_MAX) {
		s = &slots[used++];
	}
	if (s) {
		s->generation = (s->generation + 1) & GENERATIONS;
		s->h = (struct handle){ .fd = fd, .kind = kind, .nonblock = nonblock };
		h = (s64)s->generation << 16 | (s - slots);
	}
	pthread_mutex_unlock(&lock);
	return h;
}

int handle_get(hc_handle h, struct handle *out)
{
	struct slot *s;
	int err = 0;

	pthread_mutex_lock(&lock);
	s = slot_of(h);
	if (s)
		*out = s->h;
	else
		err = -EBADF;
	pthread_mutex_unlock(&lock);
	return err;
}

int handle_get_kind(hc_handle h, enum handle_kind kind, struct handle *out)
{
	int err = handle_get(h, out);

	return err ? err : out->kind == kind ? 0 : -EINVAL;
}

int handle_remove(hc_handle h, struct handle *out)
{
	struct slot *s;
	int err = -EBADF;

	pthread_mutex_lock(&lock);
	s = slot_of(h);
	if (s) {
		*out = s->h;
		s->h = (struct handle){ .fd = -1, .kind = HANDLE_FREE };
		s->next_free = first_free;
		first_free = handle_index(h) + 1;
		err = 0;
	}
	pthread_mutex_unlock(&lock);
	return err;
}
