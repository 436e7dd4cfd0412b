/* What the host says of its network namespace: netlink messages and texts of /proc/net, with the sandbox's own numbers of its sockets. */
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include "base/string.h"
#include "net/hostinet/hostinet.h"
#include "net/netlink/netlink.h"

#define TEXT_PIECE (64u << 10)

static s64 ask(struct hc_net_ask *req, void *buf, u32 size)
{
	req->off = va_to_pa(buf);
	req->len = size;
	return hostcall(HC_NET_ASK, req, sizeof(*req));
}

s64 host_net_dump(u16 type, u8 family, void *buf, u32 size)
{
	struct hc_net_ask req = { .family = family };

	switch (type) {
	case RTM_GETLINK:
		req.what = HC_NET_LINKS;
		req.family = AF_UNSPEC;
		break;
	case RTM_GETADDR:
		req.what = HC_NET_ADDRS;
		break;
	case RTM_GETROUTE:
		req.what = HC_NET_ROUTES;
		break;
	case RTM_GETNEIGH:
		req.what = HC_NET_NEIGHS;
		break;
	case RTM_GETRULE:
		req.what = HC_NET_RULES;
		break;
	default:
		return 0;
	}
	return family == AF_UNSPEC || family == AF_INET || family == AF_INET6 ? ask(&req, buf, size) : 0;
}

s64 host_net_route_to(u8 family, const void *dst, const void *src, u32 index, void *buf, u32 size)
{
	struct hc_net_ask req = { .what = HC_NET_ROUTE_TO, .family = family, .index = index, .addrs = (dst ? 1 : 0) | (src ? 2 : 0) };
	u32 n = family == AF_INET ? 4 : 16;

	if (dst)
		memcpy(req.dst, dst, n);
	if (src)
		memcpy(req.src, src, n);
	return ask(&req, buf, size);
}

s64 host_net_sockets(const struct inet_diag_req_v2 *q, bool one, void *buf, u32 size)
{
	struct hc_net_ask req = { .what = HC_NET_SOCKETS, .family = q->sdiag_family, .protocol = q->sdiag_protocol, .states = q->idiag_states,
				  .extensions = q->idiag_ext, .addrs = one, .sport = q->id.idiag_sport, .dport = q->id.idiag_dport };
	struct host_ids *ids;
	s64 n, off = 0;

	memcpy(req.src, q->id.idiag_src, 16);
	memcpy(req.dst, q->id.idiag_dst, 16);
	n = ask(&req, buf, size);
	ids = n > 0 ? host_ids_take() : NULL;
	while (n - off >= (s64)NLMSG_LENGTH(sizeof(struct inet_diag_msg))) {
		struct nlmsghdr *h = (void *)((u8 *)buf + off);
		struct inet_diag_msg *m = NLMSG_DATA(h);
		u64 ino = m->idiag_inode;

		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || h->nlmsg_len > n - off)
			break;
		if (host_ids_find(ids, &ino, &m->idiag_uid))
			m->idiag_inode = (u32)ino;
		off += NLMSG_ALIGN(h->nlmsg_len);
	}
	host_ids_free(ids);
	return n;
}

/* ---- /proc/net ---- */

/* The whole file; its length or -errno. *buf is for vfree_pages(). */
static s64 read_file(u32 which, u8 **buf, u32 *size)
{
	struct hc_net_file_read req = { .which = which };
	s64 n = 1;

	for (*size = TEXT_PIECE;; *size *= 4) {
		*buf = vmalloc_pages(*size);
		if (!*buf)
			return -ENOMEM;
		for (req.pos = 0; req.pos < *size; req.pos += (u64)n) {
			req.off = va_to_pa(*buf) + req.pos;
			req.len = *size - req.pos;
			n = hostcall(HC_NET_FILE, &req, sizeof(req));
			if (n <= 0)
				return n < 0 ? n : (s64)req.pos;
		}
		if (*size >= HC_NET_ANSWER_MAX)
			return (s64)req.pos;
		vfree_pages(*buf, *size);
	}
}

void host_net_text(struct seq *s, u32 which)
{
	u8 *buf = NULL;
	u32 size = 0;
	s64 n = read_file(which, &buf, &size);

	if (n > 0)
		seq_write(s, buf, (size_t)n);
	vfree_pages(buf, size);
}

static const char *skip_words(const char *p, const char *end, u32 n)
{
	for (; n; n--) {
		while (p < end && *p == ' ')
			p++;
		while (p < end && *p != ' ')
			p++;
	}
	return p;
}

/* One row of tcp, udp ...: "sl local remote st queues timer retrnsmt uid timeout inode rest". */
static void put_socket_row(struct seq *s, const char *p, const char *end, const struct host_ids *ids)
{
	const char *uid_at = skip_words(p, end, 7), *uid_end = skip_words(uid_at, end, 1), *ino_at = skip_words(uid_end, end, 1);
	const char *ino_end = skip_words(ino_at, end, 1);
	u64 ino = 0;
	u32 uid;

	for (const char *c = ino_at; c < ino_end; c++)
		ino = *c == ' ' ? 0 : ino * 10 + (u64)(*c - '0');
	if (!ino || !host_ids_find(ids, &ino, &uid)) {
		seq_write(s, p, (size_t)(end - p));
		return;
	}
	seq_write(s, p, (size_t)(uid_at - p));
	seq_printf(s, " %5u", uid);
	seq_write(s, uid_end, (size_t)(ino_at - uid_end));
	seq_printf(s, " %lu", ino);
	seq_write(s, ino_end, (size_t)(end - ino_end));
}

void host_net_socket_table(struct seq *s, u32 which)
{
	struct host_ids *ids = host_ids_take();
	u8 *buf = NULL;
	u32 size = 0;
	s64 n = read_file(which, &buf, &size);
	const char *p = (const char *)buf, *end = p + MAX(n, 0);

	for (bool title = true; p < end; title = false) {
		const char *line_end = p;

		while (line_end < end && *line_end != '\n')
			line_end++;
		if (title)
			seq_write(s, p, (size_t)(line_end - p));
		else
			put_socket_row(s, p, line_end, ids);
		seq_puts(s, "\n");
		p = line_end + 1;
	}
	vfree_pages(buf, size);
	host_ids_free(ids);
}
