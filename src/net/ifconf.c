/* netdevice(7) ioctls. The sandbox has one interface, lo: up, 127.0.0.1/8 and ::1/128. */
#include "net/net_ns.h"
#include "net/ifconf.h"

#include <linux/capability.h>
#include <linux/sockios.h>

#include "base/string.h"
#include "net/sock.h"
#include "sentry/kernel/task.h"

#define IFNAMSIZ_K 16
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

#define ARPHRD_LOOPBACK_K 772
#define LOOPBACK_ADDR 0x0100007fu
#define LOOPBACK_MASK 0x000000ffu

static long put_conf(u64 arg)
{
	struct ifreq_k r = { .name = "lo" };
	struct ifconf_k c;

	if (get_user(c, arg))
		return -EFAULT;
	r.in.family = AF_INET;
	r.in.addr = LOOPBACK_ADDR;
	if (c.buf && c.len >= (s32)sizeof(r)) {
		if (copy_to_user(c.buf, &r, sizeof(r)))
			return -EFAULT;
		c.len = sizeof(r);
	} else {
		c.len = c.buf ? 0 : sizeof(r);
	}
	return put_user(c, arg);
}

static void set_in(struct ifreq_k *r, u32 addr)
{
	memset(r->raw, 0, sizeof(r->raw));
	r->in.family = AF_INET;
	r->in.addr = addr;
}

/* Answer a question about lo. */
static long get_one(u32 cmd, struct ifreq_k *r)
{
	switch (cmd) {
	case SIOCGIFFLAGS:
		r->flags = (s16)lo_flags(current_net_ns());
		return 0;
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
		set_in(r, LOOPBACK_ADDR);
		return 0;
	case SIOCGIFBRDADDR:
		set_in(r, 0);
		return 0;
	case SIOCGIFNETMASK:
		set_in(r, LOOPBACK_MASK);
		return 0;
	case SIOCGIFINDEX:
		r->value = LO_INDEX;
		return 0;
	case SIOCGIFMTU:
		r->value = LO_MTU;
		return 0;
	case SIOCGIFMETRIC:
		r->value = 0;
		return 0;
	case SIOCGIFTXQLEN:
		r->value = 1000;
		return 0;
	case SIOCGIFHWADDR:
		memset(r->raw, 0, sizeof(r->raw));
		r->hw.family = ARPHRD_LOOPBACK_K;
		return 0;
	case SIOCGIFMAP:
		memset(r->raw, 0, sizeof(r->raw));
		return 0;
	}
	return -ENOIOCTLCMD;
}

/* The interface itself is given; it may be taken down and up. */
static long set_one(u32 cmd, const struct ifreq_k *r)
{
	struct net_ns *n = current_net_ns();

	if (!net_capable(n, CAP_NET_ADMIN))
		return -EPERM;
	if (cmd != SIOCSIFFLAGS)
		return -EOPNOTSUPP;
	n->lo_up = r->flags & 1 /* IFF_UP */;
	return 0;
}

long ifconf_ioctl(u32 cmd, u64 arg)
{
	struct ifreq_k r;
	long err;

	if (cmd == SIOCGIFCONF)
		return put_conf(arg);
	if (cmd < SIOCGIFNAME || cmd > SIOCSIFTXQLEN)
		return -ENOIOCTLCMD;
	if (get_user(r, arg))
		return -EFAULT;
	r.name[IFNAMSIZ_K - 1] = 0;
	if (cmd == SIOCGIFNAME) {
		if (r.value != LO_INDEX)
			return -ENODEV;
		memset(r.name, 0, sizeof(r.name));
		memcpy(r.name, "lo", 2);
		return put_user(r, arg);
	}
	if (kstrcmp(r.name, "lo"))
		return -ENODEV;
	err = get_one(cmd, &r);
	if (err == -ENOIOCTLCMD) /* changes: the interface is the sandbox's */
		return set_one(cmd, &r);
	return put_user(r, arg);
}
