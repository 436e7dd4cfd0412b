/*
 * The file window in the stubs: they map the files themselves. All stubs share one table of descriptors, so a file is given to the
 * master, once, by a message on a socket, when one of its pages is mapped first.
 */
#include <linux/mman.h>

#include "host/window.h"
#include "platform/ptrace/control.h"
#include "platform/ptrace/internal.h"

s32 pt_window_socket[2] = { -1, -1 };

static spinlock_t lock = SPINLOCK_INIT; /* -> the master's */
static struct {
	s32 fd; /* in the stubs */
	u32 generation; /* of the file that it is; 0: none */
} given[WINDOW_FILES_MAX];

/* sendmsg(2), cmsg(3), as the kernel has them: libc's headers do not go with the kernel's signals. */
#define AF_UNIX 1
#define SOCK_DGRAM 2
#define SOCK_CLOEXEC 02000000
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_DONTWAIT 0x40
#define MSG_CMSG_CLOEXEC 0x40000000

/* A message of one byte and one descriptor. */
struct message {
	struct {
		u64 name, namelen;
		struct host_iovec *iov;
		u64 iovlen;
		void *control;
		u64 controllen, flags;
	} head;
	struct host_iovec iov;
	struct {
		u64 len;
		s32 level, type;
		s32 fd, pad;
	} control;
	char byte;
};
#define CONTROL_LEN (__builtin_offsetof(struct message, control.pad) - __builtin_offsetof(struct message, control))

static void message_init(struct message *m, struct message *seen_as)
{
	*m = (struct message){ .head = { .iov = &seen_as->iov, .iovlen = 1, .control = &seen_as->control,
					 .controllen = sizeof(m->control) },
			       .iov = { &seen_as->byte, 1 } };
}

/* The master's fpu pages are never used: nothing of an application runs there. The first serves for messages. */
#define MESSAGE_ADDR STUB_FPU_ADDR

int window_socket(void)
{
	return (int)sys_call4(__NR_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pt_window_socket);
}

int window_prepare(struct unit *master, struct stub *stub)
{
	s64 ret = stub_syscall(stub, __NR_mmap, MESSAGE_ADDR, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, STUB_CTL_FD,
			       control_unit_offset(master->index) + OPS_SIZE);

	return ret < 0 ? (int)ret : 0;
}

static int send_file(int fd)
{
	struct message m;

	message_init(&m, &m);
	m.control.len = CONTROL_LEN;
	m.control.level = SOL_SOCKET;
	m.control.type = SCM_RIGHTS;
	m.control.fd = fd;
	return (int)sys_call3(__NR_sendmsg, pt_window_socket[0], &m.head, MSG_DONTWAIT);
}

/* Its number in the stubs, or -errno. */
static s32 receive_file(struct unit *master, struct stub *stub)
{
	struct message *m = (struct message *)master->fpu;
	s64 ret;

	message_init(m, (struct message *)MESSAGE_ADDR);
	ret = stub_syscall(stub, __NR_recvmsg, STUB_SOCK_FD, MESSAGE_ADDR, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, 0, 0, 0);
	if (ret < 0)
		return (s32)ret;
	return m->control.len == CONTROL_LEN && m->control.type == SCM_RIGHTS ? m->control.fd : -EMFILE;
}

static s32 give(const struct window_view *view)
{
	struct vcpu *v = this_vcpu();
	struct unit *master = v->master;
	struct stub *stub;
	s32 fd = -ESRCH;

	spin_lock(&master->lock);
	stub = unit_get_stub(master, v, NULL);
	if (stub && given[view->file].generation)
		stub_syscall(stub, __NR_close, (u64)given[view->file].fd, 0, 0, 0, 0, 0);
	given[view->file].generation = 0;
	if (stub) {
		fd = send_file(view->fd);
		if (fd >= 0)
			fd = receive_file(master, stub);
	}
	spin_unlock(&master->lock);
	if (fd >= 0) {
		given[view->file].fd = fd;
		given[view->file].generation = view->generation;
	}
	return fd;
}

u64 window_place(u64 pa, s32 *fd, u64 *off)
{
	struct window_view view;

	*fd = STUB_MEM_FD;
	*off = pa;
	if (likely(pa < pt_config.mem_size))
		return pt_config.mem_size - pa;
	if (!window_look(pa, &view))
		return 0;
	spin_lock(&lock);
	*fd = given[view.file].generation == view.generation ? given[view.file].fd : give(&view);
	spin_unlock(&lock);
	*off = view.pos;
	return *fd < 0 ? 0 : view.len;
}
