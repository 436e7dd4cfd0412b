/* /proc/net: the tables of a network with the loopback link alone. */
#include <linux/stat.h>

#include "fs/proc/proc.h"
#include "net/abi.h"
#include "net/show.h"

#define TABLE(fn, text)                                                                 \
	static int fn(struct seq *s, struct inode *inode)                               \
	{                                                                               \
		seq_puts(s, text);                                                      \
		return 0;                                                               \
	}

TABLE(show_dev, "Inter-|   Receive                                                |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
		"compressed\n    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0 "
		"      0          0\n")
#define SOCKETS(fn, ...)                                                                \
	static int fn(struct seq *s, struct inode *inode)                               \
	{                                                                               \
		__VA_ARGS__;                                                            \
		return 0;                                                               \
	}

SOCKETS(show_tcp, inet_show(s, AF_INET, SOCK_STREAM))
SOCKETS(show_tcp6, inet_show(s, AF_INET6, SOCK_STREAM))
SOCKETS(show_udp, inet_show(s, AF_INET, SOCK_DGRAM))
SOCKETS(show_udp6, inet_show(s, AF_INET6, SOCK_DGRAM))
SOCKETS(show_unix, unix_show(s))
SOCKETS(show_sockstat, inet_show_counts(s))
SOCKETS(show_sockstat6, inet_show_counts6(s))
TABLE(show_raw, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n")
TABLE(show_raw6, "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when "
		 "retrnsmt   uid  timeout inode ref pointer drops\n")
TABLE(show_route, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n")
TABLE(show_arp, "IP address       HW type     Flags       HW address            Mask     Device\n")
TABLE(show_if_inet6, "00000000000000000000000000000001 01 80 10 80       lo\n")
TABLE(show_nothing, "")

void proc_add_net(struct dentry *root)
{
	static const struct {
		const char *name;
		struct text_file file;
	} files[] = {
		{ "dev", { show_dev, NULL } },	 { "tcp", { show_tcp, NULL } },	    { "tcp6", { show_tcp6, NULL } },
		{ "udp", { show_udp, NULL } },	 { "udp6", { show_udp6, NULL } },    { "raw", { show_raw, NULL } },
		{ "unix", { show_unix, NULL } }, { "route", { show_route, NULL } }, { "arp", { show_arp, NULL } },
		{ "raw6", { show_raw6, NULL } }, { "sockstat", { show_sockstat, NULL } }, { "sockstat6", { show_sockstat6, NULL } },
		{ "if_inet6", { show_if_inet6, NULL } }, { "ipv6_route", { show_nothing, NULL } },
	};
	struct dentry *net = simple_add_dir(root, "net", 0555);

	for (u32 i = 0; i < ARRAY_SIZE(files); i++)
		simple_add_file(net, files[i].name, S_IFREG | 0444, &text_fops, (void *)&files[i].file);
}
