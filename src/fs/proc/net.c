/* /proc/net: the tables of a network with the loopback link alone, or those of the host's namespace. */
#include <linux/stat.h>

#include "fs/proc/proc.h"
#include "net/abi.h"
#include "net/hostinet/hostinet.h"
#include "net/show.h"
#include "sentry/kernel/task.h"

/* `own` on our loopback, else the host's file. */
#define FILE_OF(name, own)                                                              \
	static int show_##name(struct seq *s, struct inode *inode)                      \
	{                                                                               \
		if (host_inet_here())                                                   \
			host_net_text(s, HC_NET_FILE_##name);                           \
		else                                                                    \
			own;                                                            \
		return 0;                                                               \
	}
#define TABLE(name, text) FILE_OF(name, seq_puts(s, text))
#define SOCKETS(name, own)                                                              \
	static int show_##name(struct seq *s, struct inode *inode)                      \
	{                                                                               \
		if (host_inet_here())                                                   \
			host_net_socket_table(s, HC_NET_FILE_##name);                   \
		else                                                                    \
			own;                                                            \
		return 0;                                                               \
	}

TABLE(dev, "Inter-|   Receive                                                |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
		"compressed\n    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0 "
		"      0          0\n")
SOCKETS(tcp, inet_show(s, AF_INET, SOCK_STREAM, false))
SOCKETS(tcp6, inet_show(s, AF_INET6, SOCK_STREAM, false))
SOCKETS(udp, inet_show(s, AF_INET, SOCK_DGRAM, false))
SOCKETS(udp6, inet_show(s, AF_INET6, SOCK_DGRAM, false))
FILE_OF(sockstat, inet_show_counts(s))
FILE_OF(sockstat6, inet_show_counts6(s))
FILE_OF(raw, inet_show(s, AF_INET, SOCK_RAW, false))
FILE_OF(raw6, inet_show(s, AF_INET6, SOCK_RAW, false))
TABLE(route, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n")
TABLE(arp, "IP address       HW type     Flags       HW address            Mask     Device\n")
TABLE(if_inet6, "00000000000000000000000000000001 01 80 10 80       lo\n")
TABLE(ipv6_route, "")
SOCKETS(icmp, inet_show(s, AF_INET, SOCK_DGRAM, true))
SOCKETS(icmp6, inet_show(s, AF_INET6, SOCK_DGRAM, true))
/* The host's alone. */
TABLE(snmp, "")
TABLE(snmp6, "")
TABLE(netstat, "")
TABLE(igmp, "")
TABLE(igmp6, "")
TABLE(dev_mcast, "")

static int show_unix(struct seq *s, struct inode *inode)
{
	unix_show(s);
	return 0;
}

static int show_packet(struct seq *s, struct inode *inode)
{
	packet_show(s);
	return 0;
}

#define NHOST_ALONE 6u

void proc_add_net(struct dentry *root)
{
	static const struct {
		const char *name;
		struct text_file file;
	} files[] = {
#define ROW(name) { #name, { show_##name, NULL } }
		ROW(dev), ROW(tcp), ROW(tcp6), ROW(udp), ROW(udp6), ROW(raw), ROW(raw6), ROW(unix), ROW(route), ROW(arp), ROW(sockstat),
		ROW(sockstat6), ROW(if_inet6), ROW(ipv6_route), ROW(icmp), ROW(icmp6), ROW(packet),
		/* From here on the host's alone. */
		ROW(snmp), ROW(snmp6), ROW(netstat), ROW(igmp), ROW(igmp6), ROW(dev_mcast),
#undef ROW
	};
	struct dentry *net = simple_add_dir(root, "net", 0555);
	u32 n = boot_params->host_network ? ARRAY_SIZE(files) : ARRAY_SIZE(files) - NHOST_ALONE;

	for (u32 i = 0; i < n; i++)
		simple_add_file(net, files[i].name, S_IFREG | 0444, &text_fops, (void *)&files[i].file);
}
