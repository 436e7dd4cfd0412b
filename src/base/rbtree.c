#include "base/rbtree.h"

static void replace_child(struct rb_root *root, struct rb_node *parent, struct rb_node *old,
			  struct rb_node *new)
{
	if (!parent)
		root->node = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

static void rotate(struct rb_root *root, struct rb_node *node, bool to_left, rb_augment_fn augment)
{
	struct rb_node *child = to_left ? node->right : node->left;

	replace_child(root, node->parent, node, child);
	if (to_left) {
		node->right = child->left;
		if (node->right)
			node->right->parent = node;
		child->left = node;
	} else {
		node->left = child->right;
		if (node->left)
			node->left->parent = node;
		child->right = node;
	}
	node->parent = child;
	if (augment) {
		augment(node);
		augment(child);
	}
}

static void augment_path(struct rb_node *node, rb_augment_fn augment)
{
	if (augment)
		for (; node; node = node->parent)
			augment(node);
}

void rb_insert(struct rb_node *node, struct rb_root *root, rb_augment_fn augment)
{
	augment_path(node, augment);
	for (;;) {
		struct rb_node *parent = node->parent, *grand, *uncle;
		bool left;

		if (!parent) {
			node->red = false;
			return;
		}
		if (!parent->red)
			return;
		grand = parent->parent; /* a red parent is never the root */
		left = grand->left == parent;
		uncle = left ? grand->right : grand->left;
		if (uncle && uncle->red) {
			parent->red = uncle->red = false;
			grand->red = true;
			node = grand;
			continue;
		}
		if (node == (left ? parent->right : parent->left)) {
			rotate(root, parent, left, augment);
			parent = node;
		}
		parent->red = false;
		grand->red = true;
		rotate(root, grand, !left, augment);
		return;
	}
}

/* `node` (perhaps NULL) below `parent` lacks one black on every path. */
static void erase_fixup(struct rb_root *root, struct rb_node *node, struct rb_node *parent,
			rb_augment_fn augment)
{
	while (parent && (!node || !node->red)) {
		bool left = parent->left == node;
		struct rb_node *sibling = left ? parent->right : parent->left, *near, *far;

		if (sibling->red) {
			sibling->red = false;
			parent->red = true;
			rotate(root, parent, left, augment);
			sibling = left ? parent->right : parent->left;
		}
		near = left ? sibling->left : sibling->right;
		far = left ? sibling->right : sibling->left;
		if ((!near || !near->red) && (!far || !far->red)) {
			sibling->red = true;
			node = parent;
			parent = node->parent;
			continue;
		}
		if (!far || !far->red) {
			near->red = false;
			sibling->red = true;
			rotate(root, sibling, !left, augment);
			sibling = left ? parent->right : parent->left;
			far = left ? sibling->right : sibling->left;
		}
		sibling->red = parent->red;
		parent->red = false;
		far->red = false;
		rotate(root, parent, left, augment);
		return;
	}
	if (node)
		node->red = false;
}

void rb_erase(struct rb_node *node, struct rb_root *root, rb_augment_fn augment)
{
	struct rb_node *child, *parent;
	bool lost_black;

	if (node->left && node->right) {
		struct rb_node *next = node->right;

		while (next->left)
			next = next->left;
		child = next->right;
		lost_black = !next->red;
		if (next->parent == node) {
			parent = next;
		} else {
			parent = next->parent;
			replace_child(root, parent, next, child);
			next->right = node->right;
			next->right->parent = next;
		}
		replace_child(root, node->parent, node, next);
		next->left = node->left;
		next->left->parent = next;
		next->red = node->red;
	} else {
		child = node->left ? node->left : node->right;
		parent = node->parent;
		lost_black = !node->red;
		replace_child(root, parent, node, child);
	}
	augment_path(parent, augment);
	if (lost_black)
		erase_fixup(root, child, parent, augment);
	node->parent = node->left = node->right = NULL;
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *n = root->node;

	while (n && n->left)
		n = n->left;
	return n;
}

struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *n = root->node;

	while (n && n->right)
		n = n->right;
	return n;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	if (node->right) {
		node = node->right;
		while (node->left)
			node = node->left;
		return (struct rb_node *)node;
	}
	while (node->parent && node->parent->right == node)
		node = node->parent;
	return node->parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	if (node->left) {
		node = node->left;
		while (node->right)
			node = node->right;
		return (struct rb_node *)node;
	}
	while (node->parent && node->parent->left == node)
		node = node->parent;
	return node->parent;
}
