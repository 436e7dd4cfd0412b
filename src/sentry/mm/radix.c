#include "sentry/mm/radix.h"

#include <asm/errno.h>

#include "sentry/mm/mm.h"

#define RADIX_BITS 6u
#define RADIX_SLOTS 64u

struct node {
	u32 shift; /* of the index, to find the slot; 0 at the leaves */
	u32 count; /* used slots */
	void *slot[RADIX_SLOTS];
};

static struct kmem_cache *node_cache;

void radix_init(void)
{
	node_cache = kmem_cache_create("radix_node", sizeof(struct node), 16);
}

static bool in_range(const struct node *n, u64 index)
{
	return n->shift + RADIX_BITS >= 64 || !(index >> (n->shift + RADIX_BITS));
}

static u32 slot_of(const struct node *n, u64 index)
{
	return (index >> n->shift) & (RADIX_SLOTS - 1);
}

void *radix_lookup(void *root, u64 index)
{
	struct node *n = root;

	if (!n || !in_range(n, index))
		return NULL;
	while (n && n->shift)
		n = n->slot[slot_of(n, index)];
	return n ? n->slot[slot_of(n, index)] : NULL;
}

/* Put levels on top until the root spans index. */
static int grow(void **root, u64 index)
{
	if (!*root && !(*root = kmem_cache_alloc(node_cache)))
		return -ENOMEM;
	while (!in_range(*root, index)) {
		struct node *top = kmem_cache_alloc(node_cache), *old = *root;

		if (!top)
			return -ENOMEM;
		top->shift = old->shift + RADIX_BITS;
		top->slot[0] = old;
		top->count = old->count ? 1 : 0;
		if (!old->count) {
			top->slot[0] = NULL;
			kmem_cache_free(node_cache, old);
		}
		*root = top;
	}
	return 0;
}

int radix_insert(void **root, u64 index, void *item)
{
	struct node *n;
	int err = grow(root, index);

	if (err)
		return err;
	for (n = *root; n->shift; n = n->slot[slot_of(n, index)]) {
		void **slot = &n->slot[slot_of(n, index)];
		struct node *below;

		if (*slot)
			continue;
		below = kmem_cache_alloc(node_cache);
		if (!below)
			return -ENOMEM;
		below->shift = n->shift - RADIX_BITS;
		*slot = below;
		n->count++;
	}
	if (n->slot[slot_of(n, index)])
		return -EEXIST;
	n->slot[slot_of(n, index)] = item;
	n->count++;
	return 0;
}

void *radix_erase(void **root, u64 index)
{
	struct node *path[11], *n = *root;
	u32 depth = 0;
	void *item;

	if (!n || !in_range(n, index))
		return NULL;
	for (; n->shift; n = n->slot[slot_of(n, index)]) {
		path[depth++] = n;
		if (!n->slot[slot_of(n, index)])
			return NULL;
	}
	item = n->slot[slot_of(n, index)];
	if (!item)
		return NULL;
	n->slot[slot_of(n, index)] = NULL;
	while (!--n->count) {
		kmem_cache_free(node_cache, n);
		if (!depth) {
			*root = NULL;
			break;
		}
		n = path[--depth];
		n->slot[slot_of(n, index)] = NULL;
	}
	return item;
}

static void *next_below(struct node *n, u64 *index)
{
	u64 span = 1ull << n->shift;

	for (u32 i = slot_of(n, *index); i < RADIX_SLOTS; i++) {
		void *item = n->slot[i];
		u64 next = (*index & ~(span - 1)) + span;

		if (item && (!n->shift || (item = next_below(item, index))))
			return item;
		*index = next;
	}
	return NULL;
}

void *radix_next(void *root, u64 *index)
{
	struct node *n = root;

	return n && in_range(n, *index) ? next_below(n, index) : NULL;
}

u64 radix_next_hole(void *root, u64 first, u64 last)
{
	for (u64 i = first; i <= last; i++) {
		if (!radix_lookup(root, i))
			return i;
		if (i == ~0ull)
			break;
	}
	return last + 1;
}
