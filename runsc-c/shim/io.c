#include "shim/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "shim/shim.h"

#define CARRY_MAX (64u << 10) /* a reader that is slow slows the program */

void io_init(struct stdio *io)
{
	*io = (struct stdio){.keep_in = -1,
			     .keep_out = {-1, -1},
			     .master = -1,
			     .listener.fd = -1,
			     .input = {.io = io, .from.fd = -1, .to.fd = -1, .is_input = true},
			     .output = {.io = io, .from.fd = -1, .to.fd = -1}};
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- what containerd named ---- */

static bool is_fifo(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* A path, "file://PATH" or nothing: the path, "/dev/null", or NULL for what this shim does not have. */
static const char *path_of(const char *name, bool *is_file)
{
	static const char file[] = "file://";

	*is_file = !strncmp(name, file, sizeof(file) - 1);
	if (*is_file)
		return name + sizeof(file) - 1;
	return !*name ? "/dev/null" : strstr(name, "://") ? NULL : name;
}

static int open_input(struct stdio *io)
{
	bool is_file;
	const char *path = path_of(io->in, &is_file);

	if (!path)
		return -EOPNOTSUPP;
	if (is_fifo(path)) {
		io->keep_in = open(path, O_RDWR | O_CLOEXEC);
		if (io->keep_in < 0)
			return -errno;
	}
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int open_output(const char *name, int *keep)
{
	bool is_file;
	const char *path = path_of(name, &is_file);

	if (!path)
		return -EOPNOTSUPP;
	if (is_file)
		return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (is_fifo(path)) {
		*keep = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (*keep < 0)
			return -errno;
	}
	return open(path, O_WRONLY | O_CLOEXEC);
}

static char *cannot_open(const char *what, const char *name, int fd)
{
	return fd == -EOPNOTSUPP ? text("%s %s: this shim writes to FIFOs and files alone", what, name)
				 : text("%s %s: %s", what, name, strerror(fd == -1 ? errno : -fd));
}

/* ---- terminals ---- */

static void end_carrier(struct carrier *c)
{
	watch_remove(&c->from);
	watch_remove(&c->to);
	buffer_free(&c->data);
}

/* Read while there is room, written as far as it goes. */
static void carry(struct carrier *c)
{
	ssize_t left = c->to.fd < 0 ? -EPIPE : buffer_write(&c->data, c->to.fd);

	if (left < 0 || (c->from.fd < 0 && !left)) {
		end_carrier(c);
		return;
	}
	watch_change(&c->to, left ? EPOLLOUT : 0);
	if (c->from.fd >= 0)
		watch_change(&c->from, left < CARRY_MAX ? EPOLLIN : 0);
}

static void take_bytes(struct watch *w, u32 events)
{
	struct carrier *c = container_of(w, struct carrier, from);
	ssize_t n = buffer_read(&c->data, w->fd, CARRY_MAX + (32u << 10));

	if (n == -EAGAIN)
		return;
	if (n <= 0) /* the writer is gone; of a master: every program */
		watch_remove(w);
	carry(c);
}

static void give_bytes(struct watch *w, u32 events)
{
	struct carrier *c = container_of(w, struct carrier, to);

	if (events & (EPOLLERR | EPOLLHUP))
		watch_remove(w);
	carry(c);
}

static int nonblocking(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

static int receive_master(int fd)
{
	char name[64];
	struct iovec iov = {name, sizeof(name)};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int master = -1;

	if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) > 0 && (c = CMSG_FIRSTHDR(&msg)) && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&master, CMSG_DATA(c), sizeof(int));
	return master;
}

static void remove_socket(struct stdio *io)
{
	char *slash;

	if (!io->socket)
		return;
	unlink(io->socket);
	slash = strrchr(io->socket, '/');
	*slash = '\0';
	rmdir(io->socket);
	free(io->socket);
	io->socket = NULL;
	watch_remove(&io->listener);
}

static void connect_terminal(struct stdio *io)
{
	int in = io->in[0] ? nonblocking(open_input(io)) : -1,
	    out = io->out[0] ? nonblocking(open_output(io->out, &io->keep_out[0])) : -1;

	if (out < 0) /* nobody listens: what is written must be read nevertheless */
		out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (in >= 0) {
		watch_add(&io->input.from, in, EPOLLIN, take_bytes);
		watch_add(&io->input.to, fcntl(io->master, F_DUPFD_CLOEXEC, 3), 0, give_bytes);
	}
	watch_add(&io->output.from, fcntl(io->master, F_DUPFD_CLOEXEC, 3), EPOLLIN, take_bytes);
	watch_add(&io->output.to, out, 0, give_bytes);
}

static void master_arrives(struct watch *w, u32 events)
{
	struct stdio *io = container_of(w, struct stdio, listener);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	io->master = nonblocking(receive_master(fd));
	close(fd);
	remove_socket(io);
	if (io->master >= 0)
		connect_terminal(io);
}

/* Below /run: a path in the bundle may be too long for a socket. */
static char *listen_for_master(struct stdio *io)
{
	char dir[] = "/run/runsc-c-shim.XXXXXX";
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || !mkdtemp(dir))
		return text("%s: %m", dir);
	io->socket = text("%s/pty.sock", dir);
	strcpy(a.sun_path, io->socket);
	if (bind(fd, (void *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		return text("%s: %m", io->socket);
	watch_add(&io->listener, fd, EPOLLIN, master_arrives);
	return NULL;
}

/* ---- all of it ---- */

char *io_open(struct stdio *io, const char *in, const char *out, const char *err, bool terminal, int fds[3])
{
	io->in = copy_of(in);
	io->out = copy_of(out);
	io->err = copy_of(err);
	io->terminal = terminal;
	fds[0] = fds[1] = fds[2] = -1;
	if (terminal)
		return listen_for_master(io);
	fds[0] = open_input(io);
	if (fds[0] < 0)
		return cannot_open("stdin", in, fds[0]);
	fds[1] = open_output(out, &io->keep_out[0]);
	if (fds[1] < 0)
		return cannot_open("stdout", out, fds[1]);
	fds[2] = open_output(err, &io->keep_out[1]);
	return fds[2] < 0 ? cannot_open("stderr", err, fds[2]) : NULL;
}

void io_close_input(struct stdio *io)
{
	shut(&io->keep_in);
}

int io_resize(struct stdio *io, u32 width, u32 height)
{
	struct winsize size = {.ws_col = (unsigned short)width, .ws_row = (unsigned short)height};

	if (io->master < 0)
		return -ENOTTY;
	return ioctl(io->master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

/* The rest of a terminal's output goes on its way; who reads a FIFO sees the end when that is done. */
void io_ended(struct stdio *io)
{
	end_carrier(&io->input);
	shut(&io->keep_in);
	shut(&io->keep_out[0]);
	shut(&io->keep_out[1]);
	shut(&io->master);
	remove_socket(io);
}

void io_close(struct stdio *io)
{
	io_ended(io);
	end_carrier(&io->output);
	free(io->in);
	free(io->out);
	free(io->err);
}
