/*
 * User namespaces (user_namespaces(7)). Inside the sentry a user or group id is that of the first namespace, always; it is
 * translated where it enters or leaves by a system call.
 */
#ifndef SENTRY_USER_NS_H
#define SENTRY_USER_NS_H

#include "sentry/kernel/ns.h"
#include "sentry/kernel/task.h"

#define NO_ID (~0u)	    /* no such id here */
#define OVERFLOW_ID 65534u /* what stands for an id that has no name in a namespace */
#define ID_EXTENTS 340u
#define USER_NS_LEVELS 32u

struct id_extent {
	u32 first, lower, count; /* lower: in the first namespace */
};
struct id_map {
	u32 n;
	struct id_extent *extent;
};
struct user_ns {
	struct ns_common c; /* first */
	struct user_ns *parent;
	u32 level, uid, gid; /* of the creator */
	spinlock_t lock;     /* to write the maps: once each */
	struct id_map uid_map, gid_map;
	bool no_setgroups;
	bool parent_could_setfcap;
};
extern struct user_ns init_user_ns;

static inline struct user_ns *user_ns_get(struct user_ns *u) { ns_get(&u->c); return u; }
static inline void user_ns_put(struct user_ns *u) { ns_put(&u->c); }
void user_ns_free(struct ns_common *n);
/* A child of the current one: gives the credentials, not yet published, every capability in it. 0 or -errno. */
long user_ns_create(struct cred *c);
/* The credentials are now in `u`, with every capability there. */
void cred_enter_user_ns(struct cred *c, struct user_ns *u);

/* Translation. The maps of ids: NO_ID for those that are not mapped. */
u32 make_uid(const struct user_ns *u, u32 id);
u32 make_gid(const struct user_ns *u, u32 id);
u32 show_uid(const struct user_ns *u, u32 uid);
u32 show_gid(const struct user_ns *u, u32 gid);
/* The same for the current task; the overflow id for what has no name. */
u32 uid_in(u32 id);
u32 gid_in(u32 id);
u32 uid_out(u32 uid);
u32 gid_out(u32 gid);
u32 uid_out_to(const struct user_ns *u, u32 uid);

/* Has the current task the capability over what belongs to `u`? */
bool ns_capable(const struct user_ns *u, int cap);
bool cred_capable(const struct cred *c, const struct user_ns *u, int cap);
/* In its own user namespace. */
bool self_capable(int cap);
/* Over an object with these owners. */
bool owner_capable(u32 uid, u32 gid, int cap);
bool user_ns_is_below(const struct user_ns *u, const struct user_ns *ancestor); /* or the same */

/* /proc/PID/uid_map and company. Writing: 0 or -errno. */
struct seq;
void id_map_show(struct seq *s, const struct user_ns *u, bool gid);
long id_map_write(struct user_ns *u, bool gid, char *text);
long setgroups_write(struct user_ns *u, const char *text);

#endif
