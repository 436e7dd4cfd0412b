/* NETLINK_CONNECTOR: the process connector, which tells of forks, executions and ends (linux/cn_proc.h). */
#include <linux/capability.h>
#include <linux/connector.h>

#include "base/string.h"
#include "net/net_ns.h"
#include "net/netlink/netlink.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/proc_events.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/user_ns.h"

_Atomic u32 proc_listeners;
static _Atomic u32 next_seq;

struct message {
	struct nlmsghdr h;
	struct cn_msg cn;
	struct proc_event ev; /* not aligned, as on the wire */
} __attribute__((packed));

static void set_word(struct message *m, u32 at, u32 v) { memcpy((u8 *)&m->ev + at, &v, sizeof(v)); }

static void tell(struct message *m, u32 ack)
{
	u64 now = clock_mono_ns();
	u32 seq = atomic_fetch_add(&next_seq, 1);

	m->h.nlmsg_len = sizeof(*m);
	m->h.nlmsg_type = NLMSG_DONE;
	m->h.nlmsg_seq = seq;
	m->cn.id.idx = CN_IDX_PROC;
	m->cn.id.val = CN_VAL_PROC;
	m->cn.seq = seq;
	m->cn.ack = ack;
	m->cn.len = sizeof(m->ev);
	set_word(m, offsetof(struct proc_event, cpu), current->cpu);
	memcpy((u8 *)&m->ev + offsetof(struct proc_event, timestamp_ns), &now, sizeof(now));
	nl_multicast(&init_net_ns, NETLINK_CONNECTOR, CN_IDX_PROC, m, sizeof(*m));
}

#define DATA offsetof(struct proc_event, event_data)

void proc_event_slow(u32 what, const struct task *t, const void *more, u32 words)
{
	struct message m = { 0 };

	set_word(&m, offsetof(struct proc_event, what), what);
	set_word(&m, DATA, (u32)t->pid->nr);
	set_word(&m, DATA + 4, (u32)t->proc->tgid->nr);
	if (words)
		memcpy((u8 *)&m.ev + DATA + 8, more, words * 4);
	tell(&m, 0);
}

/* A program begins or ceases to listen. Who may not is told so by the acknowledgement alone. */
void connector_request(struct nl_sock *ns, const u8 *data, u32 len)
{
	const struct nlmsghdr *h = (const void *)data;
	const struct cn_msg *cn = (const void *)(data + NLMSG_HDRLEN);
	struct message m = { 0 };
	u32 op, err = 0;

	if (len < NLMSG_HDRLEN + sizeof(*cn) + sizeof(op) || h->nlmsg_len > len || cn->len != sizeof(op) || cn->id.idx != CN_IDX_PROC ||
	    cn->id.val != CN_VAL_PROC)
		return;
	if (current->cred->user_ns != &init_user_ns || task_pid_ns(current) != &init_pid_ns)
		return;
	memcpy(&op, cn->data, sizeof(op));
	if (!capable(CAP_NET_ADMIN)) {
		err = EPERM;
	} else if (op == PROC_CN_MCAST_LISTEN) {
		atomic_fetch_add(&proc_listeners, ns->listening++ ? 0 : 1);
	} else if (op == PROC_CN_MCAST_IGNORE) {
		atomic_fetch_sub(&proc_listeners, ns->listening ? 1 : 0);
		ns->listening = 0;
	} else {
		err = EINVAL;
	}
	set_word(&m, DATA, err);
	tell(&m, cn->ack + 1);
}

void connector_release(struct nl_sock *ns)
{
	if (ns->listening)
		atomic_fetch_sub(&proc_listeners, 1);
	ns->listening = 0;
}
