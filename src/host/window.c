#include "host/window.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/handle.h"
#include "host/hostmem.h"
#include "host/serve.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#define BLOCKS_MAX (HC_WINDOW_MAX / HC_WINDOW_BLOCK)
#define OFFSET_MAX ((u64)INT64_MAX - HC_WINDOW_BLOCK)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct wfile {
	int fd;
	u32 refs; /* blocks, and the sentry; 0: free */
	u32 generation;
	bool open; /* the sentry may name it */
} files[WINDOW_FILES_MAX];
static u32 nfiles; /* slots ever used */
static struct wblock {
	u64 pos;
	u32 file; /* number + 1; 0: shows nothing */
} blocks[BLOCKS_MAX];

/* ---- where the sentry or the kernel meets the end of a file ---- */

static bool show_zeros(char *page)
{
	return mmap(page, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

/* mmap is a plain system call here, and safe in a handler. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	u64 off = (u64)((char *)info->si_addr - hostmem.base);
	int saved = errno;

	if (info->si_code <= 0 || off < hostmem.size || off - hostmem.size >= hostmem.window ||
	    !show_zeros(hostmem.base + (off & PAGE_MASK)))
		signal(SIGBUS, SIG_DFL); /* not for us: the access is made again, and deadly */
	errno = saved;
}

int host_window_init(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	return sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

static bool repair_block(char *base)
{
	bool done = false;

	for (u64 at = 0; at < HC_WINDOW_BLOCK; at += PAGE_SIZE)
		if (madvise(base + at, PAGE_SIZE, MADV_POPULATE_READ) < 0 && errno == EFAULT)
			done |= show_zeros(base + at);
	return done;
}

bool window_repair(void)
{
	bool done = false;

	pthread_mutex_lock(&lock);
	for (u64 i = 0; i < hostmem.window / HC_WINDOW_BLOCK; i++)
		if (blocks[i].file)
			done |= repair_block(hostmem.base + hostmem.size + i * HC_WINDOW_BLOCK);
	pthread_mutex_unlock(&lock);
	return done;
}

/* ---- lookups; lock held ---- */

static struct wblock *block_at(u64 off)
{
	if (off < hostmem.size || off - hostmem.size >= hostmem.window)
		return NULL;
	return &blocks[(off - hostmem.size) / HC_WINDOW_BLOCK];
}

/* [off, off + len) in one block that shows something, or NULL. */
static struct wblock *shown(u64 off, u64 len)
{
	struct wblock *b = block_at(off);

	return b && b->file && len && len <= HC_WINDOW_BLOCK - off % HC_WINDOW_BLOCK ? b : NULL;
}

static struct wfile *file_at(u64 number)
{
	return number < nfiles && files[number].open ? &files[number] : NULL;
}

static void file_put(struct wfile *f)
{
	if (--f->refs)
		return;
	close(f->fd);
	f->fd = -1;
}

bool window_look(u64 off, struct window_view *view)
{
	struct wblock *b;

	pthread_mutex_lock(&lock);
	b = shown(off, 1);
	if (b) {
		struct wfile *f = &files[b->file - 1];
		u64 in = (off - hostmem.size) % HC_WINDOW_BLOCK;

		*view = (struct window_view){ .file = b->file - 1, .generation = f->generation, .fd = f->fd,
					      .pos = b->pos + in, .len = HC_WINDOW_BLOCK - in };
	}
	pthread_mutex_unlock(&lock);
	return b;
}

bool window_readable(u64 off, u64 len)
{
	bool ok = len > 0;

	pthread_mutex_lock(&lock);
	for (u64 part; ok && len; off += part, len -= part) {
		part = MIN(len, HC_WINDOW_BLOCK - off % HC_WINDOW_BLOCK);
		ok = shown(off, part);
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

/* ---- the calls ---- */

static struct wfile *free_file(void)
{
	for (u32 i = 0; i < nfiles; i++)
		if (!files[i].refs)
			return &files[i];
	return nfiles < WINDOW_FILES_MAX ? &files[nfiles++] : NULL;
}

s64 serve_window_open(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct wfile *f;
	struct statfs fs;
	struct handle h;
	s64 ret = handle_get_kind(req->handle, HANDLE_FILE, &h);

	if (ret)
		return ret;
	/* Stubs map it too, to run what is in it. */
	if (!hostmem.window || fstatfs(h.fd, &fs) < 0 || fs.f_flags & ST_NOEXEC)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&lock);
	f = free_file();
	ret = f ? fcntl(h.fd, F_DUPFD_CLOEXEC, 0) : -ENFILE;
	if (ret == -1)
		ret = -errno;
	if (ret >= 0) {
		*f = (struct wfile){ .fd = (int)ret, .refs = 1, .generation = f->generation + 1, .open = true };
		ret = f - files;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

s64 serve_window_close(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct wfile *f;

	pthread_mutex_lock(&lock);
	f = file_at(req->arg);
	if (f) {
		f->open = false;
		file_put(f);
	}
	pthread_mutex_unlock(&lock);
	return f ? 0 : -EBADF;
}

static s64 map_block(const struct hc_window *req)
{
	struct wblock *b = block_at(req->off);
	struct wfile *f = file_at(req->file);

	if (!f)
		return -EBADF;
	if (!b)
		return -EFAULT;
	if (req->off % HC_WINDOW_BLOCK || req->pos % HC_WINDOW_BLOCK || req->pos > OFFSET_MAX)
		return -EINVAL;
	if (b->file)
		return -EBUSY;
	if (mmap(hostmem.base + req->off, HC_WINDOW_BLOCK, PROT_READ, MAP_SHARED | MAP_FIXED, f->fd, (off_t)req->pos) == MAP_FAILED)
		return -errno;
	*b = (struct wblock){ .pos = req->pos, .file = req->file + 1 };
	f->refs++;
	return 0;
}

s64 serve_window_map(u32 cpu, void *arg)
{
	s64 ret;

	pthread_mutex_lock(&lock);
	ret = map_block(arg);
	pthread_mutex_unlock(&lock);
	return ret;
}

s64 serve_window_unmap(u32 cpu, void *arg)
{
	const struct hc_mem *req = arg;
	struct wblock *b;
	s64 ret = -EFAULT;

	pthread_mutex_lock(&lock);
	b = req->len == HC_WINDOW_BLOCK && req->off % HC_WINDOW_BLOCK == 0 ? shown(req->off, req->len) : NULL;
	if (b) {
		ret = mmap(hostmem.base + req->off, HC_WINDOW_BLOCK, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED ? -errno : 0;
		if (!ret) {
			file_put(&files[b->file - 1]);
			b->file = 0;
		}
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

/* Is the byte in the host's memory? Where it cannot say so it is taken to be. */
static bool at_hand(int fd, u64 pos)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return preadv2(fd, &iov, 1, (off_t)pos, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

s64 serve_window_fetch(u32 cpu, void *arg)
{
	const struct hc_window_fetch *req = arg;
	struct window_view view;

	if ((req->off | req->len) & ~PAGE_MASK)
		return -EINVAL;
	if (!window_look(req->off, &view) || !req->len || req->len > view.len)
		return -EFAULT;
	/* What is in memory is left to page faults, of which most will be an application's own. */
	if (req->nowait)
		return at_hand(view.fd, view.pos) && at_hand(view.fd, view.pos + req->len - PAGE_SIZE) ? 0 : -EAGAIN;
	/* EINVAL: a host before 5.14, whose page faults then do it. */
	if (madvise(hostmem.base + req->off, req->len, MADV_POPULATE_READ) < 0 && errno != EINVAL)
		return errno == EFAULT ? -EIO : -errno;
	return 0;
}
