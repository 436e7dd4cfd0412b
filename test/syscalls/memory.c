/* mmap(2), mprotect(2), mremap(2), madvise(2), mincore(2), msync(2), mlock(2), brk(2), fork's copy on write, process_vm_readv(2). */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define P 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf jump;
static volatile siginfo_t last;
static char scratch[] = "/tmp/memory-test-XXXXXX";

static void on_fault(int sig, siginfo_t *info, void *ctx)
{
	(void)ctx;
	*(siginfo_t *)&last = *info;
	siglongjmp(jump, sig);
}

/* The signal that reading or writing a byte raises; 0: none. */
static int try_read(void *p)
{
	int sig = sigsetjmp(jump, 1);

	if (!sig)
		(void)*(volatile char *)p;
	return sig;
}
static int try_write(void *p)
{
	int sig = sigsetjmp(jump, 1);

	if (!sig)
		*(volatile char *)p = 1;
	return sig;
}
static int try_exec(void *p)
{
	int sig = sigsetjmp(jump, 1);

	if (!sig)
		((void (*)(void))p)();
	return sig;
}

static void *map(size_t len, int prot)
{
	void *p = mmap(NULL, len, prot, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static int temp_file(size_t size)
{
	char name[sizeof(scratch)];
	int fd;

	memcpy(name, scratch, sizeof(name));
	fd = mkstemp(name);
	CHECK(fd >= 0);
	unlink(name);
	EQ(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void mmap_errors(void)
{
	int fd = temp_file(P), ro = open("/proc/self/exe", O_RDONLY), wo = open("/dev/null", O_WRONLY), p[2];
	void *a = map(4 * P, PROT_NONE);

	FAILS(mmap(NULL, 0, PROT_READ, ANON, -1, 0), EINVAL);
	FAILS(mmap(NULL, -1ul, PROT_READ, ANON, -1, 0), ENOMEM);
	FAILS(mmap(NULL, 1ul << 48, PROT_READ, ANON, -1, 0), ENOMEM);
	FAILS(mmap(NULL, P, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
	FAILS(mmap(NULL, P, PROT_READ, MAP_PRIVATE, -1, 0), EBADF);
	FAILS(mmap(NULL, P, PROT_READ, MAP_PRIVATE, fd, 1), EINVAL);
	FAILS(mmap((void *)((long)a + 1), P, PROT_READ, ANON | MAP_FIXED, -1, 0), EINVAL);
	FAILS(mmap((void *)(1ul << 47), P, PROT_READ, ANON | MAP_FIXED, -1, 0), ENOMEM);
	FAILS(mmap(a, P, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	FAILS(mmap(NULL, P, RW, MAP_SHARED, ro, 0), EACCES);
	CHECK(mmap(NULL, P, RW, MAP_PRIVATE, ro, 0) != MAP_FAILED);
	FAILS(mmap(NULL, P, PROT_READ, MAP_PRIVATE, wo, 0), EACCES);
	FAILS(mmap(NULL, P, PROT_READ, MAP_SHARED | MAP_GROWSDOWN | MAP_ANONYMOUS, -1, 0), EINVAL);
	FAILS(mmap(NULL, 2 * P, PROT_READ, MAP_SHARED, fd, (off_t)0x7ffffffffffff000), EOVERFLOW);
	FAILS(mmap(NULL, P, PROT_READ, 0x03 | 0x400000, fd, 0), EOPNOTSUPP); /* MAP_SHARED_VALIDATE, unknown flag */
	FAILS(mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_HUGETLB, fd, 0), EINVAL);
	EQ(pipe(p), 0);
	FAILS(mmap(NULL, P, PROT_READ, MAP_PRIVATE, p[0], 0), ENODEV);
	FAILS(munmap((void *)((long)a + 1), P), EINVAL);
	FAILS(munmap(a, 0), EINVAL);
	FAILS(munmap((void *)-P, P), EINVAL);
	EQ(munmap(a, 4 * P), 0);
	EQ(munmap(a, 4 * P), 0); /* nothing there is fine */
	close(fd), close(ro), close(wo), close(p[0]), close(p[1]);
}

static void mmap_places(void)
{
	char *a = map(16 * P, RW), *b;

	CHECK(mmap(a + 4 * P, P, PROT_READ, ANON | MAP_FIXED, -1, 0) == a + 4 * P);
	EQ(try_write(a + 4 * P), SIGSEGV);
	EQ(last.si_code, SEGV_ACCERR);
	CHECK(last.si_addr == a + 4 * P);
	EQ(try_write(a + 3 * P), 0);
	EQ(munmap(a + 8 * P, P), 0);
	EQ(try_read(a + 8 * P), SIGSEGV);
	EQ(last.si_code, SEGV_MAPERR);
	b = mmap(a + 8 * P, P, RW, ANON, -1, 0); /* a hint that fits is taken */
	CHECK(b == a + 8 * P);
	b = mmap(a + 7 * P, P, RW, ANON, -1, 0); /* one that does not is not */
	CHECK(b != MAP_FAILED && (b < a || b >= a + 16 * P));
	CHECK((mmap(a + 8 * P, P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0)) == MAP_FAILED);
	EQ(munmap(a + 8 * P, P), 0);
	CHECK(mmap(a + 8 * P, P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == a + 8 * P);
	b = mmap(NULL, P, RW, ANON | MAP_32BIT, -1, 0);
	CHECK(b != MAP_FAILED && (unsigned long)b < 0x80000000ul);
	b = mmap(NULL, 64 * P, RW, ANON | MAP_POPULATE, -1, 0);
	unsigned char vec[64] = { 0 };
	EQ(mincore(b, 64 * P, vec), 0);
	CHECK(vec[0] & 1 && vec[63] & 1);
	munmap(a, 16 * P);
}

static void zero_and_big(void)
{
	size_t big = 1ul << 33;
	char *a = mmap(NULL, big, RW, ANON | MAP_NORESERVE, -1, 0);
	long sum = 0;

	CHECK(a != MAP_FAILED);
	for (size_t off = 0; off < big; off += big / 64) {
		sum += a[off];
		a[off + 100] = 1;
		sum += a[off];
	}
	EQ(sum, 0);
	EQ(munmap(a, big), 0);
	a = map(1000 * P, RW);
	for (int i = 0; i < 1000; i++)
		a[i * P] = (char)i;
	for (int i = 0; i < 1000; i++)
		sum += a[i * P] != (char)i;
	EQ(sum, 0);
	EQ(munmap(a, 1000 * P), 0);
}

static void protect(void)
{
	char *a = map(8 * P, RW);
	int ro = open("/proc/self/exe", O_RDONLY);
	char *f;

	memset(a, 7, 8 * P);
	EQ(mprotect(a, 8 * P, PROT_READ), 0);
	EQ(try_write(a + P), SIGSEGV);
	EQ(try_read(a + P), 0);
	EQ(mprotect(a + 2 * P, 2 * P, PROT_NONE), 0);
	EQ(try_read(a + 2 * P), SIGSEGV);
	EQ(last.si_code, SEGV_ACCERR);
	EQ(mprotect(a, 8 * P, RW), 0);
	EQ(a[2 * P], 7);
	EQ(try_write(a + 2 * P), 0);
	EQ(try_exec(a), SIGSEGV);
	a[0] = (char)0xc3; /* ret */
	EQ(mprotect(a, P, PROT_READ | PROT_EXEC), 0);
	EQ(try_exec(a), 0);
	EQ(try_write(a), SIGSEGV);
	FAILS(mprotect(a + 1, P, PROT_READ), EINVAL);
	FAILS(mprotect(a, P, 0x40), EINVAL);
	EQ(mprotect(a, 0, PROT_READ), 0);
	EQ(munmap(a + 4 * P, P), 0);
	FAILS(mprotect(a, 8 * P, PROT_READ), ENOMEM);
	EQ(try_write(a + P), SIGSEGV); /* up to the hole it was done */
	EQ(try_write(a + 5 * P), 0);
	f = mmap(NULL, P, PROT_READ, MAP_SHARED, ro, 0);
	CHECK(f != MAP_FAILED);
	FAILS(mprotect(f, P, RW), EACCES);
	FAILS(mprotect(a, P, PROT_READ | PROT_GROWSDOWN), EINVAL);
	munmap(f, P);
	close(ro);
}

static void remap(void)
{
	char *a = map(4 * P, RW), *b, *c;

	for (int i = 0; i < 4; i++)
		a[i * P] = (char)(i + 1);
	b = mremap(a, 4 * P, 2 * P, 0);
	CHECK(b == a);
	EQ(try_read(a + 2 * P), SIGSEGV);
	b = mremap(a, 2 * P, 1024 * P, MREMAP_MAYMOVE);
	CHECK(b != MAP_FAILED && b[0] == 1 && b[P] == 2 && b[2 * P] == 0);
	b[1023 * P] = 9;
	if (b != a)
		EQ(try_read(a), SIGSEGV);
	c = map(8 * P, PROT_NONE);
	a = mremap(b, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_FIXED, c);
	CHECK(a == c && a[0] == 1 && a[P] == 2);
	EQ(try_read(c + 5 * P), SIGSEGV);
	EQ(try_read(b), SIGSEGV);
	EQ(b[1023 * P], 9);
	FAILS(mremap(c, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, c), EINVAL);
	FAILS(mremap(c, P, P, MREMAP_FIXED, b), EINVAL);
	FAILS(mremap(c + 1, P, P, 0), EINVAL);
	FAILS(mremap(c, P, 0, MREMAP_MAYMOVE), EINVAL);
	FAILS(mremap(c, P, P, 0x80), EINVAL);
	FAILS(mremap(c, 8 * P, 16 * P, MREMAP_MAYMOVE), EFAULT); /* two mappings */
	EQ(munmap(b + 4 * P, 1020 * P), 0);
	FAILS(mremap(b + 100 * P, P, 2 * P, MREMAP_MAYMOVE), EFAULT);
	/* no room to grow in place */
	a = map(3 * P, RW);
	EQ(mprotect(a + P, P, PROT_READ), 0);
	FAILS(mremap(a, P, 2 * P, 0), ENOMEM);
	/* old size 0 doubles a shared mapping */
	a = mmap(NULL, P, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	a[5] = 5;
	b = mremap(a, 0, P, MREMAP_MAYMOVE);
	CHECK(b != MAP_FAILED && b != a && b[5] == 5);
	b[6] = 6;
	EQ(a[6], 6);
#ifdef MREMAP_DONTUNMAP
	a = map(2 * P, RW);
	a[0] = 3;
	b = mremap(a, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	CHECK(b != MAP_FAILED && b != a && b[0] == 3 && a[0] == 0);
#endif
}

static void advise(void)
{
	char *a = map(8 * P, RW);
	int fd = temp_file(4 * P);
	char *s = mmap(NULL, 4 * P, RW, MAP_SHARED, fd, 0), *f = mmap(NULL, 4 * P, RW, MAP_PRIVATE, fd, 0);

	memset(a, 1, 8 * P);
	EQ(madvise(a + P, 2 * P, MADV_DONTNEED), 0);
	EQ(a[P], 0);
	EQ(a[2 * P], 0);
	EQ(a[3 * P], 1);
	memset(s, 2, 4 * P);
	f[0] = 3;
	EQ(madvise(f, P, MADV_DONTNEED), 0);
	EQ(f[0], 2);
	EQ(madvise(s, P, MADV_DONTNEED), 0);
	EQ(s[0], 2);
	EQ(madvise(s + P, P, MADV_REMOVE), 0);
	EQ(s[P], 0);
	EQ(s[2 * P], 2);
	FAILS(madvise(a, P, MADV_REMOVE), EINVAL);
	FAILS(madvise(a + 1, P, MADV_DONTNEED), EINVAL);
	FAILS(madvise(a, P, 12345), EINVAL);
	EQ(madvise(a, 0, MADV_DONTNEED), 0);
	EQ(madvise(a, 8 * P, MADV_WILLNEED) == 0 || errno == EBADF, 1);
	EQ(madvise(s, 4 * P, MADV_WILLNEED), 0);
	EQ(madvise(a, 8 * P, MADV_FREE), 0);
	FAILS(madvise(s, P, MADV_FREE), EINVAL);
	EQ(madvise(a, P, MADV_RANDOM), 0);
	EQ(madvise(a, P, MADV_SEQUENTIAL), 0);
	EQ(madvise(a, P, MADV_NORMAL), 0);
	EQ(munmap(a + 4 * P, P), 0);
	FAILS(madvise(a, 8 * P, MADV_DONTNEED), ENOMEM);
#ifdef MADV_POPULATE_WRITE
	unsigned char vec[4];
	char *p = map(4 * P, RW);
	EQ(madvise(p, 4 * P, MADV_POPULATE_WRITE), 0);
	EQ(mincore(p, 4 * P, vec), 0);
	EQ(vec[0] & vec[3] & 1, 1);
	EQ(mprotect(p, P, PROT_READ), 0);
	FAILS(madvise(p, 4 * P, MADV_POPULATE_WRITE), EINVAL);
#endif
	close(fd);
}

static void fork_advice(void)
{
	char *keep = map(P, RW), *skip = map(P, RW), *wipe = map(P, RW);
	int status;

	*keep = *skip = *wipe = 5;
	EQ(madvise(skip, P, MADV_DONTFORK), 0);
	EQ(madvise(wipe, P, MADV_WIPEONFORK), 0);
	if (!fork())
		_exit(*keep == 5 && *wipe == 0 && try_read(skip) == SIGSEGV ? 42 : 1);
	wait(&status);
	EQ(WEXITSTATUS(status), 42);
	EQ(*wipe, 5);
	char *shared = mmap(NULL, P, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	FAILS(madvise(shared, P, MADV_WIPEONFORK), EINVAL);
}

static void fork_copies(void)
{
	enum { N = 500 };
	char *priv = map(N * P, RW), *shared = mmap(NULL, N * P, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, bad = 0;

	for (int i = 0; i < N; i++)
		priv[i * P] = shared[i * P] = (char)i;
	if (!fork()) {
		for (int i = 0; i < N; i++) {
			bad += priv[i * P] != (char)i;
			priv[i * P] = (char)(i + 1);
			shared[i * P] = (char)(i + 2);
		}
		_exit(bad != 0);
	}
	wait(&status);
	EQ(status, 0);
	for (int i = 0; i < N; i++)
		bad += priv[i * P] != (char)i || shared[i * P] != (char)(i + 2);
	EQ(bad, 0);
	for (int round = 0; round < 10; round++) {
		if (!fork()) {
			for (int i = 0; i < N; i += 7)
				bad += priv[i * P] != (char)(i + round);
			_exit(bad != 0);
		}
		for (int i = 0; i < N; i++)
			priv[i * P]++;
		wait(&status);
		EQ(status, 0);
	}
	munmap(priv, N * P);
	munmap(shared, N * P);
}

static void files(void)
{
	int fd = temp_file(3 * P + 100);
	char *s = mmap(NULL, 8 * P, RW, MAP_SHARED, fd, 0), *p = mmap(NULL, 4 * P, RW, MAP_PRIVATE, fd, 0), buf[16];

	CHECK(s != MAP_FAILED && p != MAP_FAILED);
	s[0] = 'a';
	EQ(pread(fd, buf, 1, 0), 1);
	EQ(buf[0], 'a');
	EQ(pwrite(fd, "b", 1, 1), 1);
	EQ(s[1], 'b');
	EQ(p[0], 'a');
	p[0] = 'z';
	EQ(s[0], 'a');
	s[0] = 'c';
	EQ(p[0], 'z');
	s[3 * P] = 'd';
	EQ(try_write(s + 3 * P + 200), 0); /* the rest of the last page is there, and not in the file */
	EQ(try_read(s + 4 * P), SIGBUS);
	EQ(last.si_code, BUS_ADRERR);
	CHECK(last.si_addr == s + 4 * P);
	EQ(pread(fd, buf, 1, 3 * P + 200), 0);
	EQ(ftruncate(fd, 5 * P), 0);
	EQ(try_read(s + 4 * P), 0);
	EQ(ftruncate(fd, P), 0);
	EQ(try_read(s + P), SIGBUS);
	EQ(try_read(p + P), SIGBUS);
	EQ(p[0], 'z');
	EQ(s[0], 'c');
	EQ(ftruncate(fd, 2 * P), 0);
	EQ(s[P], 0);
	EQ(msync(s, 2 * P, MS_SYNC), 0);
	EQ(msync(s, 2 * P, MS_ASYNC), 0);
	FAILS(msync(s, P, MS_SYNC | MS_ASYNC), EINVAL);
	FAILS(msync(s + 1, P, MS_SYNC), EINVAL);
	FAILS(msync(s, P, 0x80), EINVAL);
	munmap(s + 4 * P, 4 * P);
	FAILS(msync(s, 8 * P, MS_SYNC), ENOMEM);
	EQ(close(fd), 0);
	s[1] = 'x'; /* a mapping outlives its descriptor */
	EQ(s[1], 'x');
	/* system calls into file mappings: EFAULT beyond the end */
	fd = open("/dev/zero", O_RDONLY);
	FAILS(read(fd, s + 2 * P, 1), EFAULT);
	close(fd);
}

static void residency(void)
{
	unsigned char vec[8] = { 0 };
	char *a = map(8 * P, RW);

	EQ(mincore(a, 8 * P, vec), 0);
	EQ(vec[7] & 1, 0);
	a[0] = 1;
	EQ(mincore(a, P, vec), 0);
	EQ(vec[0] & 1, 1);
	FAILS(mincore(a + 1, P, vec), EINVAL);
	FAILS(mincore(a, P, (void *)8), EFAULT);
	EQ(munmap(a + P, P), 0);
	FAILS(mincore(a, 8 * P, vec), ENOMEM);
}

static void locking(void)
{
	char *a = map(4 * P, RW);
	unsigned char vec[4];

	EQ(mlock(a, 2 * P), 0);
	EQ(mincore(a, 2 * P, vec), 0);
	EQ(vec[0] & vec[1] & 1, 1);
	FAILS(madvise(a, P, MADV_DONTNEED), EINVAL);
	FAILS(msync(a, P, MS_INVALIDATE), EBUSY);
	EQ(munlock(a, 2 * P), 0);
	EQ(madvise(a, P, MADV_DONTNEED), 0);
	EQ(munmap(a + 2 * P, P), 0);
	FAILS(mlock(a, 4 * P), ENOMEM);
	FAILS(munlock(a, 4 * P), ENOMEM);
	FAILS(syscall(SYS_mlock2, a, P, 8), EINVAL);
	EQ(syscall(SYS_mlock2, a, P, 1), 0);
	FAILS(mlockall(0), EINVAL);
	FAILS(mlockall(8), EINVAL);
	EQ(mlockall(MCL_CURRENT), 0);
	EQ(munlockall(), 0);
}

static void heap(void)
{
	char *start = sbrk(0), *now;

	EQ(brk(start + 100 * P), 0);
	now = sbrk(0);
	CHECK(now == start + 100 * P);
	memset(start, 1, 100 * P);
	EQ(brk(start + P), 0);
	EQ(brk(start + 100 * P), 0);
	EQ(start[50 * P], 0);
	EQ(brk(start), 0);
	FAILS(brk((void *)(1ul << 47)), ENOMEM);
}

static void limits(void)
{
	int status;

	if (!fork()) {
		struct rlimit r = { 64 << 20, 64 << 20 };
		void *a;

		setrlimit(RLIMIT_AS, &r);
		a = mmap(NULL, 128 << 20, RW, ANON, -1, 0);
		_exit(a == MAP_FAILED && errno == ENOMEM ? 42 : 1);
	}
	wait(&status);
	EQ(WEXITSTATUS(status), 42);
	if (!fork()) {
		struct rlimit r = { 8 << 20, 8 << 20 };

		setrlimit(RLIMIT_DATA, &r);
		_exit(mmap(NULL, 16 << 20, RW, ANON, -1, 0) == MAP_FAILED && errno == ENOMEM &&
		      mmap(NULL, 16 << 20, PROT_READ, ANON, -1, 0) != MAP_FAILED ? 42 : 1);
	}
	wait(&status);
	EQ(WEXITSTATUS(status), 42);
}

/* Uses so much stack below the present. */
static int __attribute__((noinline)) deep(int n)
{
	volatile char frame[65536];

	frame[0] = (char)n;
	return n ? deep(n - 1) + frame[0] : 0;
}

static void stack(void)
{
	int status;

	CHECK(deep(64) > 0); /* 4 MiB of the 8 */
	if (!fork()) {
		signal(SIGSEGV, SIG_DFL);
		_exit(deep(200));
	}
	wait(&status);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	char *g = mmap(NULL, 64 * P, RW, ANON | MAP_GROWSDOWN, -1, 0);
	CHECK(g != MAP_FAILED);
	EQ(munmap(g, 32 * P), 0);
	EQ(try_write(g + 32 * P), 0);
}

static void other_process(void)
{
	char *a = map(3 * P, RW), buf[2 * P];
	int p[2], status;
	pid_t child;

	strcpy(a + P - 3, "before");
	EQ(pipe(p), 0);
	child = fork();
	if (!child) {
		close(p[1]);
		(void)!read(p[0], buf, 1);
		_exit(a[0] == 'w' && a[2 * P] == 'w' ? 42 : 1);
	}
	struct iovec local = { buf, 6 }, remote[2] = { { a + P - 3, 6 }, { a, P } };
	EQ(process_vm_readv(child, &local, 1, remote, 1, 0), 6);
	CHECK(!memcmp(buf, "before", 6));
	buf[0] = 'w';
	local.iov_len = 1;
	remote[0] = (struct iovec){ a, 1 };
	EQ(process_vm_writev(child, &local, 1, remote, 1, 0), 1);
	remote[0] = (struct iovec){ a + 2 * P, 1 };
	EQ(process_vm_writev(child, &local, 1, remote, 1, 0), 1);
	EQ(a[0], 0);
	local.iov_len = 2 * P;
	remote[0] = (struct iovec){ a + 2 * P, 2 * P }; /* runs out of the mapping, or into the next one */
	CHECK(process_vm_readv(child, &local, 1, remote, 1, 0) >= (long)P);
	remote[0] = (struct iovec){ (void *)8, 8 };
	FAILS(process_vm_readv(child, &local, 1, remote, 1, 0), EFAULT);
	FAILS(process_vm_readv(child, &local, 1, remote, 1, 1), EINVAL);
	FAILS(process_vm_readv(0x7ffffff, &local, 1, remote, 1, 0), ESRCH);
	close(p[1]);
	wait(&status);
	EQ(WEXITSTATUS(status), 42);
}

/* System calls meet bad memory: EFAULT, and never a signal. */
static void bad_pointers(void)
{
	char *a = map(2 * P, RW);
	int p[2];

	EQ(pipe(p), 0);
	EQ(mprotect(a + P, P, PROT_NONE), 0);
	memset(a, 'x', P);
	EQ(write(p[1], a + P - 4, 4), 4);
	FAILS(write(p[1], a + P, 1), EFAULT);
	FAILS(open(a + P - 4, O_RDONLY), EFAULT); /* a name that runs into it */
	FAILS(read(p[0], a + P, 4), EFAULT);
	FAILS(read(p[0], (void *)-8l, 4), EFAULT);
	FAILS(write(p[1], (void *)(1ul << 63), 4), EFAULT);
	FAILS(write(p[1], (void *)0xffffffff81000000ul, 4), EFAULT);
	strcpy(a + P - 2, "."); /* a name right before it */
	CHECK(open(a + P - 2, O_RDONLY) >= 0);
	close(p[0]);
	close(p[1]);
}

static void many(void)
{
	enum { N = 1000 };
	char *a = map(2 * N * P, PROT_NONE);
	int bad = 0;

	for (int i = 0; i < N; i++)
		bad += mprotect(a + 2 * i * P, P, RW) != 0;
	EQ(bad, 0);
	for (int i = 0; i < N; i++)
		a[2 * i * P] = (char)i;
	for (int i = 0; i < N; i++)
		bad += a[2 * i * P] != (char)i;
	EQ(bad, 0);
	EQ(munmap(a, 2 * N * P), 0);
}

/* memfd_secret(2) */
static void secret(void)
{
	struct iovec local, remote;
	struct rlimit old, none = { 0, 0 };
	int fd = syscall(SYS_memfd_secret, 0);
	char *p, c = 0;

	if (fd < 0 && errno == ENOSYS)
		return; /* switched off */
	CHECK(fd >= 0);
	FAILS(syscall(SYS_memfd_secret, 1), EINVAL);
	FAILS(read(fd, &c, 1), EINVAL);
	FAILS(write(fd, &c, 1), EINVAL);
	EQ(ftruncate(fd, 8192), 0);
	FAILS(ftruncate(fd, 4096), EINVAL);
	CHECK(mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	strcpy(p, "secret");
	EQ(p[5], 't');
	local = (struct iovec){ &c, 1 };
	remote = (struct iovec){ p, 1 };
	FAILS(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT);
	munmap(p, 8192);
	if (geteuid())
		return;
	close(fd);
	fd = syscall(SYS_memfd_secret, O_CLOEXEC);
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ(ftruncate(fd, 1 << 20), 0);
	EQ(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	none.rlim_max = old.rlim_max;
	EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	p = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		munmap(p, 1 << 20); /* with CAP_IPC_LOCK */
	else
		EQ(errno, EAGAIN);
	EQ(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	close(fd);
}

/* A range beyond the address space is that before it is one beyond the greatest file. */
static void greatest(void)
{
	int fd = memfd_create("greatest", 0);
	long page = sysconf(_SC_PAGESIZE);

	EQ(ftruncate(fd, page), 0);
	FAILS(mmap(NULL, -(size_t)page, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, ENOMEM);
	FAILS(mmap(NULL, (size_t)page, PROT_READ, MAP_SHARED, fd, (off_t)(1ull << 63) - page) == MAP_FAILED ? -1 : 0, EOVERFLOW);
	close(fd);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	RUN(mmap_errors);
	RUN(mmap_places);
	RUN(zero_and_big);
	RUN(protect);
	RUN(remap);
	RUN(advise);
	RUN(fork_advice);
	RUN(fork_copies);
	RUN(files);
	RUN(residency);
	RUN(locking);
	RUN(heap);
	RUN(limits);
	RUN(stack);
	RUN(other_process);
	RUN(bad_pointers);
	RUN(secret);
	RUN(many);
	RUN(greatest);
	DONE();
}
