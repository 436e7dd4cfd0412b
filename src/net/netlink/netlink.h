/* AF_NETLINK (netlink(7)): the routing family answers about lo; nothing changes, so of it nothing is multicast. */
#ifndef NET_NETLINK_H
#define NET_NETLINK_H

#include <linux/netlink.h>

#include "net/pkt.h"

struct nl_sock {
	struct sock sk; /* first */
	u32 portid, groups;
	u32 dst_pid, dst_groups;
	u32 listening; /* to processes: connector.c */
	u32 opts; /* bit n: SOL_NETLINK option n is set */
	struct mutex rxlock;
};
static inline struct nl_sock *to_netlink(struct sock *sk) { return (struct nl_sock *)sk; }

/* A reply being built. Running over the end sets `full`; the message is then dropped as a whole. */
struct nlbuf {
	u8 *data;
	u32 len, cap;
	bool full;
	struct nlmsghdr *msg; /* being built */
	u32 seq, portid;
};
void nl_begin(struct nlbuf *b, u16 type, u16 flags, const void *head, u32 n);
void nl_attr(struct nlbuf *b, u16 type, const void *data, u32 n);
void nl_attr_u32(struct nlbuf *b, u16 type, u32 v);
void nl_attr_str(struct nlbuf *b, u16 type, const char *s);
void nl_end(struct nlbuf *b);
/* Attributes inside one: begin gives what end wants. */
u32 nl_nest_begin(struct nlbuf *b, u16 type);
void nl_nest_end(struct nlbuf *b, u32 at);
/* To all of a network who are in the group. */
void nl_multicast(const struct net_ns *net, s32 protocol, u32 group, const void *data, u32 len);
/* A whole message from elsewhere, with the numbers of this reply. */
void nl_copy(struct nlbuf *b, const struct nlmsghdr *h, u16 flags);
/* The value of a message's attribute, or NULL; head: bytes of what stands before the attributes. */
const void *nl_find_attr(const struct nlmsghdr *h, u32 head, u16 type, u32 *len);

/* route.c: answer one request. 0, or -errno to be sent as an error; *dump: the answer ends with NLMSG_DONE. */
int diag_request(struct nl_sock *ns, const struct nlmsghdr *h, struct nlbuf *b, bool *dump); /* diag.c */
/* The dump of a loopback of ours. */
void route_dump_loopback(u16 type, u8 family, struct nlbuf *b);
int genl_request(struct nl_sock *ns, const struct nlmsghdr *h, struct nlbuf *b, bool *dump); /* genl.c */
/* connector.c */
void connector_request(struct nl_sock *ns, const u8 *data, u32 len);
void connector_release(struct nl_sock *ns);
int route_request(struct nl_sock *ns, const struct nlmsghdr *h, struct nlbuf *b, bool *dump);

#endif
