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
enum hc_sock_count { HC_COUNT_IN, HC_COUNT_OUT, HC_COUNT_AT_MARK, HC_COUNT_UNSENT };

#endif
