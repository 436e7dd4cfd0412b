/*
 * execve(2), execveat(2): everything that can fail is done on a new address space beside the old one; then the other
 * threads die, and the task changes over.
 */
#include <asm/fcntl.h>
#include <linux/signal.h>
#include <asm/stat.h>
#include <linux/binfmts.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/mount.h>
#include <linux/personality.h>
#include <linux/resource.h>
#include <linux/securebits.h>
#include <linux/stat.h>
#include <linux/xattr.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/proc_events.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/keys.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/rseq.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"
#include "sentry/kernel/syscall_work.h"
#include "sentry/uring/io_uring.h"

#define USER_CS 0x33
#define USER_DS 0x2b
#define EFLAGS_IF 0x202

/* ---- argument strings ---- */

static long grow(struct exec_strings *s, u64 need)
{
	u64 cap = MAX(s->cap * 2, 4096ul);
	char *buf;

	while (cap < need)
		cap *= 2;
	buf = krealloc(s->buf, s->cap, cap);
	if (!buf)
		return -ENOMEM;
	s->buf = buf;
	s->cap = cap;
	return 0;
}

/* Room for n bytes and a NUL, within what execve(2) grants arguments and environment. */
static long make_room(struct exec_strings *s, u64 n)
{
	if (n >= MAX_ARG_STRLEN)
		return -E2BIG;
	if (s->len + n + 1 + (s->argc + s->envc + 1) * 8ul > s->limit)
		return -E2BIG;
	return s->len + n + 1 > s->cap ? grow(s, s->len + n + 1) : 0;
}

long exec_push(struct exec_strings *s, const char *str, u64 n)
{
	long err = make_room(s, n);

	if (err)
		return err;
	memcpy(s->buf + s->len, str, n);
	s->buf[s->len + n] = 0;
	s->len += n + 1;
	return 0;
}

long exec_prepend_arg(struct exec_strings *s, const char *str)
{
	u64 n = strlen(str);
	long err = make_room(s, n);

	if (err)
		return err;
	memmove(s->buf + n + 1, s->buf, s->len);
	memcpy(s->buf, str, n + 1);
	s->len += n + 1;
	s->args_len += n + 1;
	s->argc++;
	return 0;
}

void exec_drop_first_arg(struct exec_strings *s)
{
	u64 n;

	if (!s->argc)
		return;
	n = strlen(s->buf) + 1;
	memmove(s->buf, s->buf + n, s->len - n);
	s->len -= n;
	s->args_len -= n;
	s->argc--;
}

/* One user string straight into the buffer, which doubles until the string fits. */
static long push_user(struct exec_strings *s, u64 ustr)
{
	for (u64 want = 256;; want *= 4) {
		u64 room;
		long n, err;

		if (s->cap - s->len < want && (err = grow(s, s->len + want)))
			return err;
		room = MIN(s->cap - s->len, MAX_ARG_STRLEN);
		n = strncpy_from_user(s->buf + s->len, ustr, room);
		if (n == -ENAMETOOLONG && room < MAX_ARG_STRLEN)
			continue;
		if (n < 0)
			return n == -ENAMETOOLONG ? -E2BIG : n;
		err = make_room(s, (u64)n);
		if (!err)
			s->len += (u64)n + 1;
		return err;
	}
}

static long push_user_vector(struct exec_strings *s, u64 uvec, u32 *count)
{
	u64 ustr;
	long err;

	for (; uvec; uvec += 8) {
		if (get_user(ustr, uvec))
			return -EFAULT;
		if (!ustr)
			break;
		if ((err = push_user(s, ustr)))
			return err;
		++*count;
		if (fatal_signal_pending())
			return -ERESTARTNOINTR;
	}
	return 0;
}

static long push_kernel_vector(struct exec_strings *s, const char *const *vec, u32 *count)
{
	long err;

	for (; vec && *vec; vec++, ++*count)
		if ((err = exec_push(s, *vec, strlen(*vec))))
			return err;
	return 0;
}

static void strings_init(struct exec_strings *s)
{
	u64 limit = MIN(rlimit(RLIMIT_STACK) / 4, 6ul << 20);

	s->limit = MAX(limit, 128ul << 10);
}

/* An empty argv gets one empty argument: programs rely on argv[0]. */
static long strings_finish_args(struct exec_strings *s)
{
	if (!s->argc) {
		long err = exec_push(s, "", 0);

		if (err)
			return err;
		s->argc = 1;
	}
	s->args_len = s->len;
	return 0;
}

/* ---- the file ---- */

struct file *exec_open(s32 dirfd, const char *path, u32 lookup)
{
	struct file *f;
	struct path p;
	int err = path_lookup(dirfd, path, lookup | LOOKUP_READ, &p);

	if (err)
		return ERR_PTR(err);
	err = p.dentry->inode && S_ISLNK(p.dentry->inode->mode) ? -ELOOP : -EACCES;
	if (!p.dentry->inode || !S_ISREG(p.dentry->inode->mode) || p.mnt->flags & MS_NOEXEC)
		goto out;
	err = inode_permission(p.dentry->inode, MAY_EXEC);
	if (err)
		goto out;
	f = file_open_path(&p, O_RDONLY | O_EXEC_INTERNAL);
	path_put(&p);
	if (IS_ERR(f))
		return f;
	err = file_deny_write(f);
	if (!err)
		return f;
	file_put(f);
	return ERR_PTR(err);
out:
	path_put(&p);
	return ERR_PTR(err);
}

long exec_read_head(struct binprm *b)
{
	long n = kernel_read(b->file, b->head, sizeof(b->head), 0);

	if (n < 0)
		return n;
	b->head_len = (u32)n;
	return 0;
}

static long load(struct binprm *b)
{
	for (u32 depth = 0;; depth++) {
		long err = exec_read_head(b);

		if (err)
			return err;
		if (b->head_len < 2 || memcmp(b->head, "#!", 2))
			break;
		if (depth == EXEC_DEPTH_MAX)
			return -ELOOP;
		if ((err = load_script(b)))
			return err;
	}
	return 0;
}

/* ---- credentials: execve(2), capabilities(7) ---- */

static void apply_set_ids(struct binprm *b, struct cred *c)
{
	const struct inode *i = b->file->inode;

	if (b->file->path.mnt->flags & MS_NOSUID || current->no_new_privs || current->tracer)
		return;
	if (show_uid(c->user_ns, i->uid) == NO_ID || show_gid(c->user_ns, i->gid) == NO_ID)
		return;
	if (i->mode & S_ISUID)
		c->euid = i->uid;
	if ((i->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		c->egid = i->gid;
}

struct file_caps {
	kernel_cap_t permitted, inheritable;
	bool effective, present;
};

/* The security.capability attribute: capabilities(7), "File capability versioning". */
static void read_file_caps(const struct binprm *b, struct file_caps *fc)
{
	struct inode *i = b->file->inode;
	struct vfs_ns_cap_data d = { 0 };
	u32 magic;
	long n;

	if (!i->iop || !i->iop->getxattr || b->file->path.mnt->flags & MS_NOSUID || current->no_new_privs)
		return;
	n = i->iop->getxattr(i, "security.capability", &d, sizeof(d));
	magic = d.magic_etc & VFS_CAP_REVISION_MASK;
	if (!(n == XATTR_CAPS_SZ_2 && magic == VFS_CAP_REVISION_2) &&
	    !(n == XATTR_CAPS_SZ_3 && magic == VFS_CAP_REVISION_3 && d.rootid == 0))
		return;
	fc->present = true;
	fc->effective = d.magic_etc & VFS_CAP_FLAGS_EFFECTIVE;
	fc->permitted = (d.data[0].permitted | (u64)d.data[1].permitted << 32) & CAP_ALL;
	fc->inheritable = (d.data[0].inheritable | (u64)d.data[1].inheritable << 32) & CAP_ALL;
}

/* capabilities(7), "Transformation of capabilities during execve()". A user's file is asked; root has all anyway. */
static void compute_caps(struct binprm *b, struct cred *c, bool set_id)
{
	u32 root = make_uid(c->user_ns, 0);
	bool root_magic = !(c->securebits & (1u << SECURE_NOROOT)) && (c->euid == root || c->uid == root);
	struct file_caps fc = { 0 };

	if (root_magic) {
		fc.permitted = fc.inheritable = CAP_ALL;
		fc.effective = c->euid == root;
	} else if (c->user_ns == &init_user_ns) {
		read_file_caps(b, &fc);
	}
	if (set_id || fc.present)
		c->ambient = 0;
	c->permitted = (c->inheritable & fc.inheritable) | (c->bset & fc.permitted) | c->ambient;
	c->effective = fc.effective ? c->permitted : c->ambient;
	c->securebits &= ~(1u << SECURE_KEEP_CAPS);
}

static long new_creds(struct binprm *b)
{
	const struct cred *old = current->cred;
	struct cred *c = prepare_creds();
	bool set_id;

	if (!c)
		return -ENOMEM;
	apply_set_ids(b, c);
	set_id = c->euid != old->euid || c->egid != old->egid;
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	compute_caps(b, c, set_id);
	b->secure = c->uid != c->euid || c->gid != c->egid || (c->uid != make_uid(c->user_ns, 0) && c->permitted & ~c->ambient);
	b->cred = c;
	return 0;
}

/* ---- the change-over ---- */

static bool alone(const struct process *p)
{
	return READ_ONCE(p->nthreads) == 1;
}

static long kill_other_threads(struct task *t)
{
	struct process *p = t->proc;
	long err = 0;

	spin_lock(&t->sighand->lock);
	if (p->flags & PROC_GROUP_EXIT || p->group_exec_task)
		err = -EAGAIN;
	else {
		p->group_exec_task = t;
		zap_other_threads(t);
	}
	spin_unlock(&t->sighand->lock);
	if (err)
		return err;
	for (;;) {
		set_current_state(TASK_KILLABLE);
		if (alone(p))
			break;
		if (fatal_signal_pending()) {
			err = -EAGAIN;
			break;
		}
		schedule();
	}
	set_current_state(TASK_RUNNING);
	return err;
}

/* The only thread left becomes the leader, under the group's number. */
static void take_leadership(struct task *t)
{
	struct process *p = t->proc;
	struct task *old = p->leader;
	struct pid *tid = t->pid;

	spin_lock(&tasklist_lock);
	list_del(&t->pid_node);
	list_del(&old->pid_node);
	t->pid = old->pid;
	old->pid = tid;
	list_add_tail(&t->pid_node, &t->pid->tasks[PIDTYPE_PID]);
	t->start_ns = old->start_ns;
	t->exit_signal = old->exit_signal;
	p->leader = t;
	detach_task(old);
	ptrace_unlink(old);
	spin_unlock(&tasklist_lock);
	task_put(old);
}

static long become_only_thread(struct task *t)
{
	long err = 0;

	if (!alone(t->proc))
		err = kill_other_threads(t);
	if (!err && t->proc->leader != t)
		take_leadership(t);
	spin_lock(&t->sighand->lock);
	if (t->proc->group_exec_task == t)
		t->proc->group_exec_task = NULL;
	spin_unlock(&t->sighand->lock);
	return err;
}

static long unshare_parts(struct task *t)
{
	if (refcount_read(&t->sighand->ref) > 1) {
		struct sighand *fresh = sighand_copy(t->sighand), *old = t->sighand;

		if (!fresh)
			return -ENOMEM;
		spin_lock(&tasklist_lock);
		spin_lock(&old->lock);
		t->sighand = fresh;
		spin_unlock(&old->lock);
		spin_unlock(&tasklist_lock);
		if (t->retired_sighand)
			sighand_put(t->retired_sighand);
		t->retired_sighand = old;
	}
	if (t->files_shared) {
		struct files *fresh = files_copy(t->files), *old = t->files;

		if (IS_ERR_OR_NULL(fresh))
			return fresh ? PTR_ERR(fresh) : -ENOMEM;
		spin_lock(&t->alloc_lock);
		t->files = fresh;
		spin_unlock(&t->alloc_lock);
		t->files_shared = false;
		files_put(old);
	}
	return 0;
}

static void switch_mm(struct task *t, struct mm *mm)
{
	struct mm *old = t->mm;

	if (old) {
		leave_mm(t);
		t->proc->maxrss = MAX(t->proc->maxrss, mm_peak_rss(old));
		platform->switch_out(&t->ctx);
	}
	spin_lock(&t->alloc_lock);
	t->mm = mm;
	spin_unlock(&t->alloc_lock);
	mm_users_put(old);
}

static void set_comm(struct task *t, const char *filename)
{
	const char *base = kstrrchr(filename, '/');

	spin_lock(&t->sighand->lock);
	kstrlcpy(t->comm, base ? base + 1 : filename, sizeof(t->comm));
	spin_unlock(&t->sighand->lock);
}

static void start_registers(struct task *t, const struct binprm *b)
{
	memset(&t->ctx.regs, 0, sizeof(t->ctx.regs));
	t->ctx.regs.rip = b->entry;
	t->ctx.regs.rsp = b->sp;
	t->ctx.regs.cs = USER_CS;
	t->ctx.regs.ss = USER_DS;
	t->ctx.regs.eflags = EFLAGS_IF;
	t->ctx.regs.orig_rax = ~0ull;
	t->ctx.regs_dirty = true;
	platform->fpu_init(t->ctx.fpu);
	platform->fpu_reload(&t->ctx);
}

static void reset_attributes(struct task *t, const struct binprm *b)
{
	struct process *p = t->proc;

	ptrace_clear_debug(t);
	keys_exec(t);
	t->altstack = (struct sigaltstack_val){ .flags = SS_DISABLE };
	t->robust_list = 0;
	t->restart.fn = NULL;
	rseq_exec(t);
	user_dispatch_clear(t);
	exit_itimers(p);
	sighand_flush_handlers(t);
	if (b->secure || b->cred->euid != b->cred->uid) {
		t->pdeath_signal = 0;
		p->personality &= ~(u32)PER_CLEAR_ON_SETID;
	}
	p->dumpable = !b->secure;
	p->did_exec = true;
	p->exit_signal = SIGCHLD;
	t->exit_signal = SIGCHLD;
}

static void change_over(struct task *t, struct binprm *b, s32 old_tid)
{
	switch_mm(t, b->mm);
	b->mm = NULL;
	reset_attributes(t, b);
	files_close_on_exec(t->files);
	set_comm(t, b->filename);
	commit_creds(b->cred);
	b->cred = NULL;
	start_registers(t, b);
	stat_inc(STAT_EXEC);
	proc_event(PROC_EVENT_EXEC, t, NULL, 0);
	ptrace_exec(t, old_tid);
}

static long do_exec(struct binprm *b)
{
	struct task *t = current;
	s32 old_tid = task_tid(t);
	long err;

	if ((err = load(b)) || (err = new_creds(b)) || (err = load_elf(b)))
		return err;
	uring_task_exit();
	if ((err = become_only_thread(t)) || (err = unshare_parts(t)))
		return err;
	change_over(t, b, old_tid);
	return 0;
}

/* Consumes what b holds. */
static long exec_and_release(struct binprm *b)
{
	struct process *p = current->proc;
	long err = mutex_lock_killable(&p->exec_lock);

	if (!err) {
		err = do_exec(b);
		mutex_unlock(&p->exec_lock);
	}
	if (b->mm)
		mm_users_put(b->mm);
	if (b->cred)
		cred_put(b->cred);
	if (!IS_ERR_OR_NULL(b->file))
		file_put(b->file);
	kfree(b->args.buf);
	kfree(b->interp);
	kfree(b->filename);
	kfree(b);
	return err;
}

static struct binprm *binprm_new(char *filename)
{
	struct binprm *b = kzalloc(sizeof(*b));

	if (!b || !filename) {
		kfree(filename);
		kfree(b);
		return NULL;
	}
	b->filename = filename;
	strings_init(&b->args);
	return b;
}

long kernel_execve(const char *path, const char *const *argv, const char *const *envp)
{
	struct binprm *b = binprm_new(kstrdup(path));
	long err = 0;

	if (!b)
		return -ENOMEM;
	b->file = exec_open(AT_FDCWD, path, LOOKUP_FOLLOW);
	if (IS_ERR(b->file))
		err = PTR_ERR(b->file);
	if (!err)
		err = push_kernel_vector(&b->args, argv, &b->args.argc);
	if (!err)
		err = strings_finish_args(&b->args);
	if (!err)
		err = push_kernel_vector(&b->args, envp, &b->args.envc);
	if (!err)
		return exec_and_release(b);
	if (!IS_ERR(b->file))
		file_put(b->file);
	kfree(b->args.buf);
	kfree(b->filename);
	kfree(b);
	return err;
}

/* ---- the calls ---- */

/* What an executed descriptor is called: AT_EXECFN, and the name that a script is opened by. */
static char *fd_name(s32 dirfd, char *name)
{
	char *full = kmalloc(PATH_MAX + 32);

	if (full && *name)
		ksnprintf(full, PATH_MAX + 32, "/dev/fd/%d/%s", dirfd, name);
	else if (full)
		ksnprintf(full, PATH_MAX + 32, "/dev/fd/%d", dirfd);
	kfree(name);
	return full;
}

static bool fd_is_cloexec(s32 fd)
{
	u32 fd_flags = 0;
	struct file *f = fd >= 0 ? files_peek(current->files, fd, &fd_flags) : NULL;

	if (f)
		file_put(f);
	return fd_flags & FD_CLOEXEC;
}

static long exec_user_vectors(struct binprm *b, u64 uargv, u64 uenvp)
{
	long err = push_user_vector(&b->args, uargv, &b->args.argc);

	if (!err)
		err = strings_finish_args(&b->args);
	if (!err)
		err = push_user_vector(&b->args, uenvp, &b->args.envc);
	return err;
}

static long execve_common(s32 dirfd, u64 uname, u64 uargv, u64 uenvp, u32 flags)
{
	u32 lookup = (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	char *name = flags & AT_EMPTY_PATH ? getname_empty(uname) : getname(uname);
	struct binprm *b;
	struct file *f;
	bool by_fd;
	long err;

	if (IS_ERR(name))
		return PTR_ERR(name);
	by_fd = dirfd != AT_FDCWD && name[0] != '/';
	f = exec_open(dirfd, name, lookup);
	if (IS_ERR(f)) {
		kfree(name);
		return PTR_ERR(f);
	}
	b = binprm_new(by_fd ? fd_name(dirfd, name) : name);
	if (!b) {
		file_put(f);
		return -ENOMEM;
	}
	b->file = f;
	b->path_inaccessible = by_fd && fd_is_cloexec(dirfd);
	err = exec_user_vectors(b, uargv, uenvp);
	if (!err)
		return exec_and_release(b);
	file_put(b->file);
	kfree(b->args.buf);
	kfree(b->filename);
	kfree(b);
	return err;
}

SYSCALL3(execve, u64, uname, u64, uargv, u64, uenvp)
{
	return execve_common(AT_FDCWD, uname, uargv, uenvp, 0);
}

SYSCALL5(execveat, s32, dirfd, u64, uname, u64, uargv, u64, uenvp, s32, flags)
{
	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	return execve_common(dirfd, uname, uargv, uenvp, (u32)flags);
}
