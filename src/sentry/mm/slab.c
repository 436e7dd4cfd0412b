/*
 * Kernel memory in the manner of Bonwick's slab allocator (USENIX 1994, 2001): slabs of equal objects, with a magazine of free
 * objects for each vCPU in front. Objects of one slab lie behind its header; a frame of a slab knows how far its head is.
 */
#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"

#define MAGAZINE_SIZE 30u

struct slab {
	struct list_head node; /* in cache->partial when neither full nor empty */
	struct kmem_cache *cache;
	void *free; /* chain of freed objects */
	u32 inuse, carved; /* objects in use; objects that were ever handed out */
};

struct magazine {
	u32 count;
	u32 pad;
	void *object[MAGAZINE_SIZE];
};

struct kmem_cache {
	const char *name;
	u32 size, first, order, per_slab;
	spinlock_t lock;
	struct list_head partial;
	struct slab *empty; /* one kept in reserve */
	u32 nslabs, inuse; /* slabs; objects outside them, those in magazines too: lock */
	struct kmem_cache *next; /* all_caches */
	struct magazine *magazines[MAX_CPUS];
};

static struct kmem_cache kmalloc_caches[19];
static const u32 kmalloc_sizes[] = { 16,  32,  48,  64,	  96,	128,  192,  256,  384,	512,
				     768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 16384 };
_Static_assert(ARRAY_SIZE(kmalloc_sizes) == ARRAY_SIZE(kmalloc_caches), "one cache a size");
#define KMALLOC_MAX 16384u
static _Atomic s64 slab_frames;
static struct kmem_cache *_Atomic all_caches;

s64 slab_pages(void)
{
	return atomic_load_explicit(&slab_frames, memory_order_relaxed);
}

static void cache_init(struct kmem_cache *c, const char *name, size_t size, size_t align)
{
	align = MAX(align, 16ul);
	c->name = name;
	c->size = (u32)ALIGN_UP(MAX(size, 16ul), align);
	c->first = (u32)ALIGN_UP(sizeof(struct slab), align);
	/* At most an eighth of a slab may be lost to its header and tail. */
	for (c->order = 0; c->order < 5; c->order++) {
		u64 bytes = PAGE_SIZE << c->order;

		c->per_slab = bytes > c->first ? (u32)((bytes - c->first) / c->size) : 0;
		if (c->per_slab >= 8 || (c->per_slab && (u64)c->per_slab * c->size >= bytes - bytes / 8))
			break;
	}
	c->order = MIN(c->order, 5u);
	c->per_slab = (u32)(((PAGE_SIZE << c->order) - c->first) / c->size);
	spin_lock_init(&c->lock);
	list_init(&c->partial);
	c->next = atomic_load(&all_caches);
	while (!atomic_compare_exchange_weak(&all_caches, &c->next, c))
		;
}

static struct slab *slab_of(const void *p)
{
	struct page *page = pa_to_page(va_to_pa(p));

	return page_to_va(page - page->index);
}

static struct slab *slab_new(struct kmem_cache *c)
{
	struct page *page = frame_alloc(c->order, 0);
	struct slab *slab;

	if (!page)
		return NULL;
	for (u32 i = 0; i < 1u << c->order; i++) {
		page[i].flags = PG_SLAB;
		page[i].mapping = (struct mapping *)c;
		page[i].index = i;
	}
	atomic_fetch_add_explicit(&slab_frames, 1l << c->order, memory_order_relaxed);
	slab = page_to_va(page);
	*slab = (struct slab){ .cache = c };
	list_init(&slab->node);
	return slab;
}

static void slab_destroy(struct slab *slab)
{
	u32 order = slab->cache->order;

	atomic_fetch_sub_explicit(&slab_frames, 1l << order, memory_order_relaxed);
	frames_free_block(pa_to_page(va_to_pa(slab)), order);
}

/* One object off a slab that has room. cache->lock held. */
static void *slab_take(struct kmem_cache *c, struct slab *slab)
{
	void *p = slab->free;

	if (p)
		slab->free = *(void **)p;
	else
		p = (char *)slab + c->first + (u64)slab->carved++ * c->size;
	if (++slab->inuse == c->per_slab)
		list_del(&slab->node);
	else if (list_empty(&slab->node))
		list_add(&slab->node, &c->partial);
	return p;
}

/* Take up to n objects from slabs into out[]. */
static u32 cache_take(struct kmem_cache *c, void **out, u32 n)
{
	u32 got = 0;

	spin_lock(&c->lock);
	while (got < n) {
		struct slab *slab = list_empty(&c->partial) ? c->empty : list_first(&c->partial, struct slab, node);

		if (!slab && got)
			break;
		if (!slab) {
			spin_unlock(&c->lock);
			slab = slab_new(c);
			spin_lock(&c->lock);
			if (!slab)
				break;
			c->nslabs++;
		}
		if (slab == c->empty)
			c->empty = NULL;
		out[got++] = slab_take(c, slab);
	}
	c->inuse += got;
	spin_unlock(&c->lock);
	return got;
}

/* cache->lock held. A slab that became empty and is not wanted is returned for destruction. */
static struct slab *slab_give(struct kmem_cache *c, void *p)
{
	struct slab *slab = slab_of(p);

	*(void **)p = slab->free;
	slab->free = p;
	if (slab->inuse-- == c->per_slab)
		list_add(&slab->node, &c->partial);
	if (slab->inuse)
		return NULL;
	list_del(&slab->node);
	if (c->empty)
		return slab;
	c->empty = slab;
	return NULL;
}

static void cache_give(struct kmem_cache *c, void **objects, u32 n)
{
	LIST_HEAD(dead);
	struct slab *slab, *tmp;

	spin_lock(&c->lock);
	c->inuse -= n;
	while (n-- > 0) {
		slab = slab_give(c, objects[n]);
		if (slab) {
			c->nslabs--;
			list_add(&slab->node, &dead);
		}
	}
	spin_unlock(&c->lock);
	list_for_each_safe(slab, tmp, &dead, node)
		slab_destroy(slab);
}

/* The calling vCPU's magazine, or NULL early in boot or without memory for one. */
static struct magazine *magazine_of(struct kmem_cache *c)
{
	struct magazine **slot;

	if (!frames_percpu)
		return NULL;
	slot = &c->magazines[this_cpu_id()];
	if (unlikely(!*slot)) {
		struct magazine *m = NULL;

		/* The cache that magazines come from is asked directly, lest it need a magazine to make its own. */
		if (cache_take(&kmalloc_caches[7], (void **)&m, 1) == 1) {
			m->count = 0;
			*slot = m;
		}
	}
	return *slot;
}
_Static_assert(sizeof(struct magazine) <= 256, "a magazine is an object of kmalloc cache 7");

static void *cache_alloc(struct kmem_cache *c)
{
	struct magazine *m = magazine_of(c);
	void *p = NULL;

	if (!m)
		return cache_take(c, &p, 1) ? p : NULL;
	if (unlikely(!m->count)) {
		m->count = cache_take(c, m->object, c->size > 2048 ? 2 : MAGAZINE_SIZE / 2);
		if (!m->count)
			return NULL;
	}
	return m->object[--m->count];
}

static void cache_free(struct kmem_cache *c, void *p)
{
	struct magazine *m = magazine_of(c);
	u32 limit = c->size > 2048 ? 4 : MAGAZINE_SIZE;

	if (!m) {
		cache_give(c, &p, 1);
		return;
	}
	if (unlikely(m->count >= limit)) {
		u32 half = limit / 2;

		m->count -= half;
		cache_give(c, &m->object[m->count], half);
	}
	m->object[m->count++] = p;
}

/* ---- the census: slabinfo(5) ---- */

static u32 in_magazines(const struct kmem_cache *c)
{
	u32 n = 0;

	for (u32 i = 0; i < MAX_CPUS; i++) {
		const struct magazine *m = READ_ONCE(c->magazines[i]);

		n += m ? READ_ONCE(m->count) : 0;
	}
	return n;
}

void slab_census(void (*tell)(void *ctx, const struct slab_kind *k), void *ctx)
{
	for (const struct kmem_cache *c = atomic_load(&all_caches); c; c = c->next) {
		u32 inuse = READ_ONCE(c->inuse), spare = in_magazines(c);
		struct slab_kind k = { c->name, c->size, c->per_slab, 1u << c->order, READ_ONCE(c->nslabs), inuse > spare ? inuse - spare : 0 };

		tell(ctx, &k);
	}
}

/* ---- kmalloc ---- */

void slab_init(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(kmalloc_sizes); i++)
		cache_init(&kmalloc_caches[i], "kmalloc", kmalloc_sizes[i], 16);
}

static struct kmem_cache *kmalloc_cache(size_t n)
{
	u32 lo = 0, hi = ARRAY_SIZE(kmalloc_sizes) - 1;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (kmalloc_sizes[mid] < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	return &kmalloc_caches[lo];
}

static u32 order_of(size_t bytes)
{
	u64 pages = PAGE_ALIGN_UP(bytes) >> PAGE_SHIFT;

	return pages <= 1 ? 0 : 64 - (u32)__builtin_clzll(pages - 1);
}

/* Large allocations are blocks of frames; the head frame keeps the order. */
static void *large_alloc(size_t n, u32 flags)
{
	u32 order = order_of(n);
	struct page *page;

	if (n > (PAGE_SIZE << FRAME_MAX_ORDER))
		return NULL;
	page = frame_alloc(order, flags);
	if (!page)
		return NULL;
	page->flags = PG_SLAB;
	page->index = order;
	atomic_fetch_add_explicit(&slab_frames, 1l << order, memory_order_relaxed);
	return page_to_va(page);
}

void *kmalloc(size_t n)
{
	return n <= KMALLOC_MAX ? cache_alloc(kmalloc_cache(n)) : large_alloc(n, 0);
}

void *kzalloc(size_t n)
{
	void *p;

	if (n > KMALLOC_MAX)
		return large_alloc(n, FRAME_ZERO);
	p = kmalloc(n);
	if (p)
		memset(p, 0, n);
	return p;
}

void kfree(void *p)
{
	struct page *page;

	if (!p)
		return;
	page = pa_to_page(va_to_pa(p));
	BUG_ON(!(page->flags & PG_SLAB));
	if (page->mapping) {
		cache_free((struct kmem_cache *)page->mapping, p);
		return;
	}
	atomic_fetch_sub_explicit(&slab_frames, 1l << page->index, memory_order_relaxed);
	frames_free_block(page, (u32)page->index);
}

void *krealloc(void *p, size_t old, size_t n)
{
	void *q;

	if (p && n <= KMALLOC_MAX && old <= KMALLOC_MAX && old && kmalloc_cache(n) == kmalloc_cache(old))
		return p;
	q = kmalloc(n);
	if (!q)
		return NULL;
	if (p)
		memcpy(q, p, MIN(old, n));
	kfree(p);
	return q;
}

char *kstrndup(const char *s, size_t n)
{
	size_t len = kstrnlen(s, n);
	char *p = kmalloc(len + 1);

	if (p) {
		memcpy(p, s, len);
		p[len] = '\0';
	}
	return p;
}

char *kstrdup(const char *s)
{
	return kstrndup(s, strlen(s));
}

/* ---- caches of one kind of object ---- */

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align)
{
	struct kmem_cache *c = kzalloc(sizeof(*c));

	if (!c)
		panic("no memory for object cache %s", name);
	cache_init(c, name, size, align);
	return c;
}

void *kmem_cache_alloc(struct kmem_cache *c)
{
	void *p = cache_alloc(c);

	if (p)
		memset(p, 0, c->size);
	return p;
}

void kmem_cache_free(struct kmem_cache *c, void *p)
{
	if (p)
		cache_free(c, p);
}

/* ---- large contiguous memory: whole frames, the unused tail given back ---- */

void *vmalloc_pages(size_t bytes)
{
	u32 order = order_of(bytes);
	u64 pages = PAGE_ALIGN_UP(bytes) >> PAGE_SHIFT;
	struct page *page;

	if (!bytes || bytes > (PAGE_SIZE << FRAME_MAX_ORDER))
		return NULL;
	page = frame_alloc(order, FRAME_ZERO);
	if (!page)
		return NULL;
	if (pages < 1ull << order)
		frames_free_run(page + pages, (1ull << order) - pages);
	return page_to_va(page);
}

void vfree_pages(void *p, size_t bytes)
{
	if (p)
		frames_free_run(pa_to_page(va_to_pa(p)), PAGE_ALIGN_UP(bytes) >> PAGE_SHIFT);
}
