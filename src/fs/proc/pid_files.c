/* The texts below /proc/PID. */
#include <linux/errno.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/dev/tty.h"
#include "fs/proc/pid.h"
#include "fs/proc/proc.h"
#include "sentry/kernel/task_access.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"

static u64 ticks(u64 ns) { return ns / (NSEC_PER_SEC / 100); }

static char state_char(struct task *t)
{
	u32 state = t->state;

	if (state & TASK_DEAD || t->proc->flags & PROC_ZOMBIE)
		return 'Z';
	if (state & TASK_TRACED)
		return 't';
	if (state & TASK_STOPPED)
		return 'T';
	if (state & (TASK_UNINTERRUPTIBLE | TASK_KILLABLE))
		return 'D';
	return state & TASK_INTERRUPTIBLE ? 'S' : 'R';
}

static const char *state_name(char c)
{
	switch (c) {
	case 'R': return "R (running)";
	case 'S': return "S (sleeping)";
	case 'D': return "D (disk sleep)";
	case 'T': return "T (stopped)";
	case 't': return "t (tracing stop)";
	default: return "Z (zombie)";
	}
}

/* What is read of a task under its locks, so that the text can be made without them. */
struct snapshot {
	char comm[TASK_COMM_LEN], state;
	s32 tid, ppid, pgid, sid, tgid, tty_nr, tty_pgrp, nice, prio, exit_signal, tracer;
	u32 nthreads, policy, rt_prio;
	u64 utime, stime, cutime, cstime, min_flt, maj_flt, cmin_flt, cmaj_flt, start_ns;
	sigset64 pending, shared, blocked, ignored, caught;
	struct cred *cred;
};

static void read_signals(struct task *t, struct snapshot *s)
{
	struct sighand *sh;

	spin_lock(&tasklist_lock);
	sh = t->sighand;
	if (sh) {
		spin_lock(&sh->lock);
		s->pending = t->pending.set;
		s->shared = t->proc->shared_pending.set;
		s->blocked = t->blocked;
		for (u32 i = 0; i < SIG_COUNT; i++) {
			if (sh->action[i].handler == 1)
				s->ignored |= 1ull << i;
			else if (sh->action[i].handler)
				s->caught |= 1ull << i;
		}
		spin_unlock(&sh->lock);
	}
	spin_unlock(&tasklist_lock);
}

static void read_threads(struct task *t, struct snapshot *s, bool whole)
{
	struct process *p = t->proc;
	struct task *o;

	s->utime = task_utime(t);
	s->stime = task_stime(t);
	s->min_flt = t->min_flt;
	s->maj_flt = t->maj_flt;
	s->start_ns = t->start_ns;
	if (!whole)
		return;
	s->utime = p->utime_ns;
	s->stime = p->stime_ns;
	s->min_flt = p->min_flt;
	s->maj_flt = p->maj_flt;
	list_for_each(o, &p->threads, thread_node) {
		s->utime += task_utime(o);
		s->stime += task_stime(o);
		s->min_flt += o->min_flt;
		s->maj_flt += o->maj_flt;
	}
}

static void take_snapshot(struct task *t, struct snapshot *s, bool whole, const struct pid_ns *ns)
{
	struct process *p = t->proc;

	memset(s, 0, sizeof(*s));
	memcpy(s->comm, t->comm, sizeof(s->comm));
	s->comm[TASK_COMM_LEN - 1] = 0;
	s->state = state_char(t);
	s->tid = pid_nr_in(t->pid, ns);
	s->tgid = pid_nr_in(p->tgid, ns);
	s->nice = t->nice;
	s->prio = t->rt_prio ? -1 - t->rt_prio : 20 + t->nice;
	s->policy = (u32)t->policy;
	s->rt_prio = (u32)t->rt_prio;
	spin_lock(&tasklist_lock);
	s->ppid = p->parent ? pid_nr_in(p->parent->tgid, ns) : 0;
	s->pgid = pid_nr_in(p->pgid, ns);
	s->sid = pid_nr_in(p->sid, ns);
	s->tty_pgrp = -1;
	if (p->tty) {
		s->tty_nr = (s32)p->tty->rdev;
		s->tty_pgrp = p->tty->pgrp ? pid_nr_in(p->tty->pgrp, ns) : -1;
	}
	s->nthreads = p->nthreads;
	s->exit_signal = p->exit_signal;
	s->tracer = t->tracer ? pid_nr_in(t->tracer->pid, ns) : 0;
	s->cutime = p->cutime_ns;
	s->cstime = p->cstime_ns;
	s->cmin_flt = p->cmin_flt;
	s->cmaj_flt = p->cmaj_flt;
	read_threads(t, s, whole);
	spin_unlock(&tasklist_lock);
	read_signals(t, s);
}

static int show_stat(struct seq *s, struct inode *inode, bool whole)
{
	struct task *t = proc_task_get(inode);
	struct snapshot n;
	struct mm *mm;

	if (!t)
		return -ESRCH;
	take_snapshot(t, &n, whole, proc_pid_ns(inode->sb));
	mm = task_get_mm(t);
	seq_printf(s, "%d (%s) %c %d %d %d %d %d %u %lu %lu %lu %lu %lu %lu %lu %lu %d %d %u 0 %lu ", n.tid, n.comm, n.state,
		   n.ppid, n.pgid, n.sid, n.tty_nr, n.tty_pgrp, 0x400000u, n.min_flt, n.cmin_flt, n.maj_flt, n.cmaj_flt,
		   ticks(n.utime), ticks(n.stime), ticks(n.cutime), ticks(n.cstime), n.prio, n.nice, n.nthreads,
		   ticks(n.start_ns + (u64)time_offsets()->boot));
	seq_printf(s, "%lu %lu 18446744073709551615 %lu %lu %lu 0 0 %lu %lu %lu %lu 0 0 0 %d %u %u %u 0 0 0 ",
		   mm ? mm->total_vm << PAGE_SHIFT : 0, mm ? (u64)(mm->rss_anon + mm->rss_file + mm->rss_shmem) : 0,
		   mm ? mm->start_code : 0, mm ? mm->end_code : 0, mm ? mm->start_stack : 0, n.pending, n.blocked, n.ignored,
		   n.caught, n.exit_signal, t->cpu, n.rt_prio, n.policy);
	seq_printf(s, "%lu %lu %lu %lu %lu %lu %lu %d\n", mm ? mm->start_data : 0, mm ? mm->end_data : 0, mm ? mm->start_brk : 0,
		   mm ? mm->arg_start : 0, mm ? mm->arg_end : 0, mm ? mm->env_start : 0, mm ? mm->env_end : 0,
		   n.state == 'Z' ? t->exit_code : 0);
	if (mm)
		mm_users_put(mm);
	task_put(t);
	return 0;
}

static int show_tgid_stat(struct seq *s, struct inode *inode) { return show_stat(s, inode, true); }
static int show_tid_stat(struct seq *s, struct inode *inode) { return show_stat(s, inode, false); }

static void status_memory(struct seq *s, struct mm *mm)
{
	u64 rss = (u64)(mm->rss_anon + mm->rss_file + mm->rss_shmem) << 2;

	seq_printf(s,
		   "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\nVmPin:\t       0 kB\nVmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n"
		   "RssAnon:\t%8lu kB\nRssFile:\t%8lu kB\nRssShmem:\t%8lu kB\nVmData:\t%8lu kB\nVmStk:\t%8lu kB\n"
		   "VmExe:\t%8lu kB\nVmLib:\t%8lu kB\nVmPTE:\t       4 kB\nVmSwap:\t       0 kB\n",
		   mm->total_vm << 2, mm->total_vm << 2, mm->locked_vm << 2, MAX(mm->hiwater_rss << 2, rss), rss,
		   (u64)mm->rss_anon << 2, (u64)mm->rss_file << 2, (u64)mm->rss_shmem << 2, mm->data_vm << 2, mm->stack_vm << 2,
		   (mm->end_code - mm->start_code) >> 10, mm->exec_vm << 2);
}

/* One for each namespace from that of the mount to the task's own. */
static void show_numbers(struct seq *s, const char *name, const struct pid *pid, const struct pid_ns *ns, const struct pid_ns *top)
{
	const struct pid_ns *path[PID_NS_LEVELS];
	u32 n = 0;

	for (; ns && ns != top->parent; ns = ns->parent)
		path[n++] = ns;
	seq_printf(s, "%s:", name);
	while (n > 0)
		seq_printf(s, "\t%d", pid_nr_in(pid, path[--n]));
	seq_puts(s, "\n");
}

static void show_ns_numbers(struct seq *s, struct task *t, const struct pid_ns *ns)
{
	struct pid *pgid, *sid;

	spin_lock(&tasklist_lock);
	pgid = t->proc->pgid ? pid_get(t->proc->pgid) : NULL;
	sid = t->proc->sid ? pid_get(t->proc->sid) : NULL;
	spin_unlock(&tasklist_lock);
	show_numbers(s, "NStgid", t->proc->tgid, t->pid->ns, ns);
	show_numbers(s, "NSpid", t->pid, t->pid->ns, ns);
	show_numbers(s, "NSpgid", pgid, t->pid->ns, ns);
	show_numbers(s, "NSsid", sid, t->pid->ns, ns);
	pid_put(pgid);
	pid_put(sid);
}

static int show_status(struct seq *s, struct inode *inode)
{
	struct task *t = proc_task_get(inode);
	struct snapshot n;
	struct cred *c;
	struct mm *mm;

	if (!t)
		return -ESRCH;
	take_snapshot(t, &n, true, proc_pid_ns(inode->sb));
	spin_lock(&t->alloc_lock);
	c = cred_get(t->cred);
	spin_unlock(&t->alloc_lock);
	seq_printf(s,
		   "Name:\t%s\nUmask:\t%04o\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t%d\n"
		   "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t",
		   n.comm, t->fs ? t->fs->umask : 0, state_name(n.state), n.tgid, n.tid, n.ppid, n.tracer, uid_out(c->uid),
		   uid_out(c->euid), uid_out(c->suid), uid_out(c->fsuid), gid_out(c->gid), gid_out(c->egid), gid_out(c->sgid),
		   gid_out(c->fsgid));
	for (u32 i = 0; i < c->ngroups; i++)
		seq_printf(s, "%u ", gid_out(c->groups[i]));
	seq_puts(s, "\n");
	show_ns_numbers(s, t, proc_pid_ns(inode->sb));
	mm = task_get_mm(t);
	if (mm) {
		status_memory(s, mm);
		mm_users_put(mm);
	}
	seq_printf(s,
		   "CoreDumping:\t0\nTHP_enabled:\t0\nThreads:\t%u\nSigQ:\t0/%lu\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\n"
		   "SigIgn:\t%016lx\nSigCgt:\t%016lx\nCapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\n"
		   "CapAmb:\t%016lx\nNoNewPrivs:\t%d\nSeccomp:\t%d\nSpeculation_Store_Bypass:\tnot vulnerable\n"
		   "Cpus_allowed:\t%lx\nCpus_allowed_list:\t0-%u\nMems_allowed:\t1\nMems_allowed_list:\t0\n"
		   "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
		   n.nthreads, t->proc->rlim[RLIMIT_SIGPENDING].cur, n.pending, n.shared, n.blocked, n.ignored, n.caught,
		   c->inheritable, c->permitted, c->effective, c->bset, c->ambient, t->no_new_privs, t->seccomp ? 2 : 0,
		   t->cpu_mask & ((num_cpus() < 64 ? 1ul << num_cpus() : 0) - 1), num_cpus() - 1, t->nvcsw, t->nivcsw);
	cred_put(c);
	task_put(t);
	return 0;
}

/* Run fn on the task's address space; nothing is shown for one that has none. */
static int with_mm(struct seq *s, struct inode *inode, void (*fn)(struct seq *s, struct mm *mm))
{
	struct task *t = proc_task_get(inode);
	struct mm *mm;

	if (!t)
		return -ESRCH;
	mm = task_get_mm(t);
	if (mm) {
		fn(s, mm);
		mm_users_put(mm);
	}
	task_put(t);
	return 0;
}

static void statm(struct seq *s, struct mm *mm)
{
	seq_printf(s, "%lu %lu %lu %lu 0 %lu 0\n", mm->total_vm, (u64)(mm->rss_anon + mm->rss_file + mm->rss_shmem),
		   (u64)(mm->rss_file + mm->rss_shmem), (mm->end_code - mm->start_code) >> PAGE_SHIFT, mm->data_vm + mm->stack_vm);
}
static int show_statm(struct seq *s, struct inode *inode) { return with_mm(s, inode, statm); }

/* Bytes of another address space, piece by piece, as long as they can be read. */
static void user_bytes(struct seq *s, struct mm *mm, u64 start, u64 end)
{
	char *buf = kmalloc(PAGE_SIZE);

	while (buf && start < end) {
		long n = mm_access(mm, start, buf, MIN(end - start, PAGE_SIZE), false, true);

		if (n <= 0)
			break;
		seq_write(s, buf, (size_t)n);
		start += (u64)n;
	}
	kfree(buf);
}

static void cmdline(struct seq *s, struct mm *mm) { user_bytes(s, mm, mm->arg_start, mm->arg_end); }
static void environ(struct seq *s, struct mm *mm) { user_bytes(s, mm, mm->env_start, mm->env_end); }
static int show_cmdline(struct seq *s, struct inode *inode) { return with_mm(s, inode, cmdline); }
static int show_environ(struct seq *s, struct inode *inode) { return with_mm(s, inode, environ); }

static void auxv(struct seq *s, struct mm *mm)
{
	u32 n = 0;

	while (n + 2 <= ARRAY_SIZE(mm->saved_auxv) && mm->saved_auxv[n])
		n += 2;
	seq_write(s, mm->saved_auxv, MIN(n + 2, ARRAY_SIZE(mm->saved_auxv)) * sizeof(u64));
}
static int show_auxv(struct seq *s, struct inode *inode) { return with_mm(s, inode, auxv); }

static const char *vma_label(const struct vma *v, const struct mm *mm)
{
	if (v->ops && v->ops->name)
		return v->ops->name((struct vma *)v);
	if (v->start <= mm->brk && v->end >= mm->start_brk && mm->start_brk != mm->brk)
		return "[heap]";
	if (v->start <= mm->start_stack && v->end > mm->start_stack)
		return "[stack]";
	return v->anon_name;
}

static void map_line(struct seq *s, struct vma *v, struct mm *mm)
{
	u64 ino = v->file ? v->file->inode->ino : 0, dev = v->file ? v->file->inode->sb->dev : 0;
	size_t start = s->len, width = 73;
	const char *label = v->file ? NULL : vma_label(v, mm);

	seq_printf(s, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu", v->start, v->end, v->flags & VM_READ ? 'r' : '-',
		   v->flags & VM_WRITE ? 'w' : '-', v->flags & VM_EXEC ? 'x' : '-', v->flags & VM_MAYSHARE ? 's' : 'p',
		   v->file ? v->pgoff << PAGE_SHIFT : 0, dev_major(dev), dev_minor(dev), ino);
	if (v->file || label) {
		seq_puts(s, " ");
		while (!s->failed && s->len - start < width)
			seq_puts(s, " ");
		if (v->file)
			seq_path(s, &v->file->path, "\n");
		else
			seq_puts(s, label);
	} else {
		seq_puts(s, " ");
	}
	seq_puts(s, "\n");
}

static void maps(struct seq *s, struct mm *mm)
{
	struct vma *v;

	down_read(&mm->lock);
	vma_for_each(v, mm)
		map_line(s, v, mm);
	up_read(&mm->lock);
}
static int show_maps(struct seq *s, struct inode *inode) { return with_mm(s, inode, maps); }

static void smaps(struct seq *s, struct mm *mm)
{
	struct vma *v;

	down_read(&mm->lock);
	vma_for_each(v, mm) {
		u64 kb = (v->end - v->start) >> 10, rss = vma_resident_pages(v) << 2;

		map_line(s, v, mm);
		seq_printf(s,
			   "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\nRss:            %8lu kB\n"
			   "Pss:            %8lu kB\nShared_Clean:          0 kB\nShared_Dirty:          0 kB\n"
			   "Private_Clean:         0 kB\nPrivate_Dirty:  %8lu kB\nReferenced:     %8lu kB\nAnonymous:      %8lu kB\n"
			   "Swap:                  0 kB\nLocked:                0 kB\nTHPeligible:    0\nVmFlags: %s%s%s%s%s\n",
			   kb, rss, rss, rss, rss, vma_anon_pages(v) << 2, v->flags & VM_READ ? "rd " : "",
			   v->flags & VM_WRITE ? "wr " : "", v->flags & VM_EXEC ? "ex " : "", v->flags & VM_SHARED ? "sh " : "",
			   v->flags & VM_GROWSDOWN ? "gd " : "");
	}
	up_read(&mm->lock);
}
static int show_smaps(struct seq *s, struct inode *inode) { return with_mm(s, inode, smaps); }

static int show_comm(struct seq *s, struct inode *inode)
{
	struct task *t = proc_task_get(inode);

	if (!t)
		return -ESRCH;
	seq_printf(s, "%.15s\n", t->comm);
	task_put(t);
	return 0;
}

static int store_comm(struct inode *inode, char *text, size_t n)
{
	struct task *t = proc_task_get(inode);
	int err = -EINVAL;

	if (!t)
		return -ESRCH;
	if (t->proc == current->proc) {
		kstrlcpy(t->comm, text, sizeof(t->comm));
		if (n && n < sizeof(t->comm) && t->comm[n - 1] == '\n')
			t->comm[n - 1] = 0;
		err = 0;
	}
	task_put(t);
	return err;
}

static int show_limits(struct seq *s, struct inode *inode)
{
	static const struct {
		const char *name, *unit;
		u32 nr;
	} rows[] = {
		{ "Max cpu time", "seconds", RLIMIT_CPU },	   { "Max file size", "bytes", RLIMIT_FSIZE },
		{ "Max data size", "bytes", RLIMIT_DATA },	   { "Max stack size", "bytes", RLIMIT_STACK },
		{ "Max core file size", "bytes", RLIMIT_CORE },	   { "Max resident set", "bytes", RLIMIT_RSS },
		{ "Max processes", "processes", RLIMIT_NPROC },	   { "Max open files", "files", RLIMIT_NOFILE },
		{ "Max locked memory", "bytes", RLIMIT_MEMLOCK },  { "Max address space", "bytes", RLIMIT_AS },
		{ "Max file locks", "locks", RLIMIT_LOCKS },	   { "Max pending signals", "signals", RLIMIT_SIGPENDING },
		{ "Max msgqueue size", "bytes", RLIMIT_MSGQUEUE }, { "Max nice priority", "", RLIMIT_NICE },
		{ "Max realtime priority", "", RLIMIT_RTPRIO },	   { "Max realtime timeout", "us", RLIMIT_RTTIME },
	};
	struct task *t = proc_task_get(inode);

	if (!t)
		return -ESRCH;
	seq_printf(s, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rlimit_val v = t->proc->rlim[rows[i].nr];
		char soft[24], hard[24];

		ksnprintf(soft, sizeof(soft), v.cur == ~0ull ? "unlimited" : "%lu", v.cur);
		ksnprintf(hard, sizeof(hard), v.max == ~0ull ? "unlimited" : "%lu", v.max);
		seq_printf(s, "%-25s %-20s %-20s %-10s\n", rows[i].name, soft, hard, rows[i].unit);
	}
	task_put(t);
	return 0;
}

static int show_task_mounts(struct seq *s, struct inode *inode) { return show_mounts(s, MOUNTS); }
static int show_task_mountinfo(struct seq *s, struct inode *inode) { return show_mounts(s, MOUNTINFO); }

static int show_oom_adj(struct seq *s, struct inode *inode)
{
	struct task *t = proc_task_get(inode);

	if (!t)
		return -ESRCH;
	seq_printf(s, "%d\n", t->proc->oom_score_adj);
	task_put(t);
	return 0;
}

static int store_oom_adj(struct inode *inode, char *text, size_t n)
{
	struct task *t;
	s64 v;
	int err = kstrtos64(text, 10, &v);

	if (err || v < -1000 || v > 1000)
		return -EINVAL;
	t = proc_task_get(inode);
	if (!t)
		return -ESRCH;
	if (v < t->proc->oom_score_adj && !capable(24 /* CAP_SYS_RESOURCE */))
		err = -EACCES;
	else
		t->proc->oom_score_adj = (s32)v;
	task_put(t);
	return err;
}

static void dump_filter(struct seq *s, struct mm *mm) { seq_printf(s, "%08x\n", mm->dump_filter); }
static int show_dump_filter(struct seq *s, struct inode *inode) { return with_mm(s, inode, dump_filter); }

static int store_dump_filter(struct inode *inode, char *text, size_t n)
{
	struct task *t = proc_task_get(inode);
	struct mm *mm;
	u64 v;
	int err;

	err = kstrtou64(text, text[0] != '0' ? 10 : text[1] == 'x' || text[1] == 'X' ? 16 : 8, &v);
	if (!t)
		return -ESRCH;
	mm = task_get_mm(t);
	if (!err && mm)
		mm->dump_filter = (u32)v & DUMP_MASK;
	if (mm)
		mm_users_put(mm);
	task_put(t);
	return err ? -EINVAL : 0;
}

static int show_zero(struct seq *s, struct inode *inode)
{
	seq_puts(s, "0\n");
	return 0;
}
static int show_cgroup(struct seq *s, struct inode *inode)
{
	seq_puts(s, "0::/\n");
	return 0;
}

/* ---- uid_map, gid_map, setgroups: user_namespaces(7) ---- */

static struct user_ns *user_ns_of(struct inode *inode)
{
	struct task *t = proc_task_get(inode);
	struct cred *c = t ? task_get_cred(t) : NULL;
	struct user_ns *u = c ? user_ns_get(c->user_ns) : NULL;

	cred_put(c);
	task_put(t);
	return u;
}

static int show_map(struct seq *s, struct inode *inode, bool gid)
{
	struct user_ns *u = user_ns_of(inode);

	if (!u)
		return -ESRCH;
	id_map_show(s, u, gid);
	user_ns_put(u);
	return 0;
}
static int show_uid_map(struct seq *s, struct inode *inode) { return show_map(s, inode, false); }
static int show_gid_map(struct seq *s, struct inode *inode) { return show_map(s, inode, true); }

static int store_map(struct inode *inode, char *text, bool gid)
{
	struct user_ns *u = user_ns_of(inode);
	long err;

	if (!u)
		return -ESRCH;
	err = id_map_write(u, gid, text);
	user_ns_put(u);
	return (int)err;
}
static int store_uid_map(struct inode *inode, char *text, size_t n) { return store_map(inode, text, false); }
static int store_gid_map(struct inode *inode, char *text, size_t n) { return store_map(inode, text, true); }

static int show_setgroups(struct seq *s, struct inode *inode)
{
	struct user_ns *u = user_ns_of(inode);

	if (!u)
		return -ESRCH;
	seq_puts(s, u->no_setgroups ? "deny\n" : "allow\n");
	user_ns_put(u);
	return 0;
}

static int store_setgroups(struct inode *inode, char *text, size_t n)
{
	struct user_ns *u = user_ns_of(inode);
	long err;

	if (!u)
		return -ESRCH;
	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = 0;
	err = setgroups_write(u, text);
	user_ns_put(u);
	return (int)err;
}

static struct ns_common *time_ns_for_children(struct inode *inode)
{
	struct task *t = proc_task_get(inode);
	struct ns_common *n = NULL;

	if (!t)
		return NULL;
	spin_lock(&t->alloc_lock);
	if (t->ns) {
		n = t->ns->time_for_children;
		ns_get(n);
	}
	spin_unlock(&t->alloc_lock);
	task_put(t);
	return n;
}

static int show_timens(struct seq *s, struct inode *inode)
{
	struct ns_common *n = time_ns_for_children(inode);

	if (!n)
		return -ESRCH;
	time_ns_show(s, time_ns_of(n));
	ns_put(n);
	return 0;
}

static int store_timens(struct inode *inode, char *text, size_t size)
{
	struct ns_common *n = time_ns_for_children(inode);
	long err;

	if (!n)
		return -ESRCH;
	err = time_ns_write(time_ns_of(n), text);
	ns_put(n);
	return (int)err;
}

static int show_loginuid(struct seq *s, struct inode *inode)
{
	seq_puts(s, "4294967295");
	return 0;
}
static int show_personality(struct seq *s, struct inode *inode)
{
	struct task *t = proc_task_get(inode);

	if (!t)
		return -ESRCH;
	seq_printf(s, "%08x\n", t->proc->personality);
	task_put(t);
	return 0;
}
static int show_io(struct seq *s, struct inode *inode)
{
	seq_puts(s, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
	return 0;
}
static int show_children(struct seq *s, struct inode *inode)
{
	const struct pid_ns *ns = proc_pid_ns(inode->sb);
	struct task *t = proc_task_get(inode);
	struct process *c;

	if (!t)
		return -ESRCH;
	spin_lock(&tasklist_lock);
	list_for_each(c, &t->proc->children, sibling)
		if (pid_nr_in(c->tgid, ns))
			seq_printf(s, "%d ", pid_nr_in(c->tgid, ns));
	spin_unlock(&tasklist_lock);
	task_put(t);
	return 0;
}

/* ---- /proc/PID/mem ---- */

static long mem_io(struct file *file, struct iov_iter *it, u64 *pos, bool write)
{
	struct task *t = proc_task_get(file->inode);
	struct mm *mm = t ? task_get_mm(t) : NULL;
	char *buf = kmalloc(PAGE_SIZE);
	long done = 0, n = 0;

	while (mm && buf && it->count) {
		size_t want = MIN(it->count, PAGE_SIZE);

		if (write && copy_from_iter(buf, want, it) != want) {
			n = -EFAULT;
			break;
		}
		n = mm_access(mm, *pos, buf, want, write, true);
		if (n <= 0)
			break;
		if (!write && copy_to_iter(buf, (size_t)n, it) != (size_t)n) {
			n = -EFAULT;
			break;
		}
		*pos += (u64)n;
		done += n;
	}
	kfree(buf);
	if (mm)
		mm_users_put(mm);
	if (t)
		task_put(t);
	return done ? done : n == -EFAULT ? -EIO : n;
}
static long mem_read(struct file *f, struct iov_iter *it, u64 *pos) { return mem_io(f, it, pos, false); }
static long mem_write(struct file *f, struct iov_iter *it, u64 *pos) { return mem_io(f, it, pos, true); }
static int mem_open(struct inode *inode, struct file *file)
{
	struct task *t = proc_task_get(inode);
	bool allowed = t && (t->proc == current->proc || t->cred->euid == current->cred->euid || capable(19 /* CAP_SYS_PTRACE */));

	if (!t)
		return -ESRCH;
	task_put(t);
	return allowed ? 0 : -EACCES;
}
static s64 mem_llseek(struct file *f, s64 off, int whence)
{
	if (whence > 1)
		return -EINVAL;
	f->pos = (u64)off + (whence == 1 ? f->pos : 0);
	return (s64)f->pos;
}
static const struct file_ops mem_fops = { .open = mem_open, .read = mem_read, .write = mem_write, .llseek = mem_llseek };
static const struct inode_ops mem_iops = { .getattr = NULL };

/* ---- namespaces ---- */

static struct ns_common *ns_of_link(struct inode *inode)
{
	struct task *t = proc_task_get(inode);
	struct ns_common *n;

	if (!t)
		return ERR_PTR(-ENOENT);
	n = may_access_task(t, false) ? ns_of_task(t, (u32)((struct proc_inode *)inode->priv)->fd) : ERR_PTR(-EACCES);
	task_put(t);
	return n ? n : ERR_PTR(-ENOENT);
}

static char *ns_readlink(struct inode *inode)
{
	struct ns_common *n = ns_of_link(inode);
	char buf[48];

	if (IS_ERR(n))
		return ERR_PTR(PTR_ERR(n));
	ksnprintf(buf, sizeof(buf), "%s:[%lu]", ns_kind_name(n->kind), n->ino);
	ns_put(n);
	return kstrdup(buf);
}

static int ns_get_link(struct inode *inode, struct path *out)
{
	struct ns_common *n = ns_of_link(inode);
	int err;

	if (IS_ERR(n))
		return (int)PTR_ERR(n);
	err = ns_path(n, out);
	ns_put(n);
	return err;
}
static const struct inode_ops ns_link_iops = { .readlink = ns_readlink, .get_link = ns_get_link };

static int ns_lookup(struct inode *dir, struct dentry *dentry)
{
	struct proc_inode *parent = dir->priv, *pi;
	struct inode *inode;

	for (u32 i = 0; i < NS_LINKS; i++) {
		if (kstrcmp(dentry->name, ns_link_name(i)))
			continue;
		inode = inode_alloc(dir->sb);
		pi = kzalloc(sizeof(*pi));
		if (!inode || !pi) {
			if (inode)
				inode_put(inode);
			kfree(pi);
			return -ENOMEM;
		}
		pi->pid = pid_get(parent->pid);
		pi->fd = (s32)i;
		inode->priv = pi;
		inode->flags |= PROC_PID_INODE;
		inode->mode = S_IFLNK | 0777;
		inode->nlink = 1;
		inode->iop = &ns_link_iops;
		dentry->flags |= DCACHE_NOCACHE;
		d_set_inode(dentry, inode);
		return 0;
	}
	dentry->flags |= DCACHE_NOCACHE;
	d_set_inode(dentry, NULL);
	return 0;
}

static int ns_iterate(struct file *file, struct dir_context *ctx)
{
	for (; ctx->pos < NS_LINKS + 2; ctx->pos++) {
		const char *name = ctx->pos == 0 ? "." : ctx->pos == 1 ? ".." : ns_link_name((u32)ctx->pos - 2);

		if (!ctx->emit(ctx, name, (u32)strlen(name), ctx->pos + 1, file->inode->ino + ctx->pos, ctx->pos < 2 ? 4 : 10))
			break;
	}
	return 0;
}
static const struct inode_ops ns_iops = { .lookup = ns_lookup };
static const struct file_ops ns_fops = { .iterate = ns_iterate, .llseek = generic_file_llseek };

#define TEXT(name, mode, show, store) { name, S_IFREG | mode, NULL, NULL, { show, store } }
#define LINK(name, iop) { name, S_IFLNK | 0777, iop, NULL, { NULL, NULL } }
#define DIR(name, iop, fop) { name, S_IFDIR | 0555, iop, fop, { NULL, NULL } }
#define COMMON                                                                          \
	TEXT("status", 0444, show_status, NULL), TEXT("statm", 0444, show_statm, NULL), \
	TEXT("cmdline", 0444, show_cmdline, NULL), TEXT("environ", 0400, show_environ, NULL), \
	TEXT("comm", 0644, show_comm, store_comm), TEXT("maps", 0444, show_maps, NULL), \
	TEXT("smaps", 0444, show_smaps, NULL), TEXT("auxv", 0400, show_auxv, NULL),     \
	TEXT("limits", 0644, show_limits, NULL), TEXT("mounts", 0444, show_task_mounts, NULL), \
	TEXT("mountinfo", 0444, show_task_mountinfo, NULL), TEXT("oom_score", 0444, show_zero, NULL), \
	TEXT("oom_score_adj", 0644, show_oom_adj, store_oom_adj), TEXT("cgroup", 0444, show_cgroup, NULL), \
	TEXT("uid_map", 0644, show_uid_map, store_uid_map), TEXT("gid_map", 0644, show_gid_map, store_gid_map), \
	TEXT("setgroups", 0644, show_setgroups, store_setgroups), TEXT("timens_offsets", 0644, show_timens, store_timens), TEXT("loginuid", 0644, show_loginuid, NULL), \
	TEXT("sessionid", 0444, show_loginuid, NULL), TEXT("personality", 0400, show_personality, NULL), \
	TEXT("coredump_filter", 0644, show_dump_filter, store_dump_filter), TEXT("wchan", 0444, show_zero, NULL), TEXT("io", 0400, show_io, NULL),          \
	{ "mem", S_IFREG | 0600, &mem_iops, &mem_fops, { NULL, NULL } },                \
	LINK("exe", &proc_exe_iops), LINK("cwd", &proc_cwd_iops), LINK("root", &proc_root_iops), \
	DIR("fd", &proc_fd_iops, &proc_fd_fops), DIR("fdinfo", &proc_fdinfo_iops, &proc_fdinfo_fops), \
	DIR("ns", &ns_iops, &ns_fops)

const struct proc_entry proc_tgid_entries[] = {
	COMMON,
	TEXT("stat", 0444, show_tgid_stat, NULL),
	DIR("task", &proc_task_iops, &proc_task_fops),
	{ .name = NULL },
};
const struct proc_entry proc_tid_entries[] = {
	COMMON,
	TEXT("stat", 0444, show_tid_stat, NULL),
	TEXT("children", 0444, show_children, NULL),
	{ .name = NULL },
};
