/* add_key(2), request_key(2), keyctl(2). */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/keyctl.h>

#include "base/string.h"
#include "sentry/kernel/keys.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

#define TYPE_MAX 32u
#define DESC_MAX 4096u
#define PAYLOAD_MAX 32767u /* of "user" and "logon" */
#define PERSISTENT_SECONDS (3 * 24 * 3600u) /* /proc/sys/kernel/keys/persistent_keyring_expiry */
#define ADD_MAX (1024u * 1024u - 1)

static const char *const type_names[KEY_TYPES] = { "keyring", "user", "logon" };

/* ---- arguments ---- */

static long get_type(u64 utype, enum key_type *type)
{
	char name[TYPE_MAX];
	long n = strncpy_from_user(name, utype, sizeof(name));

	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	if (!n)
		return -EINVAL;
	if (name[0] == '.')
		return -EPERM;
	*type = KEY_TYPES;
	for (u32 i = 0; i < KEY_TYPES; i++)
		if (!kstrcmp(name, type_names[i]))
			*type = (enum key_type)i;
	return 0;
}

static char *get_desc(u64 udesc)
{
	char *desc = kmalloc(DESC_MAX), *copy;
	long n;

	if (!desc)
		return ERR_PTR(-ENOMEM);
	n = strncpy_from_user(desc, udesc, DESC_MAX);
	copy = n < 0 ? ERR_PTR(n == -ENAMETOOLONG ? -EINVAL : n) : kstrdup(desc);
	kfree(desc);
	return copy ? copy : ERR_PTR(-ENOMEM);
}

static long check_payload(enum key_type type, const char *desc, u64 len)
{
	if (type == KEY_TYPES)
		return -ENODEV;
	if (!*desc)
		return -EINVAL;
	if (type == KEY_KEYRING)
		return len ? -EINVAL : 0;
	if (type == KEY_LOGON && (!kstrchr(desc, ':') || desc[0] == ':'))
		return -EINVAL;
	return !len || len > PAYLOAD_MAX ? -EINVAL : 0;
}

/* ---- add_key ---- */

/* Takes the payload over. The key's serial. */
static long add_to(struct key *ring, enum key_type type, const char *desc, void *payload, u32 len)
{
	u32 perm = (KEY_VIEW | KEY_SEARCH | KEY_LINK | KEY_SETATTR) << 24 | KEY_VIEW << 16;
	const struct cred *c = current->cred;
	struct key *k, *fresh, *displaced = NULL;
	long ret;

	perm |= (KEY_WRITE | (type == KEY_LOGON ? 0 : KEY_READ)) << 24;
	fresh = key_new(type, desc, payload, len, c->fsuid, c->fsgid, perm);
	if (!fresh) {
		kfree(payload);
		return -ENOMEM;
	}
	spin_lock(&keys_lock);
	k = type == KEY_KEYRING ? NULL : keyring_find(ring, type, desc);
	if (k && !key_usable(k)) { /* one of that name gets the new contents */
		ret = key_permits(k, true, KEY_WRITE) ? k->serial : -EACCES;
		if (ret > 0) {
			fresh->data = k->data;
			fresh->len = k->len;
			k->data = payload;
			k->len = len;
			k->expires = 0;
		}
	} else {
		ret = keyring_link(ring, fresh, &displaced);
		ret = ret ? ret : fresh->serial;
	}
	spin_unlock(&keys_lock);
	key_put(displaced);
	key_put(fresh);
	return ret;
}

SYSCALL5(add_key, u64, utype, u64, udesc, u64, upayload, u64, len, s32, ring_id)
{
	enum key_type type;
	struct key *ring;
	void *payload = NULL;
	char *desc;
	long ret;

	if (len > ADD_MAX)
		return -EINVAL;
	ret = get_type(utype, &type);
	if (ret)
		return ret;
	desc = udesc ? get_desc(udesc) : kstrdup("");
	if (IS_ERR_OR_NULL(desc))
		return desc ? PTR_ERR(desc) : -ENOMEM;
	if (*desc == '.' && type == KEY_KEYRING)
		ret = -EPERM;
	if (!ret && len) {
		payload = kmalloc(len);
		ret = !payload ? -ENOMEM : copy_from_user(payload, upayload, len) ? -EFAULT : 0;
	}
	ring = ret ? NULL : key_lookup(ring_id, true, KEY_WRITE);
	if (IS_ERR(ring)) {
		ret = PTR_ERR(ring);
		ring = NULL;
	}
	if (!ret)
		ret = type == KEY_TYPES ? -ENODEV : ring->type != KEY_KEYRING ? -ENOTDIR : check_payload(type, desc, len);
	if (!ret)
		ret = add_to(ring, type, desc, payload, (u32)len);
	else
		kfree(payload);
	key_put(ring);
	kfree(desc);
	return ret;
}

/* ---- request_key ---- */

static long link_to(struct key *ring, struct key *k)
{
	struct key *displaced = NULL;
	long err = -ENOTDIR;

	spin_lock(&keys_lock);
	if (ring->type == KEY_KEYRING)
		err = keyring_link(ring, k, &displaced);
	spin_unlock(&keys_lock);
	key_put(displaced);
	return err;
}

/* There is nobody to ask for a key that is not there: no helper runs outside of a container's programs. */
SYSCALL4(request_key, u64, utype, u64, udesc, u64, ucallout, s32, dest_id)
{
	struct key *dest = NULL, *k;
	enum key_type type;
	char *desc, *callout;
	long err = get_type(utype, &type);

	if (err)
		return err;
	desc = get_desc(udesc);
	if (IS_ERR(desc))
		return PTR_ERR(desc);
	callout = ucallout ? get_desc(ucallout) : NULL;
	if (IS_ERR(callout))
		err = PTR_ERR(callout);
	else
		kfree(callout);
	if (!err && dest_id) {
		dest = key_lookup(dest_id, true, KEY_WRITE);
		err = IS_ERR(dest) ? PTR_ERR(dest) : 0;
	}
	if (!err)
		err = type == KEY_TYPES ? -ENOKEY : 0;
	if (!err) {
		k = keys_search_own(type, desc, &err);
		if (k) {
			err = dest ? link_to(dest, k) : 0;
			err = err ? err : k->serial;
			key_put(k);
		}
	}
	if (!IS_ERR(dest))
		key_put(dest);
	kfree(desc);
	return err;
}

/* ---- keyctl ---- */

static long join_session(u64 uname)
{
	char *name;
	long ret;

	if (!uname)
		return keys_join_session(NULL);
	name = get_desc(uname);
	if (IS_ERR(name))
		return PTR_ERR(name);
	ret = *name == '.' ? -EPERM : keys_join_session(*name ? name : NULL);
	kfree(name);
	return ret;
}

static long update(struct key *k, u64 upayload, u64 len)
{
	void *payload, *old;

	if (len > PAGE_SIZE)
		return -EINVAL;
	if (k->type == KEY_KEYRING)
		return -EOPNOTSUPP;
	if (!len)
		return -EINVAL;
	payload = kmalloc(len);
	if (!payload)
		return -ENOMEM;
	if (copy_from_user(payload, upayload, len)) {
		kfree(payload);
		return -EFAULT;
	}
	spin_lock(&keys_lock);
	old = k->data;
	k->data = payload;
	k->len = (u32)len;
	k->expires = 0;
	spin_unlock(&keys_lock);
	kfree(old);
	return 0;
}

static long set_perm(struct key *k, u64 perm)
{
	if (perm & ~(u64)(KEY_RIGHTS * 0x01010101u))
		return -EINVAL;
	if (k->uid != current->cred->fsuid && !capable(CAP_SYS_ADMIN))
		return -EACCES;
	WRITE_ONCE(k->perm, (u32)perm);
	return 0;
}

static long change_owner(struct key *k, u32 user, u32 group)
{
	u32 uid = uid_in(user), gid = gid_in(group);
	long err = 0;

	if ((user != NO_ID && uid == NO_ID) || (group != NO_ID && gid == NO_ID))
		return -EINVAL;
	spin_lock(&keys_lock);
	if (!capable(CAP_SYS_ADMIN) &&
	    ((user != NO_ID && uid != k->uid) || (group != NO_ID && gid != k->gid && !in_group(current->cred, gid))))
		err = -EACCES;
	if (!err && user != NO_ID)
		k->uid = uid;
	if (!err && group != NO_ID)
		k->gid = gid;
	spin_unlock(&keys_lock);
	return err;
}

/* Results longer than the buffer are not copied, but their length is told. */
static long give(const void *bytes, u64 n, u64 ubuf, u64 size)
{
	if (ubuf && size >= n && copy_to_user(ubuf, bytes, n))
		return -EFAULT;
	return (long)n;
}

static long describe(struct key *k, u64 ubuf, u64 size)
{
	size_t room = strlen(k->desc) + 64;
	char *text = kmalloc(room);
	long n;

	if (!text)
		return -ENOMEM;
	n = kscnprintf(text, room, "%s;%u;%u;%08x;%s", type_names[k->type], uid_out(k->uid),
		       k->gid == NO_ID ? OVERFLOW_ID : gid_out(k->gid), k->perm, k->desc);
	n = give(text, (u64)n + 1, ubuf, size);
	kfree(text);
	return n;
}

/* A keyring's contents are the serials in it, as many as there is room for. */
static long read_key(struct key *k, u64 ubuf, u64 size)
{
	char *copy = kmalloc(MAX(k->len * sizeof(void *), 1ul));
	u64 n;
	long ret;

	if (!copy)
		return -ENOMEM;
	spin_lock(&keys_lock);
	n = k->len;
	if (k->type == KEY_KEYRING)
		for (u32 i = 0; i < k->len; i++)
			((s32 *)copy)[i] = ((struct key **)k->data)[i]->serial;
	else
		memcpy(copy, k->data, n);
	spin_unlock(&keys_lock);
	if (k->type == KEY_KEYRING) {
		n *= sizeof(s32);
		ret = ubuf && copy_to_user(ubuf, copy, MIN(size & ~3ull, n)) ? -EFAULT : (long)n;
	} else {
		ret = give(copy, n, ubuf, size);
	}
	kfree(copy);
	return ret;
}

static long clear_ring(struct key *ring)
{
	struct key **old;
	u32 n;

	if (ring->type != KEY_KEYRING)
		return -ENOTDIR;
	spin_lock(&keys_lock);
	old = ring->data;
	n = ring->len;
	ring->data = NULL;
	ring->len = 0;
	spin_unlock(&keys_lock);
	for (u32 i = 0; i < n; i++)
		key_put(old[i]);
	kfree(old);
	return 0;
}

static long unlink_from(struct key *ring, struct key *k)
{
	bool found = false;

	if (ring->type != KEY_KEYRING)
		return -ENOTDIR;
	spin_lock(&keys_lock);
	found = keyring_unlink(ring, k);
	spin_unlock(&keys_lock);
	if (found)
		key_put(k);
	return found ? 0 : -ENOENT;
}

static long search_in(struct key *ring, u64 utype, u64 udesc, s32 dest_id)
{
	struct key *dest = NULL, *k;
	enum key_type type;
	char *desc;
	long err = get_type(utype, &type);

	if (err)
		return err;
	desc = get_desc(udesc);
	if (IS_ERR(desc))
		return PTR_ERR(desc);
	if (dest_id) {
		dest = key_lookup(dest_id, true, KEY_WRITE);
		err = IS_ERR(dest) ? PTR_ERR(dest) : 0;
	}
	if (!err)
		err = ring->type != KEY_KEYRING ? -ENOTDIR : type == KEY_TYPES ? -ENOKEY : 0;
	if (!err) {
		err = -ENOKEY;
		spin_lock(&keys_lock);
		k = keyring_search(ring, true, type, desc, &err);
		spin_unlock(&keys_lock);
		if (k) {
			err = dest ? link_to(dest, k) : 0;
			err = err ? err : k->serial;
			key_put(k);
		}
	}
	if (!IS_ERR(dest))
		key_put(dest);
	kfree(desc);
	return err;
}

static void revoke(struct key *k)
{
	WRITE_ONCE(k->revoked, true);
	if (k->type == KEY_KEYRING)
		clear_ring(k);
}

static long set_timeout(struct key *k, u32 seconds)
{
	WRITE_ONCE(k->expires, seconds ? clock_real_ns() + seconds * (u64)NSEC_PER_SEC : 0);
	return 0;
}

static long capabilities(u64 ubuf, u64 size)
{
	static const u8 caps[2] = { KEYCTL_CAPS0_CAPABILITIES | KEYCTL_CAPS0_INVALIDATE | KEYCTL_CAPS0_MOVE | KEYCTL_CAPS0_PERSISTENT_KEYRINGS |
				 KEYCTL_CAPS0_RESTRICT_KEYRING, 0 };
	u64 n = MIN(size, sizeof(caps));

	if (n && copy_to_user(ubuf, caps, n))
		return -EFAULT;
	for (; n < size; n++)
		if (put_user((u8)0, ubuf + n))
			return -EFAULT;
	return sizeof(caps);
}

/* Operations on one key: what they need of it. */
static u32 rights_for(s32 op)
{
	switch (op) {
	case KEYCTL_UPDATE:
	case KEYCTL_CLEAR:
		return KEY_WRITE;
	case KEYCTL_CHOWN:
	case KEYCTL_SETPERM:
	case KEYCTL_SET_TIMEOUT:
		return KEY_SETATTR;
	case KEYCTL_DESCRIBE:
	case KEYCTL_GET_SECURITY:
		return KEY_VIEW;
	case KEYCTL_SEARCH:
	case KEYCTL_GET_KEYRING_ID:
	case KEYCTL_INVALIDATE:
		return KEY_SEARCH;
	default:
		return 0;
	}
}

static bool may_read(struct key *k, s32 id)
{
	struct key *again = key_lookup(id, false, KEY_READ);

	if (IS_ERR(again)) /* a key that may be found may be read by who possesses it: keyctl_read(3) */
		again = key_lookup(id, false, KEY_SEARCH);
	if (IS_ERR(again))
		return false;
	key_put(again);
	return true;
}

static long may_revoke(s32 id)
{
	struct key *k = key_lookup(id, false, KEY_WRITE);

	if (PTR_ERR(k) == -EACCES)
		k = key_lookup(id, false, KEY_SETATTR);
	if (IS_ERR(k))
		return PTR_ERR(k);
	key_put(k);
	return 0;
}

static long on_key(s32 op, struct key *k, s32 id, u64 b, u64 c, u64 d)
{
	long err;

	switch (op) {
	case KEYCTL_GET_KEYRING_ID:
		return k->serial;
	case KEYCTL_UPDATE:
		return update(k, b, c);
	case KEYCTL_REVOKE:
		err = may_revoke(id);
		if (!err)
			revoke(k);
		return err;
	case KEYCTL_CHOWN:
		return change_owner(k, (u32)b, (u32)c);
	case KEYCTL_SETPERM:
		return set_perm(k, (u32)b);
	case KEYCTL_DESCRIBE:
		return describe(k, b, c);
	case KEYCTL_CLEAR:
		return clear_ring(k);
	case KEYCTL_SEARCH:
		return search_in(k, b, c, (s32)d);
	case KEYCTL_READ:
		err = key_usable(k);
		if (err)
			return err;
		if (!may_read(k, id))
			return -EACCES;
		return k->type == KEY_LOGON ? -EOPNOTSUPP : read_key(k, b, c);
	case KEYCTL_SET_TIMEOUT:
		return set_timeout(k, (u32)b);
	case KEYCTL_GET_SECURITY:
		return give("", 1, b, c);
	case KEYCTL_INVALIDATE:
		revoke(k);
		return 0;
	}
	return -EOPNOTSUPP;
}

static long link_op(s32 op, s32 id, s32 ring_id)
{
	struct key *ring = key_lookup(ring_id, op == KEYCTL_LINK, KEY_WRITE), *k;
	long err;

	if (IS_ERR(ring))
		return PTR_ERR(ring);
	k = key_lookup(id, op == KEYCTL_LINK, op == KEYCTL_LINK ? KEY_LINK : 0);
	if (IS_ERR(k)) {
		key_put(ring);
		return PTR_ERR(k);
	}
	err = op == KEYCTL_LINK ? link_to(ring, k) : unlink_from(ring, k);
	key_put(k);
	key_put(ring);
	return err;
}

static long move_key(s32 id, s32 from_id, s32 to_id, u32 flags)
{
	struct key *k, *to;
	long err;

	if (flags & ~(u32)KEYCTL_MOVE_EXCL)
		return -EINVAL;
	k = key_lookup(id, true, KEY_LINK);
	if (IS_ERR(k))
		return PTR_ERR(k);
	to = key_lookup(to_id, true, KEY_WRITE);
	err = IS_ERR(to) ? PTR_ERR(to) : 0;
	if (!err && flags & KEYCTL_MOVE_EXCL) {
		spin_lock(&keys_lock);
		if (to->type == KEY_KEYRING && keyring_find(to, k->type, k->desc))
			err = -EEXIST;
		spin_unlock(&keys_lock);
	}
	if (!err)
		err = link_op(KEYCTL_UNLINK, id, from_id);
	if (!err)
		err = link_to(to, k);
	if (!IS_ERR(to))
		key_put(to);
	key_put(k);
	return err;
}

/* persistent-keyring(7): linked to a keyring of the caller's, it lives on for another while. */
static long get_persistent(u32 uuid, s32 dest_id)
{
	u32 uid = uuid == ~0u ? current->cred->uid : uid_in(uuid);
	struct key *dest, *k;
	long err;

	if (uid == NO_ID)
		return -EINVAL;
	if (uid != current->cred->uid && uid != current->cred->euid && !self_capable(CAP_SETUID))
		return -EPERM;
	dest = key_lookup(dest_id, true, KEY_WRITE);
	if (IS_ERR(dest))
		return PTR_ERR(dest);
	k = dest->type == KEY_KEYRING ? keys_persistent(uid) : ERR_PTR(-ENOTDIR);
	err = IS_ERR(k) ? PTR_ERR(k) : link_to(dest, k);
	if (!err) {
		set_timeout(k, PERSISTENT_SECONDS);
		err = k->serial;
	}
	if (!IS_ERR(k))
		key_put(k);
	key_put(dest);
	return err;
}

/* keyctl_restrict_keyring(3): nothing more may be linked to it; types that restrict by themselves there are none. */
static long restrict_keyring(s32 id, u64 utype, u64 urestriction)
{
	struct key *k = key_lookup(id, false, KEY_SETATTR);
	enum key_type type;
	char *restriction;
	long err = 0;

	if (IS_ERR(k))
		return PTR_ERR(k);
	if (utype) {
		err = get_type(utype, &type);
		restriction = err ? NULL : urestriction ? get_desc(urestriction) : ERR_PTR(-EINVAL);
		if (!err)
			err = IS_ERR(restriction) ? PTR_ERR(restriction) : k->type != KEY_KEYRING ? -ENOTDIR : type == KEY_TYPES ? -ENOKEY : -ENOENT;
		if (!IS_ERR(restriction))
			kfree(restriction);
	} else if (urestriction) {
		err = -EINVAL;
	}
	spin_lock(&keys_lock);
	if (!err && k->type != KEY_KEYRING)
		err = -ENOTDIR;
	else if (!err && k->closed)
		err = -EEXIST;
	else if (!err)
		k->closed = true;
	spin_unlock(&keys_lock);
	key_put(k);
	return err;
}

/* Who makes keys for others has assumed the authority to; nobody is asked to here, so nobody has it. */
static long assume_authority(s32 id)
{
	return id < 0 ? -EINVAL : id ? -ENOKEY : 0;
}

SYSCALL5(keyctl, s32, op, u64, a, u64, b, u64, c, u64, d)
{
	struct key *k;
	long ret;

	switch (op) {
	case KEYCTL_JOIN_SESSION_KEYRING:
		return join_session(a);
	case KEYCTL_LINK:
	case KEYCTL_UNLINK:
		return link_op(op, (s32)a, (s32)b);
	case KEYCTL_MOVE:
		return move_key((s32)a, (s32)b, (s32)c, (u32)d);
	case KEYCTL_SET_REQKEY_KEYRING: /* request_key() makes no keys here: there is only the default */
		return (s32)a < KEY_REQKEY_DEFL_NO_CHANGE || (s32)a > KEY_REQKEY_DEFL_GROUP_KEYRING ||
			       (s32)a == KEY_REQKEY_DEFL_GROUP_KEYRING ? -EINVAL : KEY_REQKEY_DEFL_DEFAULT;
	case KEYCTL_GET_PERSISTENT:
		return get_persistent((u32)a, (s32)b);
	case KEYCTL_RESTRICT_KEYRING:
		return restrict_keyring((s32)a, b, c);
	case KEYCTL_ASSUME_AUTHORITY:
		return assume_authority((s32)a);
	case KEYCTL_INSTANTIATE:
	case KEYCTL_INSTANTIATE_IOV:
	case KEYCTL_NEGATE:
	case KEYCTL_REJECT:
		return -EPERM;
	case KEYCTL_CAPABILITIES:
		return capabilities(a, b);
	case KEYCTL_GET_KEYRING_ID:
	case KEYCTL_UPDATE:
	case KEYCTL_REVOKE:
	case KEYCTL_CHOWN:
	case KEYCTL_SETPERM:
	case KEYCTL_DESCRIBE:
	case KEYCTL_CLEAR:
	case KEYCTL_SEARCH:
	case KEYCTL_READ:
	case KEYCTL_SET_TIMEOUT:
	case KEYCTL_GET_SECURITY:
	case KEYCTL_INVALIDATE:
		k = key_lookup((s32)a, op == KEYCTL_GET_KEYRING_ID ? b : op == KEYCTL_CLEAR, rights_for(op));
		if (IS_ERR(k))
			return PTR_ERR(k);
		ret = on_key(op, k, (s32)a, b, c, d);
		key_put(k);
		return ret;
	default:
		return -EOPNOTSUPP;
	}
}
