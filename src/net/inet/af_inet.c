/* Making AF_INET and AF_INET6 sockets. */
#include <linux/capability.h>

#include "base/string.h"
#include "net/hostinet/hostinet.h"
#include "net/inet/inet.h"
#include "net/net_ns.h"
#include "sentry/kernel/task.h"

struct inet_sock *inet_new(u16 family, u16 type, s32 protocol)
{
	struct inet_sock *is = kzalloc(sizeof(*is));

	if (!is)
		return NULL;
	sock_init(&is->st.sk, type == SOCK_STREAM ? &tcp_ops : type == SOCK_RAW ? &raw_ops : protocol == IPPROTO_UDP_K ? &udp_ops : &ping_ops, family,
		  type, protocol);
	if (type == SOCK_STREAM && stream_init(&is->st)) {
		kfree(is);
		return NULL;
	}
	is->laddr = is->raddr = addr_any(is);
	list_init(&is->synq);
	list_init(&is->syn_node);
	list_init(&is->errq);
	list_init(&is->raw_node);
	list_init(&is->groups);
	is->mc_src = addr_any(is);
	mutex_init(&is->rxlock);
	inet_opt_init(is);
	sock_enlist(&is->st.sk);
	return is;
}

/* raw(7): what goes over the host's links is not for the sandbox to make. */
static struct sock *raw_create(u16 family, s32 protocol)
{
	struct inet_sock *is;

	if (!protocol)
		return ERR_PTR(-EPROTONOSUPPORT);
	if (!net_capable(current_net_ns(), CAP_NET_RAW) || host_inet_here())
		return ERR_PTR(-EPERM);
	is = inet_new(family, SOCK_RAW, protocol);
	if (!is)
		return ERR_PTR(-ENOMEM);
	raw_enlist(is);
	return &is->st.sk;
}

/* icmp(7): echo without privilege. */
static struct sock *ping_create(u16 family, s32 protocol)
{
	struct inet_sock *is;

	if (host_inet_here())
		return host_inet_create(family, SOCK_DGRAM, protocol);
	if (!ping_allowed())
		return ERR_PTR(-EACCES);
	is = inet_new(family, SOCK_DGRAM, protocol);
	return is ? &is->st.sk : ERR_PTR(-ENOMEM);
}

static struct sock *inet_create_family(u16 family, u32 type, s32 protocol)
{
	s32 natural = type == SOCK_STREAM ? IPPROTO_TCP_K : IPPROTO_UDP_K;
	struct inet_sock *is;

	if (protocol < 0 || protocol >= IPPROTO_MAX_K)
		return ERR_PTR(-EINVAL);
	if (type == SOCK_RAW)
		return raw_create(family, protocol);
	if (type != SOCK_STREAM && type != SOCK_DGRAM)
		return ERR_PTR(-ESOCKTNOSUPPORT);
	if (type == SOCK_DGRAM && protocol == (family == AF_INET ? IPPROTO_ICMP_K : IPPROTO_ICMPV6_K))
		return ping_create(family, protocol);
	if (protocol && protocol != natural)
		return ERR_PTR(-EPROTONOSUPPORT);
	if (host_inet_here())
		return host_inet_create(family, type, natural);
	is = inet_new(family, type, natural);
	return is ? &is->st.sk : ERR_PTR(-ENOMEM);
}

static struct sock *inet4_create(u32 type, s32 protocol)
{
	return inet_create_family(AF_INET, type, protocol);
}

static struct sock *inet6_create(u32 type, s32 protocol)
{
	return inet_create_family(AF_INET6, type, protocol);
}

static const struct net_family inet4_family = { AF_INET, inet4_create };
static const struct net_family inet6_family = { AF_INET6, inet6_create };

void inet_init(void)
{
	ip_init();
	inet_opt_index();
	net_register_family(&inet4_family);
	net_register_family(&inet6_family);
}
