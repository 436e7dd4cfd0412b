/* NETLINK_GENERIC: the controller, which names the families, and TASKSTATS (linux/genetlink.h, linux/taskstats.h). */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>

#include "base/string.h"
#include "net/net_ns.h"
#include "net/netlink/netlink.h"
#include "sentry/kernel/rusage.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_access.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/user_ns.h"

#define TASKSTATS_ID 0x15u
#define HEAD sizeof(struct genlmsghdr)

static const struct family {
	const char *name;
	u32 id, version, maxattr, command, flags;
} families[] = {
	{ "nlctrl", GENL_ID_CTRL, 2, CTRL_ATTR_MAX, CTRL_CMD_GETFAMILY, GENL_CMD_CAP_DO | GENL_CMD_CAP_DUMP | GENL_CMD_CAP_HASPOL },
	{ TASKSTATS_GENL_NAME, TASKSTATS_ID, TASKSTATS_GENL_VERSION, TASKSTATS_CMD_ATTR_MAX, TASKSTATS_CMD_GET,
	  GENL_ADMIN_PERM | GENL_CMD_CAP_DO | GENL_CMD_CAP_HASPOL },
};

/* ---- the controller ---- */

static void put_family(struct nlbuf *b, const struct family *f, u16 flags)
{
	struct genlmsghdr g = { .cmd = CTRL_CMD_NEWFAMILY, .version = 2 };
	u16 id = (u16)f->id;
	u32 ops, one;

	nl_begin(b, GENL_ID_CTRL, flags, &g, sizeof(g));
	nl_attr_str(b, CTRL_ATTR_FAMILY_NAME, f->name);
	nl_attr(b, CTRL_ATTR_FAMILY_ID, &id, sizeof(id));
	nl_attr_u32(b, CTRL_ATTR_VERSION, f->version);
	nl_attr_u32(b, CTRL_ATTR_HDRSIZE, 0);
	nl_attr_u32(b, CTRL_ATTR_MAXATTR, f->maxattr);
	ops = nl_nest_begin(b, CTRL_ATTR_OPS);
	one = nl_nest_begin(b, 1);
	nl_attr_u32(b, CTRL_ATTR_OP_ID, f->command);
	nl_attr_u32(b, CTRL_ATTR_OP_FLAGS, f->flags);
	nl_nest_end(b, one);
	nl_nest_end(b, ops);
	if (f->id == GENL_ID_CTRL) {
		ops = nl_nest_begin(b, CTRL_ATTR_MCAST_GROUPS);
		one = nl_nest_begin(b, 1);
		nl_attr_u32(b, CTRL_ATTR_MCAST_GRP_ID, GENL_ID_CTRL);
		nl_attr_str(b, CTRL_ATTR_MCAST_GRP_NAME, "notify");
		nl_nest_end(b, one);
		nl_nest_end(b, ops);
	}
	nl_end(b);
}

static int get_family(const struct nlmsghdr *h, struct nlbuf *b, bool *dump)
{
	u32 nlen = 0, ilen = 0;
	const char *name = nl_find_attr(h, HEAD, CTRL_ATTR_FAMILY_NAME, &nlen);
	const u16 *id = nl_find_attr(h, HEAD, CTRL_ATTR_FAMILY_ID, &ilen);

	*dump = (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	if (!*dump && !name && (!id || ilen < sizeof(*id)))
		return -EINVAL;
	for (u32 i = 0; i < ARRAY_SIZE(families); i++) {
		const struct family *f = &families[i];

		if (*dump) {
			put_family(b, f, NLM_F_MULTI);
		} else if (name ? kstrnlen(name, nlen) == strlen(f->name) && !memcmp(name, f->name, strlen(f->name)) : *id == f->id) {
			put_family(b, f, 0);
			return 0;
		}
	}
	return *dump ? 0 : -ENOENT;
}

/* ---- TASKSTATS ---- */

static void add_thread(struct taskstats *s, const struct task *t)
{
	s->ac_minflt += t->min_flt;
	s->ac_majflt += t->maj_flt;
	s->nvcsw += t->nvcsw;
	s->nivcsw += t->nivcsw;
}

static void fill(struct taskstats *s, struct task *t, bool whole)
{
	struct cred *c = task_get_cred(t);
	struct task *o;
	u64 user, system, age = clock_mono_ns() - t->start_ns;

	spin_lock(&tasklist_lock);
	s->version = TASKSTATS_VERSION;
	s->ac_nice = (u8)t->nice;
	s->ac_pid = (u32)(whole ? task_tgid(t) : task_tid(t));
	s->ac_ppid = t->proc->parent ? (u32)pid_nr(t->proc->parent->tgid) : 0;
	if (whole) {
		list_for_each(o, &t->proc->threads, thread_node)
			add_thread(s, o);
	} else {
		memcpy(s->ac_comm, t->comm, sizeof(t->comm));
		add_thread(s, t);
	}
	user = task_utime(t);
	system = task_stime(t);
	spin_unlock(&tasklist_lock);
	if (whole)
		process_cputime(t->proc, &user, &system);
	s->ac_utime = user / 1000;
	s->ac_stime = system / 1000;
	s->cpu_run_real_total = s->cpu_run_virtual_total = user + system;
	s->ac_etime = age / 1000;
	s->ac_btime64 = (clock_real_ns() - age) / NSEC_PER_SEC;
	s->ac_btime = (u32)s->ac_btime64;
	if (c) {
		s->ac_uid = uid_out(c->uid);
		s->ac_gid = gid_out(c->gid);
	}
	cred_put(c);
}

static int get_stats(const struct nlmsghdr *h, struct nlbuf *b)
{
	u32 plen = 0, tlen = 0, nest;
	const u32 *pid = nl_find_attr(h, HEAD, TASKSTATS_CMD_ATTR_PID, &plen), *tgid = nl_find_attr(h, HEAD, TASKSTATS_CMD_ATTR_TGID, &tlen);
	struct genlmsghdr g = { .cmd = TASKSTATS_CMD_NEW, .version = TASKSTATS_GENL_VERSION };
	struct taskstats *s;
	struct task *t;

	if (nl_find_attr(h, HEAD, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, &nest) || nl_find_attr(h, HEAD, TASKSTATS_CMD_ATTR_DEREGISTER_CPUMASK, &nest))
		return -EOPNOTSUPP; /* those that end are told of by the process connector */
	if ((pid && plen < 4) || (tgid && tlen < 4) || (!pid && !tgid))
		return -EINVAL;
	t = find_task_get((s32)(pid ? *pid : *tgid));
	if (!t)
		return -ESRCH;
	s = kzalloc(sizeof(*s));
	if (s) {
		fill(s, t, !pid);
		nl_begin(b, TASKSTATS_ID, 0, &g, sizeof(g));
		nest = nl_nest_begin(b, pid ? TASKSTATS_TYPE_AGGR_PID : TASKSTATS_TYPE_AGGR_TGID);
		nl_attr_u32(b, pid ? TASKSTATS_TYPE_PID : TASKSTATS_TYPE_TGID, pid ? *pid : *tgid);
		nl_attr(b, TASKSTATS_TYPE_STATS, s, sizeof(*s));
		nl_nest_end(b, nest);
		nl_end(b);
	}
	kfree(s);
	task_put(t);
	return s ? 0 : -ENOMEM;
}

int genl_request(struct nl_sock *ns, const struct nlmsghdr *h, struct nlbuf *b, bool *dump)
{
	const struct genlmsghdr *g = NLMSG_DATA(h);
	const struct family *f = NULL;

	for (u32 i = 0; i < ARRAY_SIZE(families); i++)
		if (families[i].id == h->nlmsg_type)
			f = &families[i];
	if (!f)
		return -ENOENT;
	if (h->nlmsg_len < NLMSG_LENGTH(HEAD))
		return -EINVAL;
	if (g->cmd != f->command)
		return -EOPNOTSUPP;
	if (f->flags & GENL_ADMIN_PERM && !capable(CAP_NET_ADMIN))
		return -EPERM;
	if (f->id == GENL_ID_CTRL)
		return get_family(h, b, dump);
	return (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP ? -EOPNOTSUPP : get_stats(h, b);
}
