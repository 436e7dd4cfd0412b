/* A question to the sandbox of a running container, by way of the process that stands for it (relay.h). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "oci/oci.h"
#include "relay.h"

int ask_connect(const struct container *c)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int dir = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC),
	    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/control.sock",
		 dir); /* the folder's own path may be too long */
	if (dir < 0 || fd < 0 || connect(fd, (void *)&a, sizeof(a)) < 0) {
		close(fd);
		fd = -1;
	}
	close(dir);
	return fd;
}

int ask_send(const struct container *c, enum hc_ask ask, u32 value, int text)
{
	struct control_msg m = { .kind = CONTROL_ASK, .ask = ask, .value = value };
	struct iovec iov = { &m, sizeof(m) };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg = &control.align;
	int fd = ask_connect(c);

	if (text >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &text, sizeof(int));
	}
	if (fd >= 0 && sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)sizeof(m))
		return fd;
	close(fd);
	return -1;
}

int ask_receive(int fd, int timeout_ms, struct relay_answer *a)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, timeout_ms) == 0) {
		close(fd);
		return -ETIMEDOUT;
	}
	n = recv(fd, a, sizeof(*a), 0);
	close(fd);
	return n != sizeof(*a) ? -EPIPE : 0;
}

int ask_answer(int fd)
{
	struct relay_answer a;
	int err = ask_receive(fd, ASK_TIMEOUT_MS, &a);

	return err ? err : a.state != SPAWN_ANSWERED ? -EPIPE : -(int)a.value;
}

void describe_failed_exec(const struct relay_answer *a, const char *program, const char *cwd, char *buf, size_t size)
{
	const char *why = a->value == ENOENT ? "no such file or directory" :
			  a->value == EACCES ? "permission denied" :
			  a->value == ENOEXEC ? "exec format error" : strerror((int)a->value);

	if (a->state == SPAWN_NO_CWD)
		snprintf(buf, size, "chdir to cwd (\"%s\") set in config.json failed: %s", cwd, why);
	else if (a->value != ENOENT)
		snprintf(buf, size, "exec: \"%s\": %s", program, why);
	else if (strchr(program, '/'))
		snprintf(buf, size, "exec: \"%s\": stat %s: %s", program, program, why);
	else
		snprintf(buf, size, "exec: \"%s\": executable file not found in $PATH", program);
}
