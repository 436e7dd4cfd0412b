/*
 * Hostcalls on host sockets: AF_INET and AF_INET6, streams and datagrams, never blocking.
 *
 * Waiting: a call that would wait gives -EAGAIN (or -EINPROGRESS) and, when asked to by `arm`, sees to it that the next change is told by
 * HC_EV_SOCKET. An event says that there may be something, not that there is.
 */
#ifndef INCLUDE_HOSTCALL_NET_H
#define INCLUDE_HOSTCALL_NET_H

#include "hostcall.h"

#define HC_SOCKADDR_MAX 28u /* struct sockaddr_in6 */
#define HC_SOCK_CTL_MAX 512u
#define HC_SOCK_DATA_MAX 65536u
#define HC_SOCKOPT_MAX 272u /* struct group_source_req is the longest that goes in, struct tcp_info that comes out */

#define HC_ARM_IN 1u	/* tell once, of something to receive, an end or an error */
#define HC_ARM_OUT 2u	/* once, of room to send, an end or an error */
#define HC_ARM_STAY 4u	/* HC_SOCK_POLL: tell of every change from now on */
#define HC_ARM_LEAVE 8u /* HC_SOCK_POLL: no longer, and what lies unread is not asked for */

struct hc_sock_open {
	u32 family, type, protocol; /* type without flags */
	u32 pad;
};
enum hc_sock_name_op { HC_NAME_BIND, HC_NAME_CONNECT, HC_NAME_OWN, HC_NAME_PEER };
struct hc_sock_name {
	hc_handle handle;
	u32 op;	 /* enum hc_sock_name_op; not looked at by HC_SOCK_ACCEPT */
	u32 arm; /* connect, accept */
	u32 len; /* of the address, in or out */
	u8 addr[HC_SOCKADDR_MAX];
	u32 pad;
};
struct hc_sock_msg {
	hc_handle handle;
	u32 flags; /* MSG_* */
	u32 arm;
	u32 addr_len;	  /* send: in, 0 none; receive: out */
	u64 off, len;	  /* data, <= HC_SOCK_DATA_MAX */
	u64 ctl_off;	  /* control messages; <= HC_SOCK_CTL_MAX */
	u32 ctl_len;	  /* send: in; receive: room in, length out */
	u32 out_flags;	  /* receive: out */
	u8 addr[HC_SOCKADDR_MAX];
	u32 pad;
};
struct hc_sock_opt {
	hc_handle handle;
	s32 level, name;
	u32 set;
	u64 off, len; /* the value, <= HC_SOCKOPT_MAX */
};
enum hc_sock_count { HC_COUNT_IN, HC_COUNT_OUT, HC_COUNT_AT_MARK, HC_COUNT_UNSENT, HC_COUNT_INODE /* its number on the host */ };

/*
 * What the namespace looks like: netlink messages of the host, as they are but for the sender's numbers, which mean nothing inside.
 * rtnetlink(7) dumps, the way to one address, sock_diag(7) of inet sockets. -EMSGSIZE: more than `len` bytes.
 */
enum hc_net_what { HC_NET_LINKS, HC_NET_ADDRS, HC_NET_ROUTES, HC_NET_NEIGHS, HC_NET_RULES, HC_NET_ROUTE_TO, HC_NET_SOCKETS };
struct hc_net_ask {
	u32 what;     /* enum hc_net_what */
	u32 family;   /* AF_UNSPEC, AF_INET, AF_INET6 */
	u64 off, len; /* the answer */
	u32 index;    /* ROUTE_TO: the link to leave by, or 0 */
	u32 addrs;    /* ROUTE_TO: bit 0: dst is given, bit 1: src is. SOCKETS: 1: the one of these names, else all */
	u8 dst[16], src[16];
	u32 protocol, states, extensions; /* SOCKETS */
	u16 sport, dport;		  /* in network order */
};
#define HC_NET_ANSWER_MAX (8u << 20)

/* Files of /proc/net, as the namespace has them: HC_NET_FILE reads one of these names. */
#define HC_NET_FILES(X)                                                                                                \
	X(dev) X(tcp) X(tcp6) X(udp) X(udp6) X(raw) X(raw6) X(icmp) X(icmp6) X(route) X(ipv6_route) X(arp) X(if_inet6) X(snmp) X(snmp6) \
	X(netstat) X(sockstat) X(sockstat6) X(igmp) X(igmp6) X(dev_mcast)
enum hc_net_file {
#define HC_NET_FILE_NUMBER(name) HC_NET_FILE_##name,
	HC_NET_FILES(HC_NET_FILE_NUMBER)
#undef HC_NET_FILE_NUMBER
	HC_NET_NFILES
};
struct hc_net_file_read {
	u32 which; /* enum hc_net_file */
	u32 pad;
	u64 pos, off, len;
};

#endif
