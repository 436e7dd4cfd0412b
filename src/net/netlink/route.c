/* rtnetlink(7): links, addresses and routes of the loopback interface, or of the host's namespace. */
#include <linux/capability.h>
#include <linux/rtnetlink.h>

#include "base/string.h"
#include "net/net_ns.h"
#include "net/hostinet/hostinet.h"
#include "net/ifconf.h"
#include "net/links.h"
#include "net/netlink/netlink.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_ns.h"

static const u8 lo4[4] = { 127, 0, 0, 1 }, net4[4] = { 127, 0, 0, 0 };
static const u8 lo6[16] = { [15] = 1 };

static void put_link(struct nlbuf *b, u16 flags)
{
	static const u8 mac[6];
	struct ifinfomsg m = { .ifi_type = LO_HATYPE, .ifi_index = LO_INDEX, .ifi_flags = lo_flags(current_net_ns()) };
	struct rtnl_link_stats64 st64;
	struct rtnl_link_stats st;
	bool up = current_net_ns()->lo_up;
	u8 zero = 0, operstate = up ? 0 /* unknown */ : 2 /* down */;

	memset(&st64, 0, sizeof(st64));
	memset(&st, 0, sizeof(st));
	nl_begin(b, RTM_NEWLINK, flags, &m, sizeof(m));
	nl_attr_str(b, IFLA_IFNAME, "lo");
	nl_attr_u32(b, IFLA_TXQLEN, 1000);
	nl_attr(b, IFLA_OPERSTATE, &operstate, 1);
	nl_attr(b, IFLA_LINKMODE, &zero, 1);
	nl_attr_u32(b, IFLA_MTU, LO_MTU);
	nl_attr_u32(b, IFLA_GROUP, 0);
	nl_attr_u32(b, IFLA_PROMISCUITY, 0);
	nl_attr_u32(b, IFLA_NUM_TX_QUEUES, 1);
	nl_attr_u32(b, IFLA_NUM_RX_QUEUES, 1);
	nl_attr_str(b, IFLA_QDISC, up ? "noqueue" : "noop");
	nl_attr(b, IFLA_ADDRESS, mac, sizeof(mac));
	nl_attr(b, IFLA_BROADCAST, mac, sizeof(mac));
	nl_attr(b, IFLA_STATS64, &st64, sizeof(st64));
	nl_attr(b, IFLA_STATS, &st, sizeof(st));
	nl_end(b);
}

static void put_addr(struct nlbuf *b, u8 family)
{
	struct ifaddrmsg m = { .ifa_family = family,
			       .ifa_prefixlen = family == AF_INET ? 8 : 128,
			       .ifa_flags = IFA_F_PERMANENT,
			       .ifa_scope = RT_SCOPE_HOST,
			       .ifa_index = LO_INDEX };
	struct ifa_cacheinfo ci = { ~0u, ~0u, 0, 0 };

	nl_begin(b, RTM_NEWADDR, NLM_F_MULTI, &m, sizeof(m));
	if (family == AF_INET) {
		nl_attr(b, IFA_ADDRESS, lo4, 4);
		nl_attr(b, IFA_LOCAL, lo4, 4);
		nl_attr_str(b, IFA_LABEL, "lo");
	} else {
		nl_attr(b, IFA_ADDRESS, lo6, 16);
	}
	nl_attr_u32(b, IFA_FLAGS, IFA_F_PERMANENT);
	nl_attr(b, IFA_CACHEINFO, &ci, sizeof(ci));
	nl_end(b);
}

static void put_route(struct nlbuf *b, u8 family, const void *dst, u8 bits, u16 flags)
{
	struct rtmsg m = { .rtm_family = family,
			   .rtm_dst_len = bits,
			   .rtm_table = RT_TABLE_LOCAL,
			   .rtm_protocol = RTPROT_KERNEL,
			   .rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
			   .rtm_type = RTN_LOCAL };

	nl_begin(b, RTM_NEWROUTE, flags, &m, sizeof(m));
	nl_attr_u32(b, RTA_TABLE, RT_TABLE_LOCAL);
	nl_attr(b, RTA_DST, dst, family == AF_INET ? 4 : 16);
	if (family == AF_INET)
		nl_attr(b, RTA_PREFSRC, lo4, 4);
	nl_attr_u32(b, RTA_OIF, LO_INDEX);
	nl_end(b);
}

static int get_link(const struct nlmsghdr *h, struct nlbuf *b)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const char *name;
	u32 len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EINVAL;
	name = nl_find_attr(h, sizeof(*m), IFLA_IFNAME, &len);
	if (m->ifi_index ? m->ifi_index != LO_INDEX : name && (len < 2 || kstrncmp(name, "lo", len)))
		return -ENODEV;
	if (!m->ifi_index && !name)
		return -EINVAL;
	put_link(b, 0);
	return 0;
}

/* "ip link set lo up" and "down". */
static int set_link(struct net_ns *n, const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const char *name;
	u32 len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EINVAL;
	name = nl_find_attr(h, sizeof(*m), IFLA_IFNAME, &len);
	if (m->ifi_index ? m->ifi_index != LO_INDEX : !name || len < 2 || kstrncmp(name, "lo", len))
		return h->nlmsg_flags & NLM_F_CREATE ? -EOPNOTSUPP : -ENODEV;
	if (m->ifi_change & 1 /* IFF_UP */)
		n->lo_up = m->ifi_flags & 1;
	return 0;
}

static int get_route(const struct nlmsghdr *h, struct nlbuf *b)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	const u8 *dst;
	u32 len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EINVAL;
	dst = nl_find_attr(h, sizeof(*m), RTA_DST, &len);
	if (m->rtm_family == AF_INET && dst && len == 4 && dst[0] == 127)
		put_route(b, AF_INET, dst, 32, 0);
	else if (m->rtm_family == AF_INET6 && dst && len == 16 && !memcmp(dst, lo6, 16))
		put_route(b, AF_INET6, lo6, 128, 0);
	else
		return -ENETUNREACH;
	return 0;
}

void route_dump_loopback(u16 type, u8 family, struct nlbuf *b)
{
	bool v4 = family == AF_UNSPEC || family == AF_INET, v6 = family == AF_UNSPEC || family == AF_INET6;

	if (type != RTM_GETLINK && !current_net_ns()->lo_up)
		return; /* addresses and routes come with the interface */
	switch (type) {
	case RTM_GETLINK:
		put_link(b, NLM_F_MULTI);
		break;
	case RTM_GETADDR:
		if (v4)
			put_addr(b, AF_INET);
		if (v6)
			put_addr(b, AF_INET6);
		break;
	case RTM_GETROUTE:
		if (v4) {
			put_route(b, AF_INET, net4, 8, NLM_F_MULTI);
			put_route(b, AF_INET, lo4, 32, NLM_F_MULTI);
		}
		if (v6)
			put_route(b, AF_INET6, lo6, 128, NLM_F_MULTI);
		break;
	}
}

/* ---- the host's namespace ---- */

static int host_dump(u16 type, u8 family, struct nlbuf *b)
{
	struct nl_messages m;
	int err = net_messages(&m, type, family);

	if (err)
		return err;
	for (u32 off = 0; m.len - off >= NLMSG_HDRLEN;) {
		const struct nlmsghdr *h = (const void *)(m.data + off);

		if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > m.len - off)
			break;
		nl_copy(b, h, NLM_F_MULTI);
		off += NLMSG_ALIGN(h->nlmsg_len);
	}
	net_messages_free(&m);
	return 0;
}

/* One link of a dump. */
static int host_link(const struct nlmsghdr *q, struct nlbuf *b)
{
	const struct ifinfomsg *want = NLMSG_DATA(q), *got;
	const char *name, *its_name;
	struct nl_messages m;
	u32 len = 0, n = 0;
	int err = -ENODEV;

	if (q->nlmsg_len < NLMSG_LENGTH(sizeof(*want)))
		return -EINVAL;
	name = nl_find_attr(q, sizeof(*want), IFLA_IFNAME, &len);
	if (!want->ifi_index && !name)
		return -EINVAL;
	if (net_messages(&m, RTM_GETLINK, AF_UNSPEC))
		return -ENOMEM;
	for (u32 off = 0; err && m.len - off >= NLMSG_LENGTH(sizeof(*got));) {
		const struct nlmsghdr *h = (const void *)(m.data + off);

		got = NLMSG_DATA(h);
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*got)) || h->nlmsg_len > m.len - off)
			break;
		its_name = nl_find_attr(h, sizeof(*got), IFLA_IFNAME, &n);
		if (want->ifi_index ? want->ifi_index == got->ifi_index : its_name && !kstrncmp(name, its_name, MIN(len, n))) {
			nl_copy(b, h, 0);
			err = 0;
		}
		off += NLMSG_ALIGN(h->nlmsg_len);
	}
	net_messages_free(&m);
	return err;
}

static int host_route(const struct nlmsghdr *q, struct nlbuf *b)
{
	const struct rtmsg *m = NLMSG_DATA(q);
	u32 len = 0, size, index = 0;
	const void *dst, *src, *oif;
	u8 *buf;
	s64 n;

	if (q->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EINVAL;
	size = m->rtm_family == AF_INET ? 4 : 16;
	if (m->rtm_family != AF_INET && m->rtm_family != AF_INET6)
		return -EOPNOTSUPP;
	oif = nl_find_attr(q, sizeof(*m), RTA_OIF, &len);
	if (oif && len == sizeof(index))
		memcpy(&index, oif, sizeof(index));
	dst = nl_find_attr(q, sizeof(*m), RTA_DST, &len);
	if (dst && len != size)
		return -EINVAL;
	src = nl_find_attr(q, sizeof(*m), RTA_SRC, &len);
	if (src && len != size)
		return -EINVAL;
	buf = kmalloc(PAGE_SIZE);
	if (!buf)
		return -ENOMEM;
	n = host_net_route_to(m->rtm_family, dst, src, index, buf, PAGE_SIZE);
	if (n >= (s64)NLMSG_LENGTH(sizeof(*m)) && ((struct nlmsghdr *)buf)->nlmsg_len <= n) {
		u32 *uid = (u32 *)nl_find_attr((struct nlmsghdr *)buf, sizeof(*m), RTA_UID, &len);

		if (uid && len == sizeof(*uid)) /* of who asks, which was the sandbox process */
			*uid = uid_out(current->cred->fsuid);
		nl_copy(b, (struct nlmsghdr *)buf, 0);
	}
	kfree(buf);
	return n < 0 ? (int)n : 0;
}

/* Questions are passed on; what there is, is not ours to change. */
static int host_request(const struct nlmsghdr *h, u8 family, struct nlbuf *b, bool *dumped)
{
	u16 type = h->nlmsg_type;

	if ((type & 3) != (RTM_GETLINK & 3))
		return -EPERM;
	if ((h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP || (h->nlmsg_flags & NLM_F_ROOT)) {
		*dumped = true;
		return host_dump(type, family, b);
	}
	return type == RTM_GETLINK ? host_link(h, b) : type == RTM_GETROUTE ? host_route(h, b) : -EOPNOTSUPP;
}

int route_request(struct nl_sock *ns, const struct nlmsghdr *h, struct nlbuf *b, bool *dumped)
{
	u16 type = h->nlmsg_type;
	u8 family = h->nlmsg_len > NLMSG_HDRLEN ? *(const u8 *)NLMSG_DATA(h) : AF_UNSPEC;

	if (type < RTM_BASE || type > RTM_MAX)
		return -EOPNOTSUPP;
	if (boot_params->host_network && ns->sk.net == &init_net_ns)
		return host_request(h, family, b, dumped);
	/* Each kind has four messages: NEW, DEL, GET, SET. */
	if ((type & 3) != (RTM_GETLINK & 3)) {
		if (!net_capable(ns->sk.net, CAP_NET_ADMIN))
			return -EPERM;
		return type == RTM_NEWLINK || type == RTM_SETLINK ? set_link(ns->sk.net, h) : -EOPNOTSUPP;
	}
	if ((h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP || (h->nlmsg_flags & NLM_F_ROOT)) {
		route_dump_loopback(type, family, b);
		*dumped = true;
		return 0;
	}
	switch (type) {
	case RTM_GETLINK:
		return get_link(h, b);
	case RTM_GETROUTE:
		return get_route(h, b);
	}
	return -EOPNOTSUPP;
}
