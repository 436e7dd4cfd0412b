/*
 * Membership of multicast groups (ip(7), RFC 3376, RFC 3678): kept by socket, looked up by group. There is one link
 * that has them, the loopback. IPv6 groups can be joined, but nothing is ever sent to them: Linux has no route to
 * ff00::/8 over a loopback.
 */
#include "net/inet/inet_mc.h"

#include <linux/errno.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "base/string.h"
#include "net/ifconf.h"
#include "net/inet/inet.h"
#include "sentry/mm/mm.h"

#define MAX_GROUPS 20u	/* net.ipv4.igmp_max_memberships */
#define MAX_SOURCES 10u /* net.ipv4.igmp_max_msf */
#define BUCKETS 64u

struct group {
	struct list_head node; /* of its socket */
	struct hlist_node by_addr;
	const struct net_ns *net;
	struct in_addr16 addr, link_addr; /* the group; how its link was named */
	bool exclude;			  /* what the sources are: kept away, or all that is taken */
	bool filtered;			  /* a source was ever named */
	u32 nsources;
	struct in_addr16 sources[MAX_SOURCES];
};
static struct hlist_head groups[BUCKETS]; /* inet_lock */

static struct hlist_head *bucket(const struct in_addr16 *a)
{
	return &groups[(a->b[15] ^ a->b[14] * 7u ^ a->b[13] * 31u) % BUCKETS];
}

struct ask { /* one of the requests, taken apart */
	struct in_addr16 group, link_addr, source;
	s32 index;
};

static bool names_link(const struct ask *a)
{
	return a->index || !addr_is_any(&a->link_addr);
}

/* Without a name the route to the group decides, and there is none. */
static bool find_link(const struct ask *a)
{
	return a->index ? a->index == LO_INDEX : !addr_is_any(&a->link_addr) && addr_is_loopback(&a->link_addr);
}

/* inet_lock held */
static struct group *find(const struct inet_sock *is, const struct in_addr16 *addr)
{
	struct group *g;

	list_for_each(g, &is->groups, node) if (addr_eq(&g->addr, addr)) return g;
	return NULL;
}

static int join(struct inet_sock *is, const struct ask *a, bool exclude)
{
	struct group *g, *new;
	u32 n = 0;
	int err = 0;

	if (!addr_is_multicast(&a->group))
		return -EINVAL;
	if (!addr_is_v4(&a->group) && !a->index && find(is, &a->group))
		return -EADDRINUSE;
	if (!find_link(a))
		return -ENODEV;
	new = kzalloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->addr = a->group;
	new->link_addr = a->link_addr;
	new->exclude = exclude;
	new->net = is->st.sk.net;
	spin_lock(&inet_lock);
	list_for_each(g, &is->groups, node) n++;
	if (find(is, &a->group))
		err = -EADDRINUSE;
	else if (n >= MAX_GROUPS)
		err = -ENOBUFS;
	if (!err) {
		list_add_tail(&new->node, &is->groups);
		hlist_add(&new->by_addr, bucket(&new->addr));
	}
	spin_unlock(&inet_lock);
	if (err)
		kfree(new);
	return err;
}

/* inet_lock held */
static void unlink_group(struct group *g)
{
	list_del(&g->node);
	hlist_del(&g->by_addr);
}

static int leave(struct inet_sock *is, const struct ask *a)
{
	bool v4 = addr_is_v4(&a->group), found;
	struct group *g;

	if (!v4 && !addr_is_multicast(&a->group))
		return -EINVAL;
	if (v4 && !names_link(a) && !addr_is_any(&a->group))
		return -ENODEV;
	spin_lock(&inet_lock);
	g = find(is, &a->group);
	found = g && (!names_link(a) || find_link(a) || (!a->index && addr_eq(&a->link_addr, &g->link_addr)));
	if (found)
		unlink_group(g);
	spin_unlock(&inet_lock);
	if (!found)
		return -EADDRNOTAVAIL;
	kfree(g);
	return 0;
}

static u32 source_at(const struct group *g, const struct in_addr16 *source)
{
	u32 i = 0;

	while (i < g->nsources && !addr_eq(&g->sources[i], source))
		i++;
	return i;
}

static int add_source(struct group *g, const struct in_addr16 *source)
{
	if (g->nsources >= MAX_SOURCES)
		return -ENOBUFS;
	if (source_at(g, source) < g->nsources)
		return -EADDRNOTAVAIL;
	g->filtered = true;
	g->sources[g->nsources++] = *source;
	return 0;
}

/* The last source that is taken leaves with its group. */
static int remove_source(struct group *g, const struct in_addr16 *source, bool *last)
{
	u32 i = source_at(g, source);

	if (i == g->nsources)
		return -EADDRNOTAVAIL;
	*last = g->nsources == 1 && !g->exclude;
	g->sources[i] = g->sources[--g->nsources];
	return 0;
}

static int change_source(struct inet_sock *is, const struct ask *a, bool add, bool exclude)
{
	struct group *g;
	bool last = false;
	int err;

	if (!addr_is_multicast(&a->group))
		return -EINVAL;
	if (!find_link(a))
		return -ENODEV;
	spin_lock(&inet_lock);
	g = find(is, &a->group);
	if (!g || (g->filtered && g->exclude != exclude)) {
		err = -EINVAL;
	} else {
		g->exclude = exclude;
		err = add ? add_source(g, &a->source) : remove_source(g, &a->source, &last);
	}
	if (last)
		unlink_group(g);
	spin_unlock(&inet_lock);
	if (last)
		kfree(g);
	return err;
}

static int join_source(struct inet_sock *is, const struct ask *a)
{
	int err = join(is, a, false);

	return err && err != -EADDRINUSE ? err : change_source(is, a, true, false);
}

void mc_leave_all(struct inet_sock *is)
{
	struct group *g;

	for (;;) {
		spin_lock(&inet_lock);
		g = list_empty(&is->groups) ? NULL : list_first(&is->groups, struct group, node);
		if (g)
			unlink_group(g);
		spin_unlock(&inet_lock);
		if (!g)
			return;
		kfree(g);
	}
}

/* ---- delivery; inet_lock held ---- */

bool mc_on_link(const struct net_ns *net, const struct in_addr16 *addr)
{
	static const u8 all_hosts[4] = {224, 0, 0, 1};
	struct group *g;

	if (addr_is_v4(addr) && !memcmp(addr->b + 12, all_hosts, 4))
		return true;
	hlist_for_each(g, bucket(addr), by_addr) if (g->net == net && addr_eq(&g->addr, addr)) return true;
	return false;
}

bool mc_wanted(const struct inet_sock *is, const struct in_addr16 *addr, const struct in_addr16 *src)
{
	const struct group *g = find(is, addr);

	if (!g)
		return inet_opt(is, SOL_IP, IP_MULTICAST_ALL);
	return (source_at(g, src) < g->nsources) != g->exclude;
}

/* ---- options ---- */

static int get_mreq(struct ask *a, const void *val, u32 len)
{
	struct ip_mreqn m = {0};

	if (len < sizeof(struct ip_mreq))
		return -EINVAL;
	memcpy(&m, val, len >= sizeof(m) ? sizeof(m) : sizeof(struct ip_mreq));
	a->group = addr_from_v4(&m.imr_multiaddr);
	a->link_addr = addr_from_v4(&m.imr_address);
	a->index = m.imr_ifindex;
	return 0;
}

static int get_source(struct ask *a, const void *val, u32 len)
{
	struct ip_mreq_source m;

	if (len != sizeof(m))
		return -EINVAL;
	memcpy(&m, val, sizeof(m));
	a->group = addr_from_v4(&m.imr_multiaddr);
	a->link_addr = addr_from_v4(&m.imr_interface);
	a->source = addr_from_v4(&m.imr_sourceaddr);
	a->index = 0;
	return 0;
}

static int get_mreq6(struct ask *a, const void *val, u32 len)
{
	struct ipv6_mreq m;

	if (len < sizeof(m))
		return -EINVAL;
	memcpy(&m, val, sizeof(m));
	memcpy(a->group.b, &m.ipv6mr_multiaddr, 16);
	a->index = m.ipv6mr_ifindex;
	return 0;
}

/* struct group_req and struct group_source_req: addresses of either family. */
static int get_address(struct in_addr16 *a, const void *from, u16 family)
{
	const struct sockaddr_in *in = from;
	const struct sockaddr_in6 *in6 = from;

	if (in->sin_family != family)
		return family == AF_INET ? -EINVAL : -EADDRNOTAVAIL;
	if (family == AF_INET)
		*a = addr_from_v4(&in->sin_addr);
	else
		memcpy(a->b, &in6->sin6_addr, 16);
	return 0;
}

static int get_group_req(struct ask *a, const void *val, u32 len, u16 family, bool source)
{
	const u8 *v = val;
	u32 size = source ? sizeof(struct group_source_req) : sizeof(struct group_req);
	int err;

	if (len < size)
		return -EINVAL;
	memcpy(&a->index, v, sizeof(a->index));
	err = get_address(&a->group, v + __builtin_offsetof(struct group_req, gr_group), family);
	if (!err && source)
		err = get_address(&a->source, v + __builtin_offsetof(struct group_source_req, gsr_source), family);
	return err;
}

static int protocol_independent(struct inet_sock *is, s32 opt, const void *val, u32 len, u16 family)
{
	struct ask a = {0};
	int err = get_group_req(&a, val, len, family, opt != MCAST_JOIN_GROUP && opt != MCAST_LEAVE_GROUP);

	if (err)
		return err;
	switch (opt) {
	case MCAST_JOIN_GROUP:
		return join(is, &a, true);
	case MCAST_LEAVE_GROUP:
		return leave(is, &a);
	case MCAST_JOIN_SOURCE_GROUP:
		return join_source(is, &a);
	case MCAST_LEAVE_SOURCE_GROUP:
		return change_source(is, &a, false, false);
	}
	return change_source(is, &a, opt == MCAST_BLOCK_SOURCE, true);
}

static int v4_option(struct inet_sock *is, s32 opt, const void *val, u32 len)
{
	struct ask a = {0};
	int err;

	if (opt == IP_ADD_MEMBERSHIP || opt == IP_DROP_MEMBERSHIP) {
		if (is->st.sk.type == SOCK_STREAM)
			return -EPROTO;
		err = get_mreq(&a, val, len);
		return err ? err : opt == IP_ADD_MEMBERSHIP ? join(is, &a, true) : leave(is, &a);
	}
	err = get_source(&a, val, len);
	if (err)
		return err;
	if (opt == IP_ADD_SOURCE_MEMBERSHIP)
		return join_source(is, &a);
	return change_source(is, &a, opt == IP_BLOCK_SOURCE, opt != IP_DROP_SOURCE_MEMBERSHIP);
}

static int v6_option(struct inet_sock *is, s32 opt, const void *val, u32 len)
{
	struct ask a = {0};
	int err;

	if (is->st.sk.type == SOCK_STREAM)
		return -EPROTO;
	err = get_mreq6(&a, val, len);
	return err ? err : opt == IPV6_ADD_MEMBERSHIP ? join(is, &a, true) : leave(is, &a);
}

/* IP_MULTICAST_IF: a struct ip_mreqn, ip_mreq or in_addr. */
static int set_sending_link(struct inet_sock *is, const void *val, u32 len)
{
	struct ip_mreqn m = {0};
	struct ask a = {0};

	if (is->st.sk.type == SOCK_STREAM || len < sizeof(struct in_addr))
		return -EINVAL;
	if (len >= sizeof(struct ip_mreq))
		memcpy(&m, val, len >= sizeof(m) ? sizeof(m) : sizeof(struct ip_mreq));
	else
		memcpy(&m.imr_address, val, sizeof(m.imr_address));
	a.link_addr = addr_from_v4(&m.imr_address);
	a.index = m.imr_ifindex;
	if (names_link(&a) && !find_link(&a))
		return -EADDRNOTAVAIL;
	is->mc_link = names_link(&a) ? LO_INDEX : 0;
	is->mc_src = a.link_addr;
	return 0;
}

int mc_setsockopt(struct inet_sock *is, s32 level, s32 opt, const void *val, u32 len)
{
	if (opt == MCAST_JOIN_GROUP || opt == MCAST_LEAVE_GROUP || opt == MCAST_JOIN_SOURCE_GROUP ||
	    opt == MCAST_LEAVE_SOURCE_GROUP || opt == MCAST_BLOCK_SOURCE || opt == MCAST_UNBLOCK_SOURCE)
		return protocol_independent(is, opt, val, len, level == SOL_IP ? AF_INET : AF_INET6);
	if (level == SOL_IPV6)
		return opt == IPV6_ADD_MEMBERSHIP || opt == IPV6_DROP_MEMBERSHIP ? v6_option(is, opt, val, len)
										 : -ENOPROTOOPT;
	switch (opt) {
	case IP_MULTICAST_IF:
		return set_sending_link(is, val, len);
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
	case IP_ADD_SOURCE_MEMBERSHIP:
	case IP_DROP_SOURCE_MEMBERSHIP:
	case IP_BLOCK_SOURCE:
	case IP_UNBLOCK_SOURCE:
		return v4_option(is, opt, val, len);
	}
	return -ENOPROTOOPT;
}
