/* Constants and structures of the socket ABI that the UAPI headers leave to libc. */
#ifndef NET_ABI_H
#define NET_ABI_H

#include <asm/socket.h>

#include "base/types.h"

enum { AF_UNSPEC = 0, AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, AF_NETLINK = 16, AF_PACKET = 17, AF_MAX = 46 };
enum { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3, SOCK_RDM = 4, SOCK_SEQPACKET = 5, SOCK_DCCP = 6, SOCK_PACKET = 10,
       SOCK_TYPE_MASK = 0xf, SOCK_MAX = 11, SOCK_NONBLOCK = 04000, SOCK_CLOEXEC = 02000000 };
enum { SHUT_RD, SHUT_WR, SHUT_RDWR };
enum { MSG_OOB = 1, MSG_PEEK = 2, MSG_DONTROUTE = 4, MSG_CTRUNC = 8, MSG_PROBE = 0x10, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40,
       MSG_EOR = 0x80, MSG_WAITALL = 0x100, MSG_CONFIRM = 0x800, MSG_ERRQUEUE = 0x2000, MSG_NOSIGNAL = 0x4000,
       MSG_MORE = 0x8000, MSG_WAITFORONE = 0x10000, MSG_ZEROCOPY = 0x4000000, MSG_FASTOPEN = 0x20000000,
       MSG_CMSG_CLOEXEC = 0x40000000 };
enum { SCM_RIGHTS = 1, SCM_CREDENTIALS = 2 };
enum { SOL_IP = 0, SOL_TCP = 6, SOL_UDP = 17, SOL_IPV6 = 41, SOL_RAW = 255, SOL_NETLINK = 270 };

struct user_msghdr {
	u64 name;
	s32 namelen, pad0;
	u64 iov, iovlen;
	u64 control, controllen;
	u32 flags, pad1;
};
struct mmsghdr {
	struct user_msghdr hdr;
	u32 len, pad;
};
struct cmsghdr_k {
	u64 len;
	s32 level, type;
};
#define CMSG_ALIGN_K(n) ALIGN_UP((n), 8ul)
struct ucred_k {
	s32 pid;
	u32 uid, gid;
};
struct linger_k {
	s32 onoff, linger;
};
struct sockaddr_k { /* struct sockaddr_storage */
	union {
		u16 family;
		u8 raw[128];
		u64 align;
	};
};

#endif
