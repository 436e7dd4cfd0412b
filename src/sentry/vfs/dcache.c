/* The dentry cache: one hash of (parent, name), a tree, and an LRU of what nobody uses now. */
#include "base/string.h"
#include "sentry/vfs/internal.h"

spinlock_t dcache_lock = SPINLOCK_INIT;

#define HASH_BITS 17
static struct hlist_head *hash_table;
static struct list_head lru = LIST_HEAD_INIT(lru);
static u64 lru_count;
static struct kmem_cache *dentry_cache;

/* Unused dentries kept before the oldest go. */
#define LRU_MAX 200000u
#define PRUNE_BATCH 32u

void dcache_init(void)
{
	hash_table = vmalloc_pages(sizeof(*hash_table) << HASH_BITS);
	dentry_cache = kmem_cache_create("dentry", sizeof(struct dentry), 16);
	BUG_ON(!hash_table || !dentry_cache);
}

/* FNV-1a over the name, mixed with the parent. */
static u32 hash_name(const struct dentry *parent, const char *name, u32 len)
{
	u64 h = 0xcbf29ce484222325ull ^ ((u64)parent >> 4);

	for (u32 i = 0; i < len; i++)
		h = (h ^ (u8)name[i]) * 0x100000001b3ull;
	return (u32)(h ^ (h >> 32));
}

static struct hlist_head *bucket(u32 hash) { return &hash_table[hash & ((1u << HASH_BITS) - 1)]; }

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
	return d;
}

void d_add(struct dentry *d)
{
	spin_lock(&dcache_lock);
	d->flags &= ~(u32)DCACHE_UNHASHED;
	hlist_add(&d->hash, bucket(d->hashval));
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

/* Free a dentry that nobody can find any more; returns its parent, whose reference the caller drops. */
static struct dentry *destroy(struct dentry *d)
{
	struct dentry *parent = d->parent != d ? d->parent : NULL;

	if (d->inode)
		inode_put(d->inode);
	if (d->name != d->inline_name)
		kfree((char *)d->name);
	kmem_cache_free(dentry_cache, d);
	return parent;
}

/* Take the oldest unused dentries out. lock held; they are collected on `out`. */
static void prune(struct list_head *out)
{
	for (u32 i = 0; i < PRUNE_BATCH && lru_count > LRU_MAX; i++) {
		struct dentry *d = list_last(&lru, struct dentry, lru);

		unhash(d);
		list_del(&d->sibling);
		list_move(&d->lru, out);
		lru_count--;
	}
}

/* The count reached zero: keep it for later, or free it. Returns the parent to put, or NULL. */
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
		unhash(d);
		list_del(&d->sibling);
	} else {
		list_add(&d->lru, &lru);
		lru_count++;
		prune(&victims);
	}
	spin_unlock(&dcache_lock);
	while (!list_empty(&victims)) {
		struct dentry *v = list_first(&victims, struct dentry, lru), *parent;

		list_del(&v->lru);
		parent = destroy(v);
		if (parent)
			dentry_put(parent);
	}
	return dead ? destroy(d) : NULL;
}

void dentry_put(struct dentry *d)
{
	while (d) {
		u32 n = refcount_read(&d->ref);

		while (n > 1)
			if (atomic_compare_exchange_weak(&d->ref.n, &n, n - 1))
				return;
		d = last_put(d);
	}
}

/* lock held: the count may come from zero, off the LRU. */
static struct dentry *revive(struct dentry *d)
{
	if (!refcount_read(&d->ref)) {
		list_del(&d->lru);
		lru_count--;
		refcount_set(&d->ref, 1);
	} else {
		refcount_inc(&d->ref);
	}
	return d;
}

struct dentry *d_lookup(struct dentry *parent, const char *name, u32 len)
{
	u32 h = hash_name(parent, name, len);
	struct dentry *d;

	spin_lock(&dcache_lock);
	hlist_for_each(d, bucket(h), hash)
		if (d->hashval == h && d->parent == parent && d->name_len == len && !memcmp(d->name, name, len)) {
			revive(d);
			break;
		}
	spin_unlock(&dcache_lock);
	return d;
}

void d_set_inode(struct dentry *d, struct inode *inode)
{
	WRITE_ONCE(d->inode, inode);
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

void d_move(struct dentry *d, struct dentry *target)
{
	struct dentry *new_parent = target->parent, *old_parent = d->parent;
	char *old_name = d->name != d->inline_name ? (char *)d->name : NULL;

	dentry_get(new_parent);
	spin_lock(&dcache_lock);
	unhash(d);
	unhash(target);
	list_move(&d->sibling, &new_parent->children);
	d->parent = new_parent;
	/* The target keeps a name of its own: the two exchange theirs. */
	if (target->name == target->inline_name) {
		memcpy(d->inline_name, target->inline_name, sizeof(d->inline_name));
		d->name = d->inline_name;
	} else {
		d->name = target->name;
	}
	d->name_len = target->name_len;
	target->inline_name[0] = 0;
	target->name = target->inline_name;
	target->name_len = 0;
	d->hashval = hash_name(new_parent, d->name, d->name_len);
	d->flags &= ~(u32)DCACHE_UNHASHED;
	hlist_add(&d->hash, bucket(d->hashval));
	spin_unlock(&dcache_lock);
	kfree(old_name);
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
