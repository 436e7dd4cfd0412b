#include "net/links.h"

#include <linux/errno.h>
#include <linux/rtnetlink.h>

#include "base/string.h"
#include "net/hostinet/hostinet.h"
#include "net/netlink/netlink.h"
#include "sentry/mm/mm.h"

#define FIRST_SIZE (16u << 10)
#define LAST_SIZE (4u << 20)

static int fill(struct nl_messages *m, u16 type, u8 family)
{
	struct nlbuf b = { .data = m->data, .cap = m->size };
	s64 n;

	if (host_inet_here()) {
		n = host_net_dump(type, family, m->data, m->size);
		m->len = n < 0 ? 0 : (u32)n;
		return n < 0 ? (int)n : 0;
	}
	route_dump_loopback(type, family, &b);
	m->len = b.len;
	return b.full ? -EMSGSIZE : 0;
}

int net_messages(struct nl_messages *m, u16 type, u8 family)
{
	int err = -EMSGSIZE;

	*m = (struct nl_messages){ .size = FIRST_SIZE };
	while (err == -EMSGSIZE && m->size <= LAST_SIZE) {
		m->data = vmalloc_pages(m->size);
		err = m->data ? fill(m, type, family) : -ENOMEM;
		if (err) {
			vfree_pages(m->data, m->size);
			m->size *= 4;
		}
	}
	return err;
}

void net_messages_free(struct nl_messages *m)
{
	vfree_pages(m->data, m->size);
}

/* The attribute's value, as much of it as there is room for, behind which zeros were. */
static u32 copy_attr(const struct nlmsghdr *h, u32 head, u16 type, void *out, u32 size)
{
	u32 len = 0;
	const void *v = nl_find_attr(h, head, type, &len);

	len = v ? MIN(len, size) : 0;
	if (len)
		memcpy(out, v, len);
	return len;
}

static bool read_link(const struct nlmsghdr *h, struct link_view *l)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const u32 head = sizeof(*m);

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(head))
		return false;
	*l = (struct link_view){ .index = (u32)m->ifi_index, .flags = m->ifi_flags, .type = m->ifi_type };
	l->iflink = l->index;
	copy_attr(h, head, IFLA_IFNAME, l->name, IFNAMSIZ_K - 1);
	copy_attr(h, head, IFLA_LINK, &l->iflink, 4);
	copy_attr(h, head, IFLA_MTU, &l->mtu, 4);
	copy_attr(h, head, IFLA_TXQLEN, &l->txqlen, 4);
	copy_attr(h, head, IFLA_OPERSTATE, &l->operstate, 1);
	l->carrier = (l->flags & 1) != 0;
	copy_attr(h, head, IFLA_CARRIER, &l->carrier, 1);
	l->addr_len = (u8)copy_attr(h, head, IFLA_ADDRESS, l->addr, sizeof(l->addr));
	copy_attr(h, head, IFLA_BROADCAST, l->broadcast, sizeof(l->broadcast));
	copy_attr(h, head, IFLA_STATS64, l->stats, sizeof(l->stats));
	return true;
}

static bool read_addr(const struct nlmsghdr *h, struct addr_view *a)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	const u32 head = sizeof(*m);

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(head))
		return false;
	*a = (struct addr_view){ .family = m->ifa_family, .prefix = m->ifa_prefixlen, .scope = m->ifa_scope, .index = m->ifa_index };
	copy_attr(h, head, IFA_LABEL, a->label, IFNAMSIZ_K - 1);
	copy_attr(h, head, IFA_ADDRESS, a->peer, 16);
	if (!copy_attr(h, head, IFA_LOCAL, a->local, 16))
		memcpy(a->local, a->peer, 16);
	copy_attr(h, head, IFA_BROADCAST, a->broadcast, 16);
	return true;
}

#define each_message(h, m)                                                                              \
	for (u32 off__ = 0; off__ + NLMSG_HDRLEN <= (m)->len && ((h) = (const void *)((m)->data + off__)) && (h)->nlmsg_len >= NLMSG_HDRLEN && \
	     (h)->nlmsg_len <= (m)->len - off__; off__ += NLMSG_ALIGN((h)->nlmsg_len))

int links_each(int (*fn)(const struct link_view *l, void *arg), void *arg)
{
	const struct nlmsghdr *h;
	struct nl_messages m;
	struct link_view l;
	int ret = net_messages(&m, RTM_GETLINK, AF_UNSPEC);

	if (ret)
		return ret;
	each_message(h, &m) {
		ret = read_link(h, &l) ? fn(&l, arg) : 0;
		if (ret)
			break;
	}
	net_messages_free(&m);
	return ret;
}

int addrs_each(u8 family, int (*fn)(const struct addr_view *a, void *arg), void *arg)
{
	const struct nlmsghdr *h;
	struct nl_messages m;
	struct addr_view a;
	int ret = net_messages(&m, RTM_GETADDR, family);

	if (ret)
		return ret;
	each_message(h, &m) {
		ret = read_addr(h, &a) && a.family == family ? fn(&a, arg) : 0;
		if (ret)
			break;
	}
	net_messages_free(&m);
	return ret;
}

struct wanted {
	const char *name;
	u32 index;
	struct link_view *l;
};

static int compare(const struct link_view *l, void *arg)
{
	struct wanted *w = arg;

	if (w->name ? kstrcmp(w->name, l->name) : w->index != l->index)
		return 0;
	*w->l = *l;
	return 1;
}

int link_find(const char *name, u32 index, struct link_view *l)
{
	struct wanted w = { name, index, l };
	int ret = links_each(compare, &w);

	return ret == 1 ? 0 : ret ? ret : -ENODEV;
}
