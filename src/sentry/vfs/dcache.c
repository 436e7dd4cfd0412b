/*
 * The dentry cache: one hash of (parent, name), a tree, and a list of what may be given up when nobody uses it.
 *
 * A dentry with no reference and in the hash stays for later users. The LRU holds every dentry whose count has once come down
 * to zero, also while it is in use again: so using and leaving a cached name moves nothing and takes no lock.
 */
#include "base/string.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"

spinlock_t dcache_lock = SPINLOCK_INIT;

#define HASH_BITS_MIN 10
#define HASH_BITS_MAX 20
static struct hlist_head *hash_table; /* 1 << hash_bits heads; dcache_lock */
static u32 hash_bits;
static _Atomic u32 ndentries;
static struct list_head lru = LIST_HEAD_INIT(lru); /* youngest first; dcache_lock */
static u32 lru_count, lru_max;
static struct kmem_cache *dentry_cache;

#define PRUNE_BATCH 32u
#define LRU_FRAMES_EACH 24u /* of memory: one unused name is kept for so many frames */

void dcache_init(void)
{
	hash_bits = HASH_BITS_MIN;
	hash_table = vmalloc_pages(sizeof(*hash_table) << HASH_BITS_MIN);
	dentry_cache = kmem_cache_create("dentry", sizeof(struct dentry), 16);
	BUG_ON(!hash_table || !dentry_cache);
	lru_max = (u32)MIN(MAX(frames_total() / LRU_FRAMES_EACH, 4096ul), 1ul << HASH_BITS_MAX);
}

static struct hlist_head *bucket(u32 hash) { return &hash_table[hash & ((1u << hash_bits) - 1)]; }

/* Eight bytes at a time; mixed with the parent. */
static u32 hash_name(const struct dentry *parent, const char *name, u32 len)
{
	u64 h = (u64)parent * 0x9e3779b97f4a7c15ull, w = len;

	for (; len >= sizeof(w); name += sizeof(w), len -= (u32)sizeof(w)) {
		u64 part;

		memcpy(&part, name, sizeof(part));
		h = (h ^ part) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	while (len--)
		w = w << 8 | (u8)*name++;
	h = (h ^ w) * 0xff51afd7ed558ccdull;
	return (u32)(h >> 32);
}

/* Double the table when names have become many. */
static void grow(void)
{
	u32 bits = READ_ONCE(hash_bits) + 1;
	size_t old_size = sizeof(*hash_table) << (bits - 1);
	struct hlist_head *bigger = vmalloc_pages(2 * old_size), *old;

	if (!bigger)
		return;
	spin_lock(&dcache_lock);
	old = hash_table;
	if (hash_bits + 1 == bits) {
		hash_table = bigger;
		hash_bits = bits;
		for (u32 i = 0; i < 1u << (bits - 1); i++) {
			struct dentry *d, *tmp;

			hlist_for_each_safe(d, tmp, &old[i], hash) {
				hlist_del(&d->hash);
				hlist_add(&d->hash, bucket(d->hashval));
			}
		}
	} else {
		old = bigger;
		old_size *= 2;
	}
	spin_unlock(&dcache_lock);
	vfree_pages(old, old_size);
}

struct dentry *d_alloc(struct super_block *sb, struct dentry *parent, const char *name, u32 len)
{
	struct dentry *d = kmem_cache_alloc(dentry_cache);
	char *copy;

	if (!d)
		return NULL;
	copy = d->inline_name;
	if (len >= sizeof(d->inline_name)) {
		copy = kmalloc(len + 1);
		if (!copy) {
			kmem_cache_free(dentry_cache, d);
			return NULL;
		}
	}
	memcpy(copy, name, len);
	copy[len] = 0;
	d->name = copy;
	d->name_len = len;
	refcount_set(&d->ref, 1);
	d->sb = sb;
	d->flags = DCACHE_UNHASHED;
	d->hashval = hash_name(parent, name, len);
	list_init(&d->sibling);
	list_init(&d->children);
	list_init(&d->lru);
	d->parent = d;
	if (parent) {
		d->parent = dentry_get(parent);
		spin_lock(&dcache_lock);
		list_add(&d->sibling, &parent->children);
		spin_unlock(&dcache_lock);
	}
	if (ndentries++ > 2u << READ_ONCE(hash_bits) && READ_ONCE(hash_bits) < HASH_BITS_MAX)
		grow();
	return d;
}

void d_add(struct dentry *d)
{
	spin_lock(&dcache_lock);
	d->flags &= ~(u32)DCACHE_UNHASHED;
	hlist_add(&d->hash, bucket(d->hashval));
	spin_unlock(&dcache_lock);
}

/* Their users keep them there; with the last one they go as ever. */
void d_make_findable(struct dentry *d)
{
	spin_lock(&dcache_lock);
	for (; d->parent != d && (d->flags & (DCACHE_NOCACHE | DCACHE_UNHASHED)) == (DCACHE_NOCACHE | DCACHE_UNHASHED); d = d->parent) {
		d->flags &= ~(u32)DCACHE_UNHASHED;
		hlist_add(&d->hash, bucket(d->hashval));
	}
	spin_unlock(&dcache_lock);
}

struct dentry *dentry_get(struct dentry *d)
{
	refcount_inc(&d->ref);
	return d;
}

/* lock held */
static void unhash(struct dentry *d)
{
	if (!(d->flags & DCACHE_UNHASHED)) {
		hlist_del(&d->hash);
		d->flags |= DCACHE_UNHASHED;
	}
}

/* lock held: a dentry without users leaves every list, for destroy(). */
static void detach(struct dentry *d)
{
	unhash(d);
	list_del(&d->sibling);
	if (d->flags & DCACHE_LRU) {
		list_del(&d->lru);
		d->flags &= ~(u32)DCACHE_LRU;
		lru_count--;
	}
}

/* Free a dentry that nobody can find any more; returns its parent, whose reference the caller drops. */
static struct dentry *destroy(struct dentry *d)
{
	struct dentry *parent = d->parent != d ? d->parent : NULL;

	if (d->inode) {
		notify_deleted(d->inode);
		inode_put(d->inode);
	}
	if (d->name != d->inline_name)
		kfree((char *)d->name);
	kmem_cache_free(dentry_cache, d);
	ndentries--;
	return parent;
}

static u64 destroy_list(struct list_head *victims)
{
	u64 n = 0;

	while (!list_empty(victims)) {
		struct dentry *v = list_first(victims, struct dentry, lru), *parent;

		list_del(&v->lru);
		parent = destroy(v);
		if (parent)
			dentry_put(parent);
		n++;
	}
	return n;
}

/* Take up to n of the oldest unused dentries out, on `out`; those in use leave the list. lock held. */
static void prune(struct list_head *out, u64 n)
{
	while (n && lru_count) {
		struct dentry *d = list_last(&lru, struct dentry, lru);

		if (refcount_read(&d->ref) || d->flags & DCACHE_KEEP) {
			list_del(&d->lru);
			d->flags &= ~(u32)DCACHE_LRU;
			lru_count--;
			continue;
		}
		detach(d);
		list_add_tail(&d->lru, out);
		n--;
	}
}

u64 dcache_shrink(u64 n)
{
	LIST_HEAD(victims);

	spin_lock(&dcache_lock);
	prune(&victims, n);
	spin_unlock(&dcache_lock);
	return destroy_list(&victims);
}

void d_prune_children(struct dentry *dir)
{
	LIST_HEAD(victims);
	struct dentry *d, *tmp;

	spin_lock(&dcache_lock);
	list_for_each_safe(d, tmp, &dir->children, sibling)
		if (!refcount_read(&d->ref)) {
			detach(d);
			list_add_tail(&d->lru, &victims);
		}
	spin_unlock(&dcache_lock);
	destroy_list(&victims);
}

void d_prune_super(struct super_block *sb)
{
	LIST_HEAD(victims);
	struct dentry *d, *tmp;

	do {
		spin_lock(&dcache_lock);
		list_for_each_safe(d, tmp, &lru, lru)
			if (d->sb == sb && !refcount_read(&d->ref)) {
				detach(d);
				list_add_tail(&d->lru, &victims);
			}
		spin_unlock(&dcache_lock);
	} while (destroy_list(&victims)); /* their parents may be unused now */
}

/* The count comes to zero: keep it for later, or free it. Returns the parent to put, or NULL. */
static struct dentry *last_put(struct dentry *d)
{
	LIST_HEAD(victims);
	bool dead;

	spin_lock(&dcache_lock);
	if (!refcount_dec_and_test(&d->ref)) {
		spin_unlock(&dcache_lock);
		return NULL;
	}
	dead = (d->flags & (DCACHE_UNHASHED | DCACHE_NOCACHE)) != 0;
	if (dead) {
		detach(d);
	} else if (!(d->flags & DCACHE_LRU)) {
		list_add(&d->lru, &lru);
		d->flags |= DCACHE_LRU;
		if (++lru_count > lru_max)
			prune(&victims, PRUNE_BATCH);
	}
	spin_unlock(&dcache_lock);
	destroy_list(&victims);
	return dead ? destroy(d) : NULL;
}

/* Is the last user's leaving no change of lists? Then it needs no lock. Nobody but that user can change the answer. */
static bool stays_cached(const struct dentry *d)
{
	return (READ_ONCE(d->flags) & (DCACHE_LRU | DCACHE_UNHASHED | DCACHE_NOCACHE)) == DCACHE_LRU;
}

void dentry_put(struct dentry *d)
{
	while (d) {
		u32 n = atomic_load_explicit(&d->ref.n, memory_order_acquire);

		while (n > 1 || stays_cached(d))
			if (atomic_compare_exchange_weak(&d->ref.n, &n, n - 1))
				return;
		d = last_put(d);
	}
}

struct dentry *d_find_locked(struct dentry *parent, const char *name, u32 len)
{
	u32 h = hash_name(parent, name, len);
	struct dentry *d;

	hlist_for_each(d, bucket(h), hash)
		if (d->hashval == h && d->parent == parent && d->name_len == len && !memcmp(d->name, name, len))
			return d;
	return NULL;
}

struct dentry *d_lookup(struct dentry *parent, const char *name, u32 len)
{
	struct dentry *d;

	spin_lock(&dcache_lock);
	d = d_find_locked(parent, name, len);
	if (d)
		refcount_inc(&d->ref);
	spin_unlock(&dcache_lock);
	return d;
}

void d_set_inode(struct dentry *d, struct inode *inode)
{
	/* Walkers that hold dcache_lock alone see the inode complete. */
	__atomic_store_n(&d->inode, inode, __ATOMIC_RELEASE);
}

void d_drop(struct dentry *d)
{
	spin_lock(&dcache_lock);
	unhash(d);
	spin_unlock(&dcache_lock);
}

struct dentry *d_make_root(struct inode *inode)
{
	struct dentry *d = d_alloc(inode->sb, NULL, "/", 1);

	if (d)
		d_set_inode(d, inode);
	return d;
}

struct dentry *d_alloc_anon(struct super_block *sb, struct inode *inode, const char *name)
{
	struct dentry *d = d_alloc(sb, NULL, name, (u32)strlen(name));

	if (d)
		d_set_inode(d, inode);
	return d;
}

/* lock held: the two exchange their names. */
static void swap_names(struct dentry *a, struct dentry *b)
{
	char text[sizeof(a->inline_name)];
	const char *a_name = a->name;
	u32 len = a->name_len;

	memcpy(text, a->inline_name, sizeof(text));
	memcpy(a->inline_name, b->inline_name, sizeof(text));
	memcpy(b->inline_name, text, sizeof(text));
	a->name = b->name == b->inline_name ? a->inline_name : b->name;
	b->name = a_name == a->inline_name ? b->inline_name : a_name;
	a->name_len = b->name_len;
	b->name_len = len;
}

/* lock held: put d under `parent` with the name it has now. */
static void rehash(struct dentry *d, struct dentry *parent)
{
	list_move(&d->sibling, &parent->children);
	d->parent = parent;
	d->hashval = hash_name(parent, d->name, d->name_len);
	d->flags &= ~(u32)DCACHE_UNHASHED;
	hlist_add(&d->hash, bucket(d->hashval));
}

static void d_exchange(struct dentry *a, struct dentry *b)
{
	struct dentry *a_parent = a->parent, *b_parent = b->parent;

	spin_lock(&dcache_lock);
	unhash(a);
	unhash(b);
	swap_names(a, b);
	rehash(a, b_parent); /* the references on the parents change hands */
	rehash(b, a_parent);
	spin_unlock(&dcache_lock);
}

/* `target` keeps its name, under which those that have it open see it deleted. */
void d_move(struct dentry *d, struct dentry *target, bool exchange)
{
	struct dentry *new_parent = target->parent, *old_parent = d->parent;
	char *copy = target->name == target->inline_name ? NULL : kstrdup(target->name), *old;

	if (exchange) {
		d_exchange(d, target);
		kfree(copy);
		return;
	}
	dentry_get(new_parent);
	spin_lock(&dcache_lock);
	unhash(d);
	unhash(target);
	if (target->name == target->inline_name || copy) {
		old = d->name == d->inline_name ? NULL : (char *)d->name;
		memcpy(d->inline_name, target->inline_name, sizeof(d->inline_name));
		d->name = copy ? copy : d->inline_name;
		d->name_len = target->name_len;
	} else { /* no memory for a copy: it gets the other's name */
		swap_names(d, target);
		old = NULL;
	}
	rehash(d, new_parent);
	spin_unlock(&dcache_lock);
	kfree(old);
	dentry_put(old_parent);
}

bool d_ancestor(struct dentry *ancestor, struct dentry *d)
{
	bool found = false;

	spin_lock(&dcache_lock);
	for (;; d = d->parent) {
		if (d == ancestor) {
			found = true;
			break;
		}
		if (d->parent == d)
			break;
	}
	spin_unlock(&dcache_lock);
	return found;
}
