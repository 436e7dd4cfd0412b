/* The gofer process: opens the trees, locks itself down, answers requests until its channels close. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/exit.h"
#include "host/gofer/gofer_priv.h"
#include "host/lockdown.h"
#include "seccomp_gofer.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

struct tree gofer_trees[SANDBOX_TREES_MAX];
u32 gofer_ntrees;
int gofer_proc_fd = -1;
u32 gofer_uid, gofer_gid;

static _Alignas(8) char in[GOFER_MSG_MAX], out[GOFER_MSG_MAX];

static const struct {
	int (*fn)(struct node *n, struct request *r);
	bool changes;
} ops[GOFER_OP_NR] = {
	[GOFER_WALK] = { op_walk, false },
	[GOFER_GETATTR] = { op_getattr, false },
	[GOFER_SETATTR] = { op_setattr, true },
	[GOFER_OPEN] = { op_open, false },
	[GOFER_CREATE] = { op_create, true },
	[GOFER_READDIR] = { op_readdir, false },
	[GOFER_READLINK] = { op_readlink, false },
	[GOFER_MKDIR] = { op_mkdir, true },
	[GOFER_SYMLINK] = { op_symlink, true },
	[GOFER_LINK] = { op_link, true },
	[GOFER_MKNOD] = { op_mknod, true },
	[GOFER_UNLINK] = { op_unlink, true },
	[GOFER_RENAME] = { op_rename, true },
	[GOFER_STATFS] = { op_statfs, false },
	[GOFER_GETXATTR] = { op_getxattr, false },
	[GOFER_LISTXATTR] = { op_listxattr, false },
	[GOFER_SETXATTR] = { op_setxattr, true },
	[GOFER_REMOVEXATTR] = { op_removexattr, true },
	[GOFER_SYNC] = { op_sync, true },
};

static __noreturn void die(const char *what, int err)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "runsc-c: gofer: %s: %s\n", what, strerror(-err));

	host_complain(line, (size_t)MIN(n, (int)sizeof(line) - 1));
	_exit(125);
}

static int forget(const struct request *r)
{
	u32 n = r->req->forget.n;

	if (n > r->body_len / sizeof(u64))
		return -EINVAL;
	for (u32 i = 0; i < n; i++) {
		u64 id;

		memcpy(&id, r->body + i * sizeof(id), sizeof(id));
		node_forget(id);
	}
	return 0;
}

static int perform(struct request *r)
{
	const struct gofer_req *req = r->req;
	struct node *n;

	if (req->op == GOFER_FORGET)
		return forget(r);
	if (req->op == GOFER_CONNECT)
		return -EPERM; /* sockets of the host stay outside */
	if (req->op >= GOFER_OP_NR || !ops[req->op].fn)
		return -ENOSYS;
	n = node_get(req->node);
	if (!n)
		return -ESTALE;
	if (ops[req->op].changes && node_readonly(n))
		return -EROFS;
	return ops[req->op].fn(n, r);
}

static void send_reply(int channel, struct request *r)
{
	struct iovec iov = { r->rep, r->rep->len };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (r->pass_fd >= 0 && !r->rep->status) {
		struct cmsghdr *c = &control.align;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &r->pass_fd, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	/* A sandbox that is gone is noticed at the next receive. */
	while (sendmsg(channel, &msg, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	if (r->pass_fd >= 0)
		close(r->pass_fd);
}

/* False: the other end is closed. */
static bool serve_one(int channel)
{
	struct request r = { .req = (const struct gofer_req *)in, .body = in + sizeof(struct gofer_req),
			     .rep = (struct gofer_rep *)out, .out = out + sizeof(struct gofer_rep),
			     .out_cap = sizeof(out) - sizeof(struct gofer_rep), .pass_fd = -1 };
	ssize_t n = recv(channel, in, sizeof(in), MSG_TRUNC);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	memset(out, 0, sizeof(struct gofer_rep));
	if ((size_t)n > sizeof(in) || (size_t)n < sizeof(struct gofer_req) || r.req->len != (size_t)n) {
		r.rep->status = -EINVAL;
	} else {
		r.body_len = (size_t)n - sizeof(struct gofer_req);
		r.rep->status = perform(&r);
	}
	r.rep->len = (u32)(sizeof(struct gofer_rep) + (r.rep->status ? 0 : r.out_len));
	send_reply(channel, &r);
	nodes_trim();
	return true;
}

static __noreturn void serve(const int *channels, u32 n)
{
	struct pollfd fds[MAX_CPUS];
	u32 open = n;

	for (u32 i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = channels[i], .events = POLLIN };
	while (open) {
		if (poll(fds, n, -1) < 0 && errno != EINTR)
			die("poll", -errno);
		for (u32 i = 0; i < n; i++) {
			if (!fds[i].revents || serve_one(fds[i].fd))
				continue;
			fds[i].fd = -1;
			fds[i].revents = 0;
			open--;
		}
	}
	_exit(0);
}

/* A private copy of the mounts at and below `path`, with the rights of the tree; the kernel refuses what we might forget. */
static int clone_tree(const char *path, bool readonly)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSYMFOLLOW };
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0)
		return -errno;
	if (readonly)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (!mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)))
		return fd;
	attr.attr_set &= ~(u64)MOUNT_ATTR_NOSYMFOLLOW; /* Linux 5.14 */
	if (!mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)))
		return fd;
	close(fd);
	return -EOPNOTSUPP;
}

static int open_tree_root(const char *path, bool readonly, bool may_mount)
{
	int fd = may_mount ? clone_tree(path, readonly) : -EPERM;

	if (fd < 0)
		fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The directory alone, cut out of /proc: ".." leads nowhere. */
static int open_proc_fds(bool may_mount)
{
	int fd = may_mount ? open_tree(AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC) : -1;

	return fd >= 0 ? fd : open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void open_trees(const struct sandbox_config *cfg, const struct isolation *iso, int *fds)
{
	gofer_ntrees = cfg->ntrees;
	for (u32 i = 0; i < cfg->ntrees; i++) {
		gofer_trees[i].readonly = cfg->trees[i].readonly;
		fds[i] = open_tree_root(cfg->trees[i].path, cfg->trees[i].readonly, iso->mount_ns);
		if (fds[i] < 0)
			die(cfg->trees[i].path, fds[i]);
	}
	gofer_proc_fd = open_proc_fds(iso->mount_ns);
}

static void raise_descriptor_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

void gofer_main(const struct sandbox_config *cfg, const struct isolation *iso, int go, const int *channels)
{
	/* Rights over files, those that root in a container has too. */
	static const int caps[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID };
	int keep[MAX_CPUS + 2], trees[SANDBOX_TREES_MAX], err;
	const char *what = "";
	u32 n = 0;

	host_exit_report_start(cfg->start_fd);
	keep[n++] = go;
	if (cfg->start_fd >= 0)
		keep[n++] = cfg->start_fd;
	for (u32 cpu = 0; cpu < cfg->ncpus; cpu++)
		keep[n++] = channels[cpu];
	err = lockdown_begin(keep, n, &what);
	if (err)
		die(what, err);
	prctl(PR_SET_NAME, "runsc-c gofer");
	raise_descriptor_limit();
	open_trees(cfg, iso, trees);
	err = lockdown_root(iso, &what);
	if (!err)
		err = lockdown_identity(iso, go, false, &what);
	if (!err)
		err = lockdown_privileges(caps, ARRAY_SIZE(caps), &what);
	if (err)
		die(what, err);
	if (gofer_proc_fd >= 0 && fchdir(gofer_proc_fd) < 0)
		die("/proc/self/fd", -errno);
	gofer_uid = geteuid();
	gofer_gid = getegid();
	what = "trees";
	err = nodes_init(trees);
	if (!err)
		err = lockdown_seccomp(seccomp_gofer, ARRAY_SIZE(seccomp_gofer), &what);
	if (err)
		die(what, err);
	serve(channels, cfg->ncpus);
}
