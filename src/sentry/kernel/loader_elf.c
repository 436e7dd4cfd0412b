/* Mapping of an ELF program and its interpreter into a new address space, and the stack that it starts with. */
#include <linux/mman.h>
#include <linux/auxvec.h>
#include <linux/capability.h>
#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/personality.h>
#include <linux/resource.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/random.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#define PIE_BASE 0x555555554000ul	/* two thirds of the address space, as Linux */
#define MMAP_RANDOM_PAGES (1ul << 28)
#define STACK_RANDOM_PAGES (1ul << 22)
#define BRK_RANDOM_PAGES (1ul << 13)
#define STACK_GAP_MIN (128ul << 20)
#define STACK_SLACK (128ul << 10) /* mapped below the arguments from the start */

static bool randomized(void)
{
	return !(current->proc->personality & ADDR_NO_RANDOMIZE);
}

static u64 random_offset(u64 pages)
{
	return randomized() ? (random_u64() & (pages - 1)) << PAGE_SHIFT : 0;
}

/* ---- reading ---- */

static long read_image(struct file *f, const u8 *head, u32 head_len, struct elf_image *img)
{
	size_t size;
	u8 *buf;
	long n, err = elf_parse_header(head, head_len, img);

	if (err)
		return err;
	size = img->phnum * sizeof(Elf64_Phdr);
	if (img->phoff + size <= head_len)
		return elf_parse_phdrs(head + img->phoff, size, img);
	buf = kmalloc(size);
	if (!buf)
		return -ENOMEM;
	n = kernel_read(f, buf, size, img->phoff);
	err = n < 0 ? n : elf_parse_phdrs(buf, (size_t)n, img);
	kfree(buf);
	return err;
}

/* ---- mapping ---- */

static long zero_fill(struct mm *mm, u64 addr, u64 n)
{
	static const u8 zeros[512];

	while (n) {
		u64 part = MIN(n, sizeof(zeros));
		long done = mm_access(mm, addr, (void *)zeros, part, true, true);

		if (done <= 0)
			return -EFAULT;
		addr += (u64)done;
		n -= (u64)done;
	}
	return 0;
}

static long map_file_part(struct mm *mm, struct file *f, const struct elf_segment *s, u64 bias)
{
	u64 start = PAGE_ALIGN_DOWN(s->vaddr + bias), skew = s->vaddr & ~PAGE_MASK;

	if (!s->filesz)
		return 0;
	return mm_mmap(mm, start, PAGE_ALIGN_UP(s->filesz + skew), s->prot, MAP_PRIVATE | MAP_FIXED, f, s->offset - skew);
}

/* What is in memory but not in the file reads as zero. */
static long map_bss(struct mm *mm, const struct elf_segment *s, u64 bias)
{
	u64 file_end = s->vaddr + bias + s->filesz, end = PAGE_ALIGN_UP(s->vaddr + bias + s->memsz);
	u64 anon = s->filesz ? PAGE_ALIGN_UP(file_end) : PAGE_ALIGN_DOWN(file_end);
	long err = 0;

	if (s->memsz == s->filesz)
		return 0;
	if (end > anon)
		err = mm_mmap(mm, anon, end - anon, s->prot, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, NULL, 0);
	if (err < 0)
		return err;
	/* To the end of the page: ld.so hands out what follows its bss. A read-only tail cannot be meant to be cleared, and its
	 * page may lie behind the file's end. */
	if (s->filesz && (file_end & ~PAGE_MASK) && s->prot & PROT_WRITE)
		err = zero_fill(mm, file_end, anon - file_end);
	return err < 0 ? err : 0;
}

/* Where a position-independent image fits: the address space is new, so what was free stays free. */
static long find_place(struct mm *mm, const struct elf_image *img, u64 hint)
{
	u64 span = img->hi - img->lo, extra = img->align > PAGE_SIZE ? img->align : 0;
	long at = mm_mmap(mm, hint, span + extra, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NULL, 0);

	if (at < 0)
		return at;
	mm_munmap(mm, (u64)at, span + extra);
	return (long)ALIGN_UP((u64)at, img->align);
}

static long map_image(struct mm *mm, struct file *f, const struct elf_image *img, u64 hint, u64 *bias)
{
	long err;

	*bias = 0;
	if (img->dyn) {
		err = find_place(mm, img, hint);
		if (err < 0)
			return err;
		*bias = (u64)err - img->lo;
	} else if (img->lo < USER_MIN) {
		return -EPERM;
	}
	for (u32 i = 0; i < img->nsegs; i++) {
		err = map_file_part(mm, f, &img->seg[i], *bias);
		if (err < 0 || (err = map_bss(mm, &img->seg[i], *bias)))
			return err;
	}
	return 0;
}

/* ---- layout ---- */

static void set_layout(struct mm *mm)
{
	u64 gap = MIN(MAX(rlimit(RLIMIT_STACK), STACK_GAP_MIN), USER_MAX / 6 * 5);

	mm->start_stack = USER_MAX - random_offset(STACK_RANDOM_PAGES);
	gap += randomized() ? STACK_RANDOM_PAGES << PAGE_SHIFT : 0;
	mm->mmap_base = PAGE_ALIGN_DOWN(USER_MAX - MIN(gap, USER_MAX / 6 * 5) - random_offset(MMAP_RANDOM_PAGES));
}

static void set_code_bounds(struct mm *mm, const struct elf_image *img, u64 bias)
{
	mm->start_code = ~0ull;
	for (u32 i = 0; i < img->nsegs; i++) {
		const struct elf_segment *s = &img->seg[i];
		u64 start = s->vaddr + bias;

		mm->start_code = MIN(mm->start_code, start);
		mm->start_data = MAX(mm->start_data, start);
		if (s->prot & PROT_EXEC)
			mm->end_code = MAX(mm->end_code, start + s->filesz);
		mm->end_data = MAX(mm->end_data, start + s->filesz);
	}
	mm->start_brk = mm->brk = img->hi + bias + random_offset(BRK_RANDOM_PAGES);
}

/* ---- the interpreter ---- */

static char *read_interp_name(struct file *f, const struct elf_image *img)
{
	char *name = kmalloc(img->interp_len);
	long n;

	if (!name)
		return ERR_PTR(-ENOMEM);
	n = kernel_read(f, name, img->interp_len, img->interp_off);
	if (n == (long)img->interp_len && !name[n - 1])
		return name;
	kfree(name);
	return ERR_PTR(n < 0 ? n : -ENOEXEC);
}

static long load_interp(struct binprm *b, const struct elf_image *img, u64 *base)
{
	char *name = read_interp_name(b->file, img);
	struct elf_image *interp = kmalloc(sizeof(*interp));
	struct file *f = IS_ERR(name) ? (void *)name : exec_open(AT_FDCWD, name, LOOKUP_FOLLOW);
	u8 head[EXEC_HEAD_SIZE];
	long n, err = -ENOMEM;

	if (IS_ERR(f)) {
		err = PTR_ERR(f);
	} else if (interp) {
		n = kernel_read(f, head, sizeof(head), 0);
		err = n < 0 ? n : read_image(f, head, (u32)n, interp);
		if (err == -ENOEXEC)
			err = -ELIBBAD;
		if (!err && !(err = map_image(b->mm, f, interp, 0, base))) {
			b->entry = interp->entry + *base;
			*base += interp->lo;
		}
	}
	if (!IS_ERR(f)) {
		file_allow_write(f); /* its mapping keeps the file, which may be replaced in place like any library */
		file_put(f);
	}
	if (!IS_ERR(name))
		kfree(name);
	kfree(interp);
	return err;
}

/* ---- the stack ---- */

struct stack_image {
	u64 random, platform, execfn; /* addresses */
	u64 strings;
};

static long write_mm(struct mm *mm, u64 addr, const void *buf, size_t n)
{
	return mm_access(mm, addr, (void *)buf, n, true, true) == (long)n ? 0 : -EFAULT;
}

/* From the top: eight zero bytes, the file name, the strings, then what the auxiliary vector points to. */
static long write_strings(struct binprm *b, struct stack_image *s)
{
	static const char platform_name[] = "x86_64";
	u64 name_len = strlen(b->filename) + 1, sp = b->mm->start_stack - 8;
	u8 seed[16];
	long err;

	s->execfn = sp -= name_len;
	s->strings = sp -= b->args.len;
	b->mm->arg_start = s->strings;
	b->mm->arg_end = b->mm->env_start = s->strings + b->args.args_len;
	b->mm->env_end = s->strings + b->args.len;
	s->platform = sp -= sizeof(platform_name);
	s->random = sp = (sp - sizeof(seed)) & ~15ul;
	random_bytes(seed, sizeof(seed));
	if ((err = write_mm(b->mm, s->execfn, b->filename, name_len)) ||
	    (b->args.len && (err = write_mm(b->mm, s->strings, b->args.buf, b->args.len))) ||
	    (err = write_mm(b->mm, s->platform, platform_name, sizeof(platform_name))))
		return err;
	b->sp = sp;
	return write_mm(b->mm, s->random, seed, sizeof(seed));
}

#define AUX_MAX 24
static u32 make_auxv(struct binprm *b, const struct elf_image *img, u64 bias, u64 interp_base, const struct stack_image *s,
		     u64 *aux)
{
	const u64 entries[][2] = {
		{ AT_SYSINFO_EHDR, b->mm->vdso_base },
		{ AT_MINSIGSTKSZ, platform->fpu_size + 1024 },
		{ AT_HWCAP, boot_params->aux_hwcap },
		{ AT_PAGESZ, PAGE_SIZE },
		{ AT_CLKTCK, 100 },
		{ AT_PHDR, img->phdr_vaddr ? img->phdr_vaddr + bias : 0 },
		{ AT_PHENT, sizeof(Elf64_Phdr) },
		{ AT_PHNUM, img->phnum },
		{ AT_BASE, interp_base },
		{ AT_FLAGS, 0 },
		{ AT_ENTRY, img->entry + bias },
		{ AT_UID, uid_out_to(b->cred->user_ns, b->cred->uid) },
		{ AT_EUID, uid_out_to(b->cred->user_ns, b->cred->euid) },
		{ AT_GID, gid_out(b->cred->gid) },
		{ AT_EGID, gid_out(b->cred->egid) },
		{ AT_SECURE, b->secure },
		{ AT_RANDOM, s->random },
		{ AT_HWCAP2, boot_params->aux_hwcap2 },
		{ AT_EXECFN, s->execfn },
		{ AT_PLATFORM, s->platform },
		{ AT_NULL, 0 },
	};

	_Static_assert(ARRAY_SIZE(entries) <= AUX_MAX, "aux vector");
	_Static_assert(sizeof(entries) <= sizeof(b->mm->saved_auxv), "saved aux vector");
	memcpy(aux, entries, sizeof(entries));
	memcpy(b->mm->saved_auxv, entries, sizeof(entries));
	return ARRAY_SIZE(entries) * 2;
}

static u64 *put_pointers(u64 *out, const char *strings, u64 *offset, u32 n, u64 base)
{
	while (n--) {
		*out++ = base + *offset;
		*offset += strlen(strings + *offset) + 1;
	}
	*out++ = 0;
	return out;
}

static long write_vectors(struct binprm *b, const struct elf_image *img, u64 bias, u64 interp_base,
			  const struct stack_image *s)
{
	u64 words = 1 + b->args.argc + 1 + b->args.envc + 1, offset = 0, total;
	u64 *buf = kmalloc((words + 2 * AUX_MAX) * 8), *out;
	long err;

	if (!buf)
		return -ENOMEM;
	out = buf;
	*out++ = b->args.argc;
	out = put_pointers(out, b->args.buf, &offset, b->args.argc, s->strings);
	out = put_pointers(out, b->args.buf, &offset, b->args.envc, s->strings);
	out += make_auxv(b, img, bias, interp_base, s, out);
	total = (u64)(out - buf) * 8;
	b->sp = (b->sp - total) & ~15ul;
	err = write_mm(b->mm, b->sp, buf, total);
	kfree(buf);
	return err;
}

static long map_stack(struct binprm *b, bool exec)
{
	u64 pointers = (b->args.argc + b->args.envc + 3 + 2 * AUX_MAX) * 8ul;
	u64 size = PAGE_ALIGN_UP(b->args.len + pointers + PATH_MAX + STACK_SLACK);
	u32 prot = PROT_READ | PROT_WRITE | (exec ? PROT_EXEC : 0);
	long at = mm_mmap(b->mm, b->mm->start_stack - size, size, prot,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN | MAP_STACK, NULL, 0);

	return at < 0 ? at : 0;
}

/* ---- all together ---- */

static long load_image(struct binprm *b, const struct elf_image *img)
{
	u64 bias, interp_base = 0, hint = 0;
	struct stack_image s;
	long err;

	set_layout(b->mm);
	if ((err = map_stack(b, img->exec_stack)))
		return err;
	if (img->dyn && img->interp_len) /* a program; the interpreter run by itself goes where libraries go */
		hint = ALIGN_UP(PIE_BASE + random_offset(MMAP_RANDOM_PAGES), img->align);
	if ((err = map_image(b->mm, b->file, img, hint, &bias)))
		return err;
	set_code_bounds(b->mm, img, bias);
	b->entry = img->entry + bias;
	if (img->interp_len && (err = load_interp(b, img, &interp_base)))
		return err;
	if ((err = vdso_map(b->mm)) || (err = write_strings(b, &s)) || (err = write_vectors(b, img, bias, interp_base, &s)))
		return err;
	b->mm->start_stack = b->sp;
	b->mm->exe_file = file_get(b->file);
	return 0;
}

long load_elf(struct binprm *b)
{
	struct elf_image *img = kmalloc(sizeof(*img));
	long err;

	if (!img)
		return -ENOMEM;
	err = read_image(b->file, b->head, b->head_len, img);
	if (!err) {
		b->mm = mm_create();
		if (b->mm && current->mm)
			b->mm->dump_filter = current->mm->dump_filter;
		err = b->mm ? load_image(b, img) : -ENOMEM;
	}
	kfree(img);
	return err;
}
