/*
 * /proc/PID and /proc/PID/task/TID: directories made on lookup, one inode an entry, holding the struct pid so that a
 * number used again is not mistaken for the process of before.
 */
#include "fs/proc/pid.h"

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/proc/proc.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"

struct task *proc_task_get(const struct inode *inode)
{
	const struct proc_inode *pi = inode->priv;

	return pid_task_get(pi->pid);
}

void proc_evict_inode(struct inode *inode)
{
	struct proc_inode *pi = inode->priv;

	if (inode->flags & PROC_PID_INODE) {
		pid_put(pi->pid);
		kfree(pi);
	}
}

/* A new inode that belongs to a task; owner and group are the task's, as proc(5) says for a dumpable one. */
static struct inode *new_inode(struct super_block *sb, struct task *t, u32 mode, const struct proc_entry *e)
{
	struct inode *inode = inode_alloc(sb);
	struct proc_inode *pi = kzalloc(sizeof(*pi));

	if (!inode || !pi) {
		if (inode)
			inode_put(inode);
		kfree(pi);
		return NULL;
	}
	pi->pid = pid_get(t->pid);
	pi->entry = e;
	inode->flags |= PROC_PID_INODE;
	inode->priv = pi;
	inode->mode = mode;
	inode->nlink = S_ISDIR(mode) ? 2 : 1;
	inode->uid = t->cred->euid;
	inode->gid = t->cred->egid;
	return inode;
}

static bool revalidate(struct dentry *dentry)
{
	struct task *t = proc_task_get(dentry->inode);

	if (t)
		task_put(t);
	return t != NULL;
}

/* ---- directories with a fixed list of entries ---- */

static long entry_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct proc_inode *pi = file->inode->priv;

	return text_read(file, to, pos, &pi->entry->text);
}

static long entry_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct proc_inode *pi = file->inode->priv;

	return text_write(file, from, pos, &pi->entry->text);
}

static const struct file_ops entry_fops = {
	.read = entry_read, .write = entry_write, .release = text_release, .llseek = generic_file_llseek,
};
static const struct inode_ops entry_iops = { .revalidate = revalidate, .setattr = simple_setattr };

static int add_entry(struct inode *dir, struct dentry *dentry, struct task *t, const struct proc_entry *e)
{
	struct inode *inode = new_inode(dir->sb, t, e->mode, e);

	if (!inode)
		return -ENOMEM;
	inode->iop = e->iop ? e->iop : &entry_iops;
	inode->fop = e->fop ? e->fop : &entry_fops;
	d_set_inode(dentry, inode);
	return 0;
}

static int list_lookup(struct inode *dir, struct dentry *dentry, const struct proc_entry *list)
{
	struct task *t = proc_task_get(dir);
	int err = 0;

	dentry->flags |= DCACHE_NOCACHE;
	if (!t)
		return -ENOENT;
	for (; list->name; list++) {
		if (!kstrcmp(dentry->name, list->name)) {
			err = add_entry(dir, dentry, t, list);
			task_put(t);
			return err;
		}
	}
	task_put(t);
	d_set_inode(dentry, NULL);
	return 0;
}

static u32 dtype(u32 mode) { return (mode & S_IFMT) >> 12; }

static bool emit_dots(struct file *file, struct dir_context *ctx)
{
	if (ctx->pos == 0) {
		if (!ctx->emit(ctx, ".", 1, 1, file->inode->ino, 4))
			return false;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		if (!ctx->emit(ctx, "..", 2, 2, file->inode->ino, 4))
			return false;
		ctx->pos = 2;
	}
	return true;
}

static int list_iterate(struct file *file, struct dir_context *ctx, const struct proc_entry *list)
{
	struct task *t = proc_task_get(file->inode);
	u64 i = 2;

	if (!t)
		return -ENOENT;
	task_put(t);
	if (!emit_dots(file, ctx))
		return 0;
	for (; list->name; list++, i++) {
		if (i < ctx->pos)
			continue;
		if (!ctx->emit(ctx, list->name, (u32)strlen(list->name), i + 1, file->inode->ino + i, dtype(list->mode)))
			return 0;
		ctx->pos = i + 1;
	}
	return 0;
}

/* ---- numbered directories: fd, fdinfo, task ---- */

/* A whole decimal number without leading zeros. */
static bool parse_number(const char *name, s32 *out)
{
	u64 v;

	if ((name[0] == '0' && name[1]) || kstrtou64(name, 10, &v) || v > INT32_MAX)
		return false;
	*out = (s32)v;
	return true;
}

static struct files *task_files_get(struct task *t)
{
	struct files *f;

	spin_lock(&t->alloc_lock);
	f = t->files ? files_get(t->files) : NULL;
	spin_unlock(&t->alloc_lock);
	return f;
}

/* The open file behind /proc/PID/fd/N, with a reference, or NULL. */
static struct file *peek_file(const struct inode *inode, s32 fd, u32 *fd_flags)
{
	struct task *t = proc_task_get(inode);
	struct files *files;
	struct file *file = NULL;

	if (!t)
		return NULL;
	files = task_files_get(t);
	if (files) {
		file = files_peek(files, fd, fd_flags);
		files_put(files);
	}
	task_put(t);
	return file;
}

static s32 inode_fd(const struct inode *inode) { return ((struct proc_inode *)inode->priv)->fd; }

static int fd_get_link(struct inode *inode, struct path *out)
{
	u32 flags;
	struct file *file = peek_file(inode, inode_fd(inode), &flags);

	if (!file)
		return -ENOENT;
	*out = file->path;
	path_get(out);
	file_put(file);
	return 0;
}

static char *path_string(const struct path *p)
{
	char *buf = kmalloc(PAGE_SIZE), *name, *copy;

	if (!buf)
		return ERR_PTR(-ENOMEM);
	name = d_path(p, buf, PAGE_SIZE);
	copy = IS_ERR(name) ? name : kstrdup(name);
	kfree(buf);
	return copy ? copy : ERR_PTR(-ENOMEM);
}

/* What the link shows for the object that get_link gives. */
static char *link_text(struct inode *inode)
{
	struct path p;
	char *text;
	int err = inode->iop->get_link(inode, &p);

	if (err)
		return ERR_PTR(err);
	text = path_string(&p);
	path_put(&p);
	return text;
}

static bool fd_revalidate(struct dentry *dentry)
{
	u32 flags;
	struct file *file = peek_file(dentry->inode, inode_fd(dentry->inode), &flags);

	if (file)
		file_put(file);
	return file != NULL;
}

static const struct inode_ops fd_link_iops = { .get_link = fd_get_link, .readlink = link_text, .revalidate = fd_revalidate };

static int show_fdinfo(struct seq *s, struct inode *inode)
{
	u32 fd_flags;
	struct file *file = peek_file(inode, inode_fd(inode), &fd_flags);
	char *more;

	if (!file)
		return -ENOENT;
	seq_printf(s, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t%d\nino:\t%lu\n", file->pos,
		   file->flags | (fd_flags ? O_CLOEXEC : 0), file->path.mnt ? file->path.mnt->id : 0, file->inode->ino);
	more = file->fop->show_fdinfo ? kzalloc(PAGE_SIZE) : NULL;
	if (more && file->fop->show_fdinfo(file, more, PAGE_SIZE) > 0)
		seq_puts(s, more);
	kfree(more);
	file_put(file);
	return 0;
}

static const struct proc_entry fdinfo_entry = { "", S_IFREG | 0400, .text = { show_fdinfo, NULL } };
static const struct inode_ops fdinfo_iops = { .revalidate = fd_revalidate };

static int numbered_fd_lookup(struct inode *dir, struct dentry *dentry, bool link)
{
	struct proc_inode *pi;
	struct inode *inode;
	struct file *file;
	struct task *t;
	u32 flags;
	s32 fd;

	dentry->flags |= DCACHE_NOCACHE;
	if (!parse_number(dentry->name, &fd) || !(file = peek_file(dir, fd, &flags))) {
		d_set_inode(dentry, NULL);
		return 0;
	}
	t = proc_task_get(dir);
	inode = t ? new_inode(dir->sb, t, link ? S_IFLNK | ((file->mode & FMODE_READ ? 0500u : 0u) | (file->mode & FMODE_WRITE ? 0300u : 0u))
					       : S_IFREG | 0400, &fdinfo_entry)
		  : NULL;
	if (t)
		task_put(t);
	file_put(file);
	if (!inode)
		return -ENOMEM;
	pi = inode->priv;
	pi->fd = fd;
	inode->iop = link ? &fd_link_iops : &fdinfo_iops;
	if (!link)
		inode->fop = &entry_fops;
	d_set_inode(dentry, inode);
	return 0;
}

static int fd_lookup(struct inode *dir, struct dentry *dentry) { return numbered_fd_lookup(dir, dentry, true); }
static int fdinfo_lookup(struct inode *dir, struct dentry *dentry) { return numbered_fd_lookup(dir, dentry, false); }

static int numbered_fd_iterate(struct file *file, struct dir_context *ctx, u32 type)
{
	struct task *t = proc_task_get(file->inode);
	struct files *files = t ? task_files_get(t) : NULL;
	char name[16];
	int n;

	if (t)
		task_put(t);
	if (!files)
		return -ENOENT;
	if (emit_dots(file, ctx))
		for (s32 fd = files_next(files, (s32)ctx->pos - 2); fd >= 0; fd = files_next(files, fd + 1)) {
			n = kscnprintf(name, sizeof(name), "%d", fd);
			if (!ctx->emit(ctx, name, (u32)n, (u64)fd + 3, file->inode->ino + (u64)fd + 1, type))
				break;
			ctx->pos = (u64)fd + 3;
		}
	files_put(files);
	return 0;
}

static int fd_iterate(struct file *file, struct dir_context *ctx) { return numbered_fd_iterate(file, ctx, 10); }
static int fdinfo_iterate(struct file *file, struct dir_context *ctx) { return numbered_fd_iterate(file, ctx, 8); }

const struct inode_ops proc_fd_iops = { .lookup = fd_lookup, .revalidate = revalidate };
const struct file_ops proc_fd_fops = { .iterate = fd_iterate, .llseek = generic_file_llseek };
const struct inode_ops proc_fdinfo_iops = { .lookup = fdinfo_lookup, .revalidate = revalidate };
const struct file_ops proc_fdinfo_fops = { .iterate = fdinfo_iterate, .llseek = generic_file_llseek };

/* ---- exe, cwd, root ---- */

static int exe_get_link(struct inode *inode, struct path *out)
{
	struct task *t = proc_task_get(inode);
	struct mm *mm = t ? task_get_mm(t) : NULL;
	int err = -ENOENT;

	if (mm) {
		down_read(&mm->lock);
		if (mm->exe_file) {
			*out = mm->exe_file->path;
			path_get(out);
			err = 0;
		}
		up_read(&mm->lock);
		mm_users_put(mm);
	}
	if (t)
		task_put(t);
	return err;
}

static int fs_get_link(struct inode *inode, struct path *out, bool root)
{
	struct task *t = proc_task_get(inode);
	struct fs_state *fs = NULL;

	if (t) {
		spin_lock(&t->alloc_lock);
		fs = t->fs ? fs_state_get(t->fs) : NULL;
		spin_unlock(&t->alloc_lock);
		task_put(t);
	}
	if (!fs)
		return -ENOENT;
	spin_lock(&fs->lock);
	*out = root ? fs->root : fs->cwd;
	path_get(out);
	spin_unlock(&fs->lock);
	fs_state_put(fs);
	return 0;
}

static int cwd_get_link(struct inode *inode, struct path *out) { return fs_get_link(inode, out, false); }
static int root_get_link(struct inode *inode, struct path *out) { return fs_get_link(inode, out, true); }

const struct inode_ops proc_exe_iops = { .get_link = exe_get_link, .readlink = link_text, .revalidate = revalidate };
const struct inode_ops proc_cwd_iops = { .get_link = cwd_get_link, .readlink = link_text, .revalidate = revalidate };
const struct inode_ops proc_root_iops = { .get_link = root_get_link, .readlink = link_text, .revalidate = revalidate };

/* ---- task directories and processes ---- */

/* By the number that the namespace of the mount knows. */
static struct task *find_in(const struct super_block *sb, s32 nr)
{
	struct pid *pid = pid_find_in(proc_pid_ns(sb), nr);
	struct task *t = pid ? pid_task_get(pid) : NULL;

	pid_put(pid);
	return t;
}

static int tid_dir_lookup(struct inode *dir, struct dentry *dentry) { return list_lookup(dir, dentry, proc_tid_entries); }
static int tid_dir_iterate(struct file *f, struct dir_context *ctx) { return list_iterate(f, ctx, proc_tid_entries); }
static const struct inode_ops tid_dir_iops = { .lookup = tid_dir_lookup, .revalidate = revalidate };
static const struct file_ops tid_dir_fops = { .iterate = tid_dir_iterate, .llseek = generic_file_llseek };

static int task_lookup(struct inode *dir, struct dentry *dentry)
{
	struct task *leader = proc_task_get(dir), *t = NULL;
	struct inode *inode = NULL;
	s32 tid;

	dentry->flags |= DCACHE_NOCACHE;
	if (!leader)
		return -ENOENT;
	if (parse_number(dentry->name, &tid))
		t = find_in(dir->sb, tid);
	if (t && t->proc == leader->proc) {
		inode = new_inode(dir->sb, t, S_IFDIR | 0555, NULL);
		if (inode) {
			inode->iop = &tid_dir_iops;
			inode->fop = &tid_dir_fops;
		}
	}
	if (t)
		task_put(t);
	task_put(leader);
	d_set_inode(dentry, inode);
	return 0;
}

static int task_iterate(struct file *file, struct dir_context *ctx)
{
	struct task *leader = proc_task_get(file->inode), *t;
	char name[16];
	s32 tids[64];

	if (!leader)
		return -ENOENT;
	while (emit_dots(file, ctx)) {
		u32 n = 0, skip = (u32)ctx->pos - 2, i = 0;

		spin_lock(&tasklist_lock);
		list_for_each(t, &leader->proc->threads, thread_node) {
			if (i++ < skip)
				continue;
			if (n == ARRAY_SIZE(tids))
				break;
			tids[n++] = pid_nr_in(t->pid, proc_pid_ns(file->inode->sb));
		}
		spin_unlock(&tasklist_lock);
		if (!n)
			break;
		for (i = 0; i < n; i++) {
			int len = kscnprintf(name, sizeof(name), "%d", tids[i]);

			if (!ctx->emit(ctx, name, (u32)len, ctx->pos + 1, (u64)tids[i] + 1000000, 4))
				goto out;
			ctx->pos++;
		}
	}
out:
	task_put(leader);
	return 0;
}

const struct inode_ops proc_task_iops = { .lookup = task_lookup, .revalidate = revalidate };
const struct file_ops proc_task_fops = { .iterate = task_iterate, .llseek = generic_file_llseek };

static int tgid_dir_lookup(struct inode *dir, struct dentry *dentry) { return list_lookup(dir, dentry, proc_tgid_entries); }
static int tgid_dir_iterate(struct file *f, struct dir_context *ctx) { return list_iterate(f, ctx, proc_tgid_entries); }
static const struct inode_ops tgid_dir_iops = { .lookup = tgid_dir_lookup, .revalidate = revalidate };
static const struct file_ops tgid_dir_fops = { .iterate = tgid_dir_iterate, .llseek = generic_file_llseek };

struct pid *proc_directory_pid(const struct file *f)
{
	return f->fop == &tgid_dir_fops ? pid_get(((struct proc_inode *)f->inode->priv)->pid) : NULL;
}

int proc_pid_lookup(struct inode *root, struct dentry *dentry)
{
	struct inode *inode = NULL;
	struct task *t;
	s32 nr;

	dentry->flags |= DCACHE_NOCACHE;
	t = parse_number(dentry->name, &nr) ? find_in(root->sb, nr) : NULL;
	if (t) {
		inode = new_inode(root->sb, t, S_IFDIR | 0555, NULL);
		if (inode) {
			inode->iop = &tgid_dir_iops;
			inode->fop = &tgid_dir_fops;
			inode->nlink = 9;
		}
		task_put(t);
	}
	d_set_inode(dentry, inode);
	return t && !inode ? -ENOMEM : 0;
}

int proc_pid_iterate(struct file *file, struct dir_context *ctx, u64 first)
{
	const struct pid_ns *ns = proc_pid_ns(file->inode->sb);
	s32 nr = ctx->pos > first ? (s32)(ctx->pos - first) : 1;
	char name[16];

	for (nr = next_tgid(ns, nr); nr > 0; nr = next_tgid(ns, nr + 1)) {
		int len = kscnprintf(name, sizeof(name), "%d", nr);

		if (!ctx->emit(ctx, name, (u32)len, first + (u64)nr + 1, (u64)nr + 500000, 4))
			return 0;
		ctx->pos = first + (u64)nr + 1;
	}
	return 0;
}
