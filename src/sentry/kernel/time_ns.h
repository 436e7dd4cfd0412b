/*
 * Time namespaces (time_namespaces(7)): what CLOCK_MONOTONIC and CLOCK_BOOTTIME and their like are shifted by. The offsets are set before the
 * first process is in; from then on they stand, and the vDSO reads them in a page of its own.
 */
#ifndef SENTRY_TIME_NS_H
#define SENTRY_TIME_NS_H

#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/vdso/offsets.h"

struct page;
struct seq;

struct time_ns {
	struct ns_common c; /* first */
	struct time_offsets offsets;
	_Atomic bool entered; /* nothing changes any more */
	struct page *page;    /* the offsets for the vDSO; NULL: none, as for the first namespace */
};
extern struct time_ns init_time_ns;

static inline struct time_ns *time_ns_of(struct ns_common *n) { return container_of(n, struct time_ns, c); }
static inline const struct time_offsets *time_offsets(void)
{
	const struct nsproxy *ns = current->ns;

	return ns ? &time_ns_of(ns->simple[NS_TIME])->offsets : &init_time_ns.offsets;
}
struct time_ns *time_ns_create(struct user_ns *owner); /* NULL: no memory */
void time_ns_free(struct ns_common *n);
/* A process comes to be in it, with this address space (NULL: not yet). */
struct mm;
long time_ns_enter(struct ns_common *n, struct mm *mm);
/* /proc/PID/timens_offsets */
void time_ns_show(struct seq *s, const struct time_ns *n);
long time_ns_write(struct time_ns *n, char *text);

#endif
