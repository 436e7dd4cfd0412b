/* Memory management against simple models: every step of a random walk must leave what the model says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <linux/mman.h>

#include "mm_fake.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/mm/pagetable.h"
#include "sentry/mm/radix.h"
#include "sentry/kernel/task.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

static u64 seed = 88172645463325252ull;
static u64 rnd(u64 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

#define ON_STACK(name)                                                                  \
	static void name##_body(void);                                                  \
	static void name(void **state)                                                  \
	{                                                                               \
		(void)state;                                                            \
		fake_run(0, name##_body);                                                  \
	}                                                                               \
	static void name##_body(void)

/* ---- frames: no frame is handed out twice, zeroed ones are zero, all come back ---- */

ON_STACK(frames_random)
{
	enum { N = 2000 };
	static struct { struct page *page; u32 order; } held[N];
	u64 before = frames_free_count();

	for (u32 step = 0; step < 50000; step++) {
		u32 i = (u32)rnd(N);

		if (held[i].page) {
			for (u64 k = 0; k < 1ull << held[i].order; k++) {
				assert_int_equal(*(u64 *)page_to_va(&held[i].page[k]), (u64)i + 1);
				page_put(&held[i].page[k]);
			}
			held[i].page = NULL;
			continue;
		}
		held[i].order = rnd(4) ? 0 : (u32)rnd(8);
		held[i].page = frame_alloc(held[i].order, FRAME_ZERO);
		assert_non_null(held[i].page);
		for (u64 k = 0; k < 1ull << held[i].order; k++) {
			u64 *word = page_to_va(&held[i].page[k]);

			assert_int_equal(word[0], 0);
			assert_int_equal(word[511], 0);
			assert_int_equal(refcount_read(&held[i].page[k].ref), 1);
			word[0] = i + 1;
			word[511] = i + 1;
		}
	}
	for (u32 i = 0; i < N; i++)
		if (held[i].page)
			for (u64 k = 0; k < 1ull << held[i].order; k++)
				page_put(&held[i].page[k]);
	assert_int_equal(frames_free_count(), before);
}

ON_STACK(slab_random)
{
	enum { N = 4000 };
	static struct { unsigned char *p; size_t n; } held[N];

	for (u32 step = 0; step < 400000; step++) {
		u32 i = (u32)rnd(N);

		if (held[i].p) {
			assert_int_equal(held[i].p[0], (unsigned char)i);
			assert_int_equal(held[i].p[held[i].n - 1], (unsigned char)i);
			kfree(held[i].p);
			held[i].p = NULL;
			continue;
		}
		held[i].n = 1 + rnd(rnd(50) ? 600 : 70000);
		held[i].p = kmalloc(held[i].n);
		assert_non_null(held[i].p);
		assert_int_equal((u64)held[i].p & 15, 0);
		memset(held[i].p, (int)i, held[i].n);
	}
	for (u32 i = 0; i < N; i++)
		kfree(held[i].p);
}

ON_STACK(radix_random)
{
	enum { N = 3000 };
	static u64 index[N];
	static bool in[N];
	void *root = NULL;

	for (u32 i = 0; i < N; i++)
		index[i] = i < 1000 ? i : i < 2000 ? rnd(1ull << 40) | 1ull << 41 | (u64)i << 45 : ~0ull - i;
	for (u32 step = 0; step < 300000; step++) {
		u32 i = (u32)rnd(N);

		assert_ptr_equal(radix_lookup(root, index[i]), in[i] ? &index[i] : NULL);
		if (in[i])
			assert_ptr_equal(radix_erase(&root, index[i]), &index[i]);
		else
			assert_int_equal(radix_insert(&root, index[i], &index[i]), 0);
		in[i] = !in[i];
		if (step % 1000 == 0) {
			u64 at = 0, n = 0, want = 0;

			for (void *p; (p = radix_next(root, &at)); at++, n++) {
				assert_int_equal(*(u64 *)p, at);
				if (at == ~0ull)
					break;
			}
			for (u32 k = 0; k < N; k++)
				want += in[k];
			assert_int_equal(n, want);
		}
	}
	for (u32 i = 0; i < N; i++)
		if (in[i])
			radix_erase(&root, index[i]);
	assert_null(root);
}

/* ---- address spaces ---- */

#define BASE 0x700000000000ull
#define PAGES 96u
#define SPACES 4u

/* What one page should be. A shared page has a cell that others share. */
struct cell {
	u64 value;
	u32 refs;
};
struct model_page {
	bool mapped, readable, writable;
	struct cell *shared; /* NULL: private */
	u64 value;
};
static struct space {
	struct mm *mm;
	struct model_page page[PAGES];
} spaces[SPACES];

static void cell_put(struct cell *c)
{
	if (c && !--c->refs)
		free(c);
}

static void model_unmap(struct space *s, u32 first, u32 n)
{
	for (u32 i = first; i < first + n; i++) {
		cell_put(s->page[i].shared);
		memset(&s->page[i], 0, sizeof(s->page[i]));
	}
}

static void check_tree(struct mm *mm)
{
	u64 end = 0, n = 0;
	struct vma *vma;

	vma_for_each(vma, mm) {
		assert_true(vma->start < vma->end && vma->start >= end);
		assert_int_equal(vma->gap, vma->start - end);
		end = vma->end;
		n++;
	}
	assert_int_equal(n, mm->nvmas);
}

static u64 page_va(u32 i) { return BASE + (u64)i * PAGE_SIZE; }

static void op_map(struct space *s, u32 first, u32 n)
{
	bool shared = !rnd(3);
	u32 prot = (u32)rnd(4);

	assert_int_equal(mm_mmap(s->mm, page_va(first), n * PAGE_SIZE, prot,
				 MAP_FIXED | MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), NULL, 0), page_va(first));
	model_unmap(s, first, n);
	for (u32 i = first; i < first + n; i++) {
		s->page[i] = (struct model_page){ .mapped = true, .readable = prot, .writable = prot & PROT_WRITE };
		if (shared) {
			s->page[i].shared = calloc(1, sizeof(struct cell));
			s->page[i].shared->refs = 1;
		}
	}
}

static bool all_mapped(struct space *s, u32 first, u32 n)
{
	for (u32 i = first; i < first + n; i++)
		if (!s->page[i].mapped)
			return false;
	return true;
}

static long call(long (*fn)(const struct sysargs *), struct mm *mm, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	struct sysargs args = { { a, b, c, d, e, 0 } };

	current->mm = mm;
	return fn(&args);
}
long sys_mprotect(const struct sysargs *r);
long sys_mremap(const struct sysargs *r);
long sys_madvise(const struct sysargs *r);

static void op_protect(struct space *s, u32 first, u32 n)
{
	u32 prot = (u32)rnd(4);
	long want = all_mapped(s, first, n) ? 0 : -12;

	assert_int_equal(call(sys_mprotect, s->mm, page_va(first), n * PAGE_SIZE, prot, 0, 0), want);
	for (u32 i = first; i < first + n && s->page[i].mapped; i++) {
		s->page[i].readable = prot;
		s->page[i].writable = prot & PROT_WRITE;
	}
}

static void op_move(struct space *s, u32 first, u32 n)
{
	u32 to = (u32)rnd(PAGES - n + 1);
	long ret;

	if (to + n > first && first + n > to)
		return;
	ret = call(sys_mremap, s->mm, page_va(first), n * PAGE_SIZE, n * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, page_va(to));
	if (ret < 0) { /* not one VMA; the target is unmapped all the same */
		assert_int_equal(ret, -14);
		if (s->page[first].mapped)
			model_unmap(s, to, n);
		return;
	}
	model_unmap(s, to, n);
	memcpy(&s->page[to], &s->page[first], n * sizeof(s->page[0]));
	memset(&s->page[first], 0, n * sizeof(s->page[0]));
}

static void op_dontneed(struct space *s, u32 first, u32 n)
{
	call(sys_madvise, s->mm, page_va(first), n * PAGE_SIZE, MADV_DONTNEED, 0, 0);
	for (u32 i = first; i < first + n; i++)
		s->page[i].value = 0;
}

static void space_clear(struct space *s)
{
	if (s->mm)
		mm_users_put(s->mm);
	model_unmap(s, 0, PAGES);
	s->mm = NULL;
}

static void op_fork(struct space *parent)
{
	struct space *child = &spaces[rnd(SPACES)];

	if (child == parent)
		return;
	space_clear(child);
	child->mm = mm_fork(parent->mm);
	assert_false(IS_ERR(child->mm));
	memcpy(child->page, parent->page, sizeof(child->page));
	for (u32 i = 0; i < PAGES; i++)
		if (child->page[i].shared)
			child->page[i].shared->refs++;
}

static void op_access(struct space *s, u32 i)
{
	struct model_page *p = &s->page[i];
	u64 va = page_va(i), value = rnd(~0ull), got = 0, *want = p->shared ? &p->shared->value : &p->value;
	int sig;

	if (rnd(2)) {
		sig = fake_write(s->mm, va, value);
		assert_int_equal(sig != 0, !p->writable);
		if (!sig)
			*want = value;
		return;
	}
	sig = fake_read(s->mm, va, &got);
	assert_int_equal(sig != 0, !p->readable);
	if (!sig)
		assert_int_equal(got, *want);
}

static void one_step(void)
{
	struct space *s = &spaces[rnd(SPACES)];
	u32 first = (u32)rnd(PAGES), most = rnd(4) ? 8 : PAGES, n = 1 + (u32)rnd(MIN(PAGES - first, most));

	if (!s->mm) {
		s->mm = mm_create();
		assert_non_null(s->mm);
	}
	switch (rnd(24)) {
	case 0: op_map(s, first, n); break;
	case 1:
		assert_int_equal(mm_munmap(s->mm, page_va(first), n * PAGE_SIZE), 0);
		model_unmap(s, first, n);
		break;
	case 2: op_protect(s, first, n); break;
	case 3: op_move(s, first, MIN(n, 8)); break;
	case 4: op_dontneed(s, first, n); break;
	case 5: if (!rnd(4)) op_fork(s); break;
	case 6: if (!rnd(16)) space_clear(s); break;
	default:
		for (u32 i = 0; i < 4; i++)
			op_access(s, (u32)rnd(PAGES));
	}
	if (s->mm)
		check_tree(s->mm);
}

ON_STACK(spaces_random)
{
	u64 before, after;

	for (u32 step = 0; step < 100; step++)
		one_step();
	for (u32 i = 0; i < SPACES; i++)
		space_clear(&spaces[i]);
	before = frames_free_count();
	for (u32 step = 0; step < 300000; step++)
		one_step();
	for (u32 i = 0; i < SPACES; i++)
		space_clear(&spaces[i]);
	after = frames_free_count();
	assert_in_range(before + 128 - after, 0, 256); /* slabs and magazines may keep some, or give some back */
}

/* Gaps: many VMAs, then places found must be free, and found whenever one exists. */
ON_STACK(gaps_random)
{
	struct mm *mm = mm_create();

	for (u32 step = 0; step < 20000; step++) {
		u64 len = (1 + rnd(64)) * PAGE_SIZE;
		long at = mm_mmap(mm, 0, len, rnd(2) ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);

		assert_true(at > 0);
		if (rnd(3))
			mm_munmap(mm, (u64)at + rnd(len / PAGE_SIZE) * PAGE_SIZE, (1 + rnd(4)) * PAGE_SIZE);
		if (step % 500 == 0)
			check_tree(mm);
	}
	mm_users_put(mm);
}

/* ---- a file through the page cache: calls and mappings against a plain array ---- */

#define FILE_MAX (64u * 4096)
static unsigned char content[FILE_MAX], store[FILE_MAX], private_word[FILE_MAX / 4096][8];
static bool private_set[FILE_MAX / 4096];
static u64 store_size;

static int store_read(struct mapping *m, struct page **pages, u32 n)
{
	(void)m;
	for (u32 i = 0; i < n; i++) {
		u64 pos = pages[i]->index * PAGE_SIZE, have = pos < store_size ? MIN(PAGE_SIZE, store_size - pos) : 0;

		memset(page_to_va(pages[i]), 0, PAGE_SIZE);
		memcpy(page_to_va(pages[i]), store + pos, have);
		pages[i]->flags |= PG_UPTODATE;
	}
	return 0;
}

static int store_write(struct mapping *m, struct page **pages, u32 n, u64 len)
{
	(void)m;
	for (u32 i = 0; i < n; i++) {
		u64 part = MIN(PAGE_SIZE, len - i * PAGE_SIZE), pos = pages[i]->index * PAGE_SIZE;

		memcpy(store + pos, page_to_va(pages[i]), part);
		store_size = MAX(store_size, pos + part);
	}
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

static void file_rw(struct inode *inode, bool write)
{
	static unsigned char buf[FILE_MAX];
	u64 pos = rnd(FILE_MAX), n = 1 + rnd(MIN(FILE_MAX - pos, 20000));
	struct iovec_k v;
	struct iov_iter it;
	u64 want = pos < inode->size ? MIN(n, inode->size - pos) : 0;

	iov_iter_kernel(&it, &v, buf, n);
	if (!write) {
		assert_int_equal(mapping_read(inode->mapping, pos, &it, inode->size), want);
		assert_memory_equal(buf, content + pos, want);
		return;
	}
	memset(buf, (int)rnd(256), n);
	assert_int_equal(mapping_write(inode->mapping, pos, &it), n);
	memcpy(content + pos, buf, n);
}

static void file_truncate(struct inode *inode)
{
	u64 size = rnd(FILE_MAX);
	bool shrink = size < inode->size;

	inode->size = size;
	if (!shrink)
		return;
	mapping_truncate(inode->mapping, size);
	memset(content + size, 0, FILE_MAX - size);
	store_size = MIN(store_size, size);
	memset(store + store_size, 0, FILE_MAX - store_size);
	for (u64 i = (size + PAGE_SIZE - 1) / PAGE_SIZE; i < FILE_MAX / PAGE_SIZE; i++)
		private_set[i] = false;
}

static void file_access(struct mm *mm, struct inode *inode, u64 base, bool private)
{
	u32 i = (u32)rnd(FILE_MAX / PAGE_SIZE);
	u64 pos = i * PAGE_SIZE, value = rnd(~0ull), got;
	bool beyond = pos >= inode->size, inside = pos + 8 <= inode->size;
	int sig;

	if (rnd(2)) {
		if (!inside && !beyond)
			return;
		sig = fake_write(mm, base + pos, value);
		if (private && private_set[i])
			beyond = false;
		assert_int_equal(sig, beyond ? 7 : 0);
		if (sig)
			return;
		memcpy(private ? private_word[i] : content + pos, &value, 8);
		private_set[i] |= private;
		return;
	}
	sig = fake_read(mm, base + pos, &got);
	if (private && private_set[i])
		beyond = false;
	assert_int_equal(sig, beyond ? 7 : 0);
	if (!sig && (inside || (private && private_set[i])))
		assert_memory_equal(&got, private && private_set[i] ? private_word[i] : content + pos, 8);
}

ON_STACK(file_random)
{
	struct inode *inode = anon_inode_new(0);
	struct file *file = file_on_inode(inode, "", &store_fops, NULL, 0);
	struct mm *mm = mm_create();

	file->mode = FMODE_READ | FMODE_WRITE;
	inode->mapping = kmalloc(sizeof(struct mapping));
	mapping_init(inode->mapping, inode, &store_ops);
	assert_int_equal(mm_mmap(mm, BASE, FILE_MAX, 3, MAP_SHARED | MAP_FIXED, file, 0), BASE);
	assert_int_equal(mm_mmap(mm, BASE * 2 / 3 & PAGE_MASK, FILE_MAX, 3, MAP_PRIVATE | MAP_FIXED, file, 0),
			 BASE * 2 / 3 & PAGE_MASK);
	for (u32 step = 0; step < 100000; step++) {
		switch (rnd(16)) {
		case 0: file_truncate(inode); break;
		case 1:
			assert_int_equal(mapping_writeback(inode->mapping), 0);
			assert_memory_equal(store, content, MIN(store_size, inode->size));
			break;
		case 2: pagecache_shrink(rnd(64)); break;
		case 3: {
			u64 start = rnd(FILE_MAX), end = start + rnd(FILE_MAX - start);

			mapping_punch(inode->mapping, start, end);
			memset(content + start, 0, end - start);
			memset(store + start, 0, end - start);
			break;
		}
		case 4: pagecache_reclaim(); break;
		case 5:
		case 6: file_rw(inode, true); break;
		case 7:
		case 8: file_rw(inode, false); break;
		default:
			if (rnd(2))
				file_access(mm, inode, BASE, false);
			else
				file_access(mm, inode, BASE * 2 / 3 & PAGE_MASK, true);
		}
	}
	mm_users_put(mm);
	file_put(file);
	assert_int_equal(pagecache_pages(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_random), cmocka_unit_test(slab_random),	  cmocka_unit_test(radix_random),
		cmocka_unit_test(gaps_random),	 cmocka_unit_test(spaces_random), cmocka_unit_test(file_random),
	};

	fake_boot(4ull << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
