/* Keys and keyrings: keyrings(7). keys.c holds them, sys_keys.c the calls. */
#ifndef SENTRY_KEYS_H
#define SENTRY_KEYS_H

#include "base/list.h"
#include "base/lock.h"
#include "base/types.h"

enum key_type { KEY_KEYRING, KEY_USER, KEY_LOGON, KEY_TYPES };
struct key {
	refcount_t ref;
	struct list_head node; /* all of them; keys_lock, as all below */
	s32 serial;
	enum key_type type;
	u32 uid, gid, perm;
	char *desc;
	void *data; /* of a keyring: struct key *[] */
	u32 len;    /* bytes; of a keyring: links */
	u64 expires; /* real time in ns; 0: never */
	bool revoked;
	bool closed; /* keyctl_restrict_keyring(3): takes no more links */
};
/* Rights, for each of possessor, user, group, other: keyctl_setperm(3). */
#define KEY_VIEW 0x01u
#define KEY_READ 0x02u
#define KEY_WRITE 0x04u
#define KEY_SEARCH 0x08u
#define KEY_LINK 0x10u
#define KEY_SETATTR 0x20u
#define KEY_RIGHTS 0x3fu

extern spinlock_t keys_lock; /* a leaf but for the slab allocator */
struct task;
struct process;

struct key *key_get(struct key *k);
void key_put(struct key *k); /* NULL is fine. Not under keys_lock */
/* A new key, with a reference; takes `data` over. NULL: no memory. */
struct key *key_new(enum key_type type, const char *desc, void *data, u32 len, u32 uid, u32 gid, u32 perm);
/* KEY_SPEC_* or a serial number, with the rights `need`; 0 for none. With a reference, or ERR_PTR(-errno). */
struct key *key_lookup(s32 id, bool create, u32 need);
bool key_permits(const struct key *k, bool possessed, u32 need); /* lock held */
long key_usable(const struct key *k); /* lock held: 0, -EKEYREVOKED, -EKEYEXPIRED */

/* Keyrings; lock held. What leaves one is put by the caller, without the lock. */
struct key *keyring_find(const struct key *ring, enum key_type type, const char *desc); /* directly in it */
long keyring_link(struct key *ring, struct key *k, struct key **displaced);
bool keyring_unlink(struct key *ring, struct key *k); /* the link's reference is the caller's */
/* Search downwards for a key that the task may find; possessed as the ring is. With a reference; NULL. */
struct key *keyring_search(struct key *ring, bool possessed, enum key_type type, const char *desc, long *err);
/* The same in the task's thread, process and session keyring. */
struct key *keys_search_own(enum key_type type, const char *desc, long *err);
/* The keyring of a user that outlasts his sessions: persistent-keyring(7). With a reference, or ERR_PTR. */
struct key *keys_persistent(u32 uid);
/* A new session keyring for the task; its serial, or -errno. NULL: without a name. */
long keys_join_session(const char *name);

void keys_exec(struct task *t); /* thread and process keyrings end */
void keys_task_free(struct task *t);
void keys_process_free(struct process *p);

#endif
