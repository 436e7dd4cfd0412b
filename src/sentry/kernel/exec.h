/* Starting programs: what execve's parts hand each other. */
#ifndef SENTRY_EXEC_H
#define SENTRY_EXEC_H

#include "base/types.h"

struct cred;
struct file;
struct mm;

/* Open flag of the sentry alone: the right to execute was checked and is enough. */
#define O_EXEC_INTERNAL 0x20u

#define EXEC_HEAD_SIZE 256u
#define EXEC_DEPTH_MAX 5

/* Strings packed one behind the other: argc arguments, then envc variables. */
struct exec_strings {
	char *buf;
	u64 len, cap, limit; /* limit: what RLIMIT_STACK allows, pointers included */
	u64 args_len;	     /* bytes of the arguments */
	u32 argc, envc;
};

struct binprm {
	struct file *file;	 /* what is loaded in the end */
	struct exec_strings args;
	char *filename;		 /* as the caller named it: AT_EXECFN, comm */
	char *interp;		 /* the script's interpreter, when that is a script in turn; else NULL */
	struct cred *cred;	 /* of the new image */
	bool secure;		 /* AT_SECURE */
	bool path_inaccessible;	 /* a close-on-exec descriptor: no script can open it */
	u8 head[EXEC_HEAD_SIZE];
	u32 head_len;

	/* the new image */
	struct mm *mm;
	u64 entry, sp;
};

/* Add a string of length n (without NUL). In front or behind; -E2BIG, -ENOMEM. */
long exec_push(struct exec_strings *s, const char *str, u64 n);
long exec_prepend_arg(struct exec_strings *s, const char *str);
void exec_drop_first_arg(struct exec_strings *s);

/* loader_script.c: head begins with "#!": replaces bprm->file by the interpreter and its arguments. */
long load_script(struct binprm *b);
/* loader_elf.c: maps b->file (and its interpreter) into b->mm and builds the stack. */
long load_elf(struct binprm *b);
struct file *exec_open(s32 dirfd, const char *path, u32 lookup);
long exec_read_head(struct binprm *b);

/* ---- elf_parse.c: what a program header says, checked; pure functions on bytes ---- */
#define ELF_SEGMENTS_MAX 64
#define ELF_PHDRS_MAX (65536u / 56)
struct elf_segment {
	u64 vaddr, filesz, memsz, offset;
	u32 prot; /* PROT_* */
};
struct elf_image {
	u64 entry, phdr_vaddr; /* 0: the headers are not mapped */
	u64 lo, hi;	       /* page aligned span of all segments */
	u64 align;	       /* largest p_align of a segment */
	u64 interp_off, interp_len; /* 0: no interpreter */
	u64 phoff;
	u32 phnum, nsegs;
	bool dyn;	 /* position independent */
	bool exec_stack;
	struct elf_segment seg[ELF_SEGMENTS_MAX];
};
/* The file's first len bytes. 0 with entry, dyn, phoff, phnum filled, or -ENOEXEC. */
int elf_parse_header(const u8 *buf, size_t len, struct elf_image *img);
/* The phnum program headers. 0 or -ENOEXEC, -EINVAL. */
int elf_parse_phdrs(const u8 *buf, size_t len, struct elf_image *img);

/* ---- vdso.c ---- */
void vdso_init(void);
struct page;
long vdso_map(struct mm *mm); /* sets mm->vdso_base */
long vdso_shift(struct mm *mm, struct page *offsets); /* another time namespace's page; NULL: no offsets */

#endif
