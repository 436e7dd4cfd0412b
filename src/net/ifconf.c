/* netdevice(7) ioctls. */
#include "net/ifconf.h"

#include <linux/capability.h>
#include <linux/sockios.h>

#include "base/string.h"
#include "net/hostinet/hostinet.h"
#include "net/links.h"
#include "net/net_ns.h"
#include "net/sock.h"
#include "sentry/kernel/task.h"

struct ifreq_k {
	char name[IFNAMSIZ_K];
	union {
		struct {
			u16 family, port;
			u32 addr; /* network order */
			u8 zero[8];
		} in;
		struct {
			u16 family;
			u8 data[14];
		} hw;
		s16 flags;
		s32 value;
		u8 raw[24];
	};
};
_Static_assert(sizeof(struct ifreq_k) == 40, "struct ifreq");
struct ifconf_k {
	s32 len, pad;
	u64 buf;
};

/* ---- SIOCGIFCONF ---- */

struct conf_walk {
	u64 buf; /* 0: only counted */
	s32 room, used;
};

static int put_row(const struct addr_view *a, void *arg)
{
	struct conf_walk *w = arg;
	struct ifreq_k r = { .in = { .family = AF_INET } };

	memcpy(r.name, a->label, sizeof(r.name));
	memcpy(&r.in.addr, a->local, 4);
	if (w->buf && w->room < (s32)sizeof(r))
		return 1;
	if (w->buf && copy_to_user(w->buf + (u64)w->used, &r, sizeof(r)))
		return -EFAULT;
	w->room -= sizeof(r);
	w->used += sizeof(r);
	return 0;
}

static long put_conf(u64 arg)
{
	struct conf_walk w;
	struct ifconf_k c;
	int err;

	if (get_user(c, arg))
		return -EFAULT;
	w = (struct conf_walk){ .buf = c.buf, .room = c.len };
	err = addrs_each(AF_INET, put_row, &w);
	if (err < 0)
		return err;
	c.len = w.used;
	return put_user(c, arg);
}

/* ---- questions about one link ---- */

struct addr_wanted {
	const char *label;
	struct addr_view a;
};

static int match_label(const struct addr_view *a, void *arg)
{
	struct addr_wanted *w = arg;

	if (kstrcmp(a->label, w->label))
		return 0;
	w->a = *a;
	return 1;
}

static long get_addr(u32 cmd, struct ifreq_k *r)
{
	struct addr_wanted w = { .label = r->name };
	int found = addrs_each(AF_INET, match_label, &w);
	struct link_view l;
	const u8 *from = w.a.local;
	u32 mask;

	if (found <= 0)
		return found ? found : link_find(r->name, 0, &l) ? -ENODEV : -EADDRNOTAVAIL;
	mask = __builtin_bswap32(w.a.prefix ? ~0u << (32 - w.a.prefix) : 0);
	if (cmd == SIOCGIFDSTADDR)
		from = w.a.peer;
	else if (cmd == SIOCGIFBRDADDR)
		from = w.a.broadcast;
	else if (cmd == SIOCGIFNETMASK)
		from = (const u8 *)&mask;
	memset(r->raw, 0, sizeof(r->raw));
	r->in.family = AF_INET;
	memcpy(&r->in.addr, from, 4);
	return 0;
}

static long get_one(u32 cmd, struct ifreq_k *r, const struct link_view *l)
{
	switch (cmd) {
	case SIOCGIFFLAGS:
		r->flags = (s16)l->flags;
		return 0;
	case SIOCGIFINDEX:
		r->value = (s32)l->index;
		return 0;
	case SIOCGIFMTU:
		r->value = (s32)l->mtu;
		return 0;
	case SIOCGIFMETRIC:
		r->value = 0;
		return 0;
	case SIOCGIFTXQLEN:
		r->value = (s32)l->txqlen;
		return 0;
	case SIOCGIFHWADDR:
		memset(r->raw, 0, sizeof(r->raw));
		r->hw.family = l->type;
		memcpy(r->hw.data, l->addr, MIN(l->addr_len, sizeof(r->hw.data)));
		return 0;
	case SIOCGIFMAP:
		memset(r->raw, 0, sizeof(r->raw));
		return 0;
	}
	return -ENOIOCTLCMD;
}

/* The links are given; a loopback of ours may be taken down and up. */
static long set_one(u32 cmd, const struct ifreq_k *r)
{
	struct net_ns *n = current_net_ns();

	if (host_inet_here() || !net_capable(n, CAP_NET_ADMIN))
		return -EPERM;
	if (cmd != SIOCSIFFLAGS)
		return -EOPNOTSUPP;
	n->lo_up = r->flags & 1 /* IFF_UP */;
	return 0;
}

long ifconf_ioctl(u32 cmd, u64 arg)
{
	struct link_view l;
	struct ifreq_k r;
	long err;

	if (cmd == SIOCGIFCONF)
		return put_conf(arg);
	if (cmd < SIOCGIFNAME || cmd > SIOCSIFTXQLEN)
		return -ENOIOCTLCMD;
	if (get_user(r, arg))
		return -EFAULT;
	r.name[IFNAMSIZ_K - 1] = 0;
	if (cmd == SIOCGIFADDR || cmd == SIOCGIFDSTADDR || cmd == SIOCGIFBRDADDR || cmd == SIOCGIFNETMASK) {
		err = get_addr(cmd, &r);
		return err ? err : put_user(r, arg);
	}
	err = link_find(cmd == SIOCGIFNAME ? NULL : r.name, (u32)r.value, &l);
	if (err)
		return err;
	if (cmd == SIOCGIFNAME) {
		memcpy(r.name, l.name, sizeof(r.name));
		return put_user(r, arg);
	}
	err = get_one(cmd, &r, &l);
	if (err == -ENOIOCTLCMD)
		return set_one(cmd, &r);
	return put_user(r, arg);
}
