/* Network namespaces (network_namespaces(7)): ports, abstract names and port ids are each one's own, and so is its loopback. */
#ifndef NET_NET_NS_H
#define NET_NET_NS_H

#include "net/ifconf.h"
#include "sentry/kernel/ns.h"
#include "sentry/kernel/settings.h"

struct net_ns {
	struct ns_common c; /* first */
	bool lo_up;	    /* a new one's loopback is down */
	struct net_settings settings;
};
extern struct net_ns init_net_ns;

struct net_ns *current_net_ns(void);
struct net_ns *net_ns_create(struct user_ns *owner); /* NULL: no memory */
void net_ns_free(struct ns_common *n);
bool net_capable(const struct net_ns *n, int cap); /* has the current task the right there? */
static inline u32 lo_flags(const struct net_ns *n) { return n->lo_up ? LO_FLAGS_LOWER_UP : LO_FLAGS_DOWN; }

#endif
