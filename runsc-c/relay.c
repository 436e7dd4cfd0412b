#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buf[sizeof(struct control_msg) + SPAWN_MAX] __attribute__((aligned(8)));

void relay_init(struct relay *r, int listener, int control)
{
	*r = (struct relay){ .listener = listener, .control = control, .next_id = 1 };
	for (u32 i = 0; i < RELAY_CLIENTS_MAX; i++)
		r->clients[i].fd = -1;
}

u32 relay_polls(const struct relay *r, struct pollfd *p)
{
	u32 n = 0;

	if (r->listener < 0)
		return 0;
	p[n++] = (struct pollfd){ .fd = r->listener, .events = POLLIN };
	for (u32 i = 0; i < RELAY_CLIENTS_MAX; i++)
		if (r->clients[i].fd >= 0)
			p[n++] = (struct pollfd){ .fd = r->clients[i].fd, .events = POLLIN };
	return n;
}

static void accept_client(struct relay *r)
{
	int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);

	for (u32 i = 0; fd >= 0 && i < RELAY_CLIENTS_MAX; i++)
		if (r->clients[i].fd < 0) {
			r->clients[i] = (struct relay_client){ fd, r->next_id++ };
			return;
		}
	if (fd >= 0) /* it sees the end of its connection */
		close(fd);
}

/* On to the sandbox with the same descriptors; ours are closed. */
static bool pass_on(const struct relay *r, size_t n, struct msghdr *msg)
{
	struct iovec iov = { buf, n };
	bool sent;

	msg->msg_iov = &iov;
	msg->msg_iovlen = 1;
	if (!msg->msg_controllen)
		msg->msg_control = NULL;
	sent = sendmsg(r->control, msg, MSG_NOSIGNAL) == (ssize_t)n;
	for (struct cmsghdr *c = msg->msg_control ? CMSG_FIRSTHDR(msg) : NULL; c; c = CMSG_NXTHDR(msg, c))
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			close(fd);
		}
	return sent;
}

/* An asker that goes takes its program with it. */
static void drop(struct relay *r, struct relay_client *c)
{
	struct control_msg kill = { CONTROL_SPAWN_SIGNAL, SIGKILL, c->id, 0 };

	send(r->control, &kill, sizeof(kill), MSG_NOSIGNAL);
	close(c->fd);
	c->fd = -1;
}

static void serve_client(struct relay *r, struct relay_client *c)
{
	struct control_msg *m = (struct control_msg *)buf;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < (ssize_t)sizeof(*m) || m->kind == CONTROL_SIGNAL) {
		drop(r, c);
		return;
	}
	m->id = c->id;
	r->start_asked |= m->kind == CONTROL_ASK && m->ask == HC_ASK_START;
	if (!pass_on(r, (size_t)n, &msg))
		drop(r, c);
}

static struct relay_client *find(struct relay *r, int fd)
{
	for (u32 i = 0; i < RELAY_CLIENTS_MAX; i++)
		if (r->clients[i].fd == fd)
			return &r->clients[i];
	return NULL;
}

void relay_serve(struct relay *r, const struct pollfd *p, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		struct relay_client *c = p[i].revents && p[i].fd != r->listener ? find(r, p[i].fd) : NULL;

		if (c)
			serve_client(r, c);
		else if (p[i].revents & POLLIN)
			accept_client(r);
	}
}

void relay_report(struct relay *r, const struct sandbox_report *report)
{
	struct relay_answer a = { report->state, report->value };

	for (u32 i = 0; i < RELAY_CLIENTS_MAX; i++) {
		struct relay_client *c = &r->clients[i];

		if (c->fd < 0 || c->id != report->id)
			continue;
		send(c->fd, &a, sizeof(a), MSG_NOSIGNAL);
		if (report->state != SPAWN_STARTED) {
			close(c->fd);
			c->fd = -1;
		}
	}
}
