/* Tables of sockets for /proc/net: see proc(5). */
#ifndef NET_SHOW_H
#define NET_SHOW_H

#include "fs/proc/seq.h"

struct sock;
struct inet_diag_msg;

void inet_show(struct seq *s, u16 family, u16 type, bool ping); /* tcp, udp, icmp, raw */
void packet_show(struct seq *s);		     /* packet */
void inet_show_counts(struct seq *s);		     /* sockstat */
void inet_show_counts6(struct seq *s);		     /* sockstat6 */
/* The same for sock_diag(7): false when the table would not show it. Called by sock_for_each(). */
bool inet_diag_row(struct sock *sk, struct inet_diag_msg *m);
void unix_show(struct seq *s);

#endif
