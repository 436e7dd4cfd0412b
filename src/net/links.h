/* The links and addresses of the current task's network namespace, asked for anew each time: ours is a loopback, the host's has what it has. */
#ifndef NET_LINKS_H
#define NET_LINKS_H

#include "base/types.h"

#define IFNAMSIZ_K 16
#define LINK_NSTATS 24 /* struct rtnl_link_stats64, as it began */

struct link_view {
	char name[IFNAMSIZ_K];
	u32 index, iflink, flags, mtu, txqlen;
	u16 type;
	u8 operstate, carrier, addr_len;
	u8 addr[32], broadcast[32];
	u64 stats[LINK_NSTATS];
};
struct addr_view {
	char label[IFNAMSIZ_K]; /* IPv4 */
	u8 family, prefix, scope;
	u32 index;
	u8 local[16], peer[16], broadcast[16];
};

/* netlink messages of a dump: RTM_GETLINK and its like. 0 or -errno. */
struct nl_messages {
	u8 *data;
	u32 len, size;
};
int net_messages(struct nl_messages *m, u16 type, u8 family);
void net_messages_free(struct nl_messages *m);

/* fn for each until it gives something else than 0, which is the result; -errno. */
int links_each(int (*fn)(const struct link_view *l, void *arg), void *arg);
int addrs_each(u8 family, int (*fn)(const struct addr_view *a, void *arg), void *arg);
/* By name, or by index when name is NULL. 0, -ENODEV, -errno. */
int link_find(const char *name, u32 index, struct link_view *l);

#endif
