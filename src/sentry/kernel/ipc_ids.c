#include "sentry/kernel/ipc_ids.h"

#include <linux/capability.h>
#include <linux/errno.h>

#include "base/string.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"

#define IPC_INDEX_BITS 15
#define IPC_INDEX_MASK ((1u << IPC_INDEX_BITS) - 1)
#define IPC_SEQ_MAX 0xffffu

struct ipc_ns init_ipc_ns;

struct ipc_ns *ipc_ns(void)
{
	return ipc_ns_of(current->ns->simple[NS_IPC]);
}

struct ipc_obj *ipc_at(struct ipc_ids *ids, u32 index)
{
	struct ipc_obj *o = index < ids->nslots ? ids->slots[index] : NULL;

	return o && o->ns == ipc_ns() ? o : NULL;
}

struct ipc_obj *ipc_find_id(struct ipc_ids *ids, s32 id)
{
	struct ipc_obj *o = id < 0 ? NULL : ipc_at(ids, id & IPC_INDEX_MASK);

	return o && o->id == id ? o : NULL;
}

struct ipc_obj *ipc_find_key(struct ipc_ids *ids, s32 key)
{
	for (u32 i = 0; i < ids->nslots; i++)
		if (ids->slots[i] && ids->slots[i]->key == key && ids->slots[i]->ns == ipc_ns())
			return ids->slots[i];
	return NULL;
}

static int grow(struct ipc_ids *ids)
{
	u32 n = ids->nslots ? ids->nslots * 2 : 16;
	struct ipc_obj **slots;

	if (ids->nslots >= IPC_SLOTS)
		return -ENOSPC;
	n = MIN(n, IPC_SLOTS);
	slots = kzalloc(n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	if (ids->nslots)
		memcpy(slots, ids->slots, ids->nslots * sizeof(*slots));
	kfree(ids->slots);
	ids->slots = slots;
	ids->nslots = n;
	return 0;
}

s32 ipc_add(struct ipc_ids *ids, struct ipc_obj *o, s32 key, u32 mode)
{
	u32 i = 0;
	int err;

	while (i < ids->nslots && ids->slots[i])
		i++;
	if (i == ids->nslots) {
		err = grow(ids);
		if (err)
			return err;
	}
	refcount_set(&o->ref, 1);
	o->ns = ipc_ns();
	o->key = key;
	o->mode = mode & 0777;
	o->uid = o->cuid = current->cred->euid;
	o->gid = o->cgid = current->cred->egid;
	o->id = (s32)((ids->seq & IPC_SEQ_MAX) << IPC_INDEX_BITS | i);
	ids->slots[i] = o;
	return o->id;
}

void ipc_remove(struct ipc_ids *ids, struct ipc_obj *o)
{
	ids->slots[o->id & IPC_INDEX_MASK] = NULL;
	ids->seq++; /* the next object of this slot has another id */
	o->deleted = true;
}

s32 ipc_highest(struct ipc_ids *ids)
{
	for (u32 i = ids->nslots; i-- > 0;)
		if (ipc_at(ids, i))
			return i;
	return 0;
}

int ipc_permits(const struct ipc_obj *o, u32 want)
{
	const struct cred *c = current->cred;
	u32 granted = o->mode;

	if (c->euid == o->uid || c->euid == o->cuid)
		granted >>= 6;
	else if (in_group(c, o->gid) || in_group(c, o->cgid))
		granted >>= 3;
	return (want & ~granted & 7) && !ns_capable(ipc_ns()->c.owner, CAP_IPC_OWNER) ? -EACCES : 0;
}

int ipc_may_change(const struct ipc_obj *o)
{
	u32 me = current->cred->euid;

	return me == o->uid || me == o->cuid || ns_capable(ipc_ns()->c.owner, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

s32 ipc_open(const struct ipc_obj *o, u32 flags)
{
	u32 want = (flags >> 6) | (flags >> 3) | flags;

	if ((flags & IPC_CREAT) && (flags & IPC_EXCL))
		return -EEXIST;
	return ipc_permits(o, want & 7) ? -EACCES : o->id;
}

void ipc_fill_perm(const struct ipc_obj *o, struct ipc64_perm *p)
{
	memset(p, 0, sizeof(*p));
	p->key = o->key;
	p->uid = uid_out(o->uid);
	p->gid = gid_out(o->gid);
	p->cuid = uid_out(o->cuid);
	p->cgid = gid_out(o->cgid);
	p->mode = o->mode;
	p->seq = (u32)o->id >> IPC_INDEX_BITS;
}

void ipc_set_perm(struct ipc_obj *o, const struct ipc64_perm *p)
{
	o->uid = uid_in(p->uid);
	o->gid = gid_in(p->gid);
	o->mode = (o->mode & ~0777u) | (p->mode & 0777);
}

s64 ipc_now(void)
{
	return clock_real_ns() / NSEC_PER_SEC;
}
