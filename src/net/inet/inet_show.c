/* /proc/net/{tcp,udp,icmp,raw,sockstat} and the same for IPv6: see proc(5). */
#include <linux/inet_diag.h>

#include "base/string.h"
#include "net/inet/inet.h"
#include "net/inet/tcp.h"
#include "net/show.h"

struct table {
	struct seq *s;
	u16 family, type;
	bool ping; /* of the datagrams, icmp(7) */
	u32 row, width;
};

/* The words of an address in network order, as the host's integers. */
static void put_addr(char *out, size_t size, u16 family, const struct in_addr16 *a, u16 port)
{
	u32 w[4];

	memcpy(w, a->b, sizeof(w));
	if (family == AF_INET)
		ksnprintf(out, size, "%08X:%04X", w[3], port);
	else
		ksnprintf(out, size, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], port);
}

static u8 state_of(const struct inet_sock *is)
{
	const struct sock *sk = &is->st.sk;

	if (sk->type == SOCK_STREAM)
		return tcp_state(sk);
	return sk->state == SS_CONNECTED ? TCPS_ESTABLISHED : TCPS_CLOSE;
}

static u64 rx_queue(struct inet_sock *is)
{
	struct sock *sk = &is->st.sk;

	if (sk->state == SS_LISTEN)
		return sk->nacceptq;
	return sk->type == SOCK_STREAM ? bq_used(&is->st.rx) : sk->rx_bytes;
}

static void show_row(struct sock *sk, void *arg)
{
	struct inet_sock *is = to_inet(sk);
	struct table *t = arg;
	char local[48], remote[48], line[192];
	bool tcp = t->type == SOCK_STREAM;
	u16 lport = sk->type == SOCK_RAW ? (u16)sk->protocol : is->lport;
	int n;

	if (sk->type != t->type || sk->dead || !lport || (tcp && state_of(is) == TCPS_CLOSE) ||
	    (sk->type == SOCK_DGRAM && (sk->protocol != IPPROTO_UDP_K) != t->ping))
		return;
	put_addr(local, sizeof(local), t->family, &is->laddr, lport);
	put_addr(remote, sizeof(remote), t->family, &is->raddr, is->rport);
	n = kscnprintf(line, sizeof(line), "%*u: %s %s %02X %08X:%08X 00:00000000 00000000 %5u        0 %lu %d 0000000000000000",
		       tcp ? 4 : 5, t->row++, local, remote, state_of(is), (u32)atomic_load(&sk->wmem), (u32)rx_queue(is), sk->uid,
		       sk->ino, (s32)refcount_read(&sk->ref));
	if (tcp)
		n += kscnprintf(line + n, sizeof(line) - (size_t)n, " 100 0 0 10 0");
	else
		n += kscnprintf(line + n, sizeof(line) - (size_t)n, " 0");
	seq_printf(t->s, "%-*s\n", (s32)t->width, line);
}

bool inet_diag_row(struct sock *sk, struct inet_diag_msg *m)
{
	struct inet_sock *is = to_inet(sk);
	bool tcp = sk->type == SOCK_STREAM, v4 = sk->family == AF_INET;

	if (sk->dead || !is->lport || (tcp && state_of(is) == TCPS_CLOSE))
		return false;
	m->idiag_family = (u8)sk->family;
	m->idiag_state = state_of(is);
	m->id.idiag_sport = __builtin_bswap16(is->lport);
	m->id.idiag_dport = __builtin_bswap16(is->rport);
	memcpy(m->id.idiag_src, is->laddr.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	memcpy(m->id.idiag_dst, is->raddr.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	m->id.idiag_cookie[0] = (u32)sk->ino;
	m->id.idiag_cookie[1] = (u32)(sk->ino >> 32);
	m->idiag_rqueue = (u32)rx_queue(is);
	m->idiag_wqueue = sk->state == SS_LISTEN ? sk->backlog : (u32)atomic_load(&sk->wmem);
	m->idiag_uid = sk->uid;
	m->idiag_inode = (u32)sk->ino;
	return true;
}

void inet_show(struct seq *s, u16 family, u16 type, bool ping)
{
	bool v6 = family == AF_INET6, tcp = type == SOCK_STREAM;
	struct table t = { s, family, type, ping, 0, v6 ? 0 : tcp ? 149 : 127 };
	char head[192];

	ksnprintf(head, sizeof(head), "%s%s st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode%s", tcp || v6 ? "  sl  " : "   sl  ",
		  v6 ? "local_address                         remote_address                       " : "local_address rem_address  ",
		  tcp ? "" : " ref pointer drops");
	seq_printf(s, "%-*s\n", (s32)t.width, head);
	sock_for_each(family, show_row, &t);
}

/* ---- counts ---- */

struct counts {
	u32 tcp, udp, raw, all;
};

static void count(struct sock *sk, void *arg)
{
	struct counts *c = arg;

	if (sk->dead)
		return;
	c->all++;
	if (sk->type == SOCK_RAW)
		c->raw++;
	else if (sk->type == SOCK_DGRAM)
		c->udp += sk->protocol == IPPROTO_UDP_K;
	else if (to_inet(sk)->lport)
		c->tcp++;
	else
		c->all--;
}

static void count_unix(struct sock *sk, void *arg)
{
	*(u32 *)arg += !sk->dead;
}

void inet_show_counts(struct seq *s)
{
	struct counts v4 = { 0 }, v6 = { 0 };
	u32 used = 0;

	sock_for_each(AF_INET, count, &v4);
	sock_for_each(AF_INET6, count, &v6);
	sock_for_each(AF_UNIX, count_unix, &used);
	used += v4.all + v6.all;
	seq_printf(s, "sockets: used %u\nTCP: inuse %u orphan 0 tw 0 alloc %u mem 0\nUDP: inuse %u mem 0\n", used, v4.tcp, v4.tcp + v6.tcp,
		   v4.udp);
	seq_printf(s, "UDPLITE: inuse 0\nRAW: inuse %u\nFRAG: inuse 0 memory 0\n", v4.raw);
}

void inet_show_counts6(struct seq *s)
{
	struct counts v6 = { 0 };

	sock_for_each(AF_INET6, count, &v6);
	seq_printf(s, "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse 0\nRAW6: inuse %u\nFRAG6: inuse 0 memory 0\n", v6.tcp, v6.udp, v6.raw);
}
