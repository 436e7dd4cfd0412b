/* Arguments for the system-call fuzzer: mostly of the kind that the call takes, some of them wild. */
#include "args.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define ARENA (64u << 10)
#define PLAY (64ull << 20)
#define FDS 96
#define PICK(r, list) ((list)[rnd(r) % (sizeof(list) / sizeof(*(list)))])

/* arena: read and write, followed by a hole. play: where mappings are made and unmade. */
static char *arena, *readonly, *play;
static uint64_t self, parent; /* processes */

static const char *const paths[] = {
	"f", "d", "d/g", "d/h", "l", "loop", "fifo", "s", "new", "new/x", ".", "..", "/", "", "/tmp", "/tmp/f", "/proc/self/maps",
	"/proc/self/fd/5", "/proc/self/mem", "/proc/self/status", "/proc/self/stat", "/proc/self/task", "/proc/self/exe", "/proc/self/ns/mnt",
	"/proc/self/ns/ipc", "/proc/self/oom_score_adj", "/proc/self/environ", "/proc/self/auxv", "/proc/self/smaps", "/proc/self/pagemap",
	"/proc/self/mountinfo", "/proc/self/cwd", "/proc/self/root/f", "/proc/self/comm", "/proc/self/uid_map", "/proc/self/limits",
	"/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory", "/proc/sys/fs/pipe-max-size", "/proc/meminfo", "/proc/stat", "/proc/net/unix",
	"/proc/net/tcp", "/proc/thread-self/sched", "/proc/sysvipc/shm", "/proc/filesystems", "/proc/cpuinfo", "/dev/null", "/dev/zero", "/dev/full",
	"/dev/tty", "/dev/ptmx", "/dev/pts/0", "/dev/shm/x", "/dev/random", "/sys", "/sys/devices/system/cpu/online", "/etc/passwd", "/bin/true",
	"/usr/bin", "/usr/lib", "user.attr", "trusted.x", "security.capability", "system.posix_acl_access", "tmpfs", "proc", "overlay", "devpts",
	"sysfs", "mqueue", "lowerdir=d,upperdir=d,workdir=d", "size=1M", "/q", "d/../d/./g", "//", "f/", "d/new/",
};

static const uint64_t wild[] = {
	0, 1, 8, 0xfff, 0x1000, 0x10000, 0x7fffffffefff, 0x7ffffffff000, 0x7fffffffffff, 0x7ffffffffff8, 0x800000000000, 0x7fffffff,
	0x80000000, 0xffffffff, 0x100000000, 0xffff7fffffffffff, 0xffff800000000000, 0xffff888000000000, 0xffffc00000000000,
	0xffffffff80000000, 0xffffffff81000000, 0xfffffffffffff000, 0xfffffffffffffff8, 0xffffffffffffffff, 0x8000000000000000, 0x7fffffffffffffff,
	0x4141414141414141, 0xdeadbeef000,
};

static const uint64_t sizes[] = {
	0, 1, 2, 3, 4, 7, 8, 9, 12, 16, 24, 31, 32, 40, 48, 56, 64, 88, 100, 104, 128, 136, 144, 255, 256, 257, 512, 1000, 1023, 1024, 1025, 2048, 4095, 4096, 4097,
	8192, 16384, 65535, 65536, 65537, 0x10000, 0x20000, 0x100000, 0x200000, 0x400000, 0x7fffffff, 0x7ffff000, 0x80000000, 0xffffffff, 0x100000000,
	0x7fffffffffff, 0x7fffffffffffffff, 0xfffffffffffff000, 0xffffffffffffffff,
};

static const uint32_t ioctls[] = {
	0x5401, 0x5402, 0x5403, 0x5404, 0x5405, 0x5406, 0x5407, 0x5408, 0x5409, 0x540a, 0x540b, 0x540c, 0x540d, 0x540e, 0x540f, 0x5410, 0x5411,
	0x5412, 0x5413, 0x5414, 0x5415, 0x5416, 0x5417, 0x5418, 0x541a, 0x541b, 0x5420, 0x5421, 0x5422, 0x5423, 0x5424, 0x5425, 0x5427, 0x5428,
	0x5429, 0x80045430, 0x40045431, 0x80045432, 0x40045436, 0x5437, 0x80045438, 0x80045439, 0x80045440, 0x5441, 0x5450, 0x5451, 0x5452, 0x5460,
	0x8901, 0x8902, 0x8903, 0x8904, 0x8905, 0x8906, 0x8907, 0x8910, 0x8912, 0x8913, 0x8914, 0x8915, 0x8916, 0x8919, 0x891b, 0x891d, 0x891f,
	0x8921, 0x8922, 0x8927, 0x8933, 0x8938, 0x8942, 0x8946, 0x8970, 0xc020660b, 0x40049409, 0x4020940d, 0xc0189436, 0xc0045877, 0xc0045878,
	0x80086601, 0x40086602, 0x80111500, 0xc018aa3f, 0xc020aa00, 0x8010aa01, 0x8010aa02, 0xc028aa03, 0xc020aa04, 0xc018aa06, 0xb701, 0xb702,
	0xb703, 0xb704, 0x80045200, 0x40045201, 0x5207, 0x127a, 0x1260, 0x80081272, 0x40044000,
};

static uint64_t bits(struct rng *r)
{
	uint64_t v = rnd(r);

	switch (rnd(r) % 5) {
	case 0: return 0;
	case 1: return 1ull << (v % 32);
	case 2: return (1ull << (v % 32)) | (1ull << (v >> 8) % 32);
	case 3: return v & 0xff;
	default: return v & rnd(r) & rnd(r);
	}
}

static uint64_t number(struct rng *r)
{
	static const int64_t some[] = { -1, -2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 1000, 1024, 4096, 65535,
					65536, 1 << 20, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN };

	return chance(r, 3) ? rnd(r) % 64 : (uint64_t)PICK(r, some);
}

static uint64_t a_pid(struct rng *r)
{
	switch (rnd(r) % 8) {
	case 0: return 0;
	case 1: return self + 1 + rnd(r) % 16;
	case 2: return parent;
	case 3: return 2 + rnd(r) % 200;
	case 4: return 1 << 30;
	default: return self;
	}
}

static uint64_t a_file(struct rng *r)
{
	return chance(r, 20) ? number(r) : rnd(r) % FDS;
}

static uint64_t pointer(struct rng *r)
{
	switch (rnd(r) % 16) {
	case 0: return 0;
	case 1: return PICK(r, wild);
	case 2: return (uint64_t)arena + ARENA - rnd(r) % 64; /* runs into the hole */
	case 3: return (uint64_t)readonly + rnd(r) % 4096;
	case 4: return (uint64_t)play + rnd(r) % PLAY;
	default: return (uint64_t)arena + ((rnd(r) % ARENA) & (chance(r, 8) ? ~0ull : ~7ull)) % (ARENA - 4096);
	}
}

static uint64_t any_word(struct rng *r)
{
	switch (rnd(r) % 8) {
	case 0: return pointer(r);
	case 1: return number(r);
	case 2: return bits(r);
	case 3: return a_file(r);
	case 4: return PICK(r, sizes);
	case 5: return rnd(r);
	case 6: return a_pid(r);
	default: return 0;
	}
}

/* A structure of anything in the arena. */
static char *place(struct rng *r, unsigned size)
{
	return arena + (rnd(r) % (ARENA - 8192 - size) & ~7ull);
}

static char *any_struct(struct rng *r, unsigned words)
{
	uint64_t *p = (uint64_t *)place(r, words * 8);

	for (unsigned i = 0; i < words; i++)
		p[i] = chance(r, 2) ? any_word(r) : (any_word(r) & 0xffffffff) | any_word(r) << 32;
	return (char *)p;
}

static uint64_t a_path(struct rng *r)
{
	char *p = place(r, 8192);

	if (chance(r, 20))
		return pointer(r);
	if (chance(r, 40)) {
		memset(p, chance(r, 2) ? 'a' : '/', 5000);
		p[chance(r, 2) ? 4095 : rnd(r) % 5000] = 0;
		return (uint64_t)p;
	}
	return (uint64_t)strcpy(p, PICK(r, paths));
}

static uint64_t iovecs(struct rng *r)
{
	struct iovec *v = (struct iovec *)place(r, 16 * sizeof(*v));

	for (int i = 0; i < 16; i++)
		v[i] = (struct iovec){ (void *)pointer(r), PICK(r, sizes) % (chance(r, 10) ? ~0ull : 9000) };
	return (uint64_t)v;
}

static uint64_t short_time(struct rng *r)
{
	int64_t *t = (int64_t *)place(r, 32);

	for (int i = 0; i < 4; i += 2) {
		t[i] = chance(r, 10) ? (int64_t)number(r) : 0;
		t[i + 1] = chance(r, 10) ? (int64_t)number(r) : (int64_t)(rnd(r) % 2000000);
	}
	return chance(r, 8) ? pointer(r) : (uint64_t)t;
}

static uint64_t socket_address(struct rng *r, uint64_t *len)
{
	union {
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_nl nl;
		char raw[128];
	} *u = (void *)place(r, sizeof(*u));

	memset(u, 0, sizeof(*u));
	switch (rnd(r) % 6) {
	case 0:
		u->un = (struct sockaddr_un){ .sun_family = AF_UNIX, .sun_path = "s" };
		*len = chance(r, 4) ? rnd(r) % 120 : sizeof(u->un);
		break;
	case 1:
		u->un.sun_family = AF_UNIX;
		u->un.sun_path[1] = (char)('a' + rnd(r) % 4);
		*len = 2 + rnd(r) % 12;
		break;
	case 2:
		u->in = (struct sockaddr_in){ AF_INET, htons(3000 + rnd(r) % 8), { htonl(chance(r, 8) ? (uint32_t)rnd(r) : 0x7f000001) }, { 0 } };
		*len = sizeof(u->in);
		break;
	case 3:
		u->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(3000 + rnd(r) % 8), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
		*len = sizeof(u->in6);
		break;
	case 4:
		u->nl = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
		*len = sizeof(u->nl);
		break;
	default:
		for (int i = 0; i < 128; i++)
			u->raw[i] = (char)rnd(r);
		u->raw[0] = (char)(rnd(r) % 45), u->raw[1] = 0;
		*len = rnd(r) % 140;
	}
	if (chance(r, 12))
		*len = number(r);
	return chance(r, 16) ? pointer(r) : (uint64_t)u;
}

static uint64_t control(struct rng *r, uint64_t *len)
{
	char *p = any_struct(r, 64);
	struct cmsghdr *c = (struct cmsghdr *)p;

	for (int i = 0; i < 3 && (char *)c < p + 400; i++) {
		c->cmsg_len = chance(r, 6) ? number(r) : sizeof(*c) + rnd(r) % 24;
		c->cmsg_level = chance(r, 6) ? (int)number(r) : (int[]){ SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6 }[rnd(r) % 3];
		c->cmsg_type = (int)(rnd(r) % 10);
		for (int j = 0; j < 6; j++)
			((int *)CMSG_DATA(c))[j] = (int)a_file(r);
		c = (struct cmsghdr *)((char *)c + ((c->cmsg_len % 64 + 15) & ~7ul));
	}
	*len = chance(r, 6) ? PICK(r, sizes) : rnd(r) % 160;
	return (uint64_t)p;
}

static uint64_t message(struct rng *r, unsigned n)
{
	struct mmsghdr *m = (struct mmsghdr *)place(r, 8 * sizeof(*m)), *first = m;
	uint64_t len;

	for (; n; n--, m++) {
		memset(m, 0, sizeof(*m));
		if (chance(r, 2)) {
			m->msg_hdr.msg_name = (void *)socket_address(r, &len);
			m->msg_hdr.msg_namelen = (socklen_t)len;
		}
		m->msg_hdr.msg_iov = (struct iovec *)iovecs(r);
		m->msg_hdr.msg_iovlen = chance(r, 10) ? number(r) : rnd(r) % 5;
		if (chance(r, 2)) {
			m->msg_hdr.msg_control = (void *)control(r, &len);
			m->msg_hdr.msg_controllen = len;
		}
		m->msg_hdr.msg_flags = (int)bits(r);
	}
	return (uint64_t)first;
}

static uint64_t netlink_message(struct rng *r)
{
	struct nlmsghdr *h = (struct nlmsghdr *)any_struct(r, 40);

	h->nlmsg_len = chance(r, 4) ? (uint32_t)number(r) : 16 + (uint32_t)rnd(r) % 64;
	h->nlmsg_type = (uint16_t)(rnd(r) % 100);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (rnd(r) & 0xf0f));
	return (uint64_t)h;
}

static uint64_t poll_files(struct rng *r)
{
	struct { int fd; short events, revents; } *p = (void *)place(r, 64 * 8);

	for (int i = 0; i < 64; i++) {
		p[i].fd = (int)a_file(r);
		p[i].events = (short)bits(r);
	}
	return (uint64_t)p;
}

static uint64_t action(struct rng *r)
{
	uint64_t *sa = (uint64_t *)any_struct(r, 4);

	sa[0] = rnd(r) % 2; /* SIG_DFL, SIG_IGN: a handler at a random address is a program that ends */
	return (uint64_t)sa;
}

static uint64_t vector(struct rng *r)
{
	uint64_t *v = (uint64_t *)place(r, 40 * 8);
	unsigned n = rnd(r) % 8;

	for (unsigned i = 0; i < n; i++)
		v[i] = a_path(r);
	v[n] = chance(r, 10) ? pointer(r) : 0;
	return (uint64_t)v;
}

static uint64_t clone_flags(struct rng *r)
{
	static const uint64_t sets[] = { 0x11, 0x4111, 0x3d0f00, 0x50f00, 0x100, 0x1200011, 0x1011, 0x20000011, 0x8000011, 0x40000011, 0x10000011,
					 0x80000011, 0x800, 0x80000f00 };

	return chance(r, 3) ? rnd(r) & rnd(r) & 0xffffffff : PICK(r, sets);
}

static uint64_t clone_args(struct rng *r)
{
	uint64_t *c = (uint64_t *)place(r, 96);

	for (int i = 0; i < 11; i++)
		c[i] = chance(r, 6) ? any_word(r) : 0;
	c[0] = clone_flags(r) & ~0xffull;
	c[4] = chance(r, 4) ? number(r) : 17;
	return (uint64_t)c;
}

static uint64_t mapping(struct rng *r)
{
	switch (rnd(r) % 12) {
	case 0: return 0;
	case 1: return PICK(r, wild);
	case 2: return (uint64_t)play + rnd(r) % PLAY;
	default: return (uint64_t)play + (rnd(r) % 64 * 4096);
	}
}

static uint64_t mapping_length(struct rng *r)
{
	return chance(r, 8) ? PICK(r, sizes) : (1 + rnd(r) % 48) * 4096;
}

/* Kinds beyond the table's: A address and L length of a mapping, P process, M message, ... */
static const struct {
	const char *name, *args;
} better[] = {
	{ "mmap", "A,L,prot,mmap,f,off" }, { "mprotect", "A,L,prot" }, { "munmap", "A,L" }, { "mremap", "A,L,L,x,A" }, { "msync", "A,L,x" },
	{ "mincore", "A,L,x" }, { "madvise", "A,L,d" }, { "mlock", "A,L" }, { "munlock", "A,L" }, { "mlock2", "A,L,x" }, { "mbind", "A,L,d,x,u,x" },
	{ "remap_file_pages", "A,L,x,u,x" }, { "pkey_mprotect", "A,L,prot,d" }, { "shmat", "d,A,x" }, { "shmdt", "A" }, { "brk", "wildbrk" },
	{ "sendmsg", "f,M,x" }, { "recvmsg", "f,M,x" }, { "sendmmsg", "f,MM,u,x" }, { "recvmmsg", "f,MM,u,x,ts" }, { "process_vm_readv", "P,iov,n,iov,n,zero" },
	{ "process_vm_writev", "P,iov,n,iov,n,zero" }, { "kill", "P,sig" }, { "tkill", "P,sig" }, { "tgkill", "P,P,sig" }, { "rt_sigqueueinfo", "P,sig,x" },
	{ "rt_tgsigqueueinfo", "P,P,sig,x" }, { "ptrace", "preq,P,x,x" }, { "wait4", "P,x,opts,x" }, { "waitid", "n,P,x,opts,x" }, { "setpgid", "P,P" },
	{ "getpgid", "P" }, { "getsid", "P" }, { "sched_setparam", "P,x" }, { "sched_getparam", "P,x" }, { "sched_setscheduler", "P,n,x" },
	{ "sched_getscheduler", "P" }, { "sched_rr_get_interval", "P,x" }, { "sched_setaffinity", "P,u,x" }, { "sched_getaffinity", "P,u,x" },
	{ "sched_setattr", "P,attr,x" }, { "sched_getattr", "P,x,u,x" }, { "prlimit64", "P,n,rl,x" }, { "setrlimit", "n,rl" }, { "get_robust_list", "P,x,x" },
	{ "kcmp", "P,P,n,f,f" }, { "pidfd_open", "P,x" }, { "move_pages", "P,n,x,x,x,x" }, { "migrate_pages", "P,u,x,x" }, { "pidfd_send_signal", "f,sig,x,x" },
	{ "splice", "f,x0,f,x0,u,x" }, { "sendfile", "f,f,x0,u" }, { "copy_file_range", "f,x0,f,x0,u,x" }, { "epoll_ctl", "f,n,f,x" }, { "epoll_wait", "f,x,n,ms" },
	{ "epoll_pwait", "f,x,n,ms,set,u8" }, { "poll", "pollfd,n,ms" }, { "ppoll", "pollfd,n,ts,set,u8" }, { "select", "n,x,x,x,ts" }, { "pselect6", "n,x,x,x,ts,x" },
	{ "clone3", "cl3,u88" }, { "execve", "p,argv,argv" }, { "execveat", "D,p,argv,argv,x" }, { "setsockopt", "f,lvl,n,x,u" }, { "getsockopt", "f,lvl,n,x,lenp" },
	{ "getsockname", "f,x,lenp" }, { "getpeername", "f,x,lenp" }, { "accept", "f,x,lenp" }, { "accept4", "f,x,lenp,x" }, { "recvfrom", "f,b,u,x,x,lenp" },
	{ "futex", "x,futex,n,ts,x,n" }, { "nanosleep", "ts,x" }, { "clock_nanosleep", "clk,x,ts,x" }, { "rt_sigtimedwait", "set,x,ts,u8" }, { "ftruncate", "f,off" },
	{ "truncate", "p,off" }, { "fallocate", "f,x,off,off" }, { "lseek", "f,off,whence" }, { "pread64", "f,b,u,off" }, { "pwrite64", "f,s,u,off" },
	{ "rt_sigprocmask", "how,set,x,u8" }, { "rt_sigaction", "sig,sa,x,u8" }, { "rt_sigpending", "x,u8" }, { "rt_sigsuspend", "set,u8" }, { "signalfd4", "f,set,u8,x" },
	{ "unshare", "ns" }, { "setns", "f,ns" }, { "sigaltstack", "noss,x" }, { "set_robust_list", "x,u24" }, { "io_setup", "n,x" }, { "io_submit", "ctx,n,v" },
	{ "io_getevents", "ctx,n,n,x,ts" }, { "io_destroy", "ctx" }, { "semop", "n,x,n" }, { "semtimedop", "n,x,n,ts" }, { "semctl", "n,n,n,x" }, { "msgctl", "n,n,x" },
	{ "shmctl", "n,n,x" }, { "semget", "n,n,ipc" }, { "msgget", "n,ipc" }, { "shmget", "n,L,ipc" }, { "setpriority", "n,P,n" }, { "getpriority", "n,P" },
	{ "futex_waitv", "x,n,x,ts,clk" }, { "userfaultfd", "uffd" }, { "process_madvise", "f,iov,n,n,x" }, { "mount", "p,p,fs,mnt,p" }, { "fsopen", "fs,x" },
	{ "sendto", "f,nl,u,x,sa_,salen" }, { "connect", "f,sa_,salen" }, { "bind", "f,sa_,salen" }, { "clone", "clone,zero,x,x,x" }, { "personality", "zero" },
	{ "setpgrp", "zero" }, { "pipe2", "fds,O" }, { "close_range", "n,n,x" }, { "umount2", "p,x" },
};

static uint64_t one_argument(struct rng *r, const char *kind, const char *name, uint64_t *salen)
{
	static const char *const fs[] = { "tmpfs", "proc", "sysfs", "overlay", "devpts", "mqueue", "devtmpfs", "ramfs", "nosuch" };
	int *word;

#define IS(k) (!strcmp(kind, k))
	if (IS("f"))
		return a_file(r);
	if (IS("D"))
		return chance(r, 2) ? (uint64_t)AT_FDCWD : a_file(r);
	if (IS("p"))
		return a_path(r);
	if (IS("s") || IS("b") || IS("bs"))
		return pointer(r);
	if (IS("d") || IS("n"))
		return IS("n") && !chance(r, 6) ? rnd(r) % 24 : number(r);
	if (IS("u"))
		return PICK(r, sizes);
	if (IS("u8"))
		return chance(r, 10) ? number(r) : 8;
	if (IS("u24"))
		return chance(r, 10) ? number(r) : 24;
	if (IS("u88"))
		return chance(r, 4) ? PICK(r, sizes) : 88;
	if (IS("x"))
		return chance(r, 3) ? bits(r) : chance(r, 2) ? pointer(r) : (uint64_t)any_struct(r, 16);
	if (IS("x0"))
		return chance(r, 3) ? (uint64_t)any_struct(r, 2) : 0;
	if (IS("A"))
		return mapping(r);
	if (IS("L"))
		return mapping_length(r);
	if (IS("P"))
		return a_pid(r);
	if (IS("M"))
		return chance(r, 20) ? pointer(r) : message(r, 1);
	if (IS("MM"))
		return chance(r, 20) ? pointer(r) : message(r, 6);
	if (IS("ms"))
		return rnd(r) % 4;
	if (IS("off"))
		return chance(r, 3) ? number(r) : rnd(r) % 200000;
	if (IS("opts"))
		return 1 | bits(r);
	if (IS("preq"))
		return chance(r, 2) ? 0x4200 + rnd(r) % 0x20 : rnd(r) % 34;
	if (IS("lvl"))
		return (uint64_t[]){ SOL_SOCKET, 0, 6, 17, 41, 270, 58, 255 }[rnd(r) % 8];
	if (IS("lenp")) {
		word = (int *)place(r, 8);
		*word = (int)(chance(r, 4) ? number(r) : rnd(r) % 130);
		return chance(r, 16) ? pointer(r) : (uint64_t)word;
	}
	if (IS("cl3"))
		return chance(r, 12) ? pointer(r) : clone_args(r);
	if (IS("ns"))
		return chance(r, 3) ? bits(r) : 1ull << (17 + rnd(r) % 15);
	if (IS("noss"))
		return chance(r, 10) ? (uint64_t)any_struct(r, 3) : 0;
	if (IS("ctx"))
		return chance(r, 2) ? *(uint64_t *)place(r, 8) : pointer(r);
	if (IS("v"))
		return (uint64_t)any_struct(r, 24);
	if (IS("attr")) {
		word = (int *)any_struct(r, 8);
		word[0] = 48, word[1] = (int)(rnd(r) % 8);
		return (uint64_t)word;
	}
	if (IS("ipc"))
		return chance(r, 2) ? 01666 : bits(r);
	if (IS("uffd"))
		return rnd(r) & (O_CLOEXEC | O_NONBLOCK | 1);
	if (IS("fs"))
		return chance(r, 10) ? a_path(r) : (uint64_t)strcpy(place(r, 32), PICK(r, fs));
	if (IS("mnt"))
		return chance(r, 2) ? 0 : bits(r);
	if (IS("nl"))
		return chance(r, 2) ? netlink_message(r) : pointer(r);
	if (IS("sa_"))
		return socket_address(r, salen);
	if (IS("salen"))
		return *salen;
	if (IS("zero"))
		return chance(r, 20) ? any_word(r) : 0;
	if (IS("wildbrk"))
		return chance(r, 2) ? PICK(r, wild) : 0;
	if (IS("O"))
		return (rnd(r) & rnd(r) & 0x7fffff) | (chance(r, 2) ? O_NONBLOCK : 0);
	if (IS("m"))
		return chance(r, 2) ? 0777 : S_IFMT & (rnd(r) << 12) ? rnd(r) & 0177777 : 0644;
	if (IS("prot"))
		return chance(r, 6) ? bits(r) : rnd(r) & 7;
	if (IS("mmap"))
		return chance(r, 6) ? bits(r) : (rnd(r) % 3 + 1) | (chance(r, 2) ? MAP_FIXED : 0) | (chance(r, 2) ? MAP_ANONYMOUS : 0) | (rnd(r) & 0x1c900);
	if (IS("clone"))
		return clone_flags(r);
	if (IS("whence"))
		return rnd(r) % 6;
	if (IS("sig"))
		return chance(r, 4) ? number(r) : chance(r, 30) ? rnd(r) % 65 : (uint64_t[]){ 0, 0, 1, 2, 10, 12, 14, 15, 17, 18, 23, 34, 40 }[rnd(r) % 13];
	if (IS("how"))
		return rnd(r) % 4;
	if (IS("af"))
		return chance(r, 6) ? number(r) : (uint64_t[]){ AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK }[rnd(r) % 6];
	if (IS("socktype"))
		return rnd(r) % 7 | (rnd(r) & SOCK_NONBLOCK) | (rnd(r) & SOCK_CLOEXEC);
	if (IS("clk"))
		return chance(r, 3) ? number(r) : rnd(r) % 12;
	if (IS("futex"))
		return chance(r, 10) ? number(r) : rnd(r) % 15 | (rnd(r) & 0x180);
	if (IS("fcntl"))
		return chance(r, 2) ? 1024 + rnd(r) % 16 : rnd(r) % 40;
	if (IS("ioctl"))
		return chance(r, 12) ? rnd(r) : PICK(r, ioctls);
	if (IS("rlim"))
		return rnd(r) % 18;
	if (IS("ts") || IS("tv"))
		return short_time(r);
	if (IS("set"))
		return chance(r, 4) ? pointer(r) : 0;
	if (IS("sa"))
		return action(r);
	if (IS("iov"))
		return iovecs(r);
	if (IS("pollfd"))
		return poll_files(r);
	if (IS("argv"))
		return chance(r, 12) ? pointer(r) : vector(r);
	if (IS("rl")) {
		uint64_t *rl = (uint64_t *)place(r, 16);

		rl[0] = chance(r, 2) ? 1 << 28 : PICK(r, sizes);
		rl[1] = chance(r, 2) ? ~0ull : PICK(r, sizes);
		return chance(r, 3) ? (uint64_t)rl : 0;
	}
	return pointer(r); /* what comes out: *st, *fds, ... */
}

void make_args(struct rng *r, const char *name, const char *kinds, uint64_t a[6])
{
	char kind[16];
	uint64_t salen = 16;

	for (unsigned i = 0; i < sizeof(better) / sizeof(*better); i++)
		if (!strcmp(better[i].name, name))
			kinds = better[i].args;
	for (int i = 0; i < 6 && *kinds; i++) {
		size_t n = strcspn(kinds, ",");

		snprintf(kind, sizeof(kind), "%.*s", (int)n, kinds);
		a[i] = one_argument(r, kind, name, &salen);
		kinds += n + (kinds[n] == ',');
		if (chance(r, 60))
			a[i] = any_word(r);
	}
	/* Process 1 is the one that watches, and -1 everyone: both would only end the batch. */
	for (int i = 0; i < 2; i++)
		if ((strstr(name, "kill") || !strcmp(name, "ptrace") || strstr(name, "queueinfo") || !strncmp(name, "process_vm", 10) ||
		     !strcmp(name, "prlimit64") || !strncmp(name, "sched_set", 9) || !strcmp(name, "setpriority")) &&
		    ((int)a[i] == 1 || (int)a[i] == -1))
			a[i] = 0;
}

void prepare_memory(void)
{
	self = (uint64_t)getpid();
	parent = getppid() == 1 ? 0 : (uint64_t)getppid();
	arena = mmap(NULL, ARENA + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(arena + ARENA, 65536);
	readonly = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	play = mmap(NULL, PLAY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void prepare_files(void)
{
	int fd = open("f", O_CREAT | O_RDWR, 0666);

	if (fd < 0 || write(fd, paths, sizeof(paths)) < 0 || mkdir("d", 0777) || symlink("d/g", "l") || symlink("loop", "loop") ||
	    mkfifo("fifo", 0666) || close(open("d/g", O_CREAT | O_WRONLY, 0666)) || link("f", "d/h") || close(fd))
		perror("fuzz_syscalls: preparing files");
}

static void sockets(void)
{
	struct sockaddr_in in = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, { 0 } };
	socklen_t len = sizeof(in);
	int sv[2], l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	if (!bind(l, (struct sockaddr *)&in, sizeof(in)) && !listen(l, 3) && !getsockname(l, (struct sockaddr *)&in, &len) &&
	    !connect(c, (struct sockaddr *)&in, sizeof(in)))
		accept4(l, NULL, NULL, SOCK_NONBLOCK);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, sv);
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv);
	socket(AF_INET, SOCK_DGRAM, 0);
	socket(AF_INET6, SOCK_DGRAM, 0);
	socket(AF_INET6, SOCK_STREAM, 0);
	socket(AF_NETLINK, SOCK_RAW, 0);
	socket(AF_UNIX, SOCK_STREAM, 0);
	socket(AF_INET, SOCK_RAW, 1 + (int)(getpid() % 2 ? 0 : 254));
	socket(AF_PACKET, SOCK_RAW, htons(3));
}

void open_files(struct rng *r)
{
	static const char *const names[] = { "f", "d", "fifo", "/proc/self/mem", "/proc/self/maps", "/dev/zero", "/dev/ptmx", "/etc/passwd", "/usr/lib",
					     "/proc", "/proc/self/ns/mnt", "/bin/true", "/dev/full", "/proc/self/fd" };
	int p[2], ep;
	sigset_t set;

	for (int fd = 3 + (int)(rnd(r) % 40), n = 40; n; fd++, n--)
		close(3 + fd % (FDS - 3));
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (open(names[i], O_RDWR | O_NONBLOCK) < 0)
			open(names[i], O_RDONLY | O_NONBLOCK);
	pipe(p);
	pipe2(p, O_NONBLOCK);
	sockets();
	eventfd(0, EFD_NONBLOCK);
	timerfd_create(CLOCK_MONOTONIC, 0);
	sigfillset(&set);
	signalfd(-1, &set, SFD_NONBLOCK);
	ep = epoll_create1(0);
	for (int fd = 3; fd < 20; fd++)
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN | EPOLLOUT | (chance(r, 2) ? EPOLLET : 0) });
	syscall(SYS_inotify_init1, IN_NONBLOCK);
	syscall(SYS_fanotify_init, 3 | (chance(r, 2) ? 4 : chance(r, 2) ? 0x200 : 0), O_RDONLY);
	memfd_create("m", MFD_ALLOW_SEALING);
	syscall(SYS_userfaultfd, O_NONBLOCK);
	syscall(SYS_pidfd_open, getpid(), 0);
	syscall(SYS_io_uring_setup, 8, arena);
	mq_open("/q", O_CREAT | O_RDWR | O_NONBLOCK, 0666, NULL);
}
