/*
 * Compiles the seccomp programs, at build time: start-up pays for loading them only. Prints a C header.
 *
 * Every list goes from the calls that every request needs to those that only starting threads does. A reason stands beside
 * whatever is not plain reading, writing and waiting.
 */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/sockopts.h"
#include "platform/ptrace/ptrace_host.h"

#define CALL(name) SCMP_SYS(name),
#define PROT_OK (PROT_READ | PROT_WRITE)
/* What pthread_create(3) of glibc asks for: a thread, never a process. */
#define THREAD_FLAGS                                                                                                   \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | \
	 CLONE_CHILD_CLEARTID)

static void need(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "seccomp_gen: %s: %s\n", what, strerror(-ret));
	exit(1);
}

static void allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0), "allow");
}
#define ALLOW(ctx, ...)                                                                                                \
	do {                                                                                                           \
		static const int calls_[] = { __VA_ARGS__ };                                                           \
		allow(ctx, calls_, sizeof(calls_) / sizeof(calls_[0]));                                                \
	} while (0)

static void allow_ioctl(scmp_filter_ctx ctx, unsigned long request)
{
	need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, request)), "ioctl");
}

/* Memory, but never executable. */
static void allow_memory(scmp_filter_ctx ctx)
{
	static const int calls[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };

	for (size_t i = 0; i < 2; i++)
		need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, ~(unsigned long)PROT_OK, 0)),
		     "memory");
	ALLOW(ctx, SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(brk));
}

static scmp_filter_ctx new_filter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (!ctx)
		need(-ENOMEM, "seccomp_init");
	need(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
	return ctx;
}

/* Host sockets, serve_sock.c: their kinds and options one by one, nothing else of the network. */
static void allow_sockets(scmp_filter_ctx ctx)
{
	static const struct {
		int level, name, how;
	} options[] = {
#define OPTION(level, name, least, most, how) { level, name, how },
		SOCKOPTS(OPTION)
#undef OPTION
	};
	static const int streams[] = { 0, IPPROTO_TCP }, datagrams[] = { 0, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6 };
	const unsigned flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
#define IS(arg, value) SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, 0xffffffffu, (unsigned)(value))

	for (int family = 0; family < 2; family++) {
		struct scmp_arg_cmp of = IS(0, family ? AF_INET6 : AF_INET);

		for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
			need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3, of, IS(1, SOCK_STREAM | flags),
					      IS(2, streams[i])), "socket");
		for (size_t i = 0; i < sizeof(datagrams) / sizeof(datagrams[0]); i++)
			need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3, of, IS(1, SOCK_DGRAM | flags),
					      IS(2, datagrams[i])), "socket");
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct scmp_arg_cmp level = IS(1, options[i].level), name = IS(2, options[i].name);

		if (options[i].how & OPT_SET)
			need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2, level, name), "setsockopt");
		if (options[i].how & OPT_GET)
			need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(getsockopt), 2, level, name), "getsockopt");
	}
	need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(accept4), 1, IS(3, flags)), "accept4");
	ALLOW(ctx, SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(listen), SCMP_SYS(sendmsg), SCMP_SYS(shutdown), SCMP_SYS(getsockname),
	      SCMP_SYS(getpeername), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait));
	allow_ioctl(ctx, SIOCOUTQ);
	allow_ioctl(ctx, SIOCOUTQNSD);
	allow_ioctl(ctx, SIOCATMARK);
#undef IS
}

static scmp_filter_ctx sandbox_filter(bool network)
{
	scmp_filter_ctx ctx = new_filter();

	ALLOW(ctx, SCMP_SYS(futex), SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(read),
	      SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(sendto), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom),
	      SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(ftruncate),
	      SCMP_SYS(fallocate), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(getrandom), SCMP_SYS(sched_yield),
	      SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(getrusage), SCMP_SYS(pause), SCMP_SYS(gettid),
	      SCMP_SYS(getpid), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
	      SCMP_SYS(timer_create), SCMP_SYS(timer_settime), SCMP_SYS(exit), SCMP_SYS(exit_group));
	/* The file window, window.c. */
	need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, F_DUPFD_CLOEXEC)), "fcntl");
	ALLOW(ctx, SCMP_SYS(fstatfs));
	/* The ring is restricted by itself (async_uring.c). */
	ALLOW(ctx, SCMP_SYS(io_uring_enter));
	need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(io_uring_register), 1,
			      SCMP_A1(SCMP_CMP_MASKED_EQ, 0x7fffffffu, IORING_REGISTER_FILES_UPDATE)),
	     "io_uring_register");
	allow_memory(ctx);
	/* Terminals of the command: serve_tty.c. */
	static const unsigned long tty[] = { TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ, TIOCSWINSZ, FIONREAD };
	for (size_t i = 0; i < sizeof(tty) / sizeof(tty[0]); i++)
		allow_ioctl(ctx, tty[i]);
	/* Starting threads. clone3's flags lie in memory: refused, so that libc falls back to clone. */
	need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_EQ, THREAD_FLAGS)), "clone");
	need(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
	ALLOW(ctx, SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigaction), SCMP_SYS(sched_getaffinity));
	if (network)
		allow_sockets(ctx);
	return ctx;
}

static scmp_filter_ctx kvm_filter(bool network)
{
	static const unsigned long requests[] = { KVM_RUN, KVM_INTERRUPT, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS,
						  KVM_GET_XSAVE, KVM_SET_XSAVE };
	scmp_filter_ctx ctx = sandbox_filter(network);

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		allow_ioctl(ctx, requests[i]);
	/* Kicks: the process is the first of its PID namespace and signals no one but its own threads. */
	ALLOW(ctx, SCMP_SYS(tgkill));
	return ctx;
}

static scmp_filter_ctx ptrace_filter(bool network)
{
	scmp_filter_ctx ctx = sandbox_filter(network);

	ALLOW(ctx, PTRACE_ALLOWED_SYSCALLS(CALL));
	return ctx;
}

static scmp_filter_ctx gofer_filter(void)
{
	scmp_filter_ctx ctx = new_filter();

	ALLOW(ctx, SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(poll), SCMP_SYS(ppoll),
	      SCMP_SYS(statx), SCMP_SYS(openat2), SCMP_SYS(close), SCMP_SYS(getdents64), SCMP_SYS(lseek), SCMP_SYS(readlinkat),
	      SCMP_SYS(fstatfs), SCMP_SYS(getxattr), SCMP_SYS(listxattr), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(munmap),
	      SCMP_SYS(brk), SCMP_SYS(mremap), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime),
	      SCMP_SYS(gettimeofday), SCMP_SYS(exit_group));
	need(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, ~(unsigned long)PROT_OK, 0)), "mmap");
	/* Trees that may be written. Which ones is checked by request and by the mount. */
	ALLOW(ctx, SCMP_SYS(ftruncate), SCMP_SYS(mkdirat), SCMP_SYS(symlinkat), SCMP_SYS(linkat), SCMP_SYS(mknodat),
	      SCMP_SYS(unlinkat), SCMP_SYS(renameat2), SCMP_SYS(fchownat), SCMP_SYS(fchmodat), SCMP_SYS(utimensat),
	      SCMP_SYS(setxattr), SCMP_SYS(removexattr), SCMP_SYS(fsync), SCMP_SYS(syncfs));
	return ctx;
}

static void emit(scmp_filter_ctx ctx, const char *name)
{
	FILE *f = tmpfile();
	struct sock_filter insn;
	size_t n = 0;

	if (!f)
		need(-errno, "tmpfile");
	need(seccomp_export_bpf(ctx, fileno(f)), "export");
	rewind(f);
	printf("static const struct sock_filter %s[] = {\n", name);
	for (; fread(&insn, sizeof(insn), 1, f) == 1; n++)
		printf("\t{ 0x%04x, %u, %u, 0x%08x },\n", insn.code, insn.jt, insn.jf, insn.k);
	printf("};\n");
	if (n == 0 || n > BPF_MAXINSNS)
		need(-E2BIG, name);
	fclose(f);
	seccomp_release(ctx);
}

int main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "";

	printf("/* Made by seccomp_gen.c. */\n#include <linux/filter.h>\n");
	if (!strcmp(which, "sandbox")) {
		emit(ptrace_filter(false), "seccomp_ptrace");
		emit(kvm_filter(false), "seccomp_kvm");
		emit(ptrace_filter(true), "seccomp_ptrace_network");
		emit(kvm_filter(true), "seccomp_kvm_network");
	} else {
		emit(gofer_filter(), "seccomp_gofer");
	}
	return 0;
}
