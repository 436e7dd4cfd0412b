#ifndef NET_TCP_H
#define NET_TCP_H

#include "net/sock.h"

/* States as TCP_INFO and /proc/net/tcp show them. */
enum { TCPS_ESTABLISHED = 1, TCPS_SYN_SENT, TCPS_SYN_RECV, TCPS_FIN_WAIT1, TCPS_FIN_WAIT2, TCPS_TIME_WAIT, TCPS_CLOSE,
       TCPS_CLOSE_WAIT, TCPS_LAST_ACK, TCPS_LISTEN };
u8 tcp_state(const struct sock *sk);

long tcp_sendmsg(struct sock *sk, struct msg *m);
long tcp_recvmsg(struct sock *sk, struct msg *m);

#endif
