#ifndef NET_TCP_H
#define NET_TCP_H

#include "net/sock.h"

long tcp_sendmsg(struct sock *sk, struct msg *m);
long tcp_recvmsg(struct sock *sk, struct msg *m);

#endif
