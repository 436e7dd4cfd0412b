/*
 * Options of host sockets that the sentry may use: level, name, least and greatest length of a value, and how. Read by serve_sock.c, which checks,
 * and by seccomp_gen.c, whose filter knows no other pairs of level and name. Whatever takes a pointer, a program or a right is not here.
 */
#ifndef HOST_SOCKOPTS_H
#define HOST_SOCKOPTS_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <asm/socket.h>

#define OPT_GET 1
#define OPT_SET 2
#define OPT_BOTH 3

#define SOCKOPT_LEVEL_IP 0
#define SOCKOPT_LEVEL_SOCKET 1
#define SOCKOPT_LEVEL_TCP 6
#define SOCKOPT_LEVEL_UDP 17
#define SOCKOPT_LEVEL_IPV6 41

#define SOCKOPTS(X)                                                                                                    \
	X(SOCKOPT_LEVEL_SOCKET, SO_REUSEADDR, 4, 4, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_SOCKET, SO_REUSEPORT, 4, 4, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_SOCKET, SO_KEEPALIVE, 4, 4, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_SOCKET, SO_BROADCAST, 4, 4, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_SOCKET, SO_OOBINLINE, 4, 4, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_SOCKET, SO_DONTROUTE, 4, 4, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_SOCKET, SO_SNDBUF, 4, 4, OPT_BOTH)                                                             \
	X(SOCKOPT_LEVEL_SOCKET, SO_RCVBUF, 4, 4, OPT_BOTH)                                                             \
	X(SOCKOPT_LEVEL_SOCKET, SO_RCVLOWAT, 4, 4, OPT_BOTH)                                                           \
	X(SOCKOPT_LEVEL_SOCKET, SO_NO_CHECK, 4, 4, OPT_BOTH)                                                           \
	X(SOCKOPT_LEVEL_SOCKET, SO_LINGER, 8, 8, OPT_SET)                                                              \
	X(SOCKOPT_LEVEL_SOCKET, SO_TIMESTAMP_OLD, 4, 4, OPT_BOTH)                                                      \
	X(SOCKOPT_LEVEL_SOCKET, SO_TIMESTAMPNS_OLD, 4, 4, OPT_BOTH)                                                    \
	X(SOCKOPT_LEVEL_SOCKET, SO_TIMESTAMP_NEW, 4, 4, OPT_BOTH)                                                      \
	X(SOCKOPT_LEVEL_SOCKET, SO_TIMESTAMPNS_NEW, 4, 4, OPT_BOTH)                                                    \
	X(SOCKOPT_LEVEL_SOCKET, SO_RXQ_OVFL, 4, 4, OPT_BOTH)                                                           \
	X(SOCKOPT_LEVEL_SOCKET, SO_PRIORITY, 4, 4, OPT_BOTH)                                                           \
	X(SOCKOPT_LEVEL_SOCKET, SO_PEEK_OFF, 4, 4, OPT_BOTH)                                                           \
	X(SOCKOPT_LEVEL_SOCKET, SO_MAX_PACING_RATE, 4, 8, OPT_BOTH)                                                    \
	X(SOCKOPT_LEVEL_SOCKET, SO_BINDTODEVICE, 0, 16, OPT_BOTH)                                                      \
	X(SOCKOPT_LEVEL_SOCKET, SO_INCOMING_CPU, 4, 4, OPT_BOTH)                                                       \
	X(SOCKOPT_LEVEL_SOCKET, SO_ERROR, 4, 4, OPT_GET)                                                               \
	X(SOCKOPT_LEVEL_SOCKET, SO_ACCEPTCONN, 4, 4, OPT_GET)                                                          \
	X(SOCKOPT_LEVEL_SOCKET, SO_COOKIE, 8, 8, OPT_GET)                                                              \
	X(SOCKOPT_LEVEL_IP, IP_TOS, 1, 4, OPT_BOTH)                                                                    \
	X(SOCKOPT_LEVEL_IP, IP_TTL, 1, 4, OPT_BOTH)                                                                    \
	X(SOCKOPT_LEVEL_IP, IP_MINTTL, 1, 4, OPT_BOTH)                                                                 \
	X(SOCKOPT_LEVEL_IP, IP_OPTIONS, 0, 40, OPT_BOTH)                                                               \
	X(SOCKOPT_LEVEL_IP, IP_RECVOPTS, 1, 4, OPT_BOTH)                                                               \
	X(SOCKOPT_LEVEL_IP, IP_RETOPTS, 1, 4, OPT_BOTH)                                                                \
	X(SOCKOPT_LEVEL_IP, IP_PKTINFO, 1, 4, OPT_BOTH)                                                                \
	X(SOCKOPT_LEVEL_IP, IP_MTU_DISCOVER, 1, 4, OPT_BOTH)                                                           \
	X(SOCKOPT_LEVEL_IP, IP_MTU, 1, 4, OPT_GET)                                                                     \
	X(SOCKOPT_LEVEL_IP, IP_RECVERR, 1, 4, OPT_BOTH)                                                                \
	X(SOCKOPT_LEVEL_IP, IP_RECVTTL, 1, 4, OPT_BOTH)                                                                \
	X(SOCKOPT_LEVEL_IP, IP_RECVTOS, 1, 4, OPT_BOTH)                                                                \
	X(SOCKOPT_LEVEL_IP, IP_RECVORIGDSTADDR, 1, 4, OPT_BOTH)                                                        \
	X(SOCKOPT_LEVEL_IP, IP_FREEBIND, 1, 4, OPT_BOTH)                                                               \
	X(SOCKOPT_LEVEL_IP, IP_BIND_ADDRESS_NO_PORT, 1, 4, OPT_BOTH)                                                   \
	X(SOCKOPT_LEVEL_IP, IP_UNICAST_IF, 4, 4, OPT_BOTH)                                                             \
	X(SOCKOPT_LEVEL_IP, IP_MULTICAST_IF, 4, 12, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_IP, IP_MULTICAST_TTL, 1, 4, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_IP, IP_MULTICAST_LOOP, 1, 4, OPT_BOTH)                                                         \
	X(SOCKOPT_LEVEL_IP, IP_MULTICAST_ALL, 1, 4, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_IP, IP_ADD_MEMBERSHIP, 8, 12, OPT_SET)                                                         \
	X(SOCKOPT_LEVEL_IP, IP_DROP_MEMBERSHIP, 8, 12, OPT_SET)                                                        \
	X(SOCKOPT_LEVEL_IP, IP_ADD_SOURCE_MEMBERSHIP, 12, 12, OPT_SET)                                                 \
	X(SOCKOPT_LEVEL_IP, IP_DROP_SOURCE_MEMBERSHIP, 12, 12, OPT_SET)                                                \
	X(SOCKOPT_LEVEL_IP, IP_BLOCK_SOURCE, 12, 12, OPT_SET)                                                          \
	X(SOCKOPT_LEVEL_IP, IP_UNBLOCK_SOURCE, 12, 12, OPT_SET)                                                        \
	X(SOCKOPT_LEVEL_IP, MCAST_JOIN_GROUP, 136, 136, OPT_SET)                                                       \
	X(SOCKOPT_LEVEL_IP, MCAST_LEAVE_GROUP, 136, 136, OPT_SET)                                                      \
	X(SOCKOPT_LEVEL_IP, MCAST_JOIN_SOURCE_GROUP, 264, 264, OPT_SET)                                                \
	X(SOCKOPT_LEVEL_IP, MCAST_LEAVE_SOURCE_GROUP, 264, 264, OPT_SET)                                               \
	X(SOCKOPT_LEVEL_IPV6, IPV6_V6ONLY, 4, 4, OPT_BOTH)                                                             \
	X(SOCKOPT_LEVEL_IPV6, IPV6_UNICAST_HOPS, 4, 4, OPT_BOTH)                                                       \
	X(SOCKOPT_LEVEL_IPV6, IPV6_MULTICAST_IF, 4, 4, OPT_BOTH)                                                       \
	X(SOCKOPT_LEVEL_IPV6, IPV6_MULTICAST_HOPS, 4, 4, OPT_BOTH)                                                     \
	X(SOCKOPT_LEVEL_IPV6, IPV6_MULTICAST_LOOP, 4, 4, OPT_BOTH)                                                     \
	X(SOCKOPT_LEVEL_IPV6, IPV6_MULTICAST_ALL, 4, 4, OPT_BOTH)                                                      \
	X(SOCKOPT_LEVEL_IPV6, IPV6_ADD_MEMBERSHIP, 20, 20, OPT_SET)                                                    \
	X(SOCKOPT_LEVEL_IPV6, IPV6_DROP_MEMBERSHIP, 20, 20, OPT_SET)                                                   \
	X(SOCKOPT_LEVEL_IPV6, IPV6_MTU_DISCOVER, 4, 4, OPT_BOTH)                                                       \
	X(SOCKOPT_LEVEL_IPV6, IPV6_MTU, 4, 4, OPT_BOTH)                                                                \
	X(SOCKOPT_LEVEL_IPV6, IPV6_RECVERR, 4, 4, OPT_BOTH)                                                            \
	X(SOCKOPT_LEVEL_IPV6, IPV6_RECVPKTINFO, 4, 4, OPT_BOTH)                                                        \
	X(SOCKOPT_LEVEL_IPV6, IPV6_2292PKTINFO, 4, 4, OPT_BOTH)                                                        \
	X(SOCKOPT_LEVEL_IPV6, IPV6_RECVHOPLIMIT, 4, 4, OPT_BOTH)                                                       \
	X(SOCKOPT_LEVEL_IPV6, IPV6_RECVTCLASS, 4, 4, OPT_BOTH)                                                         \
	X(SOCKOPT_LEVEL_IPV6, IPV6_RECVORIGDSTADDR, 4, 4, OPT_BOTH)                                                    \
	X(SOCKOPT_LEVEL_IPV6, IPV6_TCLASS, 4, 4, OPT_BOTH)                                                             \
	X(SOCKOPT_LEVEL_IPV6, IPV6_DONTFRAG, 4, 4, OPT_BOTH)                                                           \
	X(SOCKOPT_LEVEL_IPV6, IPV6_AUTOFLOWLABEL, 4, 4, OPT_BOTH)                                                      \
	X(SOCKOPT_LEVEL_IPV6, IPV6_ADDR_PREFERENCES, 4, 4, OPT_BOTH)                                                   \
	X(SOCKOPT_LEVEL_IPV6, IPV6_UNICAST_IF, 4, 4, OPT_BOTH)                                                         \
	X(SOCKOPT_LEVEL_IPV6, IPV6_FREEBIND, 4, 4, OPT_BOTH)                                                           \
	X(SOCKOPT_LEVEL_IPV6, MCAST_JOIN_GROUP, 136, 136, OPT_SET)                                                     \
	X(SOCKOPT_LEVEL_IPV6, MCAST_LEAVE_GROUP, 136, 136, OPT_SET)                                                    \
	X(SOCKOPT_LEVEL_IPV6, MCAST_JOIN_SOURCE_GROUP, 264, 264, OPT_SET)                                              \
	X(SOCKOPT_LEVEL_IPV6, MCAST_LEAVE_SOURCE_GROUP, 264, 264, OPT_SET)                                             \
	X(SOCKOPT_LEVEL_TCP, TCP_NODELAY, 4, 4, OPT_BOTH)                                                              \
	X(SOCKOPT_LEVEL_TCP, TCP_MAXSEG, 4, 4, OPT_BOTH)                                                               \
	X(SOCKOPT_LEVEL_TCP, TCP_CORK, 4, 4, OPT_BOTH)                                                                 \
	X(SOCKOPT_LEVEL_TCP, TCP_KEEPIDLE, 4, 4, OPT_BOTH)                                                             \
	X(SOCKOPT_LEVEL_TCP, TCP_KEEPINTVL, 4, 4, OPT_BOTH)                                                            \
	X(SOCKOPT_LEVEL_TCP, TCP_KEEPCNT, 4, 4, OPT_BOTH)                                                              \
	X(SOCKOPT_LEVEL_TCP, TCP_SYNCNT, 4, 4, OPT_BOTH)                                                               \
	X(SOCKOPT_LEVEL_TCP, TCP_LINGER2, 4, 4, OPT_BOTH)                                                              \
	X(SOCKOPT_LEVEL_TCP, TCP_DEFER_ACCEPT, 4, 4, OPT_BOTH)                                                         \
	X(SOCKOPT_LEVEL_TCP, TCP_WINDOW_CLAMP, 4, 4, OPT_BOTH)                                                         \
	X(SOCKOPT_LEVEL_TCP, TCP_INFO, 0, 272, OPT_GET)                                                                \
	X(SOCKOPT_LEVEL_TCP, TCP_QUICKACK, 4, 4, OPT_BOTH)                                                             \
	X(SOCKOPT_LEVEL_TCP, TCP_CONGESTION, 0, 16, OPT_BOTH)                                                          \
	X(SOCKOPT_LEVEL_TCP, TCP_THIN_LINEAR_TIMEOUTS, 4, 4, OPT_BOTH)                                                 \
	X(SOCKOPT_LEVEL_TCP, TCP_USER_TIMEOUT, 4, 4, OPT_BOTH)                                                         \
	X(SOCKOPT_LEVEL_TCP, TCP_FASTOPEN, 4, 4, OPT_BOTH)                                                             \
	X(SOCKOPT_LEVEL_TCP, TCP_FASTOPEN_CONNECT, 4, 4, OPT_BOTH)                                                     \
	X(SOCKOPT_LEVEL_TCP, TCP_NOTSENT_LOWAT, 4, 4, OPT_BOTH)                                                        \
	X(SOCKOPT_LEVEL_TCP, TCP_INQ, 4, 4, OPT_BOTH)                                                                  \
	X(SOCKOPT_LEVEL_UDP, UDP_CORK, 4, 4, OPT_BOTH)                                                                 \
	X(SOCKOPT_LEVEL_UDP, UDP_SEGMENT, 4, 4, OPT_BOTH)                                                              \
	X(SOCKOPT_LEVEL_UDP, UDP_GRO, 4, 4, OPT_BOTH)

#endif
