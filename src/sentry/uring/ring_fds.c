/* Rings that a task has registered with itself, to be named by a small number in io_uring_enter(2): IORING_REGISTER_RING_FDS. */
#include "sentry/sys/syscall.h"
#include "sentry/uring/uring.h"

#define RINGS_MAX 16u

struct uring_task_rings {
	struct file *ring[RINGS_MAX];
};

struct file *registered_ring(u32 i)
{
	struct uring_task_rings *t = current->uring_rings;

	if (!t || i >= RINGS_MAX)
		return ERR_PTR(-EINVAL);
	return t->ring[i] ? file_get(t->ring[i]) : ERR_PTR(-EBADF);
}

static long add(struct uring_task_rings *t, struct io_uring_rsrc_update *u)
{
	struct file *f;
	u32 i = u->offset;

	if (u->resv)
		return -EINVAL;
	if (i == ~0u)
		for (i = 0; i < RINGS_MAX && t->ring[i]; i++)
			;
	else if (i >= RINGS_MAX)
		return -EINVAL;
	if (i == RINGS_MAX || t->ring[i])
		return -EBUSY;
	f = fget((s32)u->data);
	if (!f)
		return -EBADF;
	if (!ring_of(f)) {
		file_put(f);
		return -EOPNOTSUPP;
	}
	t->ring[i] = f;
	u->offset = i;
	return 0;
}

static void drop(struct uring_task_rings *t, u32 i)
{
	struct file *f = t->ring[i];

	t->ring[i] = NULL;
	if (f)
		file_put(f);
}

long rings_register(u64 arg, u32 n)
{
	struct uring_task_rings *t = current->uring_rings;
	struct io_uring_rsrc_update u;
	long err = 0;
	u32 i;

	if (!n || n > RINGS_MAX)
		return -EINVAL;
	if (!t)
		t = current->uring_rings = kzalloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (i = 0; i < n && !err; i++) {
		err = copy_from_user(&u, arg + i * sizeof(u), sizeof(u)) ? -EFAULT : add(t, &u);
		if (!err && copy_to_user(arg + i * sizeof(u), &u, sizeof(u))) {
			drop(t, u.offset);
			err = -EFAULT;
		}
	}
	return err && i == 1 ? err : (long)i - (err != 0);
}

long rings_unregister(u64 arg, u32 n)
{
	struct uring_task_rings *t = current->uring_rings;
	struct io_uring_rsrc_update u;
	long err = 0;
	u32 i;

	if (!n || n > RINGS_MAX)
		return -EINVAL;
	if (!t)
		return 0;
	for (i = 0; i < n && !err; i++) {
		if (copy_from_user(&u, arg + i * sizeof(u), sizeof(u)))
			err = -EFAULT;
		else if (u.resv || u.data || u.offset >= RINGS_MAX)
			err = -EINVAL;
		else
			drop(t, u.offset);
	}
	return err && i == 1 ? err : (long)i - (err != 0);
}

void uring_forget_rings(void)
{
	struct uring_task_rings *t = current->uring_rings;

	current->uring_rings = NULL;
	for (u32 i = 0; t && i < RINGS_MAX; i++)
		drop(t, i);
	kfree(t);
}
