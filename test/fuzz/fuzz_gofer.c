/*
 * The gofer's protocol, as a hostile sandbox speaks it: requests without end over a read-only and a writable tree, in the
 * process itself. The trees are scratch directories, and the process sees nothing else (chroot).
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "host/gofer/gofer.c"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static int channel[2];

static void make_tree(const char *dir)
{
	char name[64];

	if (mkdir(dir, 0777) || chdir(dir) || mkdir("d", 0777) || mkdir("d/e", 0777) || symlink("../../..", "up") || symlink("d", "l"))
		abort();
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), i & 1 ? "d/f%d" : "f%d", i);
		close(open(name, O_CREAT | O_WRONLY, 0666));
	}
	if (chdir("/"))
		abort();
}

static void start(void)
{
	char dir[] = "/tmp/fuzz-gofer-XXXXXX";
	int fds[2];

	/* A file system of its own, which ends with the process. */
	if (!mkdtemp(dir) || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "tmpfs", 0, "size=64M") || rmdir("/nonexistent/x") == 0 || chroot(dir) || chdir("/")) {
		perror("fuzz_gofer: needs root");
		exit(1);
	}
	make_tree("/ro");
	make_tree("/rw");
	gofer_ntrees = 2;
	gofer_trees[0].readonly = true;
	fds[0] = open("/ro", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fds[1] = open("/rw", O_PATH | O_DIRECTORY | O_CLOEXEC);
	mkdir("/proc", 0555);
	if (mount("proc", "/proc", "proc", 0, NULL))
		abort();
	gofer_proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fchdir(gofer_proc_fd) || nodes_init(fds) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel))
		abort();
	gofer_uid = geteuid();
	gofer_gid = getegid();
}

/* A small number that may be a node: what the gofer gave out is generation << 32 | index. */
static u64 some_node(u64 v)
{
	return v & 0x80 ? v : (v & 0x300) << 24 | (v & 0x1f);
}

static void ask(const u8 *data, size_t size)
{
	static _Alignas(8) char request[GOFER_MSG_MAX];
	struct gofer_req *req = (struct gofer_req *)request;
	char reply[256];
	struct iovec iov = { reply, sizeof(reply) };
	union { struct cmsghdr align; char buf[CMSG_SPACE(sizeof(int))]; } c;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };

	memcpy(request, data, size);
	if (size >= sizeof(*req)) {
		req->op %= GOFER_OP_NR + 1;
		req->node = some_node(req->node);
		if (!(data[0] & 0x80))
			req->len = (u32)size;
	}
	if (send(channel[0], request, size, MSG_DONTWAIT) < 0 || !size)
		return;
	serve_one(channel[1]);
	if (recvmsg(channel[0], &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) > 0 && CMSG_FIRSTHDR(&msg)) {
		int fd;

		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		close(fd);
	}
}

static const char *const names[] = { "f0", "f2", "d", "e", "l", "up", "new", "f1", ".", "..", "", "a/b", "proc", "user.x", "security.y", "n2" };

static size_t put_names(char *to, u8 a, u8 b, bool with_length)
{
	size_t n = 0;

	for (u32 i = 0; i < 2; i++) {
		const char *name = names[(i ? b : a) % ARRAY_SIZE(names)];
		u16 len = (u16)strlen(name);

		if (with_length) {
			memcpy(to + n, &len, 2);
			n += 2;
		}
		memcpy(to + n, name, len);
		n += len;
	}
	return n;
}

/* A request that makes sense of 16 bytes. */
static void ask_well(const u8 *d)
{
	static _Alignas(8) u8 raw[sizeof(struct gofer_req) + 256];
	struct gofer_req *req = (struct gofer_req *)raw;
	char *body = (char *)(req + 1);
	u32 first = (u32)strlen(names[d[2] % ARRAY_SIZE(names)]), both, flags, mode;
	u64 other = some_node(d[3] & 0x1f);

	memset(raw, 0, sizeof(raw));
	req->op = 1 + d[0] % (GOFER_OP_NR - 1);
	req->node = d[1] & 0x1f;
	memcpy(&flags, d + 4, 4);
	memcpy(&mode, d + 8, 4);
	both = (u32)put_names(body, d[2], d[12], req->op == GOFER_WALK);
	switch (req->op) {
	case GOFER_WALK:
		req->walk.flags = d[13], req->walk.max = d[14] & 1 ? mode & 0xfff : 0;
		break;
	case GOFER_SETATTR:
		req->setattr.mask = flags & 0xff, req->setattr.mode = mode, req->setattr.size = d[14];
		break;
	case GOFER_READDIR:
		req->readdir.cookie = d[13], req->readdir.max = mode & 0xffff;
		break;
	case GOFER_LINK:
	case GOFER_RENAME:
		req->rename.to_node = other, req->rename.flags = d[13] % 3, req->rename.name_len = first, req->rename.to_name_len = both - first;
		break;
	case GOFER_FORGET:
		req->forget.n = 1;
		memcpy(body, &other, 8);
		both = 8;
		break;
	case GOFER_GETXATTR:
	case GOFER_LISTXATTR:
	case GOFER_SETXATTR:
	case GOFER_REMOVEXATTR:
		req->xattr.name_len = first, req->xattr.size = d[13] & 1 ? both - first : d[14], req->xattr.flags = d[15] % 3;
		break;
	case GOFER_MKNOD:
		req->mknod.mode = mode & 0177777, req->mknod.name_len = first, req->mknod.rdev = d[13];
		break;
	default:
		req->create.flags = flags & 0x7fffff, req->create.mode = mode & 07777, req->create.name_len = first;
	}
	ask(raw, sizeof(*req) + (d[15] & 0x80 ? both : d[15] & 0x40 ? first : both));
}

/* Requests in a row: 16 bytes that are made into one, or the bytes of one behind a length. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static bool started;

	if (!started)
		start();
	started = true;
	while (size > 16) {
		size_t n = data[0] & 3 ? 16 : MIN(size - 1, data[0] == 252 ? (size_t)3 : sizeof(struct gofer_req) + data[0] / 4);

		if (data[0] & 3)
			ask_well(data + 1);
		else
			ask(data + 1, n);
		data += 1 + n;
		size -= 1 + n;
	}
	return 0;
}
