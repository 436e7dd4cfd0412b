/* memfd_create(2) and its seals (fcntl(2)), shmget(2), shmat(2), shmdt(2), shmctl(2), userfaultfd(2). */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define P 4096ul
#define RW (PROT_READ | PROT_WRITE)

static void memfd(void)
{
	int fd = memfd_create("name", MFD_CLOEXEC);
	char buf[64] = "", link[64] = "";
	struct stat st;
	char *p;

	CHECK(fd >= 0);
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_size, 0);
	EQ(st.st_nlink, 0);
	CHECK(S_ISREG(st.st_mode));
	EQ(write(fd, "hello", 5), 5);
	EQ(lseek(fd, 0, SEEK_END), 5);
	EQ(ftruncate(fd, 3 * P), 0);
	EQ(pread(fd, buf, 10, 0), 10);
	CHECK(!strcmp(buf, "hello"));
	p = mmap(NULL, 3 * P, RW, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED && !strcmp(p, "hello"));
	p[2 * P] = 'x';
	EQ(pread(fd, buf, 1, 2 * P), 1);
	EQ(buf[0], 'x');
	EQ(lseek(fd, 0, SEEK_DATA), 0);
	EQ(lseek(fd, 0, SEEK_HOLE), P);
	EQ(lseek(fd, P, SEEK_DATA), 2 * P);
	FAILS(lseek(fd, 3 * P, SEEK_DATA), ENXIO);
	EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * P, P), 0);
	EQ(p[2 * P], 0);
	EQ(fallocate(fd, 0, 0, 5 * P), 0);
	EQ(lseek(fd, 0, SEEK_END), 5 * P);
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	CHECK(readlink(buf, link, sizeof(link) - 1) > 0);
	CHECK(!strcmp(link, "/memfd:name (deleted)"));
	FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	int t = open("/dev/shm/seals", O_CREAT | O_RDWR, 0600); /* a file of a tmpfs was sealed when it was made */
	EQ(fcntl(t, F_GET_SEALS), F_SEAL_SEAL);
	FAILS(fcntl(t, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	close(t);
	unlink("/dev/shm/seals");
	EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	close(fd);
	p[0] = 'y';
	munmap(p, 3 * P);
	FAILS(memfd_create("x", 0x100), EINVAL);
	FAILS(memfd_create((char *)8, 0), EFAULT);
	char longname[300];
	memset(longname, 'a', sizeof(longname) - 1);
	longname[299] = 0;
	FAILS(memfd_create(longname, 0), EINVAL);
	longname[249] = 0;
	CHECK((fd = memfd_create(longname, 0)) >= 0);
	close(fd);
}

static void seals(void)
{
	int fd = memfd_create("s", MFD_ALLOW_SEALING), ro;
	char path[64], *p;

	EQ(fcntl(fd, F_GET_SEALS), 0);
	EQ(ftruncate(fd, 2 * P), 0);
	EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	FAILS(ftruncate(fd, P), EPERM);
	EQ(ftruncate(fd, 3 * P), 0);
	EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	FAILS(ftruncate(fd, 4 * P), EPERM);
	FAILS(pwrite(fd, "x", 1, 3 * P), EPERM);
	EQ(pwrite(fd, "xyz", 3, 3 * P - 2), 2);
	FAILS(fallocate(fd, 0, 0, 4 * P), EPERM);
	p = mmap(NULL, P, RW, MAP_SHARED, fd, 0);
	FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	munmap(p, P);
	EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	FAILS(write(fd, "x", 1), EPERM);
	FAILS(mmap(NULL, P, RW, MAP_SHARED, fd, 0), EPERM);
	p = mmap(NULL, P, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	FAILS(mprotect(p, P, RW), EACCES);
	CHECK(mmap(NULL, P, RW, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, P), EPERM);
	EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
	FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	FAILS(fcntl(fd, F_ADD_SEALS, 0x100), EINVAL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	if (ro >= 0)
		FAILS(fcntl(ro, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	close(fd);
	fd = open("/dev/null", O_RDWR);
	FAILS(fcntl(fd, F_GET_SEALS), EINVAL);
	close(fd);
}

static void sysv(void)
{
	int id = shmget(IPC_PRIVATE, 3 * P - 5, IPC_CREAT | 0600), status, id2;
	struct shmid_ds ds;
	char *a, *b;

	CHECK(id >= 0);
	EQ(shmctl(id, IPC_STAT, &ds), 0);
	EQ(ds.shm_segsz, 3 * P - 5);
	EQ(ds.shm_nattch, 0);
	EQ(ds.shm_perm.mode & 0777, 0600);
	EQ(ds.shm_cpid, getpid());
	a = shmat(id, NULL, 0);
	CHECK(a != (char *)-1);
	a[0] = 1;
	b = shmat(id, NULL, SHM_RDONLY);
	CHECK(b != (char *)-1 && b != a);
	EQ(b[0], 1);
	EQ(shmctl(id, IPC_STAT, &ds), 0);
	EQ(ds.shm_nattch, 2);
	if (!fork()) {
		a[1] = 2;
		_exit(b[0] == 1 ? 42 : 1);
	}
	wait(&status);
	EQ(WEXITSTATUS(status), 42);
	EQ(b[1], 2);
	EQ(shmdt(b), 0);
	FAILS(shmdt(b), EINVAL);
	FAILS(shmdt(a + 1), EINVAL);
	FAILS(shmat(id, a + 1, 0), EINVAL);
	FAILS(shmat(id, a, 0), EINVAL); /* in the way */
	b = shmat(id, a, SHM_REMAP);
	CHECK(b == a);
	EQ(shmctl(id, IPC_RMID, NULL), 0);
	EQ(a[1], 2); /* lives until the last detach */
	EQ(shmctl(id, IPC_STAT, &ds), 0);
	CHECK(ds.shm_perm.mode & SHM_DEST);
	EQ(shmdt(a), 0);
	FAILS(shmctl(id, IPC_STAT, &ds), EINVAL);
	FAILS(shmat(id, NULL, 0), EINVAL);
	FAILS(shmget(0x12345, P, 0), ENOENT);
	id = shmget(0x12345, P, IPC_CREAT | IPC_EXCL | 0600);
	CHECK(id >= 0);
	FAILS(shmget(0x12345, P, IPC_CREAT | IPC_EXCL), EEXIST);
	id2 = shmget(0x12345, 0, 0);
	EQ(id2, id);
	FAILS(shmget(0x12345, 2 * P, 0), EINVAL);
	FAILS(shmget(IPC_PRIVATE, 0, IPC_CREAT), EINVAL);
	EQ(shmctl(id, IPC_RMID, NULL), 0);
	FAILS(shmctl(id, 77, NULL), EINVAL);
}

/* ---- userfaultfd ---- */

static int uffd;
static char *region;

static void *reader(void *unused)
{
	static char page[P];
	struct uffd_msg msg;

	(void)unused;
	for (int n = 0; n < 3; n++) {
		if (read(uffd, &msg, sizeof(msg)) != sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT)
			return (void *)1;
		if (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
			struct uffdio_writeprotect w = { .range = { msg.arg.pagefault.address & ~(P - 1), P } };

			if (ioctl(uffd, UFFDIO_WRITEPROTECT, &w))
				return (void *)2;
			continue;
		}
		memset(page, 'A' + n, P);
		struct uffdio_copy c = { .dst = msg.arg.pagefault.address & ~(P - 1), .src = (unsigned long)page, .len = P };
		if (ioctl(uffd, UFFDIO_COPY, &c) || c.copy != (long)P)
			return (void *)3;
	}
	return NULL;
}

static void userfault(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;
	pthread_t t;
	void *ret;

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0) {
		printf("skip userfault: not allowed here\n");
		return;
	}
	reg = (struct uffdio_register){ .range = { P, P }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	FAILS(ioctl(uffd, UFFDIO_REGISTER, &reg), EINVAL); /* before the API is agreed on */
	EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	FAILS(ioctl(uffd, UFFDIO_API, &api), EINVAL);
	region = mmap(NULL, 8 * P, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg = (struct uffdio_register){ .range = { (unsigned long)region, 8 * P },
					.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP };
	EQ(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	CHECK(reg.ioctls & 1ul << _UFFDIO_COPY && reg.ioctls & 1ul << _UFFDIO_WRITEPROTECT);
	EQ(pthread_create(&t, NULL, reader, NULL), 0);
	EQ(region[0], 'A');
	EQ(region[P + 5], 'B');
	struct uffdio_writeprotect w = { .range = { (unsigned long)region, P }, .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	EQ(ioctl(uffd, UFFDIO_WRITEPROTECT, &w), 0);
	EQ(region[1], 'A');
	region[1] = 'z'; /* the third message */
	EQ(region[1], 'z');
	pthread_join(t, &ret);
	EQ((long)ret, 0);
	struct uffdio_zeropage z = { .range = { (unsigned long)region + 2 * P, 2 * P } };
	EQ(ioctl(uffd, UFFDIO_ZEROPAGE, &z), 0);
	EQ(z.zeropage, 2 * P);
	EQ(region[2 * P], 0);
	region[3 * P] = 1;
	FAILS(ioctl(uffd, UFFDIO_ZEROPAGE, &z), EEXIST);
	struct uffdio_copy c = { .dst = (unsigned long)region + 4 * P, .src = 8, .len = P };
	FAILS(ioctl(uffd, UFFDIO_COPY, &c), EFAULT);
	struct uffdio_range r = { (unsigned long)region, 8 * P };
	EQ(ioctl(uffd, UFFDIO_UNREGISTER, &r), 0);
	EQ(region[5 * P], 0); /* an ordinary fault again */
	EQ(region[0], 'A');
	close(uffd);
	munmap(region, 8 * P);
}

int main(void)
{
	RUN(memfd);
	RUN(seals);
	RUN(sysv);
	RUN(userfault);
	DONE();
}
