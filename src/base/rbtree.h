/*
 * Intrusive red-black tree (Cormen et al., Introduction to Algorithms, ch. 13).
 * The caller walks down to the insertion point itself and links the node there; no comparison callback,
 * no allocation, no locking. An augmented tree passes a callback that recomputes one node from its children.
 */
#ifndef BASE_RBTREE_H
#define BASE_RBTREE_H

#include "base/types.h"

struct rb_node {
	struct rb_node *parent, *left, *right;
	bool red;
};
struct rb_root {
	struct rb_node *node;
};

/* Called with a node whose children may have changed; recomputes the node's own augmented value. */
typedef void (*rb_augment_fn)(struct rb_node *node);

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
	node->parent = parent;
	node->left = node->right = NULL;
	node->red = true;
	*link = node;
}
/* Rebalance after rb_link_node(). `augment` may be NULL. */
void rb_insert(struct rb_node *node, struct rb_root *root, rb_augment_fn augment);
void rb_erase(struct rb_node *node, struct rb_root *root, rb_augment_fn augment);
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);

#endif
