/* core(5): what is written when a process dies of a signal whose action is "core". */
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char marker[4096] __attribute__((aligned(4096))) = "a page to be found again";
static char here[64];

static void set_limit(rlim_t n)
{
	struct rlimit r = { n, RLIM_INFINITY };

	setrlimit(RLIMIT_CORE, &r);
}

/* A child runs fn and dies; its wait status. */
static int death_of(void (*fn)(void))
{
	int status;
	pid_t pid;

	unlink("core");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn();
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void *idle(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void die_of_abort(void)
{
	set_limit(RLIM_INFINITY);
	abort();
}

static void die_with_threads(void)
{
	pthread_t t;
	char *untouched = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	set_limit(RLIM_INFINITY);
	pthread_create(&t, NULL, idle, NULL);
	pthread_create(&t, NULL, idle, NULL);
	usleep(10000);
	marker[100] = 'X';
	untouched[32 << 20] = 'Y';
	*(volatile int *)16 = 1;
}

static void die_without_limit(void)
{
	set_limit(0);
	abort();
}

static void die_undumpable(void)
{
	set_limit(RLIM_INFINITY);
	prctl(PR_SET_DUMPABLE, 0);
	abort();
}

static void die_of_term(void)
{
	set_limit(RLIM_INFINITY);
	raise(SIGTERM);
}

static void die_of_limit(void)
{
	set_limit(16384);
	abort();
}

static void die_of_dontdump(void)
{
	set_limit(RLIM_INFINITY);
	madvise(marker, sizeof(marker), MADV_DONTDUMP);
	abort();
}

static char *load(size_t *size)
{
	int fd = open("core", O_RDONLY);
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st) || !st.st_size)
		return NULL;
	*size = (size_t)st.st_size;
	p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

/* The file's bytes for an address, or NULL. */
static const char *at(const char *core, const void *addr)
{
	const Elf64_Ehdr *e = (const void *)core;
	const Elf64_Phdr *p = (const void *)(core + e->e_phoff);

	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_LOAD && (Elf64_Addr)addr >= p[i].p_vaddr && (Elf64_Addr)addr < p[i].p_vaddr + p[i].p_filesz)
			return core + p[i].p_offset + ((Elf64_Addr)addr - p[i].p_vaddr);
	return NULL;
}

static int notes_of(const char *core, unsigned type, const char **first)
{
	const Elf64_Ehdr *e = (const void *)core;
	const Elf64_Phdr *p = (const void *)(core + e->e_phoff);
	int n = 0;

	for (int i = 0; i < e->e_phnum; i++)
		for (Elf64_Off o = 0; p[i].p_type == PT_NOTE && o + sizeof(Elf64_Nhdr) <= p[i].p_filesz;) {
			const Elf64_Nhdr *h = (const void *)(core + p[i].p_offset + o);

			o += sizeof(*h) + ((h->n_namesz + 3) & ~3u);
			if (h->n_type == type && !n++ && first)
				*first = core + p[i].p_offset + o;
			o += (h->n_descsz + 3) & ~3u;
		}
	return n;
}

static void flag(void)
{
	int status = death_of(die_of_abort);
	struct stat st;

	CHECK(WIFSIGNALED(status));
	EQ(WTERMSIG(status), SIGABRT);
	CHECK(WCOREDUMP(status));
	EQ(stat("core", &st), 0);
	CHECK(S_ISREG(st.st_mode));
	EQ(st.st_mode & 0777, 0600);
	EQ(st.st_uid, getuid());
}

static void contents(void)
{
	int status = death_of(die_with_threads);
	const char *d = NULL;
	const Elf64_Ehdr *e;
	const struct elf_prstatus *s;
	const struct elf_prpsinfo *info;
	const siginfo_t *si;
	struct stat st;
	size_t size;
	char *core;

	EQ(WTERMSIG(status), SIGSEGV);
	CHECK(WCOREDUMP(status));
	core = load(&size);
	CHECK(core != NULL);
	if (!core)
		return;
	e = (const void *)core;
	EQ(memcmp(e->e_ident, ELFMAG, SELFMAG), 0);
	EQ(e->e_type, ET_CORE);
	EQ(e->e_machine, EM_X86_64);
	EQ(e->e_phentsize, sizeof(Elf64_Phdr));
	EQ(notes_of(core, NT_PRSTATUS, &d), 3); /* one a thread, the dying one first */
	s = (const void *)d;
	EQ(s->pr_cursig, SIGSEGV);
	EQ(s->pr_ppid, getpid());
	EQ(s->pr_fpvalid, 1);
	CHECK(s->pr_pid > 0);
	EQ(notes_of(core, NT_FPREGSET, NULL), 3);
	EQ(notes_of(core, NT_PRPSINFO, &d), 1);
	info = (const void *)d;
	EQ(info->pr_pid, s->pr_pid);
	EQ(info->pr_uid, getuid());
	CHECK(strstr(info->pr_fname, "sys_coredump"));
	EQ(notes_of(core, NT_AUXV, NULL), 1);
	EQ(notes_of(core, NT_FILE, NULL), 1);
	EQ(notes_of(core, NT_SIGINFO, &d), 1);
	si = (const void *)d;
	EQ(si->si_signo, SIGSEGV);
	EQ(si->si_code, SEGV_MAPERR);
	EQ((long)si->si_addr, 16);
	d = at(core, marker);
	CHECK(d && !memcmp(d, "a page to be found again", 24) && d[100] == 'X');
	EQ(stat("core", &st), 0);
	CHECK(st.st_size > 64 << 20);	   /* untouched memory has its place, */
	CHECK(st.st_blocks < 32 << 11);    /* but takes none */
	munmap(core, size);
}

static void none(void)
{
	int status = death_of(die_without_limit);

	EQ(WTERMSIG(status), SIGABRT);
	CHECK(!WCOREDUMP(status));
	FAILS(access("core", F_OK), ENOENT);
	status = death_of(die_undumpable);
	EQ(WTERMSIG(status), SIGABRT);
	CHECK(!WCOREDUMP(status));
	FAILS(access("core", F_OK), ENOENT);
	status = death_of(die_of_term);
	EQ(WTERMSIG(status), SIGTERM);
	CHECK(!WCOREDUMP(status));
	FAILS(access("core", F_OK), ENOENT);
}

static void limit(void)
{
	int status = death_of(die_of_limit);
	struct stat st;

	EQ(WTERMSIG(status), SIGABRT);
	if (stat("core", &st) == 0)
		CHECK(st.st_size <= 16384);
}

static void left_out(void)
{
	size_t size;
	char *core;

	death_of(die_of_dontdump);
	core = load(&size);
	CHECK(core && !at(core, marker));
}

static void set_filter(const char *text)
{
	int fd = open("/proc/self/coredump_filter", O_WRONLY);

	write(fd, text, strlen(text));
	close(fd);
	set_limit(RLIM_INFINITY);
}

static void die_filtered(void)
{
	set_filter("0x10");
	marker[1] = 'x';
	abort();
}

static void filter(void)
{
	char text[16] = "";
	size_t size;
	char *core;
	int fd = open("/proc/self/coredump_filter", O_RDONLY);

	EQ(read(fd, text, sizeof(text)), 9);
	EQ(memcmp(text, "00000033\n", 9), 0);
	close(fd);
	fd = open("/proc/self/coredump_filter", O_WRONLY);
	FAILS(write(fd, "x", 1), EINVAL);
	close(fd);
	CHECK(WCOREDUMP(death_of(die_filtered)));
	core = load(&size);
	CHECK(core && !at(core, marker));
	CHECK(size < 1 << 20);
}

/* waitid(2) tells it too. */
static void told(void)
{
	siginfo_t info;
	pid_t pid;

	unlink("core");
	pid = fork();
	if (!pid)
		die_of_abort();
	EQ(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
	EQ(info.si_code, CLD_DUMPED);
	EQ(info.si_status, SIGABRT);
}

/* An existing file is taken over when it is one's own, has one name and is no link. */
static void in_the_way(void)
{
	struct stat st;
	int status, fd;

	unlink("core");
	EQ(symlink("elsewhere", "core"), 0);
	fflush(stdout);
	pid_t pid = fork();
	if (!pid)
		die_of_abort();
	EQ(waitpid(pid, &status, 0), pid);
	FAILS(access("elsewhere", F_OK), ENOENT);
	EQ(unlink("core"), 0);
	fd = open("core", O_CREAT | O_WRONLY, 0600);
	EQ(link("core", "other"), 0);
	close(fd);
	pid = fork();
	if (!pid)
		die_of_abort();
	EQ(waitpid(pid, &status, 0), pid);
	EQ(stat("other", &st), 0);
	EQ(st.st_size, 0);
	unlink("other");
	unlink("core");
}

int main(void)
{
	char pattern[64] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (read(fd, pattern, sizeof(pattern) - 1) < 0 || strcmp(pattern, "core\n")) {
		printf("core files go elsewhere here: %s", pattern);
		return 0;
	}
	strcpy(here, "/tmp/coreXXXXXX");
	if (!mkdtemp(here) || chdir(here))
		return 1;
	RUN(flag);
	RUN(contents);
	RUN(none);
	RUN(limit);
	RUN(left_out);
	RUN(filter);
	RUN(told);
	RUN(in_the_way);
	unlink("core");
	rmdir(here);
	DONE();
}
