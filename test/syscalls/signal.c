/* signal(7): delivery, masks, queues, frames, restarts, job control, signalfd(2). */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t hits, last_sig;
static volatile siginfo_t last_info;

static void count(int sig)
{
	hits++;
	last_sig = sig;
}

static void info_handler(int sig, siginfo_t *info, void *uc)
{
	hits++;
	last_sig = sig;
	memcpy((void *)&last_info, info, sizeof(*info));
}

static void set_handler(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	EQ(sigaction(sig, &sa, NULL), 0);
}

static void set_info_handler(int sig, int flags)
{
	struct sigaction sa = { .sa_sigaction = info_handler, .sa_flags = flags | SA_SIGINFO };

	EQ(sigaction(sig, &sa, NULL), 0);
}

static void block(int how, int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	EQ(sigprocmask(how, &s, NULL), 0);
}

static void delivery(void)
{
	hits = 0;
	set_handler(SIGUSR1, count, 0);
	EQ(kill(getpid(), SIGUSR1), 0);
	EQ(hits, 1);
	EQ(raise(SIGUSR1), 0);
	EQ(hits, 2);
	FAILS(kill(getpid(), 65), EINVAL);
	FAILS(kill(getpid(), -1), EINVAL);
	FAILS(kill(0x3ffffff, 0), ESRCH);
	EQ(kill(getpid(), 0), 0);
	FAILS(syscall(SYS_tgkill, -1, 1, 0), EINVAL);
	FAILS(syscall(SYS_tgkill, getpid(), 0x3ffffff, 0), ESRCH);
	signal(SIGUSR1, SIG_IGN);
	EQ(kill(getpid(), SIGUSR1), 0);
	EQ(hits, 2);
	set_handler(SIGUSR1, count, SA_RESETHAND);
	raise(SIGUSR1);
	EQ(hits, 3);
	CHECK(signal(SIGUSR1, SIG_DFL) == SIG_DFL);
	struct sigaction sa = { .sa_handler = count };

	FAILS(sigaction(SIGKILL, &sa, NULL), EINVAL);
	FAILS(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
	FAILS(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8), EFAULT);
	FAILS(syscall(SYS_rt_sigprocmask, 5, &sa, NULL, 8), EINVAL);
}

static void masks(void)
{
	sigset_t pending, all, old;

	hits = 0;
	set_handler(SIGUSR1, count, 0);
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR1);
	EQ(hits, 0);
	EQ(sigpending(&pending), 0);
	EQ(sigismember(&pending, SIGUSR1), 1);
	block(SIG_UNBLOCK, SIGUSR1);
	EQ(hits, 1);
	sigfillset(&all);
	EQ(sigprocmask(SIG_SETMASK, &all, &old), 0);
	EQ(sigprocmask(SIG_SETMASK, &old, &all), 0);
	EQ(sigismember(&all, SIGKILL), 0);
	EQ(sigismember(&all, SIGSTOP), 0);
	EQ(sigismember(&all, SIGUSR2), 1);
	/* ignoring discards */
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	set_handler(SIGUSR1, count, 0);
	block(SIG_UNBLOCK, SIGUSR1);
	EQ(hits, 1);
}

static volatile int order[16], norder;
static void record(int sig)
{
	if (norder < 16)
		order[norder++] = sig;
}

static void realtime(void)
{
	union sigval v;
	siginfo_t info;
	sigset_t set;
	struct timespec zero = { 0 };
	int rt = SIGRTMIN + 1;

	sigemptyset(&set);
	sigaddset(&set, rt);
	sigaddset(&set, rt + 1);
	sigaddset(&set, SIGUSR1);
	EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	for (int i = 0; i < 3; i++) {
		v.sival_int = 100 + i;
		EQ(sigqueue(getpid(), rt, v), 0);
	}
	v.sival_int = 7;
	EQ(sigqueue(getpid(), rt + 1, v), 0);
	for (int i = 0; i < 3; i++) {
		EQ(sigwaitinfo(&set, &info), rt);
		EQ(info.si_value.sival_int, 100 + i);
		EQ(info.si_code, SI_QUEUE);
		EQ(info.si_pid, getpid());
		EQ(info.si_uid, getuid());
	}
	EQ(sigtimedwait(&set, &info, &zero), rt + 1);
	FAILS(sigtimedwait(&set, &info, &zero), EAGAIN);
	struct timespec ms = { 0, 5000000 }, bad = { 0, 1000000000 };
	FAILS(sigtimedwait(&set, &info, &ms), EAGAIN);
	FAILS(sigtimedwait(&set, &info, &bad), EINVAL);
	/* lowest number first */
	set_handler(rt, record, 0);
	set_handler(rt + 1, record, 0);
	set_handler(SIGUSR1, record, 0);
	sigqueue(getpid(), rt + 1, v);
	sigqueue(getpid(), rt, v);
	raise(SIGUSR1);
	norder = 0;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	EQ(norder, 3);
	/* frames are pushed lowest first, so that the highest runs first */
	EQ(order[0], rt + 1);
	EQ(order[1], rt);
	EQ(order[2], SIGUSR1);
}

static void queue_limit(void)
{
	struct rlimit old, lim;
	union sigval v = { 0 };
	int n = 0;
	sigset_t set;
	struct timespec zero = { 0 };

	getrlimit(RLIMIT_SIGPENDING, &old);
	lim = old;
	lim.rlim_cur = 8;
	setrlimit(RLIMIT_SIGPENDING, &lim);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	while (n < 100 && !sigqueue(getpid(), SIGRTMIN + 2, v))
		n++;
	CHECK(n <= 8);
	FAILS(sigqueue(getpid(), SIGRTMIN + 2, v), EAGAIN);
	EQ(kill(getpid(), SIGRTMIN + 2), 0); /* kill works beyond the limit */
	while (sigtimedwait(&set, NULL, &zero) > 0)
		;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	setrlimit(RLIMIT_SIGPENDING, &old);
}

static sigjmp_buf jb;
static void jumper(int sig, siginfo_t *info, void *ucv)
{
	ucontext_t *uc = ucv;

	memcpy((void *)&last_info, info, sizeof(*info));
	hits = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
	last_sig = (int)uc->uc_mcontext.gregs[REG_ERR];
	siglongjmp(jb, sig);
}

static void faults(void)
{
	struct sigaction sa = { .sa_sigaction = jumper, .sa_flags = SA_SIGINFO };
	int sig;
	volatile int zero = 0;
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGTRAP, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (!(sig = sigsetjmp(jb, 1)))
		*(volatile int *)16 = 1;
	EQ(sig, SIGSEGV);
	EQ(last_info.si_code, SEGV_MAPERR);
	EQ((long)last_info.si_addr, 16);
	EQ(hits, 14);
	EQ(last_sig, 6);
	if (!(sig = sigsetjmp(jb, 1)))
		*(volatile char *)ro = 1;
	EQ(sig, SIGSEGV);
	EQ(last_info.si_code, SEGV_ACCERR);
	CHECK(last_info.si_addr == ro);
	if (!(sig = sigsetjmp(jb, 1)))
		*(volatile int *)0x8000000000000000ul = 1;
	EQ(sig, SIGSEGV);
	EQ(last_info.si_code, SI_KERNEL);
	EQ(hits, 13);
	if (!(sig = sigsetjmp(jb, 1)))
		zero = last_sig / zero;
	EQ(sig, SIGFPE);
	EQ(last_info.si_code, FPE_INTDIV);
	if (!(sig = sigsetjmp(jb, 1)))
		__asm__ volatile("ud2");
	EQ(sig, SIGILL);
	EQ(last_info.si_code, ILL_ILLOPN);
	if (!(sig = sigsetjmp(jb, 1)))
		__asm__ volatile("int3");
	EQ(sig, SIGTRAP);
	EQ(last_info.si_code, SI_KERNEL);
	munmap(ro, 4096);
	for (int s = 4; s < 12; s++)
		if (s != SIGKILL && s != SIGUSR1)
			signal(s, SIG_DFL);
}

static void no_handler_fault(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		block(SIG_BLOCK, SIGSEGV);
		*(volatile int *)16 = 1;
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	pid = fork();
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		abort();
	}
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* ---- frames ---- */

static char altstack[65536] __attribute__((aligned(16)));
static volatile char *handler_sp;
static void sp_handler(int sig, siginfo_t *info, void *ucv)
{
	stack_t ss;
	char here;

	handler_sp = &here;
	sigaltstack(NULL, &ss);
	hits = ss.ss_flags;
	ss.ss_flags = 0;
	last_sig = sigaltstack(&ss, NULL) ? errno : 0;
}

static void alternate_stack(void)
{
	struct sigaction sa = { .sa_sigaction = sp_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t ss = { .ss_sp = altstack, .ss_size = sizeof(altstack) }, old;

	EQ(sigaltstack(&ss, &old), 0);
	EQ(old.ss_flags, SS_DISABLE);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK(handler_sp >= altstack && handler_sp < altstack + sizeof(altstack));
	EQ(hits, SS_ONSTACK);
	EQ(last_sig, EPERM);
	EQ(sigaltstack(NULL, &old), 0);
	EQ(old.ss_flags, 0);
	ss.ss_size = 100;
	FAILS(sigaltstack(&ss, NULL), ENOMEM);
	ss.ss_size = sizeof(altstack);
	ss.ss_flags = 77;
	FAILS(sigaltstack(&ss, NULL), EINVAL);
	ss.ss_flags = (int)(1u << 31); /* SS_AUTODISARM */
	EQ(sigaltstack(&ss, NULL), 0);
	raise(SIGUSR1);
	EQ(hits, SS_DISABLE);
	EQ(last_sig, ENOMEM); /* size 0 */
	ss.ss_flags = SS_DISABLE;
	EQ(sigaltstack(&ss, NULL), 0);
}

static volatile int frame_ok, xsave_size;
static void frame_handler(int sig, siginfo_t *info, void *ucv)
{
	ucontext_t *uc = ucv;
	char *fp = (char *)uc->uc_mcontext.fpregs;
	uint32_t magic1 = *(uint32_t *)(fp + 464), ext = *(uint32_t *)(fp + 468), size = *(uint32_t *)(fp + 480);
	uint64_t features = *(uint64_t *)(fp + 472);

	frame_ok = magic1 == 0x46505853 && ext == size + 4 && *(uint32_t *)(fp + size) == 0x46505845 && (features & 3) == 3 &&
		   ((uintptr_t)fp & 63) == 0 && (uc->uc_flags & 7) == 7 && ((uintptr_t)__builtin_frame_address(0) & 15) == 0;
	xsave_size = (int)size;
	/* the interrupted xmm3 and rbx */
	if (*(uint64_t *)(fp + 160 + 3 * 16) != 0x1122334455667788)
		frame_ok = 0;
	*(uint64_t *)(fp + 160 + 3 * 16) = 0x99aabbccddeeff00;
	uc->uc_mcontext.gregs[REG_RBX]++;
	__asm__ volatile("pxor %%xmm3, %%xmm3; pxor %%xmm8, %%xmm8" : : : "xmm3", "xmm8");
}

static void frame(void)
{
	struct sigaction sa = { .sa_sigaction = frame_handler, .sa_flags = SA_SIGINFO };
	uint64_t x3 = 0x1122334455667788, x8 = 0x0102030405060708, rbx = 41;
	uint64_t sentinel = 0xfeedfacecafebeef, below;
	int pid = getpid(), tid = (int)syscall(SYS_gettid);

	sigaction(SIGUSR1, &sa, NULL);
	__asm__ volatile("movq %0, %%xmm3\n\tmovq %1, %%xmm8\n\t"
			 "mov %5, -64(%%rsp)\n\t" /* the red zone survives */
			 "syscall\n\t"
			 "mov -64(%%rsp), %3\n\t"
			 "movq %%xmm3, %0\n\tmovq %%xmm8, %1"
			 : "+r"(x3), "+r"(x8), "+b"(rbx), "=&r"(below)
			 : "a"(SYS_tgkill), "r"(sentinel), "D"(pid), "S"(tid), "d"(SIGUSR1)
			 : "rcx", "r11", "memory", "xmm3", "xmm8");
	EQ(frame_ok, 1);
	CHECK(x3 == 0x99aabbccddeeff00);
	CHECK(x8 == 0x0102030405060708);
	EQ(rbx, 42);
	CHECK(below == sentinel);
	CHECK(xsave_size >= 576);
}

static void bad_frames(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		__asm__ volatile("mov $0x1000, %rsp; mov $15, %eax; syscall");
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	/* a handler that cannot be called: no stack */
	pid = fork();
	if (!pid) {
		set_handler(SIGUSR1, count, 0);
		__asm__ volatile("mov %0, %%rdi; mov $10, %%esi; mov $62, %%eax; mov $0x1000, %%rsp; syscall; mov $60, %%eax; xor %%edi, %%edi; syscall"
				 : : "r"((long)getpid()) : "rdi");
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void bad_xstate_handler(int sig, siginfo_t *info, void *ucv)
{
	ucontext_t *uc = ucv;
	char *fp = (char *)uc->uc_mcontext.fpregs;

	*(uint32_t *)(fp + 24) = 0xffffffff; /* MXCSR with reserved bits */
}

static void bad_xstate(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct sigaction sa = { .sa_sigaction = bad_xstate_handler, .sa_flags = SA_SIGINFO };

		sigaction(SIGUSR1, &sa, NULL);
		raise(SIGUSR1);
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void nodefer_handler(int sig)
{
	if (++hits < 5)
		raise(sig);
}

static void nesting(void)
{
	hits = 0;
	set_handler(SIGUSR1, nodefer_handler, SA_NODEFER);
	raise(SIGUSR1);
	EQ(hits, 5);
	hits = 0;
	set_handler(SIGUSR1, nodefer_handler, 0);
	raise(SIGUSR1);
	EQ(hits, 5); /* one after the other */
}

/* ---- interrupted calls ---- */

static void alarm_in(long us)
{
	struct itimerval it = { .it_value = { us / 1000000, us % 1000000 } };

	setitimer(ITIMER_REAL, &it, NULL);
}

static void restarts(void)
{
	int p[2];
	char c;
	pid_t pid;

	EQ(pipe(p), 0);
	hits = 0;
	set_handler(SIGALRM, count, 0);
	alarm_in(20000);
	FAILS(read(p[0], &c, 1), EINTR);
	EQ(hits, 1);
	set_handler(SIGALRM, count, SA_RESTART);
	pid = fork();
	if (!pid) {
		usleep(300000);
		(void)!write(p[1], "x", 1);
		_exit(0);
	}
	alarm_in(20000);
	EQ(read(p[0], &c, 1), 1);
	EQ(hits, 2);
	EQ(waitpid(pid, NULL, 0), pid);
	/* never restarted */
	alarm_in(10000);
	FAILS(pause(), EINTR);
	alarm_in(10000);
	FAILS(poll(NULL, 0, 1000), EINTR);
	alarm_in(10000);
	struct timespec req = { 1, 0 }, rem = { 0 };
	FAILS(nanosleep(&req, &rem), EINTR);
	CHECK(rem.tv_sec == 0 && rem.tv_nsec > 500000000);
	alarm_in(10000);
	sigset_t none;
	sigemptyset(&none);
	FAILS(sigsuspend(&none), EINTR);
	close(p[0]);
	close(p[1]);
}

/* A stop and a continue do not end a sleep: restart_syscall(2). */
static void sleep_through_stop(void)
{
	struct timespec a, b;
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct timespec ts = { 1, 0 };

		_exit(nanosleep(&ts, NULL) ? 1 : 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	usleep(50000);
	kill(pid, SIGSTOP);
	EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	kill(pid, SIGCONT);
	EQ(waitpid(pid, &status, WCONTINUED), pid);
	CHECK(WIFCONTINUED(status));
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	clock_gettime(CLOCK_MONOTONIC, &b);
	long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	CHECK(ms >= 995 && ms < 5000);
}

static void suspend_mask(void)
{
	sigset_t set, old;

	hits = 0;
	set_handler(SIGUSR1, count, 0);
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	sigemptyset(&set);
	FAILS(sigsuspend(&set), EINTR);
	EQ(hits, 1);
	sigprocmask(SIG_BLOCK, NULL, &old);
	EQ(sigismember(&old, SIGUSR1), 1); /* the mask is back */
	raise(SIGUSR1);
	struct timespec ts = { 1, 0 };
	FAILS(ppoll(NULL, 0, &ts, &set), EINTR);
	EQ(hits, 2);
	sigprocmask(SIG_BLOCK, NULL, &old);
	EQ(sigismember(&old, SIGUSR1), 1);
	block(SIG_UNBLOCK, SIGUSR1);
}

/* ---- children and job control ---- */

static void child_info(void)
{
	sigset_t set;
	siginfo_t info;
	pid_t pid;

	block(SIG_BLOCK, SIGCHLD);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pid = fork();
	if (!pid)
		_exit(42);
	EQ(sigwaitinfo(&set, &info), SIGCHLD);
	EQ(info.si_code, CLD_EXITED);
	EQ(info.si_pid, pid);
	EQ(info.si_status, 42);
	EQ(waitpid(pid, NULL, 0), pid);
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	kill(pid, SIGTSTP);
	kill(pid, SIGSTOP);
	EQ(sigwaitinfo(&set, &info), SIGCHLD);
	EQ(info.si_code, CLD_STOPPED);
	EQ(waitpid(pid, NULL, WUNTRACED), pid);
	kill(pid, SIGCONT);
	EQ(sigwaitinfo(&set, &info), SIGCHLD);
	EQ(info.si_code, CLD_CONTINUED);
	memset(&info, 0, sizeof(info));
	EQ(waitid(P_PID, (id_t)pid, &info, WCONTINUED), 0);
	EQ(info.si_code, CLD_CONTINUED);
	kill(pid, SIGKILL);
	EQ(sigwaitinfo(&set, &info), SIGCHLD);
	EQ(info.si_code, CLD_KILLED);
	EQ(info.si_status, SIGKILL);
	EQ(waitpid(pid, NULL, 0), pid);
	block(SIG_UNBLOCK, SIGCHLD);
	/* SIG_IGN: no zombies */
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (!pid)
		_exit(0);
	FAILS(waitpid(pid, NULL, 0), ECHILD);
	signal(SIGCHLD, SIG_DFL);
}

static void *spin(void *arg)
{
	volatile long *n = arg;

	for (;;)
		++*n;
	return NULL;
}

static void group_stop(void)
{
	long *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), before;
	int status;
	pid_t pid = fork();

	if (!pid) {
		pthread_t t;

		for (int i = 0; i < 3; i++)
			pthread_create(&t, NULL, spin, shared + i * 8);
		for (;;)
			pause();
	}
	while (!*(volatile long *)shared || !*(volatile long *)(shared + 16))
		usleep(1000);
	kill(pid, SIGSTOP);
	EQ(waitpid(pid, &status, WUNTRACED), pid);
	before = shared[0] + shared[8] + shared[16];
	usleep(30000);
	EQ(shared[0] + shared[8] + shared[16], before);
	kill(pid, SIGCONT);
	usleep(50000);
	CHECK(shared[0] + shared[8] + shared[16] > before);
	kill(pid, SIGSTOP);
	EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGKILL); /* also when stopped */
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	munmap(shared, 4096);
}

static void orphaned_group(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		setsid(); /* alone in its session: SIGTSTP cannot stop it */
		raise(SIGTSTP);
		_exit(5);
	}
	EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

/* ---- threads ---- */

static volatile pid_t handled_by;
static void who(int sig)
{
	handled_by = (pid_t)syscall(SYS_gettid);
}
static volatile pid_t waiter_tid;
static void *unblocked_thread(void *arg)
{
	block(SIG_UNBLOCK, SIGUSR2);
	waiter_tid = (pid_t)syscall(SYS_gettid);
	while (!handled_by)
		usleep(1000);
	return NULL;
}

static void thread_choice(void)
{
	pthread_t t;

	set_handler(SIGUSR2, who, SA_RESTART);
	block(SIG_BLOCK, SIGUSR2);
	handled_by = 0;
	kill(getpid(), SIGUSR2); /* nobody can take it yet */
	pthread_create(&t, NULL, unblocked_thread, NULL);
	pthread_join(t, NULL);
	EQ(handled_by, waiter_tid);
	handled_by = 0;
	waiter_tid = 0;
	pthread_create(&t, NULL, unblocked_thread, NULL);
	while (!waiter_tid)
		usleep(1000);
	kill(getpid(), SIGUSR2);
	pthread_join(t, NULL);
	EQ(handled_by, waiter_tid);
	block(SIG_UNBLOCK, SIGUSR2);
}

static void spinning_target(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		for (;;)
			;
	usleep(20000);
	kill(pid, SIGTERM);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* ---- rt_sigqueueinfo ---- */

static void queueinfo(void)
{
	siginfo_t info = { .si_code = SI_QUEUE };

	set_info_handler(SIGUSR1, 0);
	info.si_value.sival_int = 1234;
	EQ(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info), 0);
	EQ(last_info.si_value.sival_int, 1234);
	info.si_code = SI_USER;
	FAILS(syscall(SYS_rt_sigqueueinfo, getppid(), SIGCONT, &info), EPERM);
	info.si_code = SI_QUEUE;
	EQ(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info), 0);
	FAILS(syscall(SYS_rt_sigqueueinfo, getpid(), 99, &info), EINVAL);
	FAILS(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, (void *)8), EFAULT);
	kill(getpid(), SIGUSR1);
	EQ(last_info.si_code, SI_USER);
	EQ(last_info.si_pid, getpid());
	raise(SIGUSR1);
	EQ(last_info.si_code, SI_TKILL);
}

/* ---- signalfd ---- */

static void signal_fd(void)
{
	struct signalfd_siginfo si[4];
	union sigval v = { .sival_int = 77 };
	struct pollfd pf;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	CHECK(fd >= 0);
	FAILS(read(fd, si, sizeof(si)), EAGAIN);
	FAILS(read(fd, si, 10), EINVAL);
	pf = (struct pollfd){ .fd = fd, .events = POLLIN };
	EQ(poll(&pf, 1, 0), 0);
	raise(SIGUSR1);
	sigqueue(getpid(), SIGRTMIN, v);
	EQ(poll(&pf, 1, 1000), 1);
	EQ(read(fd, si, sizeof(si)), 2 * sizeof(si[0]));
	EQ(si[0].ssi_signo, SIGUSR1);
	EQ(si[0].ssi_pid, getpid());
	EQ(si[1].ssi_signo, SIGRTMIN);
	EQ(si[1].ssi_int, 77);
	EQ(si[1].ssi_code, SI_QUEUE);
	pid_t pid = fork();
	if (!pid) {
		usleep(20000);
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	EQ(poll(&pf, 1, 2000), 1);
	EQ(read(fd, si, sizeof(si)), sizeof(si[0]));
	EQ(si[0].ssi_pid, pid);
	EQ(waitpid(pid, NULL, 0), pid);
	sigemptyset(&set);
	EQ(signalfd(fd, &set, 0), fd);
	FAILS(signalfd(0, &set, 0), EINVAL);
	FAILS(signalfd(-1, &set, 1), EINVAL);
	close(fd);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	RUN(delivery);
	RUN(masks);
	RUN(realtime);
	RUN(queue_limit);
	RUN(faults);
	RUN(no_handler_fault);
	RUN(alternate_stack);
	RUN(frame);
	RUN(bad_frames);
	RUN(bad_xstate);
	RUN(nesting);
	RUN(restarts);
	RUN(sleep_through_stop);
	RUN(suspend_mask);
	RUN(child_info);
	RUN(group_stop);
	RUN(orphaned_group);
	RUN(thread_choice);
	RUN(spinning_target);
	RUN(queueinfo);
	RUN(signal_fd);
	DONE();
}
