/*
 * The dying thread makes the others come to a halt in do_exit(), writes an ELF file with a note for each of them and a segment
 * for each mapping, and lets them go.
 */
#include "sentry/kernel/settings.h"
#include "sentry/kernel/coredump.h"

#include <asm/signal.h>
#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/resource.h>
#include <linux/stat.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/coredump_internal.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"
#include "sentry/vfs/vfs.h"

/* ---- the other threads ---- */

static bool halt_others(struct task *t, int sig)
{
	struct process *p = t->proc;
	struct sighand *s = lock_sighand(t);
	struct task *o;
	bool ours = !(p->flags & PROC_GROUP_EXIT) && !p->group_exec_task;

	if (ours) {
		p->flags |= PROC_GROUP_EXIT;
		p->group_exit_code = sig;
		p->core_dumper = t;
		list_for_each(o, &p->threads, thread_node)
			p->core_missing += o != t && !(atomic_load(&o->flags) & TIF_EXITING);
		zap_other_threads(t);
	}
	spin_unlock(&s->lock);
	if (ours)
		wait_event(p->core_wait, !READ_ONCE(p->core_missing));
	return ours;
}

void coredump_wait(struct task *t)
{
	struct process *p = t->proc;

	platform->fpu_save(&t->ctx);
	spin_lock(&t->sighand->lock);
	p->core_missing--;
	spin_unlock(&t->sighand->lock);
	wake_up_all(&p->core_wait);
	wait_event(p->core_wait, !READ_ONCE(p->core_dumper));
}

static void release_others(struct task *t, bool dumped)
{
	struct process *p = t->proc;
	struct sighand *s = lock_sighand(t);

	if (dumped)
		p->group_exit_code |= 0x80;
	p->core_dumper = NULL;
	spin_unlock(&s->lock);
	wake_up_all(&p->core_wait);
}

/* ---- writing ---- */

void core_write(struct core *c, const void *bytes, u64 n)
{
	u64 done = 0;

	if (n > c->limit - MIN(c->pos, c->limit))
		c->failed = true; /* the limit cuts the file short */
	while (!c->failed && done < n) {
		long w = kernel_write(c->file, (const char *)bytes + done, n - done, c->pos);

		if (w <= 0) {
			c->failed = true;
			return;
		}
		c->pos += (u64)w;
		done += (u64)w;
	}
}

/* ---- memory ---- */

static bool is_elf_start(struct mm *mm, const struct core_segment *s)
{
	char magic[SELFMAG];

	return s->file && !s->pgoff && mm_access(mm, s->start, magic, SELFMAG, false, true) == SELFMAG &&
	       !memcmp(magic, ELFMAG, SELFMAG);
}

/* core(5), "Controlling which mappings are written to the core dump". */
static u64 dumped_bytes(struct vma *v, u32 filter)
{
	u64 size = v->end - v->start;

	if (v->flags & (VM_IO | VM_DONTDUMP))
		return 0;
	if (v->ops && !v->file) /* the vDSO */
		return v->flags & VM_READ ? size : 0;
	if (v->flags & VM_SHARED)
		return filter & (v->file && v->file->inode->nlink ? DUMP_FILE_SHARED : DUMP_ANON_SHARED) ? size : 0;
	if (filter & DUMP_ANON_PRIVATE && (!v->file || vma_anon_pages(v)))
		return size;
	return v->file && filter & DUMP_FILE_PRIVATE ? size : 0;
}

static long collect_segments(struct core *c, struct mm *mm)
{
	struct vma *v;
	u32 n = 0;

	down_read(&mm->lock);
	c->seg = kmalloc(mm->nvmas * sizeof(*c->seg));
	if (!c->seg) {
		up_read(&mm->lock);
		return -ENOMEM;
	}
	vma_for_each(v, mm) {
		struct core_segment *s = &c->seg[n++];

		*s = (struct core_segment){ .start = v->start, .end = v->end, .flags = v->flags, .pgoff = v->pgoff,
					    .bytes = dumped_bytes(v, mm->dump_filter), .file = v->file ? file_get(v->file) : NULL,
					    .sparse = !v->file && !v->ops };
	}
	up_read(&mm->lock);
	c->nseg = n;
	for (u32 i = 0; i < n; i++)
		if (mm->dump_filter & DUMP_ELF_HEADERS && !c->seg[i].bytes && c->seg[i].flags & VM_READ && is_elf_start(mm, &c->seg[i]))
			c->seg[i].bytes = PAGE_SIZE;
	return 0;
}

/* Pages of anonymous memory that were never touched stay holes. */
static bool is_hole(struct mm *mm, u64 va)
{
	u64 *pte;
	bool hole;

	down_read(&mm->lock);
	spin_lock(&mm->pt_lock);
	pte = pt_lookup(mm, va);
	hole = !pte || !pte_has_frame(*pte);
	spin_unlock(&mm->pt_lock);
	up_read(&mm->lock);
	return hole;
}

static void write_segment(struct core *c, struct mm *mm, const struct core_segment *s, char *page)
{
	for (u64 off = 0; off < s->bytes && !c->failed; off += PAGE_SIZE) {
		if (s->sparse && is_hole(mm, s->start + off)) {
			c->pos += PAGE_SIZE;
			continue;
		}
		memset(page, 0, PAGE_SIZE);
		mm_access(mm, s->start + off, page, PAGE_SIZE, false, true); /* what cannot be read is zero */
		core_write(c, page, PAGE_SIZE);
	}
}

/* ---- the file ---- */

static void write_headers(struct core *c, u64 notes)
{
	Elf64_Ehdr e = { .e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(e),
			 .e_ehsize = sizeof(e), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = (u16)(c->nseg + 1) };
	u64 at = sizeof(e) + (c->nseg + 1ul) * sizeof(Elf64_Phdr);
	Elf64_Phdr note = { .p_type = PT_NOTE, .p_offset = at, .p_filesz = notes, .p_align = 4 };

	memcpy(e.e_ident, ELFMAG, SELFMAG);
	e.e_ident[EI_CLASS] = ELFCLASS64;
	e.e_ident[EI_DATA] = ELFDATA2LSB;
	e.e_ident[EI_VERSION] = EV_CURRENT;
	core_write(c, &e, sizeof(e));
	core_write(c, &note, sizeof(note));
	at = PAGE_ALIGN_UP(at + notes);
	for (u32 i = 0; i < c->nseg; i++) {
		const struct core_segment *s = &c->seg[i];
		Elf64_Phdr p = { .p_type = PT_LOAD, .p_offset = at, .p_vaddr = s->start, .p_filesz = s->bytes,
				 .p_memsz = s->end - s->start, .p_align = PAGE_SIZE,
				 .p_flags = (s->flags & VM_READ ? PF_R : 0) | (s->flags & VM_WRITE ? PF_W : 0) |
					    (s->flags & VM_EXEC ? PF_X : 0) };

		core_write(c, &p, sizeof(p));
		at += s->bytes;
	}
}

static void write_core(struct core *c, struct mm *mm)
{
	char *page = kmalloc(PAGE_SIZE);
	u64 notes = core_notes(c, true), end;

	if (!page)
		return;
	write_headers(c, notes);
	core_notes(c, false);
	c->pos = PAGE_ALIGN_UP(c->pos);
	for (u32 i = 0; i < c->nseg && !c->failed; i++)
		write_segment(c, mm, &c->seg[i], page);
	end = MIN(c->pos, c->limit);
	if (end > c->file->inode->size) { /* the last pages were holes */
		const struct iattr a = { .valid = ATTR_SIZE, .size = end };

		notify_change(c->file->path.dentry, &a);
	}
	kfree(page);
}

/* core(5): a file of one's own that has one name. */
static struct file *open_core(void)
{
	char name[24] = "core";
	struct file *f;
	const struct iattr empty = { .valid = ATTR_SIZE, .size = 0 };
	struct inode *i;

	if (settings.core_uses_pid)
		ksnprintf(name, sizeof(name), "core.%d", current->proc->tgid->nr);
	f = file_open(AT_FDCWD, name, O_CREAT | O_RDWR | O_NOFOLLOW | O_LARGEFILE, 0600);
	if (IS_ERR(f))
		return NULL;
	i = f->inode;
	if (S_ISREG(i->mode) && i->nlink == 1 && i->uid == current->cred->fsuid && !notify_change(f->path.dentry, &empty))
		return f;
	file_put(f);
	return NULL;
}

static bool dump(struct core *c)
{
	bool dumped = false;

	c->nthreads = core_threads(c);
	if (c->nthreads && !collect_segments(c, current->mm) && c->nseg < PN_XNUM - 1) {
		c->file = open_core();
		if (c->file) {
			write_core(c, current->mm);
			file_put(c->file);
			dumped = true;
		}
	}
	for (u32 i = 0; i < c->nseg; i++)
		if (c->seg[i].file)
			file_put(c->seg[i].file);
	for (u32 i = 0; i < c->nthreads; i++)
		task_put(c->thread[i]);
	kfree(c->seg);
	kfree(c->thread);
	return dumped;
}

s32 coredump(struct task *t, int sig, const siginfo_t_k *info)
{
	struct core c = { .sig = sig, .info = info, .limit = rlimit(RLIMIT_CORE) };
	bool dumped;

	/* A process that may not be traced may not be read from a file either: core(5), prctl(2). */
	if (c.limit < PAGE_SIZE || !t->proc->dumpable || !t->mm)
		return sig;
	if (!halt_others(t, sig))
		return sig;
	platform->fpu_save(&t->ctx);
	dumped = dump(&c);
	release_others(t, dumped);
	return dumped ? sig | 0x80 : sig;
}
