/* A gofer in a process of its own over a scratch directory, asked what a hostile sandbox would ask. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gofer.h"
#include "host/sandbox.h"
#include "host/spawn.h"

#define RO 1ull
#define RW 2ull

static char dir[] = "/tmp/gofer-test-XXXXXX", rw_dir[64];
static int channel;
static pid_t pid;
static int got_fd;
static char request[GOFER_MSG_MAX], reply[GOFER_MSG_MAX];
static struct gofer_req *const req = (struct gofer_req *)request;
static struct gofer_rep *const rep = (struct gofer_rep *)reply;

static void begin(u32 op, u64 node)
{
	memset(req, 0, sizeof(*req));
	req->op = op;
	req->node = node;
	req->len = sizeof(*req);
}

static void add(const void *p, size_t n)
{
	memcpy(request + req->len, p, n);
	req->len += (u32)n;
}

static s32 call(void)
{
	struct iovec iov = { reply, sizeof(reply) };
	union { struct cmsghdr align; char buf[CMSG_SPACE(sizeof(int))]; } c;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };

	got_fd = -1;
	assert_int_equal(send(channel, request, req->len, 0), req->len);
	assert_true(recvmsg(channel, &msg, MSG_CMSG_CLOEXEC) >= (ssize_t)sizeof(*rep));
	if (CMSG_FIRSTHDR(&msg))
		memcpy(&got_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return rep->status;
}

static void add_name(const char *name)
{
	u16 len = (u16)strlen(name);

	add(&len, sizeof(len));
	add(name, len);
}

static const struct gofer_step *first_step(void) { return (const struct gofer_step *)(rep + 1); }
static const struct gofer_step *next_step(const struct gofer_step *s) { return (const void *)((const char *)s + s->reclen); }

/* 0: not there, for *err. */
static u64 walk(u64 node, const char *name, s32 *err)
{
	begin(GOFER_WALK, node);
	add_name(name);
	assert_int_equal(call(), 0);
	*err = rep->walk.nsteps ? first_step()->err : -ENOTDIR;
	return rep->walk.nsteps ? first_step()->node : 0;
}

static u64 must_walk(u64 node, const char *name)
{
	s32 err;
	u64 n = walk(node, name, &err);

	assert_int_not_equal(n, 0);
	return n;
}

static s32 open_node(u64 node, u32 flags)
{
	begin(GOFER_OPEN, node);
	req->create.flags = flags;
	return call();
}

static s32 create(u32 op, u64 node, const char *name, u32 flags, u32 mode)
{
	begin(op, node);
	req->create.flags = flags;
	req->create.mode = mode;
	req->create.uid = getuid();
	req->create.gid = getgid();
	req->create.name_len = (u32)strlen(name);
	add(name, strlen(name));
	return call();
}

/* Add the names of a path; an empty one is between two paths. */
static void add_path(const char *path)
{
	char copy[256], *save;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save))
		add_name(name);
}

static void assert_step(const struct gofer_step *s, const char *name, s32 under, s32 err)
{
	assert_int_equal(s->name_len, strlen(name));
	assert_memory_equal(s->bytes, name, s->name_len);
	assert_int_equal(s->under, under);
	assert_int_equal(s->err, err);
	assert_true(err ? !s->node : s->node);
}

static void test_walk(void **state)
{
	const struct gofer_step *s = first_step();
	s32 err;

	begin(GOFER_WALK, RO);
	add_path("sub/file");
	assert_int_equal(call(), 0);
	assert_int_equal(rep->walk.nsteps, 2);
	assert_step(s, "sub", GOFER_UNDER_START, 0);
	assert_step(next_step(s), "file", 0, 0);
	assert_true(S_ISDIR(s->attr.mode) && S_ISREG(next_step(s)->attr.mode));
	assert_int_equal(next_step(s)->attr.size, 5);
	begin(GOFER_WALK, RO);
	add_path("sub/absent/deeper");
	assert_int_equal(call(), 0);
	assert_int_equal(rep->walk.nsteps, 2);
	assert_step(next_step(s), "absent", 0, -ENOENT);
	begin(GOFER_WALK, RO);
	add_path("link/file"); /* to "sub": given, not followed */
	assert_int_equal(call(), 0);
	assert_int_equal(rep->walk.nsteps, 1);
	assert_true(S_ISLNK(s->attr.mode));
	assert_int_equal(walk(must_walk(RO, "top"), "x", &err), 0);
	assert_int_equal(err, -ENOTDIR);
}

/* Walk `path` through links; the number of steps, the last of them in *last. */
static u32 follow(u64 node, const char *path, u32 flags, const struct gofer_step **last)
{
	begin(GOFER_WALK, node);
	req->walk.flags = GOFER_WALK_FOLLOW | flags;
	add_path(path);
	assert_int_equal(call(), 0);
	*last = first_step();
	for (u32 i = 1; i < rep->walk.nsteps; i++)
		*last = next_step(*last);
	return rep->walk.nsteps;
}

static void test_links(void **state)
{
	const struct gofer_step *s;
	char c[6] = "";

	/* link -> sub */
	assert_int_equal(follow(RO, "link/file", GOFER_WALK_OPEN, &s), 3);
	assert_step(first_step(), "link", GOFER_UNDER_START, 0);
	assert_int_equal(first_step()->target_len, 3);
	assert_memory_equal(first_step()->bytes + 4, "sub", 3);
	assert_step(next_step(first_step()), "sub", GOFER_UNDER_START, 0);
	assert_step(s, "file", 1, 0);
	assert_true(s->opened);
	assert_int_equal(read(got_fd, c, 5), 5);
	assert_string_equal(c, "12345");
	close(got_fd);
	/* sub/back -> ../link/./file, seen from the root and from sub, where ".." leads out of sight */
	assert_int_equal(follow(RO, "sub/back", 0, &s), 4);
	assert_step(s, "file", 0, 0);
	assert_int_equal(follow(must_walk(RO, "sub"), "back", 0, &s), 1);
	/* sub/abs -> /sub/file: the tree's root */
	assert_int_equal(follow(must_walk(RO, "sub"), "abs", GOFER_WALK_OPEN, &s), 3);
	assert_step(next_step(first_step()), "sub", GOFER_UNDER_ROOT, 0);
	assert_step(s, "file", 1, 0);
	assert_true(s->opened);
	close(got_fd);
	/* out -> ../../sub/nothing: there is nothing above the root */
	assert_int_equal(follow(RO, "out", GOFER_WALK_OPEN, &s), 3);
	assert_step(s, "nothing", 1, -ENOENT);
	assert_int_equal(got_fd, -1);
	/* loop -> loop: once is enough to know */
	assert_int_equal(follow(RO, "loop", 0, &s), 1);
	/* A directory, a fifo: not opened. */
	follow(RO, "sub", GOFER_WALK_OPEN, &s);
	assert_true(!s->opened && got_fd == -1);
	follow(RO, "fifo", GOFER_WALK_OPEN, &s);
	assert_true(!s->opened && got_fd == -1);
}

static void test_many_paths(void **state)
{
	const struct gofer_step *s = first_step();

	begin(GOFER_WALK, RO);
	add_path("sub/file");
	add_name("");
	add_path("absent/x/y");
	add_name("");
	add_path("sub/back"); /* sub is told once */
	assert_int_equal(call(), 0);
	assert_int_equal(rep->walk.nsteps, 4);
	assert_step(s, "sub", GOFER_UNDER_START, 0);
	s = next_step(next_step(s));
	assert_step(s, "absent", GOFER_UNDER_START, -ENOENT);
	assert_step(next_step(s), "back", 0, 0);
	/* As much as fits. */
	begin(GOFER_WALK, RO);
	req->walk.max = sizeof(*rep) + 600;
	for (u32 i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file%u", i);
		add_path("many");
		add_name(name);
		add_name("");
	}
	assert_int_equal(call(), 0);
	assert_in_range(rep->walk.nsteps, 1, 3);
	assert_true(rep->len <= req->walk.max);
	req->walk.max = 0;
	assert_int_equal(call(), 0);
	assert_int_equal(rep->walk.nsteps, GOFER_STEPS_MAX);
}

static void test_bad_names(void **state)
{
	static const char *const bad[] = { ".", "..", "sub/file", "/etc", "/", "../.." };
	char longest[300];
	s32 err;

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(walk(RO, bad[i], &err), 0);
		assert_int_equal(err, -EINVAL);
		assert_int_equal(create(GOFER_CREATE, RW, bad[i], O_RDWR, 0600), -EINVAL);
		assert_int_equal(create(GOFER_UNLINK, RW, bad[i], 0, 0), -EINVAL);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[299] = '\0';
	assert_int_equal(walk(RO, longest, &err), 0);
	assert_int_equal(err, -ENAMETOOLONG);
}

static void test_bad_messages(void **state)
{
	u16 len = 60000;

	begin(GOFER_WALK, RO);
	add(&len, sizeof(len));
	assert_int_equal(call(), -EINVAL); /* the name reaches beyond the message */
	begin(GOFER_OP_NR, RO);
	assert_int_equal(call(), -ENOSYS);
	begin(0, RO);
	assert_int_equal(call(), -ENOSYS);
	begin(GOFER_CONNECT, RO);
	assert_int_equal(call(), -EPERM);
	static const u64 nodes[] = { 0, 99999, ~0ull, 1ull << 32 | 1, 1ull << 40 };
	for (u32 i = 0; i < ARRAY_SIZE(nodes); i++) {
		begin(GOFER_GETATTR, nodes[i]);
		assert_int_equal(call(), -ESTALE);
	}
	begin(GOFER_FORGET, 0);
	req->forget.n = ~0u;
	assert_int_equal(call(), -EINVAL);
	begin(GOFER_RENAME, RW);
	req->rename.to_node = RW;
	req->rename.name_len = 1;
	req->rename.to_name_len = ~0u;
	add("a", 1);
	assert_int_equal(call(), -EINVAL);
	begin(GOFER_MKDIR, RW);
	req->create.name_len = ~0u;
	assert_int_equal(call(), -EINVAL);
	begin(GOFER_GETATTR, RO);
	req->len = 7; /* a length that is not the message's */
	assert_int_equal(send(channel, request, sizeof(*req), 0), sizeof(*req));
	assert_true(recv(channel, reply, sizeof(reply), 0) > 0);
	assert_int_equal(rep->status, -EINVAL);
	assert_int_equal(send(channel, request, 4, 0), 4);
	assert_true(recv(channel, reply, sizeof(reply), 0) > 0);
	assert_int_equal(rep->status, -EINVAL);
}

static void test_open(void **state)
{
	char buf[8];

	assert_int_equal(open_node(must_walk(RO, "top"), O_RDONLY), 0);
	assert_int_equal(read(got_fd, buf, sizeof(buf)), 3);
	close(got_fd);
	assert_int_equal(open_node(must_walk(RO, "sub"), O_RDONLY), -EISDIR);
	assert_int_equal(open_node(must_walk(RO, "link"), O_RDONLY), -ELOOP);
	assert_int_equal(open_node(must_walk(RO, "fifo"), O_RDONLY), -EACCES);
	assert_int_equal(open_node(must_walk(RO, "top"), O_RDWR), -EROFS);
	assert_int_equal(open_node(must_walk(RO, "top"), O_RDONLY | O_TRUNC), -EROFS);
	assert_int_equal(got_fd, -1);
}

/* The name belongs to another file by the time that it is opened. */
static void test_replaced(void **state)
{
	char a[128], b[128];
	u64 n;

	snprintf(a, sizeof(a), "%s/replaced", dir);
	snprintf(b, sizeof(b), "%s/other", dir);
	close(open(a, O_CREAT | O_WRONLY, 0644));
	close(open(b, O_CREAT | O_WRONLY, 0644));
	n = must_walk(RO, "replaced");
	assert_int_equal(rename(b, a), 0);
	assert_int_equal(open_node(n, O_RDONLY), -ESTALE);
	n = must_walk(RO, "replaced");
	unlink(a);
	assert_int_equal(symlink("/etc/passwd", a), 0);
	assert_int_equal(open_node(n, O_RDONLY), -ESTALE);
	unlink(a);
}

static void test_readonly(void **state)
{
	static const u32 ops[] = { GOFER_CREATE, GOFER_MKDIR, GOFER_SYMLINK, GOFER_UNLINK, GOFER_MKNOD };
	u64 top = must_walk(RO, "top");

	for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
		assert_int_equal(create(ops[i], RO, "new", 0, 0644), -EROFS);
	begin(GOFER_SETATTR, top);
	req->setattr.mask = GOFER_SET_MODE;
	assert_int_equal(call(), -EROFS);
	begin(GOFER_LINK, must_walk(RW, "w"));
	req->rename.to_node = RO;
	req->rename.to_name_len = 1;
	add("x", 1);
	assert_int_equal(call(), -EROFS);
	begin(GOFER_RENAME, RW);
	req->rename.to_node = RO;
	req->rename.name_len = req->rename.to_name_len = 1;
	add("wx", 2);
	assert_int_equal(call(), -EROFS);
}

static void test_readdir(void **state)
{
	u32 seen = 0, batches = 0;
	u64 cookie = 0;
	bool eof = false;

	while (!eof) {
		const char *p;

		begin(GOFER_READDIR, must_walk(RO, "many"));
		req->readdir.cookie = cookie;
		req->readdir.max = 8192;
		assert_int_equal(call(), 0);
		p = (const char *)(rep + 1);
		for (u32 i = 0; i < rep->readdir.n; i++) {
			const struct gofer_dirent *e = (const struct gofer_dirent *)p;

			assert_int_not_equal(e->node, 0);
			assert_true(S_ISREG(e->attr.mode));
			assert_int_equal(strlen(e->name), e->name_len);
			p += e->reclen;
			seen++;
		}
		assert_true(rep->len <= 8192 + sizeof(*rep));
		eof = rep->readdir.eof;
		cookie = rep->readdir.next_cookie;
		batches++;
	}
	assert_int_equal(seen, 300);
	assert_true(batches > 3);
	begin(GOFER_READDIR, must_walk(RO, "many"));
	req->readdir.max = 8;
	assert_int_equal(call(), -EINVAL);
	begin(GOFER_READDIR, must_walk(RO, "top"));
	assert_int_equal(call(), -ENOTDIR);
}

static void test_changes(void **state)
{
	u64 node;

	assert_int_equal(create(GOFER_CREATE, RW, "new", O_RDWR | O_EXCL, 0640), 0);
	assert_int_equal(rep->node.attr.mode, S_IFREG | 0640);
	node = rep->node.node;
	assert_int_equal(write(got_fd, "data", 4), 4);
	close(got_fd);
	assert_int_equal(create(GOFER_CREATE, RW, "new", O_RDWR | O_EXCL, 0640), -EEXIST);
	begin(GOFER_SETATTR, node);
	req->setattr.mask = GOFER_SET_SIZE | GOFER_SET_MODE | GOFER_SET_MTIME;
	req->setattr.size = 2;
	req->setattr.mode = 0600;
	req->setattr.mtime_s = 1000;
	assert_int_equal(call(), 0);
	assert_int_equal(rep->node.attr.size, 2);
	assert_int_equal(rep->node.attr.mode, S_IFREG | 0600);
	assert_int_equal(rep->node.attr.mtime_s, 1000);
	begin(GOFER_RENAME, RW);
	req->rename.to_node = RW;
	req->rename.name_len = 3;
	req->rename.to_name_len = 5;
	add("newother", 8);
	assert_int_equal(call(), 0);
	/* The node is the file, not the name. */
	begin(GOFER_GETATTR, node);
	assert_int_equal(call(), 0);
	begin(GOFER_LINK, node);
	req->rename.to_node = RW;
	req->rename.to_name_len = 4;
	add("hard", 4);
	assert_int_equal(call(), 0);
	assert_int_equal(rep->node.attr.nlink, 2);
	assert_int_equal(create(GOFER_MKDIR, RW, "d", 0, 0755), 0);
	assert_int_equal(create(GOFER_UNLINK, RW, "d", 0, 0), -EISDIR);
	assert_int_equal(create(GOFER_UNLINK, RW, "d", AT_REMOVEDIR, 0), 0);
	begin(GOFER_SYMLINK, RW);
	req->create.name_len = 1;
	add("s/target", 8);
	assert_int_equal(call(), 0);
	begin(GOFER_READLINK, rep->node.node);
	assert_int_equal(call(), 0);
	assert_int_equal(rep->data.size, 7);
	assert_memory_equal(rep + 1, "/target", 7);
	begin(GOFER_MKNOD, RW);
	req->mknod.mode = S_IFCHR | 0666;
	req->mknod.rdev = 0x103;
	req->mknod.name_len = 3;
	add("dev", 3);
	assert_int_equal(call(), -EPERM);
	assert_int_equal(create(GOFER_CREATE, RW, "s", O_RDWR, 0644), -ELOOP);
	assert_int_equal(create(GOFER_UNLINK, RW, "s", 0, 0), 0);
	assert_int_equal(create(GOFER_UNLINK, RW, "hard", 0, 0), 0);
	assert_int_equal(create(GOFER_UNLINK, RW, "other", 0, 0), 0);
	assert_int_equal(open_node(node, O_RDONLY), 0); /* unlinked, still there */
	close(got_fd);
	begin(GOFER_FORGET, 0);
	req->forget.n = 1;
	add(&node, sizeof(node));
	assert_int_equal(call(), 0);
	begin(GOFER_GETATTR, node);
	assert_int_equal(call(), -ESTALE);
}

static void make_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void make_files(void)
{
	char path[256];

	assert_non_null(mkdtemp(dir));
	snprintf(rw_dir, sizeof(rw_dir), "%s/rw", dir);
	mkdir(rw_dir, 0755);
	static const char *const dirs[] = { "sub", "many" };
	for (u32 i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, dirs[i]);
		mkdir(path, 0755);
	}
	make_file("top", "top");
	make_file("sub/file", "12345");
	make_file("rw/w", "");
	snprintf(path, sizeof(path), "%s/fifo", dir);
	mkfifo(path, 0644);
	snprintf(path, sizeof(path), "%s/link", dir);
	assert_int_equal(symlink("sub", path), 0);
	static const char *const links[][2] = {
		{ "sub/back", "../link/./file" }, { "sub/abs", "/sub//file" }, { "out", "../../sub/nothing" }, { "loop", "loop" },
	};
	for (u32 i = 0; i < ARRAY_SIZE(links); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, links[i][0]);
		assert_int_equal(symlink(links[i][1], path), 0);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "many/file%d", i);
		make_file(path, "");
	}
}

static int setup(void **state)
{
	struct sandbox_config cfg = { .ncpus = 1, .ntrees = 2, .trees = { { dir, true }, { rw_dir, false } }, .log_fd = -1, .start_fd = -1 };
	struct isolation iso;
	int pair[2], go[2];

	make_files();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) || pipe2(go, O_CLOEXEC))
		return -1;
	pid = spawn_isolated(&iso, SPAWN_SAME, false);
	if (!pid)
		gofer_main(&cfg, &iso, go[0], &pair[1]);
	close(pair[1]);
	channel = pair[0];
	return pid < 0 ? -1 : spawn_map_ids(&iso, SPAWN_SAME, go[1]);
}

static int teardown(void **state)
{
	char cmd[128];
	int status;

	close(channel);
	waitpid(pid, &status, 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd) || status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk), cmocka_unit_test(test_links), cmocka_unit_test(test_many_paths),
		cmocka_unit_test(test_bad_names), cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_open), cmocka_unit_test(test_replaced), cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_readdir), cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
