/* The notes of a core file, in the layouts of <sys/procfs.h>: what debuggers read of threads, signal and files. */
#include <linux/elf.h>
#include <linux/errno.h>

#include "base/string.h"
#include "sentry/kernel/coredump_internal.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#define FXSAVE_SIZE 512u
#define XSAVE_SW_OFFSET 464u
#define NT_FILE_K 0x46494c45u
#define NT_SIGINFO_K 0x53494749u

struct elf_timeval {
	s64 sec, usec;
};
struct elf_prstatus_k {
	s32 si_signo, si_code, si_errno;
	s16 cursig;
	u64 sigpend, sighold;
	s32 pid, ppid, pgrp, sid;
	struct elf_timeval utime, stime, cutime, cstime;
	struct user_regs regs;
	s32 fpvalid;
};
struct elf_prpsinfo_k {
	s8 state;
	char sname, zomb;
	s8 nice;
	u64 flag;
	u32 uid, gid;
	s32 pid, ppid, pgrp, sid;
	char fname[16], args[80];
};
_Static_assert(sizeof(struct elf_prstatus_k) == 336, "struct elf_prstatus");
_Static_assert(sizeof(struct elf_prpsinfo_k) == 136, "struct elf_prpsinfo");

u32 core_threads(struct core *c)
{
	struct process *p = current->proc;
	struct task *o;
	u32 n = 0, max;

	max = READ_ONCE(p->nthreads); /* none comes, some may go */
	c->thread = kmalloc(max * sizeof(*c->thread));
	if (!c->thread)
		return 0;
	spin_lock(&tasklist_lock);
	c->thread[n++] = task_get(current);
	list_for_each(o, &p->threads, thread_node)
		if (o != current && o->in_core && n < max)
			c->thread[n++] = task_get(o);
	spin_unlock(&tasklist_lock);
	return n;
}

/* ---- one note ---- */

static void pad(struct core *c, u64 n)
{
	static const char zeros[4];

	if (n & 3)
		core_write(c, zeros, 4 - (n & 3));
}

static u64 note_size(const char *owner, u64 n)
{
	return sizeof(Elf64_Nhdr) + ((strlen(owner) + 4) & ~3ull) + ((n + 3) & ~3ull);
}

static void note_head(struct core *c, const char *owner, u32 type, u64 n)
{
	const Elf64_Nhdr h = { .n_namesz = (u32)strlen(owner) + 1, .n_descsz = (u32)n, .n_type = type };

	core_write(c, &h, sizeof(h));
	core_write(c, owner, h.n_namesz);
	pad(c, h.n_namesz);
}

static u64 note(struct core *c, bool measure, const char *owner, u32 type, const void *desc, u64 n)
{
	if (!measure) {
		note_head(c, owner, type, n);
		core_write(c, desc, n);
		pad(c, n);
	}
	return note_size(owner, n);
}

/* ---- what they say ---- */

static struct elf_timeval split(u64 ns)
{
	return (struct elf_timeval){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC / 1000) };
}

static u64 note_status(struct core *c, bool measure, struct task *t)
{
	struct process *p = t->proc;
	struct elf_prstatus_k s;

	if (measure)
		return note_size("CORE", sizeof(s));
	memset(&s, 0, sizeof(s));
	s.si_signo = s.cursig = (s16)c->sig;
	s.sigpend = t->pending.set;
	s.sighold = t->blocked;
	s.pid = task_tid(t);
	s.ppid = task_ppid(t);
	s.pgrp = pid_nr(p->pgid);
	s.sid = pid_nr(p->sid);
	s.utime = split(task_utime(t));
	s.stime = split(task_stime(t));
	s.cutime = split(p->cutime_ns);
	s.cstime = split(p->cstime_ns);
	s.regs = t->ctx.regs;
	s.fpvalid = 1;
	return note(c, false, "CORE", NT_PRSTATUS, &s, sizeof(s));
}

static u64 note_process(struct core *c, bool measure)
{
	struct task *t = current;
	struct elf_prpsinfo_k i;
	struct mm *mm = t->mm;
	long len;

	if (measure)
		return note_size("CORE", sizeof(i));
	memset(&i, 0, sizeof(i));
	i.sname = 'R';
	i.nice = (s8)t->nice;
	i.uid = uid_out(t->cred->uid);
	i.gid = gid_out(t->cred->gid);
	i.pid = task_tgid(t);
	i.ppid = task_ppid(t);
	i.pgrp = pid_nr(t->proc->pgid);
	i.sid = pid_nr(t->proc->sid);
	kstrlcpy(i.fname, t->comm, sizeof(i.fname));
	len = mm_access(mm, mm->arg_start, i.args, MIN(mm->arg_end - mm->arg_start, sizeof(i.args) - 1), false, true);
	for (long k = 0; k < len; k++)
		if (!i.args[k])
			i.args[k] = ' ';
	return note(c, false, "CORE", NT_PRPSINFO, &i, sizeof(i));
}

static u64 note_auxv(struct core *c, bool measure)
{
	const struct mm *mm = current->mm;
	u32 n = 0;

	while (n + 2 <= ARRAY_SIZE(mm->saved_auxv) && mm->saved_auxv[n])
		n += 2;
	return note(c, measure, "CORE", NT_AUXV, mm->saved_auxv, MIN(n + 2, ARRAY_SIZE(mm->saved_auxv)) * sizeof(u64));
}

/* The file's name in `page`, or an empty one. */
static const char *file_name(const struct core_segment *s, char *page)
{
	const char *name = d_path(&s->file->path, page, PAGE_SIZE);

	return IS_ERR(name) ? "" : name;
}

/* Mapped files: a count, the size of a page, (start, end, offset) each, then the names. */
static u64 note_files(struct core *c, bool measure)
{
	char *page = kmalloc(PAGE_SIZE);
	u64 head[2] = { 0, PAGE_SIZE }, n = sizeof(head);

	if (!page)
		return 0;
	for (u32 i = 0; i < c->nseg; i++)
		if (c->seg[i].file) {
			head[0]++;
			n += 3 * sizeof(u64) + strlen(file_name(&c->seg[i], page)) + 1;
		}
	if (!measure) {
		note_head(c, "CORE", NT_FILE_K, n);
		core_write(c, head, sizeof(head));
		for (u32 i = 0; i < c->nseg; i++) {
			const u64 place[3] = { c->seg[i].start, c->seg[i].end, c->seg[i].pgoff };

			if (c->seg[i].file)
				core_write(c, place, sizeof(place));
		}
		for (u32 i = 0; i < c->nseg; i++)
			if (c->seg[i].file) {
				const char *name = file_name(&c->seg[i], page);

				core_write(c, name, strlen(name) + 1);
			}
		pad(c, n);
	}
	kfree(page);
	return note_size("CORE", n);
}

static u64 note_fpu(struct core *c, bool measure, struct task *t)
{
	u32 size = platform->fpu_size;
	char *image;
	u64 n = note(c, measure, "CORE", NT_PRFPREG, t->ctx.fpu, FXSAVE_SIZE);

	if (measure || !(image = kmalloc(size)))
		return n + note_size("LINUX", size);
	memcpy(image, t->ctx.fpu, size);
	memset(image + XSAVE_SW_OFFSET, 0, FXSAVE_SIZE - XSAVE_SW_OFFSET);
	*(u64 *)(image + XSAVE_SW_OFFSET) = platform->fpu_xcr0; /* debuggers learn the layout from it */
	n += note(c, false, "LINUX", NT_X86_XSTATE, image, size);
	kfree(image);
	return n;
}

u64 core_notes(struct core *c, bool measure)
{
	u64 n = 0;

	for (u32 i = 0; i < c->nthreads; i++) {
		n += note_status(c, measure, c->thread[i]);
		if (!i) { /* of the process, behind the first thread's */
			n += note_process(c, measure);
			n += note(c, measure, "CORE", NT_SIGINFO_K, c->info, sizeof(*c->info));
			n += note_auxv(c, measure);
			n += note_files(c, measure);
		}
		n += note_fpu(c, measure, c->thread[i]);
	}
	return n;
}
