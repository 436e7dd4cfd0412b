#include "net/net_ns.h"

#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"

struct net_ns init_net_ns = { .lo_up = true };

struct net_ns *current_net_ns(void)
{
	return container_of(current->ns->simple[NS_NET], struct net_ns, c);
}

struct net_ns *net_ns_create(struct user_ns *owner)
{
	struct net_ns *n = kzalloc(sizeof(*n));

	if (n) {
		ns_init(&n->c, NS_NET, owner);
		n->settings = net_settings_default;
	}
	return n;
}

void net_ns_free(struct ns_common *n)
{
	kfree(container_of(n, struct net_ns, c));
}

bool net_capable(const struct net_ns *n, int cap)
{
	return ns_capable(n->c.owner, cap);
}
