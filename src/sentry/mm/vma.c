/* The set of VMAs of an address space: a red-black tree by address, each node knowing the largest gap of its subtree. */
#include <asm/errno.h>
#include <asm/mman.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/mm/internal.h"
#include "sentry/vfs/vfs.h"

static struct kmem_cache *vma_cache;

void mm_caches_init(void)
{
	vma_cache = kmem_cache_create("vma", sizeof(struct vma), 16);
}

static struct vma *vma_of(struct rb_node *n)
{
	return n ? container_of(n, struct vma, node) : NULL;
}

u64 vma_gap_start(const struct vma *vma)
{
	if (!(vma->flags & VM_GROWSDOWN))
		return vma->start;
	return vma->start > STACK_GUARD_GAP ? vma->start - STACK_GUARD_GAP : 0;
}

static void update_max_gap(struct rb_node *n)
{
	struct vma *vma = vma_of(n), *left = vma_of(n->left), *right = vma_of(n->right);
	u64 max = vma->gap;

	if (left)
		max = MAX(max, left->max_gap);
	if (right)
		max = MAX(max, right->max_gap);
	vma->max_gap = max;
}

/* Recompute the gap below `vma` (perhaps NULL) after it or its neighbour changed. */
static void update_gap(struct vma *vma)
{
	struct vma *prev;
	u64 low, high;

	if (!vma)
		return;
	prev = vma_prev(vma);
	low = prev ? prev->end : 0;
	high = vma_gap_start(vma);
	vma->gap = high > low ? high - low : 0;
	for (struct rb_node *n = &vma->node; n; n = n->parent)
		update_max_gap(n);
}

struct vma *vma_find(struct mm *mm, u64 addr)
{
	struct rb_node *n = mm->vmas.node;
	struct vma *found = NULL;

	while (n) {
		struct vma *vma = vma_of(n);

		if (vma->end > addr) {
			found = vma;
			if (vma->start <= addr)
				break;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return found;
}

struct vma *vma_first(struct mm *mm)
{
	return vma_of(rb_first(&mm->vmas));
}

struct vma *vma_next(struct vma *vma)
{
	return vma_of(rb_next(&vma->node));
}

struct vma *vma_prev(struct vma *vma)
{
	return vma_of(rb_prev(&vma->node));
}

u32 vm_flags_prot(u32 flags)
{
	/* The CPU cannot forbid reading what may be written or executed. */
	return (flags & (VM_READ | VM_WRITE | VM_EXEC) ? PROT_READ : 0) | (flags & VM_WRITE ? PROT_WRITE : 0) | (flags & VM_EXEC ? PROT_EXEC : 0);
}

u32 prot_vm_flags(u32 prot)
{
	return (prot & PROT_READ ? VM_READ : 0) | (prot & PROT_WRITE ? VM_WRITE : 0) | (prot & PROT_EXEC ? VM_EXEC : 0);
}

/* ---- what file a VMA maps ---- */

struct mapping *vma_mapping(const struct vma *vma)
{
	return vma->file && vma->file->inode ? READ_ONCE(vma->file->inode->mapping) : NULL;
}

/* While the lock is held the file keeps its mapping (mapping_switch() takes it too). */
static struct mapping *lock_mapping(struct vma *vma)
{
	struct mapping *m;

	while ((m = vma_mapping(vma))) {
		mutex_lock(&m->i_mmap_lock);
		if (vma_mapping(vma) == m)
			break;
		mutex_unlock(&m->i_mmap_lock);
	}
	return m;
}

void vma_i_mmap_lock(struct vma *vma)
{
	lock_mapping(vma);
}

void vma_i_mmap_unlock(struct vma *vma)
{
	struct mapping *m = vma_mapping(vma);

	if (m)
		mutex_unlock(&m->i_mmap_lock);
}

static bool shared_writable(const struct vma *vma)
{
	return (vma->flags & VM_SHARED) && (vma->flags & VM_MAYWRITE);
}

/* i_mmap_lock held. A fork's copy goes after its original, so that truncation meets the original first. */
void vma_i_mmap_add(struct vma *vma, struct vma *after)
{
	struct mapping *m = vma_mapping(vma);

	if (!m)
		return;
	list_add(&vma->i_mmap_node, after && !list_empty(&after->i_mmap_node) ? &after->i_mmap_node : &m->i_mmap);
	if (shared_writable(vma))
		m->writecount_shared++;
}

static void i_mmap_remove(struct vma *vma)
{
	struct mapping *m;

	if (list_empty(&vma->i_mmap_node))
		return;
	m = lock_mapping(vma);
	list_del(&vma->i_mmap_node);
	if (shared_writable(vma))
		m->writecount_shared--;
	mutex_unlock(&m->i_mmap_lock);
}

/* ---- life of a VMA ---- */

struct vma *vma_alloc(struct mm *mm, u64 start, u64 end, u32 flags)
{
	struct vma *vma = kmem_cache_alloc(vma_cache);

	if (!vma)
		return NULL;
	vma->mm = mm;
	vma->start = start;
	vma->end = end;
	vma->flags = flags;
	vma->prot = vm_flags_prot(flags);
	list_init(&vma->i_mmap_node);
	return vma;
}

void vma_free(struct vma *vma)
{
	if (vma->ops && vma->ops->close)
		vma->ops->close(vma);
	if (vma->file)
		file_put(vma->file);
	kfree(vma->anon_name);
	kmem_cache_free(vma_cache, vma);
}

struct vma *vma_dup(struct vma *vma, struct mm *mm)
{
	struct vma *copy = kmem_cache_alloc(vma_cache);

	if (!copy)
		return NULL;
	*copy = *vma;
	copy->mm = mm;
	list_init(&copy->i_mmap_node);
	if (vma->anon_name) {
		copy->anon_name = kstrdup(vma->anon_name);
		if (!copy->anon_name) {
			kmem_cache_free(vma_cache, copy);
			return NULL;
		}
	}
	if (copy->file)
		file_get(copy->file);
	if (copy->ops && copy->ops->open)
		copy->ops->open(copy);
	return copy;
}

static void tree_insert(struct mm *mm, struct vma *vma)
{
	struct rb_node **link = &mm->vmas.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = vma->start < vma_of(parent)->start ? &parent->left : &parent->right;
	}
	vma->gap = vma->max_gap = 0;
	rb_link_node(&vma->node, parent, link);
	rb_insert(&vma->node, &mm->vmas, update_max_gap);
	mm->nvmas++;
	update_gap(vma);
	update_gap(vma_next(vma));
}

void vma_link(struct mm *mm, struct vma *vma)
{
	tree_insert(mm, vma);
	vma_i_mmap_lock(vma);
	vma_i_mmap_add(vma, NULL);
	vma_i_mmap_unlock(vma);
}

void vma_link_fork(struct mm *mm, struct vma *vma, struct vma *original)
{
	tree_insert(mm, vma);
	vma_i_mmap_lock(vma);
	vma_i_mmap_add(vma, original);
	vma_i_mmap_unlock(vma);
}

void vma_unlink(struct vma *vma)
{
	struct mm *mm = vma->mm;
	struct vma *next = vma_next(vma);

	i_mmap_remove(vma);
	rb_erase(&vma->node, &mm->vmas, update_max_gap);
	mm->nvmas--;
	update_gap(next);
}

void vma_resize(struct vma *vma, u64 start, u64 end)
{
	vma_i_mmap_lock(vma);
	if (vma->file)
		vma->pgoff += (s64)(start - vma->start) >> PAGE_SHIFT;
	vma->start = start;
	vma->end = end;
	vma_i_mmap_unlock(vma);
	update_gap(vma);
	update_gap(vma_next(vma));
}

struct vma *vma_split(struct vma *vma, u64 addr)
{
	struct mm *mm = vma->mm;
	struct vma *upper = vma_dup(vma, mm);

	if (!upper)
		return NULL;
	/* In between, the file's translations above addr belong to no VMA: keep truncation out. */
	vma_i_mmap_lock(vma);
	if (vma->file)
		upper->pgoff = vma_pgoff(vma, addr);
	upper->start = addr;
	vma->end = addr;
	vma_i_mmap_add(upper, vma);
	vma_i_mmap_unlock(vma);
	tree_insert(mm, upper);
	return upper;
}

int vma_split_range(struct mm *mm, u64 start, u64 end)
{
	struct vma *vma = vma_find(mm, start);

	if (vma && vma->start < start && !(vma = vma_split(vma, start)))
		return -ENOMEM;
	vma = vma_find(mm, end);
	if (vma && vma->start < end && !vma_split(vma, end))
		return -ENOMEM;
	return 0;
}

static bool names_equal(const char *a, const char *b)
{
	return a == b || (a && b && !kstrcmp(a, b));
}

static bool can_merge(const struct vma *a, const struct vma *b)
{
	if (a->end != b->start || a->flags != b->flags || a->prot != b->prot)
		return false;
	if (a->file != b->file || a->ops != b->ops || a->priv != b->priv || a->uffd != b->uffd || (a->ops && a->ops->close))
		return false;
	if (a->file && a->pgoff + vma_pages(a) != b->pgoff)
		return false;
	return names_equal(a->anon_name, b->anon_name);
}

/* Swallow `next` into `vma`. */
static void absorb(struct vma *vma, struct vma *next)
{
	u64 end = next->end;
	struct mapping *m = lock_mapping(vma);

	/* The VMA grows before its neighbour leaves, under one hold of the lock, so that truncation sees every page. */
	vma->end = end;
	if (m && !list_empty(&next->i_mmap_node)) {
		list_del(&next->i_mmap_node);
		if (shared_writable(next))
			m->writecount_shared--;
	}
	if (m)
		mutex_unlock(&m->i_mmap_lock);
	vma_unlink(next);
	update_gap(vma);
	vma_free(next);
}

void vma_merge_range(struct mm *mm, u64 start, u64 end)
{
	struct vma *vma = vma_find(mm, start ? start - 1 : 0);

	while (vma && vma->start <= end) {
		struct vma *next = vma_next(vma);

		if (next && can_merge(vma, next))
			absorb(vma, next);
		else
			vma = next;
	}
}

void vma_account(struct mm *mm, u32 flags, s64 pages)
{
	mm->total_vm += pages;
	if (flags & VM_LOCKED)
		mm->locked_vm += pages;
	if (flags & VM_GROWSDOWN)
		mm->stack_vm += pages;
	else if ((flags & (VM_WRITE | VM_SHARED)) == VM_WRITE)
		mm->data_vm += pages;
	else if ((flags & (VM_EXEC | VM_WRITE)) == VM_EXEC)
		mm->exec_vm += pages;
}

/* ---- finding room ---- */

struct gap_query {
	u64 len, low, high;
};

/* The highest place in the gaps below the VMAs of this subtree. */
static u64 gap_topdown(struct rb_node *n, const struct gap_query *q)
{
	struct vma *vma = vma_of(n);
	u64 top, bottom, found;

	if (!vma || vma->max_gap < q->len)
		return 0;
	if (vma->end < q->high && (found = gap_topdown(n->right, q)))
		return found;
	top = vma_gap_start(vma);
	bottom = top - vma->gap;
	if (MIN(top, q->high) >= MAX(bottom, q->low) + q->len && MIN(top, q->high) > bottom)
		return MIN(top, q->high) - q->len;
	return bottom > q->low ? gap_topdown(n->left, q) : 0;
}

static u64 gap_bottomup(struct rb_node *n, const struct gap_query *q)
{
	struct vma *vma = vma_of(n);
	u64 top, bottom, found;

	if (!vma || vma->max_gap < q->len)
		return 0;
	top = vma_gap_start(vma);
	bottom = top - vma->gap;
	if (bottom > q->low && (found = gap_bottomup(n->left, q)))
		return found;
	if (MIN(top, q->high) >= MAX(bottom, q->low) + q->len)
		return MAX(bottom, q->low);
	return vma->end < q->high ? gap_bottomup(n->right, q) : 0;
}

u64 vma_find_gap(struct mm *mm, u64 len, u64 low, u64 high, bool bottom_up)
{
	struct gap_query q = { .len = len, .low = low, .high = high };
	struct vma *last = vma_of(rb_last(&mm->vmas));
	u64 tail = MAX(last ? last->end : 0, low), found;

	if (high < low || high - low < len)
		return 0;
	if (!bottom_up && tail < high && high - tail >= len)
		return high - len;
	found = bottom_up ? gap_bottomup(mm->vmas.node, &q) : gap_topdown(mm->vmas.node, &q);
	if (!found && bottom_up && tail < high && high - tail >= len)
		found = tail;
	return found;
}
