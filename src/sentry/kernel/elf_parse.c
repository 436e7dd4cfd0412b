/*
 * Decoding of ELF files: elf(5), System V ABI AMD64 supplement. Bytes in, a checked description out; no memory but the
 * arguments is touched, so this is also what the fuzzer drives.
 */
#include <asm/errno.h>
#include <asm/mman.h>
#include <linux/elf.h>
#include <linux/limits.h>

#include "base/string.h"
#include "platform/platform.h"
#include "sentry/kernel/exec.h"

int elf_parse_header(const u8 *buf, size_t len, struct elf_image *img)
{
	Elf64_Ehdr h;

	memset(img, 0, sizeof(*img));
	if (len < sizeof(h))
		return -ENOEXEC;
	memcpy(&h, buf, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	if ((h.e_type != ET_EXEC && h.e_type != ET_DYN) || h.e_machine != EM_X86_64)
		return -ENOEXEC;
	if (h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum < 1 || h.e_phnum > ELF_PHDRS_MAX)
		return -ENOEXEC;
	if (h.e_phoff > INT64_MAX - 65536)
		return -ENOEXEC;
	img->entry = h.e_entry;
	img->dyn = h.e_type == ET_DYN;
	img->phoff = h.e_phoff;
	img->phnum = h.e_phnum;
	img->align = PAGE_SIZE;
	return 0;
}

static u32 segment_prot(u32 flags)
{
	return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
}

static int parse_load(const Elf64_Phdr *p, struct elf_image *img)
{
	u64 end;

	if (!p->p_memsz)
		return 0;
	if (p->p_filesz > p->p_memsz || p->p_memsz > USER_MAX || p->p_vaddr > USER_MAX - p->p_memsz)
		return -EINVAL;
	if (p->p_offset > INT64_MAX - p->p_memsz || (p->p_filesz && ((p->p_vaddr ^ p->p_offset) & ~PAGE_MASK)))
		return -EINVAL;
	if (img->nsegs == ELF_SEGMENTS_MAX)
		return -ENOEXEC;
	end = PAGE_ALIGN_UP(p->p_vaddr + p->p_memsz);
	if (img->nsegs == 0)
		img->lo = PAGE_ALIGN_DOWN(p->p_vaddr);
	else if (p->p_vaddr < img->seg[img->nsegs - 1].vaddr) /* the ABI wants ascending addresses */
		return -EINVAL;
	img->hi = end > img->hi ? end : img->hi;
	if (p->p_align > img->align && !(p->p_align & (p->p_align - 1)) && p->p_align <= (1ul << 30))
		img->align = p->p_align;
	if (img->phoff >= p->p_offset && img->phoff - p->p_offset + img->phnum * sizeof(*p) <= p->p_filesz)
		img->phdr_vaddr = p->p_vaddr + (img->phoff - p->p_offset);
	img->seg[img->nsegs++] = (struct elf_segment){ p->p_vaddr, p->p_filesz, p->p_memsz, p->p_offset,
						       segment_prot(p->p_flags) };
	return 0;
}

static int parse_interp(const Elf64_Phdr *p, struct elf_image *img)
{
	if (img->interp_len) /* the first one counts */
		return 0;
	if (p->p_filesz < 2 || p->p_filesz > PATH_MAX || p->p_offset > INT64_MAX - PATH_MAX)
		return -ENOEXEC;
	img->interp_off = p->p_offset;
	img->interp_len = p->p_filesz;
	return 0;
}

int elf_parse_phdrs(const u8 *buf, size_t len, struct elf_image *img)
{
	int err = 0;

	if (len < img->phnum * sizeof(Elf64_Phdr))
		return -ENOEXEC;
	for (u32 i = 0; i < img->phnum && !err; i++) {
		Elf64_Phdr p;

		memcpy(&p, buf + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_LOAD)
			err = parse_load(&p, img);
		else if (p.p_type == PT_INTERP)
			err = parse_interp(&p, img);
		else if (p.p_type == PT_GNU_STACK)
			img->exec_stack = p.p_flags & PF_X;
	}
	if (!err && !img->nsegs)
		err = -ENOEXEC;
	return err;
}
