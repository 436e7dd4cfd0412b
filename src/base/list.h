/* Intrusive circular doubly linked list. No locking; the owner of the head says which lock guards it. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/types.h"

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)

static inline void list_init(struct list_head *h) { h->next = h->prev = h; }
static inline bool list_empty(const struct list_head *h) { return h->next == h; }

static inline void list_insert_between(struct list_head *n, struct list_head *prev,
				       struct list_head *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}
/* Insert right after the head (a stack) or right before it (a queue). */
static inline void list_add(struct list_head *n, struct list_head *h)
{
	list_insert_between(n, h, h->next);
}
static inline void list_add_tail(struct list_head *n, struct list_head *h)
{
	list_insert_between(n, h->prev, h);
}
/* Unlink and leave the node self-linked, so that list_empty(node) tells that it is off any list. */
static inline void list_del(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}
static inline void list_move(struct list_head *n, struct list_head *h)
{
	list_del(n);
	list_add(n, h);
}
static inline void list_move_tail(struct list_head *n, struct list_head *h)
{
	list_del(n);
	list_add_tail(n, h);
}
/* Move all of `from` to the end of `to`; `from` is left empty. */
static inline void list_splice_tail(struct list_head *from, struct list_head *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(h, type, member) list_entry((h)->next, type, member)
#define list_last(h, type, member) list_entry((h)->prev, type, member)
#define list_next(pos, member) list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_for_each(pos, h, member)                                                   \
	for (pos = list_first(h, __typeof__(*pos), member); &pos->member != (h);        \
	     pos = list_next(pos, member))
/* The body may unlink and free `pos`. */
#define list_for_each_safe(pos, tmp, h, member)                                         \
	for (pos = list_first(h, __typeof__(*pos), member), tmp = list_next(pos, member); \
	     &pos->member != (h); pos = tmp, tmp = list_next(tmp, member))

/* Hash chains: a head of one pointer. */
struct hlist_node {
	struct hlist_node *next, **pprev;
};
struct hlist_head {
	struct hlist_node *first;
};
static inline bool hlist_unhashed(const struct hlist_node *n) { return !n->pprev; }
static inline void hlist_add(struct hlist_node *n, struct hlist_head *h)
{
	n->next = h->first;
	if (h->first)
		h->first->pprev = &n->next;
	h->first = n;
	n->pprev = &h->first;
}
static inline void hlist_del(struct hlist_node *n)
{
	if (!n->pprev)
		return;
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
	n->next = NULL;
	n->pprev = NULL;
}
#define hlist_entry_or_null(ptr, type, member) \
	({ struct hlist_node *n__ = (ptr); n__ ? container_of(n__, type, member) : NULL; })
#define hlist_for_each(pos, h, member)                                                  \
	for (pos = hlist_entry_or_null((h)->first, __typeof__(*pos), member); pos;      \
	     pos = hlist_entry_or_null(pos->member.next, __typeof__(*pos), member))
#define hlist_for_each_safe(pos, tmp, h, member)                                        \
	for (pos = hlist_entry_or_null((h)->first, __typeof__(*pos), member);           \
	     pos && ({ tmp = hlist_entry_or_null(pos->member.next, __typeof__(*pos), member); 1; }); \
	     pos = tmp)

#endif
