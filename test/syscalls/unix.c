/* unix(7): streams, packets, names, descriptors, credentials. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char big[1 << 20];

static short revents(int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0 };

	poll(&p, 1, 0);
	return p.revents;
}

static socklen_t name(struct sockaddr_un *a, const char *text, int abstract)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	strcpy(a->sun_path + abstract, text);
	return offsetof(struct sockaddr_un, sun_path) + abstract + strlen(text) + !abstract;
}

static void creation(void)
{
	int s[2];

	FAILS(socket(AF_UNIX, 99, 0), EINVAL);
	FAILS(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS(socket(AF_UNIX, SOCK_STREAM, 77), EPROTONOSUPPORT);
	FAILS(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), 0);
	EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(s[1], F_GETFL) & O_NONBLOCK);
	struct stat st;
	EQ(fstat(s[0], &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	close(s[0]), close(s[1]);
}

static void stream(void)
{
	char buf[64];
	int s[2], n;

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	EQ(revents(s[0]), POLLOUT);
	EQ(write(s[0], "hello", 5), 5);
	EQ(send(s[0], " you", 4, 0), 4);
	EQ(ioctl(s[1], FIONREAD, &n), 0);
	EQ(n, 9);
	EQ(recv(s[1], buf, 3, MSG_PEEK), 3);
	EQ(recv(s[1], buf, sizeof(buf), MSG_PEEK), 9);
	EQ(recv(s[1], buf, 6, MSG_WAITALL), 6);
	EQ(read(s[1], buf, sizeof(buf)), 3);
	FAILS(recv(s[1], buf, 1, MSG_DONTWAIT), EAGAIN);
	FAILS(sendto(s[0], "x", 1, 0, (struct sockaddr *)buf, sizeof(struct sockaddr_un)), EISCONN);
	EQ(shutdown(s[0], SHUT_WR), 0);
	EQ(revents(s[1]), POLLIN | POLLOUT | POLLRDHUP);
	EQ(read(s[1], buf, 1), 0);
	FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(write(s[1], "back", 4), 4);
	EQ(read(s[0], buf, 64), 4);
	close(s[1]);
	EQ(revents(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	EQ(read(s[0], buf, 1), 0);
	close(s[0]);
	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	EQ(write(s[0], "unread", 6), 6);
	close(s[1]); /* with unread data: reset */
	FAILS(read(s[0], buf, 1), ECONNRESET);
	EQ(read(s[0], buf, 1), 0);
	close(s[0]);
}

static void *sink(void *arg)
{
	static char buf[50000];
	long n, total = 0;

	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		total += n;
	return (void *)total;
}

static void flow(void)
{
	pthread_t t;
	void *total;
	int s[2];

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	pthread_create(&t, NULL, sink, &s[1]);
	for (int i = 0; i < 8; i++)
		EQ(write(s[0], big, sizeof(big)), sizeof(big));
	close(s[0]);
	pthread_join(t, &total);
	EQ((long)total, 8 * sizeof(big));
	close(s[1]);
	EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
	long n = write(s[0], big, sizeof(big));
	CHECK(n > 0 && n < (long)sizeof(big));
	FAILS(write(s[0], big, 1), EAGAIN);
	EQ(revents(s[0]), 0);
	long got = 0, r;
	while ((r = read(s[1], big, sizeof(big))) > 0)
		got += r;
	EQ(got, n);
	EQ(revents(s[0]), POLLOUT);
	close(s[0]), close(s[1]);
}

static void timeouts(void)
{
	struct timeval tv = { 0, 20000 };
	int s[2];

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	FAILS(read(s[0], big, 1), EAGAIN);
	EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	while (write(s[0], big, sizeof(big)) > 0)
		;
	CHECK(errno == EAGAIN);
	close(s[0]), close(s[1]);
}

static void connections(void)
{
	struct sockaddr_un a, b;
	socklen_t len, alen;
	char dir[] = "/tmp/unixXXXXXX", path[64], buf[8];
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), s;
	struct stat st;

	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	alen = name(&a, path, 0);
	EQ(revents(c), POLLOUT | POLLHUP);
	FAILS(connect(c, (void *)&a, alen), ENOENT);
	FAILS(listen(l, 1), EINVAL);
	EQ(bind(l, (void *)&a, alen), 0);
	FAILS(bind(l, (void *)&a, alen), EADDRINUSE);
	EQ(stat(path, &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	FAILS(bind(c, (void *)&a, alen), EADDRINUSE);
	FAILS(connect(c, (void *)&a, alen), ECONNREFUSED); /* not listening */
	FAILS(accept(l, NULL, NULL), EINVAL);
	strcat(a.sun_path, "2");
	FAILS(bind(l, (void *)&a, alen + 1), EINVAL);
	FAILS(stat(a.sun_path, &st), ENOENT);
	alen = name(&a, path, 0);
	EQ(listen(l, 1), 0);
	FAILS(open(path, O_RDWR), ENXIO);
	EQ(connect(c, (void *)&a, alen), 0);
	FAILS(connect(c, (void *)&a, alen), EISCONN);
	EQ(revents(l), POLLIN);
	EQ(write(c, "early", 5), 5);
	len = sizeof(b);
	s = accept4(l, (void *)&b, &len, SOCK_CLOEXEC);
	CHECK(s >= 0);
	EQ(len, 2); /* the client has no name */
	EQ(read(s, buf, 8), 5);
	len = sizeof(b);
	EQ(getpeername(c, (void *)&b, &len), 0);
	EQ(len, alen);
	CHECK(!strcmp(b.sun_path, path));
	len = sizeof(b);
	EQ(getsockname(s, (void *)&b, &len), 0);
	CHECK(!strcmp(b.sun_path, path));
	struct ucred cr;
	len = sizeof(cr);
	EQ(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cr, &len), 0);
	CHECK(cr.pid == getpid() && cr.uid == getuid());
	close(s);
	close(c);
	/* The backlog: two may wait, the third is told to come again. */
	int w[3];
	for (int i = 0; i < 3; i++)
		w[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	EQ(connect(w[0], (void *)&a, alen), 0);
	EQ(connect(w[1], (void *)&a, alen), 0);
	FAILS(connect(w[2], (void *)&a, alen), EAGAIN);
	close(l);
	FAILS(read(w[0], buf, 1), ECONNRESET);
	FAILS(connect(w[2], (void *)&a, alen), ECONNREFUSED);
	for (int i = 0; i < 3; i++)
		close(w[i]);
	unlink(path);
	rmdir(dir);
}

static void abstract(void)
{
	struct sockaddr_un a, b;
	socklen_t alen = name(&a, "test-abstract-name", 1), len = sizeof(b);
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), d = socket(AF_UNIX, SOCK_DGRAM, 0);

	EQ(bind(l, (void *)&a, alen), 0);
	FAILS(bind(c, (void *)&a, alen), EADDRINUSE);
	EQ(listen(l, 5), 0);
	EQ(connect(c, (void *)&a, alen), 0);
	EQ(getsockname(l, (void *)&b, &len), 0);
	EQ(len, alen);
	CHECK(!memcmp(&a, &b, alen));
	FAILS(connect(d, (void *)&a, alen), ECONNREFUSED);
	a.sun_family = AF_UNIX;
	EQ(bind(d, (void *)&a, 2), 0); /* autobind */
	len = sizeof(b);
	EQ(getsockname(d, (void *)&b, &len), 0);
	EQ(len, 8);
	EQ(b.sun_path[0], 0);
	close(l), close(c), close(d);
	l = socket(AF_UNIX, SOCK_STREAM, 0);
	alen = name(&a, "test-abstract-name", 1);
	EQ(bind(l, (void *)&a, alen), 0); /* the name is free again */
	close(l);
}

static void packets(void)
{
	struct sockaddr_un a, b;
	socklen_t alen = name(&a, "test-dgram", 1), len;
	int s[2], r = socket(AF_UNIX, SOCK_DGRAM, 0), t = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct iovec iov = { big, 3 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
	EQ(write(s[0], "abcdef", 6), 6);
	EQ(write(s[0], "gh", 2), 2);
	EQ(recvmsg(s[1], &m, 0), 3);
	CHECK(m.msg_flags & MSG_TRUNC);
	EQ(recv(s[1], big, 1, MSG_TRUNC), 2);
	close(s[0]);
	EQ(read(s[1], big, 1), 0);
	close(s[1]);

	FAILS(send(t, "x", 1, 0), ENOTCONN);
	FAILS(sendto(t, "x", 1, 0, (void *)&a, alen), ECONNREFUSED);
	EQ(bind(r, (void *)&a, alen), 0);
	EQ(sendto(t, "one", 3, 0, (void *)&a, alen), 3);
	EQ(sendto(t, "", 0, 0, (void *)&a, alen), 0);
	EQ(connect(t, (void *)&a, alen), 0);
	EQ(send(t, "three", 5, 0), 5);
	len = sizeof(b);
	EQ(recvfrom(r, big, 100, 0, (void *)&b, &len), 3);
	EQ(len, 0);
	EQ(recv(r, big, 100, 0), 0);
	EQ(recv(r, big, 100, 0), 5);
	FAILS(recv(r, big, 100, MSG_DONTWAIT), EAGAIN);
	/* The queue of a receiver is bounded. */
	int sent = 0;
	while (send(t, "x", 1, MSG_DONTWAIT) == 1)
		sent++;
	CHECK(errno == EAGAIN && sent > 5 && sent < 1000);
	EQ(revents(t), 0);
	while (recv(r, big, 10, MSG_DONTWAIT) == 1)
		;
	EQ(revents(t), POLLOUT);
	FAILS(send(t, big, sizeof(big), 0), EMSGSIZE);
	close(r);
	FAILS(send(t, "x", 1, 0), ECONNREFUSED);
	FAILS(send(t, "x", 1, 0), ENOTCONN);
	close(t);
}

static int send_fds(int s, const int *fds, int n, const char *data)
{
	char ctl[CMSG_SPACE(sizeof(int) * 300)];
	struct iovec iov = { (void *)data, strlen(data) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	memset(ctl, 0, sizeof(ctl));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	return sendmsg(s, &m, 0);
}

/* The number of descriptors received, the bytes in *got. */
static int recv_fds(int s, int *fds, int room, long *got, int *flags)
{
	char ctl[CMSG_SPACE(sizeof(int) * 16)], buf[100];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_LEN(sizeof(int) * room) };
	struct cmsghdr *c;
	int n;

	*got = recvmsg(s, &m, *flags);
	*flags = m.msg_flags;
	c = CMSG_FIRSTHDR(&m);
	if (*got < 0 || !c || c->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return n;
}

static void rights(void)
{
	int s[2], p[2], fds[16], many[254], flags = 0;
	long got;

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	EQ(pipe(p), 0);
	EQ(write(s[0], "plain", 5), 5);
	EQ(send_fds(s[0], p, 2, "fds"), 3);
	EQ(write(s[0], "after", 5), 5);
	/* What is before joins the message with the descriptors; what is after does not. */
	EQ(recv_fds(s[1], fds, 16, &got, &flags), 2);
	EQ(got, 8);
	EQ(read(s[1], big, 100), 5);
	EQ(write(fds[1], "via", 3), 3);
	EQ(read(p[0], big, 10), 3);
	close(fds[0]), close(fds[1]);
	EQ(send_fds(s[0], p, 2, "x"), 1);
	flags = MSG_CMSG_CLOEXEC;
	EQ(recv_fds(s[1], fds, 1, &got, &flags), 1);
	CHECK(flags & MSG_CTRUNC);
	EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	close(fds[0]);
	EQ(send_fds(s[0], p, 1, "x"), 1);
	EQ(read(s[1], big, 1), 1); /* read(2) throws them away */
	close(p[1]);
	EQ(read(p[0], big, 1), 0); /* so no writer is left */
	for (int i = 0; i < 254; i++)
		many[i] = p[0];
	EQ(send_fds(s[0], many, 253, "x"), 1);
	FAILS(send_fds(s[0], many, 254, "x"), EINVAL);
	many[0] = 999;
	FAILS(send_fds(s[0], many, 1, "x"), EBADF);
	close(s[0]), close(s[1]), close(p[0]);
}

/* A pipe's writer inside a cycle of sockets: it must be closed when nobody can reach it. */
static void garbage(void)
{
	int s[2], t[2], p[2];

	EQ(pipe(p), 0);
	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	EQ(send_fds(s[0], &s[1], 1, "self"), 4); /* s[1] lies in its own queue */
	EQ(send_fds(s[0], &p[1], 1, "pipe"), 4);
	close(p[1]);
	close(s[0]);
	close(s[1]);
	/* Collection may wait for another socket's close. */
	EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, t), 0);
	EQ(send_fds(t[0], &t[1], 1, "self"), 4);
	close(t[0]), close(t[1]);
	struct pollfd pfd = { p[0], POLLIN, 0 };
	EQ(poll(&pfd, 1, 2000), 1);
	EQ(pfd.revents, POLLHUP);
	EQ(read(p[0], big, 1), 0);
	close(p[0]);
	/* A long chain does not overflow anything. */
	int prev = -1;
	for (int i = 0; i < 200; i++) {
		EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
		if (prev >= 0) {
			EQ(send_fds(s[0], &prev, 1, "x"), 1);
			close(prev);
		}
		close(s[0]);
		prev = s[1];
	}
	close(prev);
}

static void credentials(void)
{
	char ctl[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { big, 100 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c;
	struct ucred cr;
	int s[2], one = 1;

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	EQ(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	if (!fork()) {
		write(s[0], "child", 5);
		_exit(0);
	}
	wait(NULL);
	EQ(write(s[0], "parent", 6), 6);
	EQ(recvmsg(s[1], &m, 0), 5); /* writers are not mixed */
	c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_type == SCM_CREDENTIALS);
	if (c) {
		memcpy(&cr, CMSG_DATA(c), sizeof(cr));
		CHECK(cr.pid != getpid() && cr.uid == getuid());
	}
	m.msg_controllen = sizeof(ctl);
	EQ(recvmsg(s[1], &m, 0), 6);
	c = CMSG_FIRSTHDR(&m);
	if (c)
		memcpy(&cr, CMSG_DATA(c), sizeof(cr));
	EQ(cr.pid, getpid());
	close(s[0]), close(s[1]);
}

static void options(void)
{
	int s = socket(AF_UNIX, SOCK_DGRAM, 0), v;
	socklen_t len = sizeof(v);

	EQ(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len), 0);
	EQ(v, SOCK_DGRAM);
	EQ(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &len), 0);
	EQ(v, AF_UNIX);
	EQ(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &len), 0);
	EQ(v, 0);
	v = 10000;
	EQ(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)), 0);
	EQ(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, &len), 0);
	EQ(v, 20000);
	FAILS(getsockopt(s, SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
	FAILS(setsockopt(s, SOL_SOCKET, SO_TYPE, &v, sizeof(v)), ENOPROTOOPT);
	FAILS(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, 1), EINVAL);
	FAILS(getsockopt(0, SOL_SOCKET, SO_TYPE, &v, &len), ENOTSOCK);
	FAILS(getsockopt(999, SOL_SOCKET, SO_TYPE, &v, &len), EBADF);
	close(s);
}

static void multiple(void)
{
	struct mmsghdr m[3];
	struct iovec iov[3];
	char buf[3][8];
	int s[2];

	EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){ buf[i], i + 1 };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	EQ(sendmmsg(s[0], m, 3, 0), 3);
	EQ(m[2].msg_len, 3);
	for (int i = 0; i < 3; i++)
		iov[i].iov_len = 8;
	EQ(recvmmsg(s[1], m, 2, 0, NULL), 2);
	EQ(m[1].msg_len, 2);
	EQ(recvmmsg(s[1], m, 3, MSG_WAITFORONE, NULL), 1);
	EQ(m[0].msg_len, 3);
	FAILS(recvmmsg(s[1], m, 3, MSG_DONTWAIT, NULL), EAGAIN);
	close(s[0]), close(s[1]);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	close(0);
	open("/dev/null", O_RDONLY);
	RUN(creation);
	RUN(stream);
	RUN(flow);
	RUN(timeouts);
	RUN(connections);
	RUN(abstract);
	RUN(packets);
	RUN(rights);
	RUN(garbage);
	RUN(credentials);
	RUN(options);
	RUN(multiple);
	DONE();
}
