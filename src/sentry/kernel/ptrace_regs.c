/* The registers of a stopped tracee, in the layouts of <sys/user.h> and of ELF notes. */
#include <linux/elf.h>
#include <linux/errno.h>

#include "base/string.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/ptrace_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#define REG(member) offsetof(struct user_regs, member)
#define USER_STRUCT_SIZE 912u
#define USER_DEBUGREG 848u
#define FXSAVE_SIZE 512u
#define XSAVE_SW_OFFSET 464u
#define EF_USER 0x50dd5ull /* what a tracer may change: CF PF AF ZF SF TF DF OF RF AC */

/* ---- one register ---- */

static u64 get_reg(const struct task *t, u64 off)
{
	return *(const u64 *)((const char *)&t->ctx.regs + off);
}

static long set_reg(struct task *t, u64 off, u64 val)
{
	struct user_regs *r = &t->ctx.regs;

	switch (off) {
	case REG(cs):
	case REG(ss): /* of user code; there is one set of them */
		return (val & 3) == 3 || !val ? 0 : -EIO;
	case REG(ds):
	case REG(es):
	case REG(fs):
	case REG(gs):
		return 0;
	case REG(fs_base):
	case REG(gs_base):
	case REG(rip):
		if (val >= TASK_SIZE_MAX)
			return -EIO;
		break;
	case REG(eflags):
		val = (r->eflags & ~EF_USER) | (val & EF_USER);
	}
	*(u64 *)((char *)r + off) = val;
	t->ctx.regs_dirty = true;
	return 0;
}

/* ---- debug registers ---- */

#define DR7_RESERVED 0xffffffff0000fc00ull

static u64 get_debug(const struct task *t, u32 i)
{
	const struct debug_regs *d = t->ctx.debug;

	if (!d || i == 4 || i == 5)
		return 0;
	return i < 4 ? d->addr[i] : i == 6 ? d->dr6 : d->dr7;
}

/* Each that is enabled: of a kind for user code, with a length that its address is aligned to. */
static bool dr7_valid(const struct debug_regs *d, u64 dr7)
{
	static const u8 lengths[4] = { 1, 2, 8, 4 };

	for (u32 i = 0; i < 4; i++) {
		u32 kind = dr7 >> (16 + 4 * i) & 3, len = lengths[dr7 >> (18 + 4 * i) & 3];

		if (!(dr7 >> (2 * i) & 3))
			continue;
		if (kind == 2 /* ports */ || (kind == 0 && len != 1) || d->addr[i] & (len - 1) || d->addr[i] >= TASK_SIZE_MAX)
			return false;
	}
	return true;
}

static long set_debug(struct task *t, u32 i, u64 val)
{
	struct debug_regs *d = t->ctx.debug;

	if (i == 4 || i == 5)
		return -EIO;
	if (!platform->debug_regs)
		return val ? -EINVAL : 0;
	if (!d && val) {
		d = kzalloc(sizeof(*d));
		if (!d)
			return -ENOMEM;
		t->ctx.debug = d;
	}
	if (!d)
		return 0;
	if (i < 4) {
		if (val >= TASK_SIZE_MAX)
			return -EINVAL;
		d->addr[i] = val;
	} else if (i == 6) {
		d->dr6 = val;
	} else {
		val &= ~DR7_RESERVED;
		if (!dr7_valid(d, val))
			return -EINVAL;
		d->dr7 = val;
	}
	return 0;
}

void ptrace_clear_debug(struct task *t)
{
	kfree(t->ctx.debug);
	t->ctx.debug = NULL;
}

long ptrace_peek_user(struct task *t, u64 off, u64 *val)
{
	if ((off & 7) || off >= USER_STRUCT_SIZE)
		return -EIO;
	*val = off < sizeof(struct user_regs) ? get_reg(t, off) : off >= USER_DEBUGREG ? get_debug(t, (u32)(off - USER_DEBUGREG) / 8) : 0;
	return 0;
}

long ptrace_poke_user(struct task *t, u64 off, u64 val)
{
	if ((off & 7) || off >= USER_STRUCT_SIZE)
		return -EIO;
	if (off < sizeof(struct user_regs))
		return set_reg(t, off, val);
	return off >= USER_DEBUGREG ? set_debug(t, (u32)(off - USER_DEBUGREG) / 8, val) : 0;
}

/* ---- all of them ---- */

static long store_regs(struct task *t, const struct user_regs *new, u64 n)
{
	for (u64 off = 0; off < n; off += sizeof(u64)) {
		long err = set_reg(t, off, *(const u64 *)((const char *)new + off));

		if (err)
			return err;
	}
	return 0;
}

long ptrace_get_regs(struct task *t, u64 udata)
{
	return put_user(t->ctx.regs, udata);
}

long ptrace_set_regs(struct task *t, u64 udata)
{
	struct user_regs new;

	if (get_user(new, udata))
		return -EFAULT;
	return store_regs(t, &new, sizeof(new));
}

long ptrace_get_fpregs(struct task *t, u64 udata)
{
	return copy_to_user(udata, t->ctx.fpu, FXSAVE_SIZE);
}

/* The rest of the state stays. */
static long set_fpu_part(struct task *t, u64 udata, u32 n)
{
	u32 size = platform->fpu_size;
	char *image = kmalloc(size);
	long err = -EFAULT;

	if (!image)
		return -ENOMEM;
	memcpy(image, t->ctx.fpu, size);
	if (!copy_from_user(image, udata, n)) {
		if (n == FXSAVE_SIZE)
			*(u64 *)(image + FXSAVE_SIZE) |= 3; /* x87 and SSE are not initial now */
		err = fpu_set_user_image(t, image, size);
	}
	kfree(image);
	return err;
}

long ptrace_set_fpregs(struct task *t, u64 udata)
{
	return set_fpu_part(t, udata, FXSAVE_SIZE);
}

static long get_xstate(struct task *t, u64 udata, u64 n)
{
	u32 size = platform->fpu_size;
	char *image = kmalloc(size);
	long err;

	if (!image)
		return -ENOMEM;
	memcpy(image, t->ctx.fpu, size);
	memset(image + XSAVE_SW_OFFSET, 0, FXSAVE_SIZE - XSAVE_SW_OFFSET);
	*(u64 *)(image + XSAVE_SW_OFFSET) = platform->fpu_xcr0; /* debuggers learn the layout from it */
	err = copy_to_user(udata, image, MIN(n, size));
	kfree(image);
	return err;
}

/* ---- PTRACE_GETREGSET, PTRACE_SETREGSET ---- */

static long regset_move(struct task *t, u32 type, struct iovec_k *iov, bool set)
{
	struct user_regs r;

	switch (type) {
	case NT_PRSTATUS:
		iov->len = MIN(iov->len, sizeof(r)) & ~7ull;
		if (!set)
			return copy_to_user(iov->base, &t->ctx.regs, iov->len);
		return copy_from_user(&r, iov->base, iov->len) ? -EFAULT : store_regs(t, &r, iov->len);
	case NT_PRFPREG:
		if (set && iov->len < FXSAVE_SIZE)
			return -EINVAL;
		iov->len = MIN(iov->len, FXSAVE_SIZE);
		return set ? set_fpu_part(t, iov->base, FXSAVE_SIZE) : copy_to_user(iov->base, t->ctx.fpu, iov->len);
	case NT_X86_XSTATE:
		if (set && iov->len < platform->fpu_size)
			return -EFAULT;
		iov->len = MIN(iov->len, platform->fpu_size);
		return set ? set_fpu_part(t, iov->base, platform->fpu_size) : get_xstate(t, iov->base, iov->len);
	}
	return -EINVAL;
}

long ptrace_regset(struct task *t, u32 type, u64 uiov, bool set)
{
	struct iovec_k iov;
	long err;

	if (get_user(iov, uiov))
		return -EFAULT;
	if (iov.len & 7)
		return -EINVAL;
	err = regset_move(t, type, &iov, set);
	return err ? err : put_user(iov.len, uiov + offsetof(struct iovec_k, len));
}
