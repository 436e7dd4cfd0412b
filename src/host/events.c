#include "host/events.h"

#include <pthread.h>

#include "host/hostcalls.h"
#include "host/hostmem.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic u32 tail; /* ours; the ring's copy is for the sentry to read */

u32 events_backlog(void)
{
	return atomic_load(&tail) - atomic_load(&hostmem_ring()->head);
}

bool events_pending(void)
{
	return events_backlog() != 0;
}

void events_push(u32 kind, u64 cookie, s64 result)
{
	struct hc_event_ring *ring = hostmem_ring();
	u32 t;

	pthread_mutex_lock(&lock);
	t = atomic_load_explicit(&tail, memory_order_relaxed);
	/* A full ring means that signals piled up, or that the sentry wrote nonsense into the head: it loses the event. */
	if (events_backlog() < HC_RING_SIZE) {
		ring->ev[t % HC_RING_SIZE] = (struct hc_event){ .kind = kind, .cookie = cookie, .result = result };
		atomic_store(&tail, t + 1);
		atomic_store(&ring->tail, t + 1);
	}
	pthread_mutex_unlock(&lock);
	host_kick_any();
}
