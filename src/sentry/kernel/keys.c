#include "sentry/kernel/keys.h"

#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/keyctl.h>

#include "base/string.h"
#include "sentry/kernel/random.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"

#define SEARCH_DEPTH 6u /* keyrings(7): what lies deeper is not found */
#define RING_PERM 0x3f010000u
#define SESSION_PERM 0x3f030000u
#define USER_RING_PERM 0x1f3f0000u
#define PERSISTENT_PERM 0x1f030000u /* all but setting attributes for who possesses it; the user may view and read it */
#define SEARCH_BUDGET 4096u /* keys looked at */
#define MAX_LINKS 1024u

spinlock_t keys_lock = SPINLOCK_INIT;
static LIST_HEAD(all_keys);
static LIST_HEAD(doomed); /* keys whose last reference went, to be freed; keys_lock */

/* ---- life ---- */

struct key *key_get(struct key *k)
{
	refcount_inc(&k->ref);
	return k;
}

/* lock held. A keyring's links go too: what loses its last reference by that joins the list. */
static void drop_locked(struct key *k)
{
	if (refcount_dec_and_test(&k->ref)) {
		list_del(&k->node);
		list_add_tail(&k->node, &doomed);
	}
}

void key_put(struct key *k)
{
	if (!k)
		return;
	spin_lock(&keys_lock);
	drop_locked(k);
	while (!list_empty(&doomed)) {
		k = list_first(&doomed, struct key, node);
		list_del(&k->node);
		if (k->type == KEY_KEYRING)
			for (u32 i = 0; i < k->len; i++)
				drop_locked(((struct key **)k->data)[i]);
		kfree(k->data);
		kfree(k->desc);
		kfree(k);
	}
	spin_unlock(&keys_lock);
}

static struct key *find_serial(s32 serial)
{
	struct key *k;

	list_for_each(k, &all_keys, node)
		if (k->serial == serial)
			return k;
	return NULL;
}

struct key *key_new(enum key_type type, const char *desc, void *data, u32 len, u32 uid, u32 gid, u32 perm)
{
	struct key *k = kzalloc(sizeof(*k));

	if (!k || !(k->desc = kstrdup(desc))) {
		kfree(k);
		return NULL;
	}
	refcount_set(&k->ref, 1);
	k->type = type;
	k->data = data;
	k->len = len;
	k->uid = uid;
	k->gid = gid;
	k->perm = perm;
	spin_lock(&keys_lock);
	do {
		random_bytes(&k->serial, sizeof(k->serial));
		k->serial &= 0x3fffffff;
	} while (k->serial < 3 || find_serial(k->serial));
	list_add_tail(&k->node, &all_keys);
	spin_unlock(&keys_lock);
	return k;
}

/* ---- rights ---- */

bool key_permits(const struct key *k, bool possessed, u32 need)
{
	const struct cred *c = current->cred;
	u32 rights = k->perm;

	if (k->uid == c->fsuid)
		rights >>= 16;
	else if (k->perm & KEY_RIGHTS << 8 && k->gid != NO_ID && in_group(c, k->gid))
		rights >>= 8;
	if (possessed)
		rights |= k->perm >> 24;
	return (rights & need) == need;
}

long key_usable(const struct key *k)
{
	if (k->revoked)
		return -EKEYREVOKED;
	return k->expires && clock_real_ns() >= k->expires ? -EKEYEXPIRED : 0;
}

/* ---- keyrings; lock held ---- */

static struct key **links(const struct key *ring) { return ring->data; }

struct key *keyring_find(const struct key *ring, enum key_type type, const char *desc)
{
	for (u32 i = 0; i < ring->len; i++)
		if (links(ring)[i]->type == type && !kstrcmp(links(ring)[i]->desc, desc))
			return links(ring)[i];
	return NULL;
}

/* Is `k` below `ring`, or the same? Looks at *budget keys at most: rings of rings may be many. */
static bool reaches(const struct key *ring, const struct key *k, u32 depth, u32 *budget)
{
	if (ring == k)
		return true;
	if (ring->type != KEY_KEYRING || depth >= SEARCH_DEPTH)
		return false;
	for (u32 i = 0; i < ring->len && *budget; i++) {
		(*budget)--;
		if (reaches(links(ring)[i], k, depth + 1, budget))
			return true;
	}
	return false;
}

long keyring_link(struct key *ring, struct key *k, struct key **displaced)
{
	struct key *old = keyring_find(ring, k->type, k->desc), **more;
	u32 budget = SEARCH_BUDGET;

	*displaced = NULL;
	if (old == k)
		return 0;
	if (k->type == KEY_KEYRING && (reaches(k, ring, 0, &budget) || !budget))
		return -EDEADLK;
	if (ring->closed)
		return -EPERM;
	if (old) {
		keyring_unlink(ring, old);
		*displaced = old;
	}
	if (ring->len >= MAX_LINKS)
		return -ENFILE;
	if (!(ring->len & (ring->len - 1))) { /* a power of two may be all the room there is */
		more = kmalloc((ring->len ? ring->len * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		memcpy(more, ring->data, ring->len * sizeof(*more));
		kfree(ring->data);
		ring->data = more;
	}
	links(ring)[ring->len++] = key_get(k);
	return 0;
}

bool keyring_unlink(struct key *ring, struct key *k)
{
	for (u32 i = 0; i < ring->len; i++)
		if (links(ring)[i] == k) {
			ring->len--;
			memmove(&links(ring)[i], &links(ring)[i + 1], (ring->len - i) * sizeof(k));
			return true;
		}
	return false;
}

static struct key *search(struct key *ring, bool possessed, enum key_type type, const char *desc, u32 depth, u32 *budget, long *err)
{
	if (!key_permits(ring, possessed, KEY_SEARCH))
		return NULL;
	for (u32 i = 0; i < ring->len; i++) {
		struct key *k = links(ring)[i];
		long bad = key_usable(k);

		if (k->type != type || kstrcmp(k->desc, desc))
			continue;
		if (!key_permits(k, possessed, KEY_SEARCH))
			*err = -EACCES;
		else if (bad)
			*err = bad;
		else
			return key_get(k);
	}
	for (u32 i = 0; i < ring->len && depth + 1 < SEARCH_DEPTH && *budget; i++) {
		struct key *k = links(ring)[i], *found;

		(*budget)--;
		if (k->type == KEY_KEYRING && !key_usable(k) && (found = search(k, possessed, type, desc, depth + 1, budget, err)))
			return found;
	}
	return NULL;
}

struct key *keyring_search(struct key *ring, bool possessed, enum key_type type, const char *desc, long *err)
{
	u32 budget = SEARCH_BUDGET;

	return search(ring, possessed, type, desc, 0, &budget, err);
}

/* ---- a task's own ---- */

/* The keyring of that name which a user has without making it. *fresh: it was not there. */
static struct key *lasting_ring(u32 uid, const char *name, u32 perm, bool *fresh)
{
	struct key *k;

	*fresh = false;
	spin_lock(&keys_lock);
	list_for_each(k, &all_keys, node)
		if (k->type == KEY_KEYRING && k->uid == uid && k->gid == NO_ID && !kstrcmp(k->desc, name) && !key_usable(k) &&
		    refcount_inc_not_zero(&k->ref)) {
			spin_unlock(&keys_lock);
			return k;
		}
	spin_unlock(&keys_lock);
	k = key_new(KEY_KEYRING, name, NULL, 0, uid, NO_ID, perm);
	if (!k)
		return ERR_PTR(-ENOMEM);
	*fresh = true;
	return key_get(k); /* it stays, for whoever comes next with this user id */
}

struct key *keys_persistent(u32 uid)
{
	char name[32];
	bool fresh;

	ksnprintf(name, sizeof(name), "_persistent.%u", uid_out(uid));
	return lasting_ring(uid, name, PERSISTENT_PERM, &fresh);
}

static struct key *user_ring(bool session)
{
	u32 uid = current->cred->uid;
	struct key *k, *other, *displaced;
	char name[24];
	bool fresh;

	ksnprintf(name, sizeof(name), session ? "_uid_ses.%u" : "_uid.%u", uid);
	k = lasting_ring(uid, name, USER_RING_PERM, &fresh);
	if (IS_ERR(k))
		return k;
	if (fresh && session && !IS_ERR(other = user_ring(false))) {
		spin_lock(&keys_lock);
		keyring_link(k, other, &displaced);
		spin_unlock(&keys_lock);
		key_put(other);
	}
	return k;
}

static long set_session(struct key *k)
{
	struct cred *c = prepare_creds();
	struct key *old;

	if (!c)
		return -ENOMEM;
	old = c->session_keyring;
	c->session_keyring = key_get(k);
	key_put(old);
	commit_creds(c);
	return 0;
}

long keys_join_session(const char *name)
{
	const struct cred *c = current->cred;
	struct key *k = NULL, *o;
	long err;

	if (name) {
		spin_lock(&keys_lock);
		list_for_each(o, &all_keys, node)
			if (o->type == KEY_KEYRING && !kstrcmp(o->desc, name) && !key_usable(o) && key_permits(o, false, KEY_SEARCH) &&
			    refcount_inc_not_zero(&o->ref)) {
				k = o;
				break;
			}
		spin_unlock(&keys_lock);
	}
	if (!k)
		k = key_new(KEY_KEYRING, name ? name : "_ses", NULL, 0, c->uid, c->gid, name ? SESSION_PERM | KEY_LINK << 16 : SESSION_PERM);
	if (!k)
		return -ENOMEM;
	err = set_session(k);
	if (!err)
		err = k->serial;
	key_put(k);
	return err;
}

/* The slot of a thread or process keyring, filled when wanted. */
static struct key *own_ring(struct key **slot, const char *name, bool create)
{
	struct key *k, *fresh = NULL;

	if (create && !READ_ONCE(*slot)) {
		fresh = key_new(KEY_KEYRING, name, NULL, 0, current->cred->uid, current->cred->gid, RING_PERM);
		if (!fresh)
			return ERR_PTR(-ENOMEM);
	}
	spin_lock(&keys_lock);
	if (!*slot && fresh) {
		*slot = fresh;
		fresh = NULL;
	}
	k = *slot ? key_get(*slot) : ERR_PTR(-ENOKEY);
	spin_unlock(&keys_lock);
	key_put(fresh);
	return k;
}

static struct key *session_ring(bool create)
{
	struct key *k = current->cred->session_keyring;
	long err;

	if (k && !(create && k->gid == NO_ID && !kstrncmp(k->desc, "_uid_ses.", 9)))
		return key_get(k);
	if (create) {
		err = keys_join_session(NULL);
	} else {
		k = user_ring(true);
		if (IS_ERR(k))
			return k;
		err = set_session(k);
		key_put(k);
	}
	return err < 0 ? ERR_PTR(err) : key_get(current->cred->session_keyring);
}

static struct key *special_ring(s32 id, bool create)
{
	switch (id) {
	case KEY_SPEC_THREAD_KEYRING:
		return own_ring(&current->thread_keyring, "_tid", create);
	case KEY_SPEC_PROCESS_KEYRING:
		return own_ring(&current->proc->process_keyring, "_pid", create);
	case KEY_SPEC_SESSION_KEYRING:
		return session_ring(create);
	case KEY_SPEC_USER_KEYRING:
		return user_ring(false);
	case KEY_SPEC_USER_SESSION_KEYRING:
		return user_ring(true);
	case KEY_SPEC_REQKEY_AUTH_KEY:
		return ERR_PTR(-ENOKEY);
	default:
		return ERR_PTR(-EINVAL);
	}
}

/* The three that a task possesses, as far as there are any; lock held, no references. */
static u32 own_rings(struct key **out)
{
	struct key *rings[3] = { current->thread_keyring, current->proc->process_keyring, current->cred->session_keyring };
	u32 n = 0;

	for (u32 i = 0; i < 3; i++)
		if (rings[i])
			out[n++] = rings[i];
	return n;
}

struct key *keys_search_own(enum key_type type, const char *desc, long *err)
{
	struct key *ring[3], *k = NULL;
	u32 n;

	*err = -ENOKEY;
	key_put(session_ring(false)); /* there is one always: the user's, when no other */
	spin_lock(&keys_lock);
	n = own_rings(ring);
	for (u32 i = 0; i < n && !k; i++)
		k = keyring_search(ring[i], true, type, desc, err);
	spin_unlock(&keys_lock);
	return k;
}

struct key *key_lookup(s32 id, bool create, u32 need)
{
	struct key *k, *ring[3];
	bool possessed = id < 0;
	u32 budget = SEARCH_BUDGET;
	long err = 0;

	if (id < 0) {
		k = special_ring(id, create);
		if (IS_ERR(k))
			return k;
		spin_lock(&keys_lock);
	} else {
		if (!id)
			return ERR_PTR(-EINVAL);
		spin_lock(&keys_lock);
		k = find_serial(id);
		if (!k || !refcount_inc_not_zero(&k->ref)) {
			spin_unlock(&keys_lock);
			return ERR_PTR(-ENOKEY);
		}
		for (u32 i = 0, n = own_rings(ring); i < n; i++)
			possessed |= reaches(ring[i], k, 0, &budget);
	}
	if (need)
		err = key_usable(k);
	if (!err && !key_permits(k, possessed, need))
		err = -EACCES;
	spin_unlock(&keys_lock);
	if (!err)
		return k;
	key_put(k);
	return ERR_PTR(err);
}

/* ---- ends ---- */

static void drop_slot(struct key **slot)
{
	struct key *k;

	if (likely(!READ_ONCE(*slot)))
		return;
	spin_lock(&keys_lock);
	k = *slot;
	*slot = NULL;
	spin_unlock(&keys_lock);
	key_put(k);
}

void keys_task_free(struct task *t) { drop_slot(&t->thread_keyring); }
void keys_process_free(struct process *p) { drop_slot(&p->process_keyring); }

void keys_exec(struct task *t)
{
	keys_task_free(t);
	keys_process_free(t->proc);
}
