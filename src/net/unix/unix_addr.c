/* Names of Unix sockets: paths, abstract names, autobind. */
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "net/net_ns.h"
#include "net/unix/unix.h"
#include "sentry/kernel/task.h"

#define HASH_SIZE 256u
static struct hlist_head abstract[HASH_SIZE];		  /* unix_table_lock */
static spinlock_t unix_table_lock = SPINLOCK_INIT; /* also inode->sock */
static u32 autobind_next;				  /* unix_table_lock */

void unix_addr_put(struct unix_addr *a)
{
	if (a && refcount_dec_and_test(&a->ref))
		kfree(a);
}

static struct unix_addr *addr_alloc(const void *raw, u32 len)
{
	struct unix_addr *a = kzalloc(sizeof(*a));

	if (!a)
		return NULL;
	refcount_set(&a->ref, 1);
	a->len = len;
	memcpy(a->raw, raw, len);
	return a;
}

static struct hlist_head *bucket_of(const u8 *raw, u32 len, u16 type)
{
	u32 h = type;

	for (u32 i = UNIX_PATH_OFF; i < len; i++)
		h = h * 31 + raw[i];
	return &abstract[h % HASH_SIZE];
}

static struct unix_sock *find_abstract_locked(const struct net_ns *net, const u8 *raw, u32 len, u16 type)
{
	struct unix_sock *u;

	hlist_for_each(u, bucket_of(raw, len, type), hash)
		if (u->st.sk.type == type && u->st.sk.net == net && u->addr->len == len && !memcmp(u->addr->raw, raw, len))
			return u;
	return NULL;
}

static int check_addr(const struct sockaddr_k *addr, u32 len)
{
	return len <= UNIX_PATH_OFF || len > UNIX_ADDR_MAX || addr->family != AF_UNIX ? -EINVAL : 0;
}

static int insert_abstract(struct unix_sock *u, struct unix_addr *a)
{
	int err = -EADDRINUSE;

	spin_lock(&unix_table_lock);
	if (!find_abstract_locked(u->st.sk.net, a->raw, a->len, u->st.sk.type)) {
		WRITE_ONCE(u->addr, a);
		hlist_add(&u->hash, bucket_of(a->raw, a->len, u->st.sk.type));
		err = 0;
	}
	spin_unlock(&unix_table_lock);
	return err;
}

static int bind_abstract(struct unix_sock *u, const struct sockaddr_k *addr, u32 len)
{
	struct unix_addr *a = addr_alloc(addr->raw, len);
	int err;

	if (!a)
		return -ENOMEM;
	err = insert_abstract(u, a);
	if (err)
		unix_addr_put(a);
	return err;
}

static int bind_path(struct unix_sock *u, const struct sockaddr_k *addr, u32 len)
{
	struct unix_addr *a = addr_alloc(addr->raw, len);
	const char *name;
	struct path path;
	int err;

	if (!a)
		return -ENOMEM;
	/* addr_alloc() left room: the name always ends with a NUL, which counts in its length. */
	name = (const char *)a->raw + UNIX_PATH_OFF;
	a->len = UNIX_PATH_OFF + strlen(name) + 1;
	err = kern_mknod(name, S_IFSOCK | 0777, 0, &path);
	if (err) {
		unix_addr_put(a);
		return err == -EEXIST ? -EADDRINUSE : err;
	}
	u->path = path;
	spin_lock(&unix_table_lock);
	u->inode = path.dentry->inode;
	u->inode->sock = u;
	WRITE_ONCE(u->addr, a);
	spin_unlock(&unix_table_lock);
	return 0;
}

static int autobind_locked(struct unix_sock *u)
{
	struct unix_addr *a = addr_alloc("\1\0", UNIX_PATH_OFF);
	u32 first, n;
	int err = -ENOSPC;

	if (!a)
		return -ENOMEM;
	a->len = UNIX_PATH_OFF + 6;
	spin_lock(&unix_table_lock);
	n = first = autobind_next;
	spin_unlock(&unix_table_lock);
	do {
		n = (n + 1) & 0xfffff;
		ksnprintf((char *)a->raw + UNIX_PATH_OFF + 1, 6, "%05x", n);
		err = insert_abstract(u, a);
	} while (err && n != first);
	spin_lock(&unix_table_lock);
	autobind_next = n;
	spin_unlock(&unix_table_lock);
	if (err) {
		unix_addr_put(a);
		return -ENOSPC;
	}
	return 0;
}

int unix_autobind(struct unix_sock *u)
{
	int err = 0;

	mutex_lock(&u->bindlock);
	if (!u->addr)
		err = autobind_locked(u);
	mutex_unlock(&u->bindlock);
	return err;
}

/* Linux makes the node first: a socket that has a name fails with EADDRINUSE when the path exists, else with EINVAL. */
static int bind_twice(const struct sockaddr_k *addr, u32 len)
{
	char name[UNIX_ADDR_MAX + 1];
	struct path path;

	if (!addr->raw[UNIX_PATH_OFF])
		return -EINVAL;
	memcpy(name, addr->raw + UNIX_PATH_OFF, len - UNIX_PATH_OFF);
	name[len - UNIX_PATH_OFF] = 0;
	if (path_lookup(AT_FDCWD, name, 0, &path))
		return -EINVAL;
	path_put(&path);
	return -EADDRINUSE;
}

int unix_bind(struct sock *sk, const struct sockaddr_k *addr, u32 len)
{
	struct unix_sock *u = to_unix(sk);
	int err;

	if (len == UNIX_PATH_OFF && addr->family == AF_UNIX)
		return unix_autobind(u);
	err = check_addr(addr, len);
	if (err)
		return err;
	mutex_lock(&u->bindlock);
	if (u->addr)
		err = bind_twice(addr, len);
	else if (addr->raw[UNIX_PATH_OFF])
		err = bind_path(u, addr, len);
	else
		err = bind_abstract(u, addr, len);
	mutex_unlock(&u->bindlock);
	return err;
}

void unix_unbind(struct unix_sock *u)
{
	bool had_path;

	spin_lock(&unix_table_lock);
	hlist_del(&u->hash);
	had_path = u->inode;
	if (u->inode && u->inode->sock == u)
		u->inode->sock = NULL;
	u->inode = NULL;
	spin_unlock(&unix_table_lock);
	if (had_path)
		path_put(&u->path);
}

static struct unix_sock *find_path(const struct sockaddr_k *addr, u32 len, u16 type)
{
	char name[UNIX_ADDR_MAX + 1];
	struct unix_sock *u;
	struct path path;
	int err;

	memcpy(name, addr->raw + UNIX_PATH_OFF, len - UNIX_PATH_OFF);
	name[len - UNIX_PATH_OFF] = 0;
	err = path_lookup(AT_FDCWD, name, LOOKUP_FOLLOW, &path);
	if (err)
		return ERR_PTR(err);
	err = inode_permission(path.dentry->inode, MAY_WRITE);
	if (!err && (path.dentry->inode->mode & S_IFMT) != S_IFSOCK)
		err = -ECONNREFUSED;
	if (err) {
		path_put(&path);
		return ERR_PTR(err);
	}
	spin_lock(&unix_table_lock);
	u = path.dentry->inode->sock;
	if (u)
		sock_get(&u->st.sk);
	spin_unlock(&unix_table_lock);
	path_put(&path);
	if (!u)
		return ERR_PTR(-ECONNREFUSED);
	if (u->st.sk.type != type) {
		sock_put(&u->st.sk);
		return ERR_PTR(-EPROTOTYPE);
	}
	return u;
}

struct unix_sock *unix_find(const struct sockaddr_k *addr, u32 len, u16 type)
{
	struct unix_sock *u;
	int err = check_addr(addr, len);

	if (err)
		return ERR_PTR(err);
	if (addr->raw[UNIX_PATH_OFF])
		return find_path(addr, len, type);
	spin_lock(&unix_table_lock);
	u = find_abstract_locked(current_net_ns(), addr->raw, len, type);
	if (u)
		sock_get(&u->st.sk);
	spin_unlock(&unix_table_lock);
	return u ? u : ERR_PTR(-ECONNREFUSED);
}

void unix_put_name(struct msg *m, struct unix_addr *a)
{
	m->namelen = 0;
	if (!m->name || !a)
		return;
	memcpy(m->name, a->raw, a->len);
	m->namelen = a->len;
}
