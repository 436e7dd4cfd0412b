/* The ELF loader's reading of headers: what it accepts must be safe to map. */
#include <stdlib.h>

#include "base/string.h"
#include "platform/platform.h"
#include "sentry/kernel/exec.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct elf_image img;
	u64 before = 0;

	if (elf_parse_header(data, size, &img))
		return 0;
	must(img.phnum >= 1 && img.phnum <= ELF_PHDRS_MAX);
	/* As the loader reads them: from where the header says, and here from what is left of the input. */
	data += MIN(size, 64ul);
	size -= MIN(size, 64ul);
	if (elf_parse_phdrs(data, size, &img))
		return 0;
	must(img.nsegs >= 1 && img.nsegs <= ELF_SEGMENTS_MAX && img.lo < img.hi && img.hi <= USER_MAX);
	must(!(img.align & (img.align - 1)) && img.align >= PAGE_SIZE);
	must(img.interp_len <= 4096 && img.interp_off <= (u64)INT64_MAX - 4096);
	for (u32 i = 0; i < img.nsegs; i++) {
		const struct elf_segment *s = &img.seg[i];

		must(s->filesz <= s->memsz && s->vaddr >= before && s->vaddr >= img.lo && s->vaddr + s->memsz <= img.hi);
		must(s->offset <= (u64)INT64_MAX - s->memsz && !(s->prot & ~7u));
		before = s->vaddr;
	}
	return 0;
}
