/*
 * One address space, several vCPUs: each thread keeps to pages of its own and knows what they must hold, while the others map,
 * unmap, protect and fork around it, and all of them use, write back and truncate one file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <linux/mman.h>

#include "base/log.h"
#include "mm_fake.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

#define PAGES 64u
#define STEPS 100000u
#define BASE 0x500000000000ull
#define FILE_BASE 0x600000000000ull
#define FILE_PAGES 256u

static struct mm *mm;
static struct inode *inode;
static struct file *file;

struct model {
	u64 seed;
	struct { bool mapped, readable, writable; u64 value; } page[PAGES];
};
static struct model models[FAKE_CPUS];

static u64 rnd(u64 n)
{
	u64 *s = &models[current->cpu].seed;

	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s % n;
}

/* Neighbouring pages belong to different threads, so that VMAs, tables and fault-around meet. */
static u64 page_va(u32 i)
{
	return BASE + ((u64)(i / 4) * 4 * FAKE_CPUS + current->cpu * 4 + i % 4) * PAGE_SIZE;
}

long sys_mprotect(const struct sysargs *r);
long sys_madvise(const struct sysargs *r);

static void check(bool ok, const char *what)
{
	if (!ok)
		panic("vCPU %u: %s", current->cpu, what);
}

static void page_access(struct model *m, struct mm *space, u32 i)
{
	u64 value = rnd(~0ull), got = 0;

	if (rnd(2)) {
		int sig = fake_write(space, page_va(i), value);

		check((sig == 0) == m->page[i].writable, "write allowed");
		if (!sig)
			m->page[i].value = value;
		return;
	}
	check((fake_read(space, page_va(i), &got) == 0) == m->page[i].readable, "read allowed");
	check(!m->page[i].readable || got == m->page[i].value, "value read");
}

static void fork_check(struct model *m)
{
	struct model copy = *m;
	struct mm *child = mm_fork(mm);

	check(!IS_ERR(child), "fork");
	for (u32 n = 0; n < 32; n++)
		page_access(&copy, child, (u32)rnd(PAGES));
	m->seed = copy.seed;
	mm_users_put(child);
}

static void file_step(void)
{
	u64 va = FILE_BASE + rnd(FILE_PAGES) * PAGE_SIZE, got;
	static char buf[FAKE_CPUS][8 * 4096];
	struct iovec_k v;
	struct iov_iter it;

	switch (rnd(8)) {
	case 0:
		mutex_lock(&inode->lock);
		WRITE_ONCE(inode->size, rnd(FILE_PAGES * PAGE_SIZE));
		mapping_truncate(inode->mapping, inode->size);
		mutex_unlock(&inode->lock);
		break;
	case 1:
		mutex_lock(&inode->lock);
		iov_iter_kernel(&it, &v, buf[current->cpu], sizeof(buf[0]));
		mapping_write(inode->mapping, rnd((FILE_PAGES - 8) * PAGE_SIZE), &it);
		mutex_unlock(&inode->lock);
		break;
	case 2: mapping_writeback(inode->mapping); break;
	case 3: pagecache_reclaim(); break;
	case 4:
		iov_iter_kernel(&it, &v, buf[current->cpu], sizeof(buf[0]));
		mapping_read(inode->mapping, rnd((FILE_PAGES - 8) * PAGE_SIZE), &it, READ_ONCE(inode->size));
		break;
	case 5: fake_write(mm, va, 1); break;
	default: fake_read(mm, va, &got); break;
	}
}

static void step(struct model *m)
{
	u32 i = (u32)rnd(PAGES), prot = (u32)rnd(4);
	struct sysargs a = { { page_va(i), PAGE_SIZE, prot } };

	current->mm = mm;
	switch (rnd(16)) {
	case 0:
	case 1:
		check(mm_mmap(mm, page_va(i), PAGE_SIZE, prot, MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE, NULL, 0) == (long)page_va(i),
		      "mmap");
		m->page[i].mapped = true;
		m->page[i].readable = prot;
		m->page[i].writable = prot & PROT_WRITE;
		m->page[i].value = 0;
		break;
	case 2:
		mm_munmap(mm, page_va(i), PAGE_SIZE);
		memset(&m->page[i], 0, sizeof(m->page[i]));
		break;
	case 3:
		check((sys_mprotect(&a) == 0) == m->page[i].mapped, "mprotect");
		m->page[i].readable = m->page[i].mapped && prot;
		m->page[i].writable = m->page[i].mapped && (prot & PROT_WRITE);
		break;
	case 4:
		a.a[2] = MADV_DONTNEED;
		sys_madvise(&a);
		m->page[i].value = 0;
		break;
	case 5:
		if (!rnd(20))
			fork_check(m);
		break;
	case 6:
	case 7: file_step(); break;
	default: page_access(m, mm, i);
	}
}

static void thread_body(void)
{
	for (u32 n = 0; n < STEPS; n++)
		step(&models[current->cpu]);
}

static void *thread(void *arg)
{
	fake_run((u32)(u64)arg, thread_body);
	return NULL;
}

static int store_read(struct mapping *m, struct page **pages, u32 n)
{
	(void)m;
	for (u32 i = 0; i < n; i++) {
		memset(page_to_va(pages[i]), 0, PAGE_SIZE);
		__atomic_fetch_or(&pages[i]->flags, PG_UPTODATE, __ATOMIC_RELEASE);
	}
	return 0;
}
static int store_write(struct mapping *m, struct page **pages, u32 n, u64 len)
{
	(void)m; (void)pages; (void)n; (void)len;
	sched_yield();
	return 0;
}
static const struct mapping_ops store_ops = { .read_pages = store_read, .write_pages = store_write };
static int map_file(struct file *f, struct vma *vma)
{
	(void)f;
	vma->ops = &filemap_vm_ops;
	return 0;
}
static const struct file_ops store_fops = { .mmap = map_file };

static void set_up(void)
{
	mm = mm_create();
	inode = anon_inode_new(0);
	mutex_init(&inode->lock);
	inode->size = FILE_PAGES * PAGE_SIZE;
	inode->mapping = kmalloc(sizeof(struct mapping));
	mapping_init(inode->mapping, inode, &store_ops);
	file = file_on_inode(inode, "", &store_fops, NULL, 0);
	file->mode = FMODE_READ | FMODE_WRITE;
	mm_mmap(mm, FILE_BASE, FILE_PAGES * PAGE_SIZE, 3, MAP_SHARED | MAP_FIXED, file, 0);
}

static void tear_down(void)
{
	mm_users_put(mm);
	file_put(file);
	check(pagecache_pages() == 0, "no page is left in the cache");
}

static void threads_random(void **state)
{
	pthread_t t[FAKE_CPUS];
	u64 before, after;

	(void)state;
	fake_run(0, set_up);
	before = frames_free_count();
	for (u64 i = 0; i < FAKE_CPUS; i++) {
		models[i].seed = 88172645463325252ull + i * 7919;
		pthread_create(&t[i], NULL, thread, (void *)i);
	}
	for (u64 i = 0; i < FAKE_CPUS; i++)
		pthread_join(t[i], NULL);
	fake_run(0, tear_down);
	after = frames_free_count();
	assert_in_range(before + 1024 - after, 0, 2048); /* slabs and magazines may keep some */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(threads_random) };

	fake_boot(4ull << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
