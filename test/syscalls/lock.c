/* fcntl(2) record locks of processes and open descriptions, flock(2). */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static char name[128] = "/tmp/lockXXXXXX";
static int fd;

static int lock(int on, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(on, cmd, &l);
}

/* In a child: the exit status says how many checks failed. */
#define CHILD                                                                           \
	for (pid_t pid__ = fork(), once__ = 1; once__; ({ int s__; fflush(stdout); if (!pid__) _exit(!!check_failures); waitpid(pid__, &s__, 0); \
	     CHECK(s__ == 0); once__ = 0; }))                                            \
		if (!pid__ && ({ check_failures = 0; 1; }))

static void records(void)
{
	struct flock l = { .l_type = F_WRLCK };

	EQ(lock(fd, F_SETLK, F_WRLCK, 10, 10), 0);
	EQ(fcntl(fd, F_GETLK, &l), 0); /* one's own locks do not stand in the way */
	EQ(l.l_type, F_UNLCK);
	CHILD
	{
		FAILS(lock(fd, F_SETLK, F_WRLCK, 15, 1), EAGAIN);
		FAILS(lock(fd, F_SETLK, F_RDLCK, 0, 0), EAGAIN);
		EQ(lock(fd, F_SETLK, F_WRLCK, 0, 10), 0);
		EQ(lock(fd, F_SETLK, F_WRLCK, 20, 0), 0);
		l = (struct flock){ .l_type = F_RDLCK, .l_start = 12, .l_len = 3 };
		EQ(fcntl(fd, F_GETLK, &l), 0);
		EQ(l.l_type, F_WRLCK);
		EQ(l.l_start, 10);
		EQ(l.l_len, 10);
		EQ(l.l_pid, getppid());
	}
	/* Unlocking the middle leaves two. */
	EQ(lock(fd, F_SETLK, F_UNLCK, 13, 2), 0);
	CHILD
	{
		EQ(lock(fd, F_SETLK, F_WRLCK, 13, 2), 0);
		FAILS(lock(fd, F_SETLK, F_WRLCK, 12, 1), EAGAIN);
		FAILS(lock(fd, F_SETLK, F_WRLCK, 15, 1), EAGAIN);
	}
	/* Part becomes a read lock. */
	EQ(lock(fd, F_SETLK, F_RDLCK, 10, 3), 0);
	CHILD
	{
		EQ(lock(fd, F_SETLK, F_RDLCK, 10, 3), 0);
		FAILS(lock(fd, F_SETLK, F_WRLCK, 10, 1), EAGAIN);
	}
	EQ(lock(fd, F_SETLK, F_UNLCK, 0, 0), 0);
	CHILD { EQ(lock(fd, F_SETLK, F_WRLCK, 0, 0), 0); }
}

static void record_errors(void)
{
	struct flock l = { .l_type = 9 };
	int ro = open(name, O_RDONLY), wo = open(name, O_WRONLY);

	FAILS(fcntl(fd, F_SETLK, &l), EINVAL);
	FAILS(fcntl(fd, F_SETLK, (void *)8), EFAULT);
	l = (struct flock){ .l_type = F_RDLCK, .l_whence = 7 };
	FAILS(fcntl(fd, F_SETLK, &l), EINVAL);
	FAILS(lock(fd, F_SETLK, F_RDLCK, -5, 1), EINVAL);
	FAILS(lock(ro, F_SETLK, F_WRLCK, 0, 1), EBADF);
	FAILS(lock(wo, F_SETLK, F_RDLCK, 0, 1), EBADF);
	EQ(lock(fd, F_SETLK, F_RDLCK, 10, -5), 0); /* the five bytes before */
	FAILS(lock(fd, F_SETLK, F_RDLCK, 4, -5), EINVAL);
	close(ro); /* closing any descriptor of the file lets go of all */
	close(wo);
	CHILD { EQ(lock(fd, F_SETLK, F_WRLCK, 0, 0), 0); }
}

static void waiting(void)
{
	int p[2], status;
	char c;
	pid_t pid;

	EQ(pipe(p), 0);
	EQ(lock(fd, F_SETLK, F_WRLCK, 0, 0), 0);
	pid = fork();
	if (!pid) {
		write(p[1], "x", 1);
		_exit(lock(fd, F_SETLKW, F_WRLCK, 0, 0) ? 1 : 0);
	}
	read(p[0], &c, 1);
	nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	EQ(waitpid(pid, &status, WNOHANG), 0);
	EQ(lock(fd, F_SETLK, F_UNLCK, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	close(p[0]);
	close(p[1]);
}

static void deadlock(void)
{
	int a[2], b[2], status;
	char c;
	pid_t pid;

	EQ(pipe(a), 0);
	EQ(pipe(b), 0);
	EQ(lock(fd, F_SETLK, F_WRLCK, 0, 1), 0);
	pid = fork();
	if (!pid) {
		lock(fd, F_SETLK, F_WRLCK, 1, 1);
		write(a[1], "x", 1);
		_exit(lock(fd, F_SETLKW, F_WRLCK, 0, 1) ? 1 : 0); /* waits for the parent */
	}
	read(a[0], &c, 1);
	nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	FAILS(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	EQ(lock(fd, F_SETLK, F_UNLCK, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

static void nothing(int sig) {}

static void interrupted(void)
{
	struct sigaction sa = { .sa_handler = nothing };
	int other = open(name, O_RDWR);

	sigaction(SIGALRM, &sa, NULL);
	EQ(flock(other, LOCK_EX), 0);
	alarm(1);
	FAILS(flock(fd, LOCK_EX), EINTR);
	close(other);
}

static void descriptions(void)
{
	int other = open(name, O_RDWR), same = dup(fd);
	struct flock l = { .l_type = F_WRLCK };

	EQ(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	FAILS(lock(other, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	FAILS(lock(other, F_SETLK, F_WRLCK, 5, 1), EAGAIN);
	EQ(lock(same, F_OFD_SETLK, F_RDLCK, 5, 1), 0);
	EQ(fcntl(other, F_OFD_GETLK, &l), 0);
	EQ(l.l_pid, -1);
	l = (struct flock){ .l_type = F_WRLCK, .l_pid = 1 };
	FAILS(fcntl(other, F_OFD_SETLK, &l), EINVAL);
	EQ(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0), 0);
	EQ(lock(other, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
	close(other);
	EQ(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
	EQ(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0), 0);
	close(same);
}

static void whole_files(void)
{
	int other = open(name, O_RDWR), same = dup(fd);

	EQ(flock(fd, LOCK_SH), 0);
	EQ(flock(other, LOCK_SH), 0);
	FAILS(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	EQ(flock(other, LOCK_UN), 0);
	EQ(flock(same, LOCK_EX | LOCK_NB), 0);
	FAILS(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHILD { EQ(flock(fd, LOCK_EX | LOCK_NB), 0); } /* inherited with the description */
	FAILS(flock(fd, 77), EINVAL);
	FAILS(flock(-1, LOCK_SH), EBADF);
	EQ(lock(other, F_SETLK, F_WRLCK, 0, 0), 0); /* the two kinds do not meet */
	close(same);
	FAILS(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	EQ(flock(fd, LOCK_UN), 0);
	EQ(flock(other, LOCK_SH | LOCK_NB), 0);
	close(other);
	EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
	EQ(flock(fd, LOCK_UN), 0);
}

/* ---- leases ---- */

static volatile int lease_signals, lease_fd;
static void on_lease(int sig, siginfo_t *si, void *context)
{
	lease_signals++;
	lease_fd = si->si_fd;
}

/* Open it in a child, which ends when it could: its pid. */
static pid_t opener(const char *path, int flags)
{
	pid_t pid = fork();

	if (!pid)
		_exit(open(path, flags) < 0 ? errno : 0);
	return pid;
}

static int ended(pid_t pid)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void wait_for_signal(int n)
{
	for (int i = 0; i < 5000 && lease_signals < n; i++)
		usleep(1000);
	EQ(lease_signals, n);
}

static void leases(void)
{
	struct sigaction sa = { .sa_sigaction = on_lease, .sa_flags = SA_SIGINFO | SA_RESTART };
	char leased[160], others[160];
	int r, w, p[2], d;
	pid_t pid;

	snprintf(leased, sizeof(leased), "%s.leased", name);
	snprintf(others, sizeof(others), "%s.others", name);

	close(open(leased, O_CREAT | O_WRONLY, 0600));
	r = open(leased, O_RDONLY);
	EQ(sigaction(SIGRTMIN, &sa, NULL), 0);
	EQ(pipe(p), 0);
	d = open("/", O_RDONLY);
	FAILS(fcntl(p[0], F_SETLEASE, F_RDLCK), EINVAL);
	FAILS(fcntl(d, F_SETLEASE, F_RDLCK), EINVAL);
	FAILS(fcntl(r, F_SETLEASE, 77), EINVAL);
	FAILS(fcntl(r, F_SETLEASE, F_UNLCK), EAGAIN);
	EQ(fcntl(r, F_GETLEASE), F_UNLCK);
	if (fcntl(r, F_SETLEASE, F_RDLCK) < 0 && errno == EINVAL)
		return; /* not this file system */
	EQ(fcntl(r, F_GETLEASE), F_RDLCK);
	EQ(fcntl(r, F_GETOWN), getpid());
	EQ(fcntl(r, F_SETSIG, SIGRTMIN), 0);
	EQ(ended(opener(leased, O_RDONLY)), 0); /* readers are welcome */
	EQ(lease_signals, 0);
	EQ(ended(opener(leased, O_WRONLY | O_NONBLOCK)), EWOULDBLOCK);
	wait_for_signal(1);
	EQ(lease_fd, r);
	EQ(fcntl(r, F_GETLEASE), F_UNLCK); /* what it is to become */
	pid = opener(leased, O_WRONLY);
	EQ(fcntl(r, F_SETLEASE, F_UNLCK), 0);
	EQ(ended(pid), 0);
	EQ(lease_signals, 1); /* told once */
	w = open(leased, O_RDWR);
	FAILS(fcntl(r, F_SETLEASE, F_RDLCK), EAGAIN); /* somebody writes */
	FAILS(fcntl(w, F_SETLEASE, F_WRLCK), EAGAIN); /* open twice */
	close(r);
	EQ(fcntl(w, F_SETLEASE, F_WRLCK), 0);
	EQ(fcntl(w, F_GETLEASE), F_WRLCK);
	EQ(fcntl(w, F_SETSIG, SIGRTMIN), 0);
	pid = opener(leased, O_RDONLY);
	wait_for_signal(2);
	EQ(fcntl(w, F_GETLEASE), F_RDLCK);
	EQ(fcntl(w, F_SETLEASE, F_UNLCK), 0);
	EQ(ended(pid), 0);
	EQ(fcntl(w, F_GETSIG), 0); /* the signal and whom it goes to end with the lease */
	EQ(fcntl(w, F_GETOWN), 0);
	EQ(fcntl(w, F_SETLEASE, F_WRLCK), 0);
	EQ(fcntl(w, F_SETSIG, SIGRTMIN), 0);
	pid = fork();
	if (!pid)
		_exit(truncate(leased, 0) ? errno : 0);
	wait_for_signal(3);
	close(w); /* the child had its own copy, and is gone with it */
	EQ(kill(pid, SIGKILL), 0);
	waitpid(pid, NULL, 0);
	close(p[0]), close(p[1]), close(d);
	EQ(unlink(leased), 0);
	if (geteuid())
		return;
	close(open(others, O_CREAT | O_WRONLY, 0644));
	r = open(others, O_RDONLY);
	EQ(seteuid(1000), 0);
	FAILS(fcntl(r, F_SETLEASE, F_RDLCK), EACCES); /* not the owner's */
	EQ(seteuid(0), 0);
	close(r);
	EQ(unlink(others), 0);
}

int main(void)
{
	fd = mkstemp(in_test_dir(name));
	CHECK(fd >= 0);
	RUN(records);
	RUN(record_errors);
	RUN(waiting);
	RUN(deadlock);
	RUN(interrupted);
	RUN(descriptions);
	RUN(whole_files);
	RUN(leases);
	unlink(name);
	DONE();
}
