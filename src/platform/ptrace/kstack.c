/* Kernel stacks: a reserved region cut into aligned pieces; the lowest page of each is a guard. Recycled last in, first out. */
#include <linux/mman.h>

#include "platform/ptrace/internal.h"
#include "sentry/kernel/task.h"

#define KSTACKS_MAX 32768u

static struct {
	spinlock_t lock;
	char *base;
	u32 used;   /* never handed out from here on */
	u32 free;   /* first free + 1; 0 none */
	u32 *links; /* of the free ones */
} region;

static void *reserve(u64 size)
{
	s64 ret = sys_call6(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return ret < 0 ? NULL : (void *)ret;
}

int kstack_init(void)
{
	char *base = reserve((KSTACKS_MAX + 1) * KSTACK_SIZE);

	region.links = reserve(KSTACKS_MAX * sizeof(u32));
	if (!base || !region.links)
		return -ENOMEM;
	region.base = (char *)ALIGN_UP((u64)base, KSTACK_SIZE);
	return 0;
}

void *pt_kstack_alloc(void)
{
	char *stack = NULL;
	bool fresh = false;

	spin_lock(&region.lock);
	if (region.free) {
		stack = region.base + (u64)(region.free - 1) * KSTACK_SIZE;
		region.free = region.links[region.free - 1];
	} else if (region.used < KSTACKS_MAX) {
		stack = region.base + (u64)region.used++ * KSTACK_SIZE;
		fresh = true;
	}
	spin_unlock(&region.lock);
	/* A guard stays when the stack is freed. Without one (too many mappings) the stack is not safe to use. */
	if (fresh && sys_call3(__NR_mprotect, stack, PAGE_SIZE, PROT_NONE) < 0)
		return NULL;
	return stack;
}

void pt_kstack_free(void *base)
{
	u32 i = (u32)(((char *)base - region.base) / KSTACK_SIZE);

	spin_lock(&region.lock);
	region.links[i] = region.free;
	region.free = i + 1;
	spin_unlock(&region.lock);
}
