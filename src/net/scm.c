#include "net/scm.h"

#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/resource.h>

#include "base/string.h"
#include "net/unix/unix.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/uring/io_uring.h"

static spinlock_t dead_lock = SPINLOCK_INIT;
static LIST_HEAD(dead_list); /* scm_fp.node; dead_lock */
static bool dead_draining;   /* dead_lock */

static struct scm_fp *fp_alloc(u32 n)
{
	struct scm_fp *fp = kzalloc(sizeof(*fp) + n * sizeof(fp->files[0]));

	if (fp)
		list_init(&fp->node);
	return fp;
}

static void fp_close(struct scm_fp *fp)
{
	unix_notinflight(fp);
	for (u32 i = 0; i < fp->count; i++)
		file_put(fp->files[i]);
	kfree(fp);
}

/* Closing a socket purges its queue, which may hold sockets whose queues hold sockets: a list instead of recursion. */
void scm_fp_put(struct scm_fp *fp)
{
	spin_lock(&dead_lock);
	list_add_tail(&fp->node, &dead_list);
	if (dead_draining) {
		spin_unlock(&dead_lock);
		return;
	}
	dead_draining = true;
	while (!list_empty(&dead_list)) {
		fp = list_first(&dead_list, struct scm_fp, node);
		list_del(&fp->node);
		spin_unlock(&dead_lock);
		fp_close(fp);
		spin_lock(&dead_lock);
	}
	dead_draining = false;
	spin_unlock(&dead_lock);
}

struct scm_fp *scm_fp_dup(struct scm_fp *fp)
{
	struct scm_fp *copy = fp_alloc(fp->count);

	if (!copy)
		return NULL;
	for (u32 i = 0; i < fp->count; i++)
		copy->files[i] = file_get(fp->files[i]);
	copy->count = fp->count;
	return copy;
}

static int scm_take_fds(struct scm *s, const s32 *fds, u32 n)
{
	struct scm_fp *fp = s->fp;

	if (!fp) {
		fp = s->fp = fp_alloc(SCM_MAX_FD);
		if (!fp)
			return -ENOMEM;
	}
	if (fp->count + n > SCM_MAX_FD)
		return -EINVAL;
	for (u32 i = 0; i < n; i++) {
		struct file *f = fget_raw(fds[i]);

		if (!f)
			return -EBADF;
		fp->files[fp->count++] = f;
		if (is_uring(f)) /* it may hold sockets that the descriptors lie in: refused as Linux does from 6.8 on */
			return -EINVAL;
	}
	return 0;
}

/* What the sender names becomes numbers of the first namespaces: unix(7), SCM_CREDENTIALS. */
static int scm_check_cred(struct ucred_k *c)
{
	const struct cred *me = current->cred;
	struct pid *pid = NULL;

	c->uid = uid_in(c->uid);
	c->gid = gid_in(c->gid);
	if (c->uid == NO_ID || c->gid == NO_ID)
		return -EINVAL;
	if (c->pid != task_tgid(current) && !ns_capable(task_pid_ns(current)->c.owner, CAP_SYS_ADMIN))
		return -EPERM;
	if (c->uid != me->uid && c->uid != me->euid && c->uid != me->suid && !self_capable(CAP_SETUID))
		return -EPERM;
	if (c->gid != me->gid && c->gid != me->egid && c->gid != me->sgid && !self_capable(CAP_SETGID))
		return -EPERM;
	pid = pid_find_get(c->pid);
	if (!pid)
		return -ESRCH;
	c->pid = pid->nr;
	pid_put(pid);
	return 0;
}

static int scm_one(struct sock *sk, const struct cmsghdr_k *c, struct scm *s)
{
	u64 n = c->len - sizeof(*c);

	switch (c->type) {
	case SCM_RIGHTS:
		if (sk->family != AF_UNIX)
			return -EINVAL;
		return scm_take_fds(s, (const s32 *)(c + 1), n / sizeof(s32));
	case SCM_CREDENTIALS:
		if (n != sizeof(s->cred))
			return -EINVAL;
		memcpy(&s->cred, c + 1, sizeof(s->cred));
		s->explicit_cred = true;
		return scm_check_cred(&s->cred);
	}
	return -EINVAL;
}

int scm_send(struct sock *sk, struct msg *m, struct scm *s)
{
	const struct cmsghdr_k *c;
	u64 off = 0;
	int err = 0;

	memset(s, 0, sizeof(*s));
	sock_set_cred(&s->cred);
	s->cred.uid = current->cred->uid;
	s->cred.gid = current->cred->gid;
	if (!m->ctl_len)
		return 0;
	while (!err && (c = next_cmsg(m, &off, &err)))
		if (c->level == SOL_SOCKET)
			err = scm_one(sk, c, s);
	if (!err && s->fp && !s->fp->count) {
		kfree(s->fp);
		s->fp = NULL;
	}
	if (!err && s->fp)
		err = unix_inflight(s->fp);
	if (err)
		scm_drop(s);
	return err;
}

void scm_drop(struct scm *s)
{
	if (s->fp)
		scm_fp_put(s->fp);
	s->fp = NULL;
}

static s32 install_one(struct file *f, u32 cloexec, u64 udst)
{
	s32 fd = fd_reserve(cloexec, 0);

	if (fd < 0)
		return fd;
	if (put_user(fd, udst)) {
		fd_unreserve(fd);
		return -EFAULT;
	}
	fd_install(fd, file_get(f));
	return 0;
}

/* As many as fit in the buffer and the table; the others are closed and MSG_CTRUNC tells. */
static void scm_install_fds(struct msg *m, struct scm_fp *fp)
{
	u32 cloexec = m->flags & MSG_CMSG_CLOEXEC ? O_CLOEXEC : 0, n = 0, room = 0;
	struct cmsghdr_k h = { .level = SOL_SOCKET, .type = SCM_RIGHTS };
	u64 space;

	if (m->uctl_left > sizeof(h))
		room = MIN((m->uctl_left - sizeof(h)) / sizeof(s32), fp->count);
	while (n < room && !install_one(fp->files[n], cloexec, m->uctl + sizeof(h) + n * sizeof(s32)))
		n++;
	if (n < fp->count)
		m->out_flags |= MSG_CTRUNC;
	if (!n)
		return;
	h.len = sizeof(h) + n * sizeof(s32);
	if (copy_to_user(m->uctl, &h, sizeof(h)))
		return;
	space = MIN(CMSG_ALIGN_K(h.len), m->uctl_left);
	m->uctl += space;
	m->uctl_left -= space;
	m->uctl_used += space;
}

void scm_recv(struct sock *sk, struct msg *m, struct scm *s)
{
	struct ucred_k shown = sock_show_cred(&s->cred);
	if (sk->passcred)
		put_cmsg(m, SOL_SOCKET, SCM_CREDENTIALS, &shown, sizeof(shown));
	if (s->fp) {
		unix_notinflight(s->fp);
		scm_install_fds(m, s->fp);
	}
	scm_drop(s);
}
