/* fanotify(7), fanotify_init(2), fanotify_mark(2): on a tmpfs in a mount namespace of its own. */
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static char dir[] = "/tmp/fanotifyXXXXXX";
static int fan;

static void touch(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0644)); }

/* Mark and init by number: what libc makes of their arguments is not the matter here. */
static int mark(int fd, unsigned flags, unsigned long mask, const char *name)
{
	return (int)syscall(SYS_fanotify_mark, fd, flags, mask, AT_FDCWD, name);
}

static char events[4096];
static long got;

static long collect(int fd)
{
	got = read(fd, events, sizeof(events));
	return got;
}

static struct fanotify_event_metadata *nth(int n)
{
	struct fanotify_event_metadata *m = (void *)events;
	long left = got;

	for (; FAN_EVENT_OK(m, left); n--) {
		if (!n)
			return m;
		m = FAN_EVENT_NEXT(m, left);
	}
	return NULL;
}

static void close_all(void)
{
	for (int i = 0; nth(i); i++)
		if (nth(i)->fd >= 0)
			close(nth(i)->fd);
}

static int is_file(int fd, const char *name)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(name, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void initialising(void)
{
	FAILS(fanotify_init(0x80000000, O_RDONLY), EINVAL);
	FAILS(fanotify_init(FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT, O_RDONLY), EINVAL);
	FAILS(fanotify_init(FAN_CLASS_NOTIF, O_ACCMODE), EINVAL);
	FAILS(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY | O_CREAT), EINVAL);
	FAILS(fanotify_init(FAN_REPORT_FID | FAN_CLASS_CONTENT, O_RDONLY), EINVAL);
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY);
	CHECK(fan >= 0);
	EQ(fcntl(fan, F_GETFD), FD_CLOEXEC);
	EQ(fcntl(fan, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDWR);
	FAILS(collect(fan), EAGAIN);
	close(fan);
}

static void marking(void)
{
	int pipes[2];

	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	touch("f");
	EQ(pipe(pipes), 0);
	FAILS(mark(fan, 0, FAN_OPEN, "f"), EINVAL);
	FAILS(mark(fan, FAN_MARK_ADD | FAN_MARK_REMOVE, FAN_OPEN, "f"), EINVAL);
	FAILS(mark(fan, FAN_MARK_ADD, 0, "f"), EINVAL);
	FAILS(mark(fan, FAN_MARK_ADD, 1ul << 32, "f"), EINVAL);
	FAILS(mark(fan, FAN_MARK_ADD | 0x10000, FAN_OPEN, "f"), EINVAL);
	FAILS(mark(fan, FAN_MARK_ADD, FAN_Q_OVERFLOW, "f"), EINVAL);
	FAILS(mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM, "f"), EINVAL); /* not of this class */
	FAILS(mark(fan, FAN_MARK_ADD, FAN_CREATE, "."), EINVAL);	/* without handles */
	FAILS(mark(fan, FAN_MARK_FLUSH | FAN_MARK_ONLYDIR, 0, NULL), EINVAL);
	FAILS(mark(-1, FAN_MARK_ADD, FAN_OPEN, "f"), EBADF);
	FAILS(mark(pipes[0], FAN_MARK_ADD, FAN_OPEN, "f"), EINVAL);
	FAILS(mark(fan, FAN_MARK_ADD, FAN_OPEN, "missing"), ENOENT);
	FAILS(mark(fan, FAN_MARK_ADD, FAN_OPEN, (char *)1), EFAULT);
	FAILS(mark(fan, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_OPEN, "f"), ENOTDIR);
	FAILS(mark(fan, FAN_MARK_REMOVE, FAN_OPEN, "f"), ENOENT);
	EQ(mark(fan, FAN_MARK_ADD, FAN_OPEN | FAN_CLOSE, "f"), 0);
	EQ(mark(fan, FAN_MARK_REMOVE, FAN_OPEN, "f"), 0);
	EQ(mark(fan, FAN_MARK_REMOVE, FAN_CLOSE, "f"), 0);
	FAILS(mark(fan, FAN_MARK_REMOVE, FAN_CLOSE, "f"), ENOENT); /* nothing was left of it */
	EQ(mark(fan, FAN_MARK_FLUSH, 0, NULL), 0);
	close(pipes[0]);
	close(pipes[1]);
	close(fan);
}

static void of_a_file(void)
{
	struct fanotify_event_metadata *m;
	int fd, n;
	char c;

	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
	EQ(mark(fan, FAN_MARK_ADD, FAN_OPEN | FAN_ACCESS | FAN_MODIFY | FAN_CLOSE, "f"), 0);
	touch("other");
	FAILS(collect(fan), EAGAIN);
	fd = open("f", O_RDWR);
	EQ(write(fd, "x", 1), 1);
	EQ(ioctl(fan, FIONREAD, &n), 0);
	EQ(n, FAN_EVENT_METADATA_LEN); /* what happens to one file by one process is one event */
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	m = nth(0);
	EQ(m->vers, FANOTIFY_METADATA_VERSION);
	EQ(m->metadata_len, FAN_EVENT_METADATA_LEN);
	EQ(m->mask, FAN_OPEN | FAN_MODIFY);
	EQ(m->pid, getpid());
	CHECK(is_file(m->fd, "f"));
	EQ(fcntl(m->fd, F_GETFD), FD_CLOEXEC);
	/* What the reader does with it is not told. */
	EQ(pread(m->fd, &c, 1, 0), 1);
	close(m->fd);
	FAILS(collect(fan), EAGAIN);
	EQ(pread(fd, &c, 1, 0), 1);
	EQ(pread(fd, &c, 1, 1), 0); /* the end: not even tried */
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	EQ(nth(0)->mask, FAN_ACCESS);
	close_all();
	close(fd);
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	EQ(nth(0)->mask, FAN_CLOSE_WRITE);
	close_all();
	if (!fork()) {
		close(open("f", O_RDONLY));
		_exit(0);
	}
	wait(NULL);
	close(open("f", O_RDONLY));
	EQ(collect(fan), 2 * FAN_EVENT_METADATA_LEN);
	EQ(nth(0)->mask, FAN_OPEN | FAN_CLOSE_NOWRITE);
	CHECK(nth(0)->pid != getpid());
	EQ(nth(1)->pid, getpid());
	close_all();
	/* Too little room for an event. */
	close(open("f", O_RDONLY));
	FAILS(read(fan, events, FAN_EVENT_METADATA_LEN - 1), EINVAL);
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	close_all();
	close(fan);
}

static void of_children(void)
{
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	EQ(mkdir("d", 0755), 0);
	touch("d/x");
	EQ(mark(fan, FAN_MARK_ADD, FAN_OPEN, "d"), 0);
	close(open("d", O_RDONLY));
	close(open("d/x", O_RDONLY));
	FAILS(collect(fan), EAGAIN); /* neither directories nor children unless asked for */
	EQ(mark(fan, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, "d"), 0);
	close(open("d", O_RDONLY));
	close(open("d/x", O_RDONLY));
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	CHECK(is_file(nth(0)->fd, "d/x"));
	close_all();
	EQ(mark(fan, FAN_MARK_ADD, FAN_ONDIR, "d"), 0);
	close(open("d", O_RDONLY));
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	CHECK(is_file(nth(0)->fd, "d"));
	EQ(nth(0)->mask, FAN_OPEN);
	close_all();
	EQ(mkdir("d/deeper", 0755), 0);
	touch("d/deeper/y");
	FAILS(collect(fan), EAGAIN);
	close(fan);
	EQ(unlink("d/deeper/y"), 0);
	EQ(rmdir("d/deeper"), 0);
	EQ(unlink("d/x"), 0);
	EQ(rmdir("d"), 0);
}

static void of_mounts(void)
{
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	EQ(mkdir("b", 0755), 0);
	EQ(mkdir("s", 0755), 0);
	touch("s/f");
	EQ(mount("s", "b", NULL, MS_BIND, NULL), 0);
	EQ(mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, "b"), 0);
	close(open("s/f", O_RDONLY)); /* by another mount */
	FAILS(collect(fan), EAGAIN);
	close(open("b/f", O_RDONLY));
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	CHECK(is_file(nth(0)->fd, "s/f"));
	close_all();
	EQ(umount2("b", 0), 0); /* a mark does not keep it */
	EQ(mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CLOSE_NOWRITE, "."), 0);
	close(open("s/f", O_RDONLY));
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	EQ(nth(0)->mask, FAN_CLOSE_NOWRITE);
	close_all();
	/* What is ignored, until it is changed. */
	EQ(mark(fan, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_CLOSE_NOWRITE, "s/f"), 0);
	close(open("s/f", O_RDONLY));
	FAILS(collect(fan), EAGAIN);
	EQ(truncate("s/f", 1), 0);
	close(open("s/f", O_RDONLY));
	EQ(collect(fan), FAN_EVENT_METADATA_LEN);
	close_all();
	EQ(mark(fan, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, NULL), 0);
	close(open("s/f", O_RDONLY));
	EQ(collect(fan), FAN_EVENT_METADATA_LEN); /* another kind of mark */
	close_all();
	EQ(mark(fan, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, NULL), 0);
	close(open("s/f", O_RDONLY));
	FAILS(collect(fan), EAGAIN);
	close(fan);
	EQ(unlink("s/f"), 0);
	EQ(rmdir("s"), 0);
	EQ(rmdir("b"), 0);
}

/* FAN_REPORT_FID: handles instead of descriptors, and what has no file that is open. */
static void by_handle(void)
{
	struct {
		struct fanotify_event_metadata m;
		struct fanotify_event_info_fid fid;
	} *r = (void *)events;
	struct {
		struct file_handle h;
		unsigned char bytes[64];
	} h = { .h = { .handle_bytes = 64 } };
	struct file_handle *seen;
	struct statfs fs;
	int id;

	fan = fanotify_init(FAN_REPORT_FID | FAN_NONBLOCK, O_RDONLY);
	CHECK(fan >= 0);
	FAILS(mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CREATE, "."), EINVAL);
	EQ(mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN | FAN_CREATE | FAN_DELETE | FAN_MOVE | FAN_ATTRIB | FAN_ONDIR, "."), 0);
	EQ(name_to_handle_at(AT_FDCWD, "f", &h.h, &id, 0), 0);
	EQ(statfs(".", &fs), 0);
	close(open("f", O_RDONLY));
	CHECK(collect(fan) > FAN_EVENT_METADATA_LEN);
	EQ(r->m.fd, FAN_NOFD);
	EQ(r->m.mask, FAN_OPEN);
	EQ(r->m.event_len, got);
	EQ(r->fid.hdr.info_type, FAN_EVENT_INFO_TYPE_FID);
	EQ(r->fid.hdr.len, got - FAN_EVENT_METADATA_LEN);
	CHECK(!memcmp(&r->fid.fsid, &fs.f_fsid, sizeof(fs.f_fsid)));
	seen = (void *)r->fid.handle;
	EQ(seen->handle_bytes, h.h.handle_bytes);
	EQ(seen->handle_type, h.h.handle_type);
	CHECK(!memcmp(seen->f_handle, h.h.f_handle, h.h.handle_bytes));
	/* A name: the handle is the directory's. */
	h.h.handle_bytes = 64;
	EQ(name_to_handle_at(AT_FDCWD, ".", &h.h, &id, 0), 0);
	EQ(mknod("new", S_IFREG | 0644, 0), 0);
	CHECK(collect(fan) > 0);
	EQ(r->m.mask, FAN_CREATE);
	CHECK(!memcmp(seen->f_handle, h.h.f_handle, h.h.handle_bytes));
	EQ(chmod("new", 0600), 0);
	CHECK(collect(fan) > 0);
	EQ(r->m.mask, FAN_ATTRIB);
	EQ(rename("new", "newer"), 0);
	CHECK(collect(fan) > 0);
	EQ(r->m.mask, FAN_MOVED_FROM | FAN_MOVED_TO);
	EQ(mkdir("made", 0755), 0);
	CHECK(collect(fan) > 0);
	EQ(r->m.mask, FAN_CREATE | FAN_ONDIR);
	EQ(rmdir("made"), 0);
	CHECK(collect(fan) > 0);
	EQ(r->m.mask, FAN_DELETE | FAN_ONDIR);
	EQ(mark(fan, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, NULL), 0);
	EQ(mark(fan, FAN_MARK_ADD, FAN_DELETE_SELF, "newer"), 0);
	EQ(unlink("newer"), 0);
	CHECK(collect(fan) > 0);
	EQ(r->m.mask, FAN_DELETE_SELF);
	close(fan);
}

/* ---- questions ---- */

static int verdict; /* of the thread that answers */

static void *answering(void *arg)
{
	struct fanotify_response r;
	struct fanotify_event_metadata m;
	long asked = 0;

	while (read(fan, &m, sizeof(m)) == sizeof(m)) {
		asked++;
		r = (struct fanotify_response){ m.fd, verdict };
		if (write(fan, &r, sizeof(r)) != sizeof(r))
			break;
		close(m.fd);
		if (asked == (long)arg)
			break;
	}
	return (void *)asked;
}

static void questions(void)
{
	struct fanotify_response r = { 12345, FAN_ALLOW };
	pthread_t t;
	void *asked;
	int fd;
	char c;

	fan = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY | O_CLOEXEC);
	CHECK(fan >= 0);
	FAILS(write(fan, &r, sizeof(r)), ENOENT);
	FAILS(write(fan, &r, 4), EINVAL);
	r.response = 77;
	FAILS(write(fan, &r, sizeof(r)), EINVAL);
	EQ(mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_ACCESS_PERM, "f"), 0);
	verdict = FAN_ALLOW;
	EQ(pthread_create(&t, NULL, answering, (void *)2), 0);
	fd = open("f", O_RDONLY);
	CHECK(fd >= 0);
	EQ(read(fd, &c, 1), 1);
	EQ(pthread_join(t, &asked), 0);
	EQ((long)asked, 2);
	verdict = FAN_DENY;
	EQ(pthread_create(&t, NULL, answering, (void *)2), 0);
	FAILS(read(fd, &c, 1), EPERM);
	FAILS(open("f", O_RDONLY), EPERM);
	EQ(pthread_join(t, &asked), 0);
	close(fd);
	close(open("f", O_PATH)); /* nobody is asked */
	close(fan);
}

static void *opening(void *arg)
{
	int fd = open("f", O_RDONLY);

	close(fd);
	return (void *)(long)(fd >= 0);
}

/* Nobody is left to answer: it is allowed. Who waits can be killed. */
static void unanswered(void)
{
	struct pollfd p = { .events = POLLIN };
	pthread_t t;
	void *opened;
	pid_t pid;
	int st, asked;

	fan = fanotify_init(FAN_CLASS_PRE_CONTENT, O_RDONLY | O_CLOEXEC);
	EQ(mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM, "f"), 0);
	EQ(pthread_create(&t, NULL, opening, NULL), 0);
	p.fd = fan;
	EQ(poll(&p, 1, 5000), 1);
	pid = fork();
	if (!pid) {
		close(fan);
		open("f", O_RDONLY);
		_exit(0);
	}
	do /* until the second one has asked */
		EQ(ioctl(fan, FIONREAD, &asked), 0);
	while (asked < 2 * (int)FAN_EVENT_METADATA_LEN);
	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &st, 0), pid);
	CHECK(WIFSIGNALED(st));
	close(fan);
	EQ(pthread_join(t, &opened), 0);
	EQ((long)opened, 1);
}

/* Since Linux 5.13: inodes and handles are for everyone. */
static void unprivileged(void)
{
	pid_t pid = fork();
	int st;

	if (!pid) {
		check_failures = 0;
		if (setresuid(1000, 1000, 1000))
			_exit(2);
		FAILS(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY), EPERM);
		FAILS(fanotify_init(FAN_REPORT_FID | FAN_UNLIMITED_MARKS, O_RDONLY), EPERM);
		fan = fanotify_init(FAN_REPORT_FID | FAN_NONBLOCK, O_RDONLY);
		CHECK(fan >= 0);
		FAILS(mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, "."), EPERM);
		FAILS(mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, "."), EPERM);
		EQ(mark(fan, FAN_MARK_ADD, FAN_OPEN, "f"), 0);
		if (!fork()) {
			close(open("f", O_RDONLY));
			_exit(0);
		}
		wait(NULL);
		CHECK(collect(fan) > 0);
		EQ(nth(0)->pid, 0); /* who did it is not told */
		_exit(check_failures != 0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
}

int main(void)
{
	CHECK(mkdtemp(dir));
	EQ(chdir(dir), 0);
	if (unshare(CLONE_NEWNS) || fanotify_init(FAN_CLASS_NOTIF, O_RDONLY) < 0) {
		printf("skip: no mount namespaces or no fanotify here: %s\n", strerror(errno));
		rmdir(dir);
		return 0;
	}
	close(3);
	EQ(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	EQ(mount("none", dir, "tmpfs", 0, "mode=0755"), 0);
	EQ(chdir(dir), 0);
	alarm(50);
	RUN(initialising);
	RUN(marking);
	RUN(of_a_file);
	RUN(of_children);
	RUN(of_mounts);
	RUN(by_handle);
	RUN(questions);
	RUN(unanswered);
	RUN(unprivileged);
	EQ(chdir("/"), 0);
	EQ(umount2(dir, MNT_DETACH), 0);
	EQ(rmdir(dir), 0);
	DONE();
}
