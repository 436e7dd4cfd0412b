/* inotify(7). */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char dir[128] = "/tmp/notifyXXXXXX";
static int fd;
static char queue[65536];
static size_t have;

static struct inotify_event *next(void)
{
	static char one[512];
	struct inotify_event *e = (struct inotify_event *)queue;
	size_t n;

	if (!have) {
		ssize_t got = read(fd, queue, sizeof(queue));

		if (got <= 0)
			return NULL;
		have = (size_t)got;
	}
	n = sizeof(*e) + e->len;
	memcpy(one, queue, n);
	memmove(queue, queue + n, have -= n);
	return (struct inotify_event *)one;
}

/* The next event is this one. */
#define EVENT(wd_, mask_, name_)                                                        \
	do {                                                                            \
		struct inotify_event *e__ = next();                                     \
		CHECK(e__);                                                             \
		if (e__) {                                                              \
			EQ(e__->wd, wd_);                                               \
			EQ(e__->mask, mask_);                                           \
			CHECK(!strcmp(e__->len ? e__->name : "", name_));               \
		}                                                                       \
	} while (0)
#define QUIET() CHECK(!next() && errno == EAGAIN)

static void files(void)
{
	int w = inotify_add_watch(fd, ".", IN_ALL_EVENTS), f;
	char c;

	CHECK(w > 0);
	f = open("f", O_CREAT | O_RDWR, 0600);
	EVENT(w, IN_CREATE, "f");
	EVENT(w, IN_OPEN, "f");
	write(f, "x", 1);
	write(f, "y", 1); /* the same again: one event */
	EVENT(w, IN_MODIFY, "f");
	pread(f, &c, 1, 0);
	EVENT(w, IN_ACCESS, "f");
	fchmod(f, 0644);
	EVENT(w, IN_ATTRIB, "f");
	ftruncate(f, 0);
	EVENT(w, IN_MODIFY, "f");
	close(f);
	EVENT(w, IN_CLOSE_WRITE, "f");
	close(open("f", O_RDONLY));
	EVENT(w, IN_OPEN, "f");
	EVENT(w, IN_CLOSE_NOWRITE, "f");
	rename("f", "g");
	EVENT(w, IN_MOVED_FROM, "f");
	EVENT(w, IN_MOVED_TO, "g");
	link("g", "h");
	EVENT(w, IN_CREATE, "h");
	unlink("g");
	EVENT(w, IN_DELETE, "g");
	unlink("h");
	EVENT(w, IN_DELETE, "h");
	mkdir("d", 0755);
	EVENT(w, IN_CREATE | IN_ISDIR, "d");
	rmdir("d");
	EVENT(w, IN_DELETE | IN_ISDIR, "d");
	symlink("x", "l");
	EVENT(w, IN_CREATE, "l");
	unlink("l");
	EVENT(w, IN_DELETE, "l");
	QUIET();
	EQ(inotify_rm_watch(fd, w), 0);
	EVENT(w, IN_IGNORED, "");
	FAILS(inotify_rm_watch(fd, w), EINVAL);
}

static void own_inode(void)
{
	int w, n;

	close(open("f", O_CREAT | O_RDWR, 0600));
	w = inotify_add_watch(fd, "f", IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB);
	rename("f", "g");
	EVENT(w, IN_MOVE_SELF, "");
	EQ(ioctl(fd, FIONREAD, &n), 0);
	EQ(n, 0);
	unlink("g");
	EVENT(w, IN_ATTRIB, "");
	EQ(ioctl(fd, FIONREAD, &n), 0);
	EVENT(w, IN_DELETE_SELF, "");
	EVENT(w, IN_IGNORED, "");
	mkdir("d", 0755);
	w = inotify_add_watch(fd, "d", IN_DELETE_SELF | IN_ONLYDIR);
	rmdir("d");
	EVENT(w, IN_DELETE_SELF, "");
	EVENT(w, IN_IGNORED, "");
	QUIET();
}

static void masks(void)
{
	int w, v, f;

	f = open("f", O_CREAT | O_RDWR, 0600);
	w = inotify_add_watch(fd, "f", IN_MODIFY);
	v = inotify_add_watch(fd, "f", IN_ATTRIB);
	EQ(v, w);
	write(f, "x", 1);
	QUIET();
	EQ(inotify_add_watch(fd, "f", IN_MODIFY | IN_MASK_ADD), w);
	write(f, "x", 1);
	EVENT(w, IN_MODIFY, "");
	FAILS(inotify_add_watch(fd, "f", IN_MODIFY | IN_MASK_CREATE), EEXIST);
	inotify_rm_watch(fd, w);
	EVENT(w, IN_IGNORED, "");
	w = inotify_add_watch(fd, "f", IN_MODIFY | IN_ONESHOT);
	CHECK(w != v);
	write(f, "x", 1);
	write(f, "x", 1);
	EVENT(w, IN_MODIFY, "");
	EVENT(w, IN_IGNORED, "");
	QUIET();
	FAILS(inotify_add_watch(fd, "f", 0), EINVAL);
	FAILS(inotify_add_watch(fd, "missing", IN_MODIFY), ENOENT);
	FAILS(inotify_add_watch(fd, "f", IN_MODIFY | IN_ONLYDIR), ENOTDIR);
	FAILS(inotify_add_watch(f, "f", IN_MODIFY), EINVAL);
	FAILS(inotify_add_watch(-1, "f", IN_MODIFY), EBADF);
	FAILS(inotify_init1(0x40), EINVAL);
	close(f);
	unlink("f");
}

static void reading(void)
{
	struct pollfd p = { fd, POLLIN, 0 };
	int w = inotify_add_watch(fd, ".", IN_CREATE), n;
	char small[8];

	EQ(poll(&p, 1, 0), 0);
	close(open("name", O_CREAT | O_RDWR, 0600));
	EQ(poll(&p, 1, 1000), 1);
	EQ(ioctl(fd, FIONREAD, &n), 0);
	EQ(n, 32);
	FAILS(read(fd, small, sizeof(small)), EINVAL);
	EVENT(w, IN_CREATE, "name");
	unlink("name");
	inotify_rm_watch(fd, w);
	EVENT(w, IN_IGNORED, "");
}

static void cookies(void)
{
	int w, v;
	struct inotify_event *e;
	unsigned cookie;

	mkdir("a", 0755);
	mkdir("b", 0755);
	close(open("a/f", O_CREAT | O_RDWR, 0600));
	w = inotify_add_watch(fd, "a", IN_MOVE);
	v = inotify_add_watch(fd, "b", IN_MOVE);
	rename("a/f", "b/g");
	e = next();
	CHECK(e && e->wd == w && e->mask == IN_MOVED_FROM && !strcmp(e->name, "f"));
	cookie = e ? e->cookie : 0;
	CHECK(cookie);
	e = next();
	CHECK(e && e->wd == v && e->mask == IN_MOVED_TO && e->cookie == cookie && !strcmp(e->name, "g"));
	unlink("b/g");
	rmdir("a");
	rmdir("b");
	EVENT(w, IN_IGNORED, "");
	EVENT(v, IN_IGNORED, "");
	QUIET();
}

/* F_NOTIFY, fcntl(2) */
static volatile int told, told_fd;
static void on_told(int sig, siginfo_t *si, void *context)
{
	told++;
	told_fd = si->si_fd;
}

static void make(const char *name)
{
	close(open(name, O_CREAT | O_WRONLY, 0600));
}

static void directory_signals(void)
{
	struct sigaction sa = { .sa_sigaction = on_told, .sa_flags = SA_SIGINFO };
	int d = open(".", O_RDONLY | O_DIRECTORY), f = open("dn", O_CREAT | O_RDWR, 0600);

	EQ(sigaction(SIGRTMIN, &sa, NULL), 0);
	EQ(sigaction(SIGIO, &sa, NULL), 0);
	FAILS(fcntl(f, F_NOTIFY, DN_CREATE), ENOTDIR);
	EQ(fcntl(f, F_NOTIFY, 0), 0);
	EQ(fcntl(d, F_SETSIG, SIGRTMIN), 0);
	EQ(fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT), 0);
	EQ(fcntl(d, F_GETOWN), getpid());
	make("dn1");
	EQ(told, 1);
	EQ(told_fd, d);
	EQ(unlink("dn1"), 0); /* not asked for */
	EQ(told, 1);
	EQ(fcntl(d, F_NOTIFY, DN_DELETE | DN_MULTISHOT), 0); /* adds */
	make("dn1");
	EQ(told, 2);
	EQ(unlink("dn1"), 0);
	EQ(told, 3);
	EQ(fcntl(d, F_NOTIFY, 0), 0);
	make("dn1");
	EQ(told, 3);
	EQ(fcntl(d, F_NOTIFY, DN_MODIFY), 0); /* once */
	EQ(write(f, "a", 1), 1);
	EQ(told, 4);
	EQ(write(f, "a", 1), 1);
	EQ(told, 4);
	EQ(fcntl(d, F_NOTIFY, DN_ATTRIB | DN_MULTISHOT), 0);
	EQ(fchmod(f, 0640), 0);
	EQ(told, 5);
	EQ(fcntl(d, F_NOTIFY, 0), 0);
	EQ(fcntl(d, F_NOTIFY, DN_RENAME), 0);
	EQ(rename("dn1", "dn2"), 0);
	EQ(told, 6);
	EQ(fcntl(d, F_SETSIG, 0), 0); /* SIGIO then */
	EQ(fcntl(d, F_NOTIFY, DN_DELETE), 0);
	EQ(unlink("dn2"), 0);
	EQ(told, 7);
	EQ(fcntl(d, F_NOTIFY, DN_DELETE | DN_MULTISHOT), 0);
	close(d); /* goes with the descriptor */
	EQ(unlink("dn"), 0);
	EQ(told, 7);
	close(f);
}

int main(void)
{
	CHECK(mkdtemp(in_test_dir(dir)));
	EQ(chdir(dir), 0);
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	CHECK(fd >= 0);
	RUN(files);
	RUN(own_inode);
	RUN(masks);
	RUN(reading);
	RUN(cookies);
	RUN(directory_signals);
	close(fd);
	EQ(chdir("/"), 0);
	EQ(rmdir(dir), 0);
	DONE();
}
