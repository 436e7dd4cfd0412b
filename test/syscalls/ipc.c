/* sysvipc(7): semaphores and message queues; mq_overview(7); io_submit(2). */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include "check.h"

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static int op(int id, int num, int by, int flags)
{
	struct sembuf b = { num, by, flags };

	return semop(id, &b, 1);
}

static void semaphores(void)
{
	struct timespec ts = { 0, 20000000 };
	struct sembuf two[2] = { { 0, -1, IPC_NOWAIT }, { 1, -5, IPC_NOWAIT } };
	unsigned short vals[3] = { 3, 4, 5 };
	struct semid_ds ds;
	int id = semget(IPC_PRIVATE, 3, 0600);

	CHECK(id >= 0);
	FAILS(semget(IPC_PRIVATE, 0, 0600), EINVAL);
	FAILS(semget(0x12345, 1, 0), ENOENT);
	EQ(semctl(id, 0, SETALL, (union semun){ .array = vals }), 0);
	EQ(semctl(id, 1, GETVAL), 4);
	FAILS(semop(id, two, 2), EAGAIN); /* all or nothing */
	EQ(semctl(id, 0, GETVAL), 3);
	EQ(op(id, 0, -3, 0), 0);
	EQ(op(id, 0, 0, 0), 0);
	FAILS(op(id, 0, -1, IPC_NOWAIT), EAGAIN);
	FAILS(op(id, 3, 1, 0), EFBIG);
	FAILS(op(id, 1, 32767, 0), ERANGE);
	FAILS(semctl(id, 0, SETVAL, (union semun){ .val = 40000 }), ERANGE);
	EQ(semctl(id, 0, GETPID), getpid());
	two[0] = (struct sembuf){ 0, -1, 0 };
	FAILS(semtimedop(id, two, 1, &ts), EAGAIN);
	EQ(semctl(id, 0, IPC_STAT, (union semun){ .buf = &ds }), 0);
	EQ(ds.sem_nsems, 3);
	if (!fork()) {
		op(id, 2, -2, SEM_UNDO);
		op(id, 0, 1, 0);
		usleep(20000);
		_exit(0);
	}
	EQ(op(id, 0, -1, 0), 0); /* sleeps until the child's turn */
	EQ(semctl(id, 2, GETVAL), 3);
	wait(NULL);
	EQ(semctl(id, 2, GETVAL), 5); /* undone at exit */
	if (!fork()) {
		errno = 0;
		_exit(op(id, 0, -1, 0) == -1 && errno == EIDRM ? 0 : 1);
	}
	while (semctl(id, 0, GETNCNT) != 1)
		usleep(1000);
	EQ(semctl(id, 0, IPC_RMID), 0);
	int st;
	wait(&st);
	EQ(st, 0);
	FAILS(op(id, 0, 1, 0), EINVAL);
}

static void messages(void)
{
	struct {
		long type;
		char text[100];
	} m = { 2, "two" };
	struct msqid_ds ds;
	int id = msgget(IPC_PRIVATE, 0600), st;

	CHECK(id >= 0);
	FAILS(msgrcv(id, &m, 100, 0, IPC_NOWAIT), ENOMSG);
	EQ(msgsnd(id, &m, 4, 0), 0);
	m.type = 1;
	strcpy(m.text, "one");
	EQ(msgsnd(id, &m, 4, 0), 0);
	m.type = 0;
	FAILS(msgsnd(id, &m, 4, 0), EINVAL);
	FAILS(msgrcv(id, &m, 2, 1, 0), E2BIG);
	EQ(msgrcv(id, &m, 100, -5, 0), 4); /* the lowest type first */
	CHECK(m.type == 1 && !strcmp(m.text, "one"));
	EQ(msgrcv(id, &m, 2, 0, MSG_NOERROR), 2);
	EQ(m.type, 2);
	m.type = 7;
	while (msgsnd(id, &m, 100, IPC_NOWAIT) == 0)
		;
	CHECK(errno == EAGAIN);
	EQ(msgctl(id, IPC_STAT, &ds), 0);
	CHECK(ds.msg_qnum == 163 && ds.msg_qbytes == 16384 && ds.msg_lspid == getpid());
	if (!fork())
		_exit(msgsnd(id, &m, 100, 0) ? 1 : 0);
	usleep(10000);
	EQ(msgrcv(id, &m, 100, 7, 0), 100);
	wait(&st);
	EQ(st, 0);
	if (!fork()) {
		errno = 0;
		_exit(msgrcv(id, &m, 100, 99, 0) == -1 && errno == EIDRM ? 0 : 1);
	}
	usleep(20000);
	EQ(msgctl(id, IPC_RMID, NULL), 0);
	wait(&st);
	EQ(st, 0);
}

static volatile sig_atomic_t notified;

static void on_notify(int sig, siginfo_t *info, void *ctx)
{
	(void)sig, (void)ctx;
	notified = info->si_value.sival_int;
}

static void queues(void)
{
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 16 }, got;
	struct sigaction sa = { .sa_sigaction = on_notify, .sa_flags = SA_SIGINFO };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42 };
	struct timespec past = { 1, 0 };
	char name[32], buf[16];
	unsigned prio;
	mqd_t q;

	snprintf(name, sizeof(name), "/test-%d", getpid());
	FAILS(mq_open(name, O_RDWR), ENOENT);
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (q == (mqd_t)-1 && errno == ENOSYS) {
		printf("skip queues: this host has no POSIX message queues\n");
		return;
	}
	CHECK(q != (mqd_t)-1);
	FAILS(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr), EEXIST);
	EQ(mq_getattr(q, &got), 0);
	CHECK(got.mq_maxmsg == 2 && got.mq_msgsize == 16 && got.mq_curmsgs == 0);
	FAILS(mq_send(q, buf, 17, 0), EMSGSIZE);
	FAILS(mq_receive(q, buf, 15, &prio), EMSGSIZE);
	EQ(mq_send(q, "low", 4, 1), 0);
	EQ(mq_send(q, "high", 5, 9), 0);
	FAILS(mq_timedsend(q, "x", 1, 0, &past), ETIMEDOUT);
	struct pollfd pfd = { q, POLLIN | POLLOUT, 0 };
	EQ(poll(&pfd, 1, 0), 1);
	EQ(pfd.revents, POLLIN);
	EQ(mq_receive(q, buf, 16, &prio), 5);
	EQ(prio, 9);
	EQ(mq_receive(q, buf, 16, &prio), 4);
	EQ(prio, 1);
	FAILS(mq_timedreceive(q, buf, 16, &prio, &past), ETIMEDOUT);
	sigaction(SIGUSR1, &sa, NULL);
	ev.sigev_signo = 65;
	FAILS(mq_notify(q, &ev), EINVAL);
	ev.sigev_signo = 0; /* nothing is sent */
	EQ(mq_notify(q, &ev), 0);
	EQ(mq_notify(q, NULL), 0);
	ev.sigev_signo = SIGUSR1;
	EQ(mq_notify(q, &ev), 0);
	FAILS(mq_notify(q, &ev), EBUSY);
	EQ(mq_send(q, "n", 1, 0), 0);
	EQ(notified, 42);
	EQ(mq_notify(q, &ev), 0);
	EQ(mq_notify(q, NULL), 0);
	attr.mq_flags = O_NONBLOCK;
	EQ(mq_setattr(q, &attr, NULL), 0);
	EQ(mq_receive(q, buf, 16, NULL), 1);
	FAILS(mq_receive(q, buf, 16, NULL), EAGAIN);
	EQ(mq_unlink(name), 0);
	FAILS(mq_unlink(name), ENOENT);
	EQ(mq_close(q), 0);
}

static void asynchronous(void)
{
	char file[] = "/tmp/aioXXXXXX", buf[8];
	struct iocb w = { .aio_data = 1, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (unsigned long)"abcdef", .aio_nbytes = 6 };
	struct iocb r = { .aio_data = 2, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (unsigned long)buf, .aio_nbytes = 8 };
	struct iocb bad = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = 999 }, *list[2] = { &w, &r }, *wrong[1] = { &bad };
	struct timespec ts = { 0, 10000000 };
	struct io_event ev[4];
	aio_context_t ctx = 0;
	int fd = mkstemp(file);

	EQ(syscall(SYS_io_setup, 8, &ctx), 0);
	FAILS(syscall(SYS_io_setup, 8, &ctx), EINVAL);
	w.aio_fildes = r.aio_fildes = fd;
	EQ(syscall(SYS_io_submit, ctx, 1, list), 1);
	EQ(syscall(SYS_io_getevents, ctx, 1, 4, ev, NULL), 1);
	CHECK(ev[0].data == 1 && ev[0].res == 6 && ev[0].obj == (unsigned long)&w);
	EQ(syscall(SYS_io_submit, ctx, 1, list + 1), 1);
	EQ(syscall(SYS_io_getevents, ctx, 1, 4, ev, NULL), 1);
	CHECK(ev[0].data == 2 && ev[0].res == 6 && !memcmp(buf, "abcdef", 6));
	EQ(syscall(SYS_io_getevents, ctx, 1, 4, ev, &ts), 0);
	FAILS(syscall(SYS_io_submit, ctx, 1, wrong), EBADF);
	EQ(syscall(SYS_io_destroy, ctx), 0);
	FAILS(syscall(SYS_io_destroy, ctx), EINVAL);
	close(fd);
	unlink(file);
}

/* io_submit(2): IOCB_CMD_POLL, flags of single requests, what is refused before it starts. */
static void aio_polls(void)
{
	aio_context_t ctx = 0;
	int fds[2], ev = eventfd(0, 0), status;
	struct iocb p = { .aio_data = 7, .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN }, *list[1] = { &p };
	struct io_event e[2];
	struct timespec none = { 0 }, brief = { .tv_nsec = 20000000 };
	char b;

	EQ(pipe(fds), 0);
	EQ(syscall(SYS_io_setup, 4, &ctx), 0);
	p.aio_fildes = (unsigned)fds[0];
	EQ(syscall(SYS_io_submit, ctx, 1, list), 1);
	EQ(syscall(SYS_io_getevents, ctx, 0, 2, e, &none), 0);
	EQ(syscall(SYS_io_getevents, ctx, 1, 2, e, &brief), 0);
	EQ(write(fds[1], "x", 1), 1);
	EQ(syscall(SYS_io_getevents, ctx, 1, 2, e, NULL), 1);
	EQ(e[0].data, 7);
	EQ(e[0].obj, (unsigned long)&p);
	EQ(e[0].res & POLLIN, POLLIN);
	EQ(read(fds[0], &b, 1), 1);
	EQ(syscall(SYS_io_submit, ctx, 1, list), 1);
	if (!fork()) { /* while somebody waits */
		nanosleep(&brief, NULL);
		_exit(write(fds[1], "y", 1) != 1);
	}
	EQ(syscall(SYS_io_getevents, ctx, 1, 2, e, NULL), 1);
	EQ(e[0].res & POLLIN, POLLIN);
	wait(&status);
	EQ(read(fds[0], &b, 1), 1);
	EQ(syscall(SYS_io_submit, ctx, 1, list), 1);
	FAILS(syscall(SYS_io_cancel, ctx, &p, e), EINPROGRESS);
	EQ(syscall(SYS_io_getevents, ctx, 1, 2, e, NULL), 1);
	EQ(e[0].res, 0);
	FAILS(syscall(SYS_io_cancel, ctx, &p, e), EINVAL);
	p.aio_buf = 0x10000;
	FAILS(syscall(SYS_io_submit, ctx, 1, list), EINVAL);
	p.aio_buf = POLLIN;
	p.aio_nbytes = 1;
	FAILS(syscall(SYS_io_submit, ctx, 1, list), EINVAL);
	struct iocb r = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (unsigned)fds[0], .aio_buf = (unsigned long)&b, .aio_nbytes = 1 };
	list[0] = &r;
	r.aio_flags = IOCB_FLAG_RESFD;
	r.aio_resfd = 999;
	FAILS(syscall(SYS_io_submit, ctx, 1, list), EBADF);
	r.aio_resfd = (unsigned)fds[0];
	FAILS(syscall(SYS_io_submit, ctx, 1, list), EINVAL);
	EQ(write(fds[1], "z", 1), 1);
	r.aio_resfd = (unsigned)ev;
	EQ(syscall(SYS_io_submit, ctx, 1, list), 1);
	__u64 count = 0;
	EQ(read(ev, &count, 8), 8);
	EQ(count, 1);
	EQ(syscall(SYS_io_getevents, ctx, 1, 2, e, NULL), 1);
	EQ(e[0].res, 1);
	r.aio_flags = IOCB_FLAG_IOPRIO;
	r.aio_reqprio = (short)0xffff;
	FAILS(syscall(SYS_io_submit, ctx, 1, list), EINVAL);
	r.aio_flags = 0;
	r.aio_rw_flags = 0x8000;
	FAILS(syscall(SYS_io_submit, ctx, 1, list), EOPNOTSUPP);
	r.aio_rw_flags = 0;
	r.aio_fildes = (unsigned)fds[1];
	FAILS(syscall(SYS_io_submit, ctx, 1, list), EBADF);
	r.aio_fildes = (unsigned)ev;
	r.aio_nbytes = 4; /* an error of the eventfd itself */
	EQ(syscall(SYS_io_submit, ctx, 1, list), 1);
	EQ(syscall(SYS_io_getevents, ctx, 1, 2, e, NULL), 1);
	EQ((long)e[0].res, -EINVAL);
	EQ(syscall(SYS_io_destroy, ctx), 0);
	ctx = 0;
	FAILS(syscall(SYS_io_setup, -1000, &ctx), EINVAL);
	FAILS(syscall(SYS_io_setup, 0x200000, &ctx), EAGAIN);
	close(fds[0]);
	close(fds[1]);
	close(ev);
}

int main(void)
{
	RUN(semaphores);
	RUN(messages);
	RUN(queues);
	RUN(asynchronous);
	RUN(aio_polls);
	DONE();
}
