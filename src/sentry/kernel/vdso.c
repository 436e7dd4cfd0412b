/* The vDSO image in frames of its own, mapped into every program above the clock page and that of its time namespace: vdso(7). */
#include <linux/mman.h>
#include <linux/errno.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/mm/mm.h"

extern const char vdso_image[], vdso_image_end[];

#define VDSO_PAGES_MAX 4
#define VVAR "[vvar]"
static struct page *vdso_pages[VDSO_PAGES_MAX];
static struct page *no_offsets; /* for the first time namespace */
static u32 vdso_npages;

void vdso_init(void)
{
	size_t size = (size_t)(vdso_image_end - vdso_image);

	vdso_npages = (u32)DIV_ROUND_UP(size, PAGE_SIZE);
	BUG_ON(vdso_npages > VDSO_PAGES_MAX);
	no_offsets = frame_alloc(0, FRAME_ZERO);
	BUG_ON(!no_offsets);
	page_get(pa_to_page(CLOCK_PAGE_PA)); /* not the allocator's, whoever unmaps it last */
	for (u32 i = 0; i < vdso_npages; i++) {
		vdso_pages[i] = frame_alloc(0, FRAME_ZERO);
		BUG_ON(!vdso_pages[i]);
		memcpy(page_to_va(vdso_pages[i]), vdso_image + i * PAGE_SIZE, MIN(size - i * PAGE_SIZE, PAGE_SIZE));
	}
}

long vdso_map(struct mm *mm)
{
	struct page *clock = pa_to_page(CLOCK_PAGE_PA), *own = current->ns ? time_ns_of(current->ns->simple[NS_TIME])->page : NULL;
	struct page *offsets = own ? own : no_offsets;
	u64 size = (vdso_npages + 2) * PAGE_SIZE;
	long at = mm_mmap(mm, 0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NULL, 0), err;

	if (at < 0)
		return at;
	mm_munmap(mm, (u64)at, size); /* nobody else is in this address space yet */
	err = mm_map_pages(mm, (u64)at, &offsets, 1, PROT_READ, VVAR);
	if (err >= 0)
		err = mm_map_pages(mm, (u64)at + PAGE_SIZE, &clock, 1, PROT_READ, VVAR);
	if (err >= 0)
		err = mm_map_pages(mm, (u64)at + 2 * PAGE_SIZE, vdso_pages, vdso_npages, PROT_READ | PROT_EXEC, "[vdso]");
	if (err < 0)
		return err;
	if (err != at + 2 * (long)PAGE_SIZE)
		return -ENOMEM;
	mm->vdso_base = (u64)err;
	return 0;
}

long vdso_shift(struct mm *mm, struct page *offsets)
{
	u64 at = mm->vdso_base - 2 * PAGE_SIZE;
	long err;

	if (!mm->vdso_base || !mm_is_mapped_as(mm, at, VVAR)) /* the program may have moved it */
		return 0;
	mm_munmap(mm, at, PAGE_SIZE);
	err = mm_map_pages(mm, at, offsets ? &offsets : &no_offsets, 1, PROT_READ, VVAR);
	return err < 0 ? err : err == (long)at ? 0 : -ENOMEM;
}
