#include "sentry/kernel/user_ns.h"

#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/securebits.h>

#include "base/string.h"
#include "fs/proc/seq.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/internal.h"

static struct id_extent everything = { 0, 0, ~0u };
struct user_ns init_user_ns = { .uid_map = { 1, &everything }, .gid_map = { 1, &everything } };

void user_ns_free(struct ns_common *n)
{
	struct user_ns *u = container_of(n, struct user_ns, c);

	kfree(u->uid_map.extent);
	kfree(u->gid_map.extent);
	kfree(u);
}

/* ---- translation ---- */

/* A map is written once, its count last. */
static u32 map_n(const struct id_map *m)
{
	return __atomic_load_n(&m->n, __ATOMIC_ACQUIRE);
}

static u32 map_down(const struct id_map *m, u32 id)
{
	for (u32 i = 0, n = map_n(m); i < n; i++) {
		const struct id_extent *e = &m->extent[i];

		if (id >= e->first && id - e->first < e->count)
			return e->lower + (id - e->first);
	}
	return NO_ID;
}

static u32 map_up(const struct id_map *m, u32 id)
{
	for (u32 i = 0, n = map_n(m); i < n; i++) {
		const struct id_extent *e = &m->extent[i];

		if (id >= e->lower && id - e->lower < e->count)
			return e->first + (id - e->lower);
	}
	return NO_ID;
}

u32 make_uid(const struct user_ns *u, u32 id) { return u == &init_user_ns ? id : map_down(&u->uid_map, id); }
u32 make_gid(const struct user_ns *u, u32 id) { return u == &init_user_ns ? id : map_down(&u->gid_map, id); }
u32 show_uid(const struct user_ns *u, u32 uid) { return u == &init_user_ns ? uid : map_up(&u->uid_map, uid); }
u32 show_gid(const struct user_ns *u, u32 gid) { return u == &init_user_ns ? gid : map_up(&u->gid_map, gid); }

static u32 or_overflow(u32 id) { return id == NO_ID ? OVERFLOW_ID : id; }

u32 uid_in(u32 id) { return make_uid(current->cred->user_ns, id); }
u32 gid_in(u32 id) { return make_gid(current->cred->user_ns, id); }
u32 uid_out_to(const struct user_ns *u, u32 uid) { return u == &init_user_ns ? uid : or_overflow(show_uid(u, uid)); }
u32 uid_out(u32 uid) { return uid_out_to(current->cred->user_ns, uid); }

u32 gid_out(u32 gid)
{
	const struct user_ns *u = current->cred->user_ns;

	return u == &init_user_ns ? gid : or_overflow(show_gid(u, gid));
}

/* ---- capabilities ---- */

/* user_namespaces(7), "Capabilities": in one's own namespace, and in those below that one's own user has made. */
bool cred_capable(const struct cred *c, const struct user_ns *u, int cap)
{
	for (; u; u = u->parent) {
		if (c->user_ns == u)
			return c->effective >> cap & 1;
		if (u->level <= c->user_ns->level)
			return false;
		if (u->parent == c->user_ns && u->uid == c->euid)
			return true;
	}
	return false;
}

bool ns_capable(const struct user_ns *u, int cap)
{
	return cred_capable(current->cred, u, cap);
}

bool capable(int cap)
{
	return ns_capable(&init_user_ns, cap);
}

bool self_capable(int cap)
{
	return current->cred->effective >> cap & 1;
}

bool owner_capable(u32 uid, u32 gid, int cap)
{
	const struct user_ns *u = current->cred->user_ns;

	return self_capable(cap) && (u == &init_user_ns || (show_uid(u, uid) != NO_ID && show_gid(u, gid) != NO_ID));
}

bool user_ns_is_below(const struct user_ns *u, const struct user_ns *ancestor)
{
	while (u && u->level > ancestor->level)
		u = u->parent;
	return u == ancestor;
}

/* ---- making one ---- */

void cred_enter_user_ns(struct cred *c, struct user_ns *u)
{
	struct user_ns *old = c->user_ns;

	c->user_ns = user_ns_get(u);
	user_ns_put(old);
	c->securebits = 0;
	c->inheritable = c->ambient = 0;
	c->permitted = c->effective = c->bset = CAP_ALL;
}

/* user_namespaces(7): its creator must have names in the parent, and see all of the mounts' root. */
static bool is_chrooted(void)
{
	struct path root = current_root();
	bool chrooted = root.dentry != root.mnt->root || root.mnt->parent;

	path_put(&root);
	return chrooted;
}

long user_ns_create(struct cred *c)
{
	struct user_ns *parent = c->user_ns, *u;

	if (parent->level >= USER_NS_LEVELS)
		return -ENOSPC;
	if (is_chrooted())
		return -EPERM;
	if (show_uid(parent, c->euid) == NO_ID || show_gid(parent, c->egid) == NO_ID)
		return -EPERM;
	u = kzalloc(sizeof(*u));
	if (!u)
		return -ENOMEM;
	ns_init(&u->c, NS_USER, parent);
	u->parent = parent; /* the owner's reference keeps it */
	u->level = parent->level + 1;
	u->uid = c->euid;
	u->gid = c->egid;
	u->no_setgroups = parent->no_setgroups;
	u->parent_could_setfcap = c->effective >> CAP_SETFCAP & 1;
	cred_enter_user_ns(c, u);
	user_ns_put(u);
	return 0;
}

/* ---- /proc/PID/uid_map, gid_map, setgroups ---- */

void id_map_show(struct seq *s, const struct user_ns *u, bool gid)
{
	const struct id_map *m = gid ? &u->gid_map : &u->uid_map;
	const struct user_ns *reader = current->cred->user_ns;

	/* The lower ids as the reader names them; for a reader in that very namespace, as its parent does. */
	if (reader == u && u->parent)
		reader = u->parent;
	for (u32 i = 0, n = map_n(m); i < n; i++) {
		const struct id_extent *e = &m->extent[i];
		u32 lower = gid ? show_gid(reader, e->lower) : show_uid(reader, e->lower);

		seq_printf(s, "%10u %10u %10u\n", e->first, lower, e->count);
	}
}

static bool parse_u32(char **p, u32 *out)
{
	char *s = *p;
	u64 v = 0;

	while (*s == ' ' || *s == '\t')
		s++;
	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (u64)(*s - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*p = s;
	*out = (u32)v;
	return true;
}

static bool overlaps(u32 a, u32 an, u32 b, u32 bn)
{
	return a < b ? b - a < an : a - b < bn;
}

/* One line: "first lower count". */
static long parse_extent(char **p, struct id_extent *e)
{
	if (!parse_u32(p, &e->first) || !parse_u32(p, &e->lower) || !parse_u32(p, &e->count))
		return -EINVAL;
	while (**p == ' ' || **p == '\t')
		(*p)++;
	if (**p && **p != '\n')
		return -EINVAL;
	if (**p)
		(*p)++;
	if (e->first == NO_ID || e->lower == NO_ID || !e->count || e->first + e->count <= e->first ||
	    e->lower + e->count <= e->lower)
		return -EINVAL;
	return 0;
}

static long parse_map(struct id_map *m, char *text)
{
	while (*text) {
		struct id_extent *e = &m->extent[m->n];
		long err;

		if (m->n == ID_EXTENTS)
			return -EINVAL;
		err = parse_extent(&text, e);
		if (err)
			return err;
		for (u32 i = 0; i < m->n; i++)
			if (overlaps(m->extent[i].first, m->extent[i].count, e->first, e->count) ||
			    overlaps(m->extent[i].lower, m->extent[i].count, e->lower, e->count))
				return -EINVAL;
		m->n++;
	}
	return m->n ? 0 : -EINVAL;
}

/* user_namespaces(7), "Defining user and group ID mappings": one's own id, or what a privileged one above says. */
static bool may_map(const struct user_ns *u, bool gid, const struct id_map *m)
{
	const struct cred *c = current->cred;
	bool maps_root = false;

	for (u32 i = 0; i < m->n; i++) /* the parent's root: what it could write into file capabilities */
		maps_root |= !gid && m->extent[i].lower == 0;
	if (maps_root && (c->user_ns == u ? !u->parent_could_setfcap : !ns_capable(u->parent, CAP_SETFCAP)))
		return false;
	if (m->n == 1 && m->extent[0].count == 1 && u->uid == c->euid) {
		u32 lower = m->extent[0].lower;

		if (!gid && make_uid(u->parent, lower) == c->euid)
			return true;
		if (gid && u->no_setgroups && make_gid(u->parent, lower) == c->egid)
			return true;
	}
	return ns_capable(u->parent, gid ? CAP_SETGID : CAP_SETUID);
}

/* The extents in terms of the first namespace: each must lie in one extent of the parent. */
static bool to_first_ns(const struct user_ns *u, bool gid, struct id_map *m)
{
	const struct id_map *parent = gid ? &u->parent->gid_map : &u->parent->uid_map;

	for (u32 i = 0; i < m->n; i++) {
		struct id_extent *e = &m->extent[i];
		u32 first = map_down(parent, e->lower), last = map_down(parent, e->lower + e->count - 1);

		if (first == NO_ID || last == NO_ID || last - first != e->count - 1)
			return false;
		e->lower = first;
	}
	return true;
}

static long install_map(struct user_ns *u, bool gid, struct id_map *m)
{
	struct id_map *to = gid ? &u->gid_map : &u->uid_map;
	long err = -EPERM;

	spin_lock(&u->lock);
	if (!to->n && may_map(u, gid, m) && to_first_ns(u, gid, m)) {
		to->extent = m->extent;
		__atomic_store_n(&to->n, m->n, __ATOMIC_RELEASE);
		m->extent = NULL;
		err = 0;
	}
	spin_unlock(&u->lock);
	return err;
}

long id_map_write(struct user_ns *u, bool gid, char *text)
{
	struct id_map m = { 0, NULL };
	long err;

	if (!u->parent || map_n(gid ? &u->gid_map : &u->uid_map))
		return -EPERM;
	if (current->cred->user_ns != u && current->cred->user_ns != u->parent)
		return -EPERM;
	if (!ns_capable(u, gid ? CAP_SETGID : CAP_SETUID))
		return -EPERM;
	m.extent = kmalloc(ID_EXTENTS * sizeof(*m.extent));
	if (!m.extent)
		return -ENOMEM;
	err = parse_map(&m, text);
	if (!err)
		err = install_map(u, gid, &m);
	kfree(m.extent);
	return err;
}

/* "deny" is for good, and only before the groups are mapped. */
long setgroups_write(struct user_ns *u, const char *text)
{
	bool deny = !kstrcmp(text, "deny");
	long err = 0;

	if (!deny && kstrcmp(text, "allow"))
		return -EINVAL;
	if (!ns_capable(u, CAP_SYS_ADMIN))
		return -EPERM;
	spin_lock(&u->lock);
	if (deny && u->gid_map.n)
		err = -EPERM;
	else if (!deny && u->no_setgroups)
		err = -EPERM;
	else
		u->no_setgroups = deny;
	spin_unlock(&u->lock);
	return err;
}
