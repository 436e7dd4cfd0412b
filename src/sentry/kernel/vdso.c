/* The vDSO image in frames of its own, mapped into every program above the clock page: vdso(7). */
#include <linux/mman.h>
#include <linux/errno.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/exec.h"
#include "sentry/mm/mm.h"

extern const char vdso_image[], vdso_image_end[];

#define VDSO_PAGES_MAX 4
static struct page *vdso_pages[VDSO_PAGES_MAX];
static u32 vdso_npages;

void vdso_init(void)
{
	size_t size = (size_t)(vdso_image_end - vdso_image);

	vdso_npages = (u32)DIV_ROUND_UP(size, PAGE_SIZE);
	BUG_ON(vdso_npages > VDSO_PAGES_MAX);
	page_get(pa_to_page(CLOCK_PAGE_PA)); /* not the allocator's, whoever unmaps it last */
	for (u32 i = 0; i < vdso_npages; i++) {
		vdso_pages[i] = frame_alloc(0, FRAME_ZERO);
		BUG_ON(!vdso_pages[i]);
		memcpy(page_to_va(vdso_pages[i]), vdso_image + i * PAGE_SIZE, MIN(size - i * PAGE_SIZE, PAGE_SIZE));
	}
}

long vdso_map(struct mm *mm)
{
	struct page *clock = pa_to_page(CLOCK_PAGE_PA);
	u64 size = (vdso_npages + 1) * PAGE_SIZE;
	long at = mm_mmap(mm, 0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NULL, 0), err;

	if (at < 0)
		return at;
	mm_munmap(mm, (u64)at, size); /* nobody else is in this address space yet */
	err = mm_map_pages(mm, (u64)at, &clock, 1, PROT_READ, "[vvar]");
	if (err >= 0)
		err = mm_map_pages(mm, (u64)at + PAGE_SIZE, vdso_pages, vdso_npages, PROT_READ | PROT_EXEC, "[vdso]");
	if (err < 0)
		return err;
	if (err != at + (long)PAGE_SIZE)
		return -ENOMEM;
	mm->vdso_base = (u64)err;
	return 0;
}
