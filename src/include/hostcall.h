/*
 * Interface 2: hostcalls, the security boundary between the sentry and the host side.
 *
 * A call is a number and a fixed request structure. Memory is named by offset into the sandbox memory file and a
 * length, files by handle: the host side never follows a sentry pointer. The host side copies the request once
 * into its own memory and checks every member as hostile. Results are >= 0, or -errno.
 * Under KVM a call is one port exit (the request lies in the vCPU's comm page); under ptrace a function call.
 *
 * docs/hostcalls.md says for each call what is checked and which errors it gives.
 */
#ifndef INCLUDE_HOSTCALL_H
#define INCLUDE_HOSTCALL_H

#include "base/types.h"

#define HOSTCALL_ABI 1

enum hostcall_nr {
	HC_LOG,		/* struct hc_mem: text without newline */
	HC_EXIT,	/* struct hc_exit */
	HC_PREAD,	/* struct hc_rw */
	HC_PWRITE,	/* struct hc_rw */
	HC_PREADV,	/* struct hc_rwv: one file range into scattered memory */
	HC_PWRITEV,	/* struct hc_rwv */
	HC_SUBMIT,	/* struct hc_submit: the same asynchronously, and polls; completes in the event ring */
	HC_CANCEL,	/* struct hc_cancel */
	HC_FTRUNCATE,	/* struct hc_file2: handle, size */
	HC_FALLOCATE,	/* struct hc_file4: handle, mode, offset, length */
	HC_FSYNC,	/* struct hc_file2: handle, 1 = data only */
	HC_FSIZE,	/* struct hc_file2: -> current size */
	HC_CLOSE,	/* struct hc_file2: handle */
	HC_GOFER,	/* struct hc_gofer: one request and its reply */
	HC_MEM_RELEASE, /* struct hc_mem: give pages back to the host; they read as zero afterwards */
	HC_CPU_WAIT,	/* struct hc_wait: sleep until kicked, an event, or the deadline */
	HC_CPU_KICK,	/* struct hc_kick */
	HC_TIMER_SET,	/* struct hc_wait: kick the calling vCPU at this time (replaces the earlier one) */
	HC_YIELD,	/* no request: give the time slice away */
	HC_RANDOM,	/* struct hc_mem: fill with random bytes */
	HC_TTY_IOCTL,	/* struct hc_tty */
	HC_CLOCK,	/* no request: refresh the clock page now */
	HC_FPU_GET,	/* struct hc_mem (KVM with emulated ring 0): XSAVE area of the calling vCPU */
	HC_FPU_SET,	/* struct hc_mem */
	HC_SPAWN_TAKE,	/* struct hc_spawn_take: a part of the request that HC_EV_SPAWN told of */
	HC_SPAWN_SAY,	/* struct hc_spawn_say: what became of it */
	HC_WINDOW_OPEN,	 /* struct hc_file2: handle of a file to be shown in the file window -> its number there */
	HC_WINDOW_CLOSE, /* struct hc_file2: arg = the number; blocks that show it stay */
	HC_WINDOW_MAP,	 /* struct hc_window: show a part of the file in a block of the window */
	HC_WINDOW_UNMAP, /* struct hc_mem: show nothing there */
	HC_WINDOW_FETCH, /* struct hc_window_fetch: have pages of one block read in */
	/* Host sockets (include/hostcall_net.h): only where the sandbox has the host's network. */
	HC_SOCK_OPEN,	 /* struct hc_sock_open -> handle */
	HC_SOCK_NAME,	 /* struct hc_sock_name: bind, connect, and the names of both ends */
	HC_SOCK_LISTEN,	 /* struct hc_file2: handle, backlog */
	HC_SOCK_ACCEPT,	 /* struct hc_sock_name -> handle */
	HC_SOCK_SEND,	 /* struct hc_sock_msg -> bytes */
	HC_SOCK_RECV,	 /* struct hc_sock_msg -> bytes */
	HC_SOCK_SHUTDOWN, /* struct hc_file2: handle, SHUT_* */
	HC_SOCK_OPT,	 /* struct hc_sock_opt -> length */
	HC_SOCK_COUNT,	 /* struct hc_file2: handle, enum hc_sock_count -> bytes */
	HC_SOCK_POLL,	 /* struct hc_file2: handle, HC_ARM_* -> POLL* */
	HC_NET_ASK,	 /* struct hc_net_ask -> bytes of netlink messages */
	HC_NET_FILE,	 /* struct hc_net_file_read -> bytes */
	HC_NR
};

typedef u32 hc_handle; /* index in the host side's handle table; HC_NO_HANDLE: none */
#define HC_NO_HANDLE 0xffffffffu

struct hc_mem {
	u64 off, len;
};
struct hc_exit {
	u32 status;  /* exit status of the sandbox command: 0..255 */
	u32 signal;  /* nonzero: died of this signal */
	u32 panic;   /* nonzero: the sentry gave up; the last HC_LOG line says why */
	u32 oom;     /* nonzero: it was killed for want of memory */
	u64 stats_off, stats_len; /* final --stats text to print, may be 0 */
};
struct hc_rw {
	hc_handle handle;
	u32 flags; /* HC_RW_* */
	u64 pos;   /* file offset; ~0ull: the stream position (pipes, terminals) */
	u64 off;   /* sandbox memory */
	u64 len;   /* <= HC_RW_MAX */
};
#define HC_RW_NOWAIT 1u /* -EAGAIN instead of waiting for the disk or a peer */
#define HC_RW_APPEND 2u
#define HC_RW_MAX (16u << 20)
#define HC_SEGS_MAX 64
struct hc_seg {
	u64 off, len;
};
struct hc_rwv {
	hc_handle handle;
	u32 flags;
	u64 pos;
	u32 nsegs; /* <= HC_SEGS_MAX */
	u32 pad;
	struct hc_seg segs[HC_SEGS_MAX];
};
enum hc_submit_op { HC_OP_READ, HC_OP_WRITE, HC_OP_READV, HC_OP_WRITEV, HC_OP_FSYNC, HC_OP_POLL };
struct hc_submit {
	u32 op;
	u32 poll_events; /* HC_OP_POLL: one-shot poll mask, EPOLL* bits */
	u64 cookie;	 /* comes back in the event */
	struct hc_rwv io;
};
struct hc_cancel {
	u64 cookie;
};
struct hc_file2 {
	hc_handle handle;
	u32 pad;
	u64 arg;
};
struct hc_file4 {
	hc_handle handle;
	u32 mode;
	u64 off, len;
};
/* A gofer message (include/gofer.h) lies at [req_off, +req_len); the reply is written at [rep_off, +rep_cap).
 * A descriptor that comes with the reply becomes a handle, returned in *handle of this request structure
 * (written back on return); `want_fd` 0 refuses one. Result: bytes of the reply. */
struct hc_gofer {
	u64 req_off, req_len;
	u64 rep_off, rep_cap;
	hc_handle handle; /* out */
	u32 pad;
};
struct hc_wait {
	u32 cpu;
	u32 pad;
	u64 deadline_ns; /* absolute CLOCK_MONOTONIC; ~0ull: none */
};
struct hc_kick {
	u32 cpu;
	u32 pad;
};
enum hc_tty_op { HC_TTY_GETS, HC_TTY_SETS, HC_TTY_SETSW, HC_TTY_SETSF, HC_TTY_GETWINSZ, HC_TTY_SETWINSZ, HC_TTY_INQ };
struct hc_tty {
	hc_handle handle;
	u32 op;	    /* enum hc_tty_op */
	u8 data[64]; /* struct termios (kernel's, 36 bytes) or struct winsize, in or out */
};

/* A standard file of a program: a handle and what the host says of it. */
enum hc_stdio_kind { STDIO_CLOSED, STDIO_FILE, STDIO_PIPE, STDIO_TTY, STDIO_SOCKET, STDIO_CHAR };
struct hc_stdio {
	hc_handle handle; /* HC_NO_HANDLE: closed */
	u32 kind;	  /* enum hc_stdio_kind */
	u32 flags;	  /* O_ACCMODE and O_NONBLOCK, O_APPEND as found */
	u32 mode;	  /* st_mode */
};

/* How a program is scheduled: sched(7), ioprio_set(2). All 0: as any. */
struct hc_scheduling {
	s32 policy, nice, rt_prio;
	u32 reset_on_fork;
	s32 ioprio;
	u32 pad;
};

/* A further program, started from outside in a running sandbox. `data`: groups (u32), then NUL-terminated strings: the
 * file to execute, the working directory, arguments, environment. */
#define SPAWN_MAX (128u << 10) /* bytes of a whole request */
struct hc_spawn {
	u32 uid, gid, umask;
	u32 no_new_privs;
	u32 ngroups, argc, envc;
	s32 oom_score_adj;
	u64 caps[5]; /* as in boot_params */
	u64 rlimits[16][2];
	struct hc_scheduling scheduling;
	struct hc_stdio stdio[3];
	u8 data[];
};
struct hc_spawn_take {
	u32 id;
	u32 pad;
	u64 off, len; /* sandbox memory; len: the request's whole length */
};
enum hc_spawn_state { SPAWN_STARTED, SPAWN_FAILED /* value: errno */, SPAWN_EXITED /* value: status */, SPAWN_SIGNALED /* value: signal */,
		      SPAWN_NO_CWD /* failed so, at its working directory; value: errno */,
		      SPAWN_ANSWERED /* no program: what was asked is done; value: 0 or errno */,
		      SPAWN_READY /* id 0: the first program, which is held, only awaits HC_ASK_START */ };
/* What can be asked of a running sandbox. The value: */
enum hc_ask { HC_ASK_SIGNAL_ALL /* a signal for every process */, HC_ASK_STACKS, HC_ASK_LOG_LEVEL /* as in boot_params */, HC_ASK_STRACE /* 0 or 1 */,
	      HC_ASK_START /* the first program, which was held: answered when it runs, or with why it does not */ };
struct hc_spawn_say {
	u32 id;
	u32 state; /* enum hc_spawn_state */
	u32 value;
	u32 pad;
};

/* The file window (sentry/mm/window.h): it follows sandbox memory, in blocks of this size. */
#define HC_WINDOW_BLOCK (1ul << 20)
#define WINDOW_BLOCK_PAGES 256u
#define HC_WINDOW_MAX (16ul << 30)
struct hc_window {
	u32 file; /* from HC_WINDOW_OPEN */
	u32 pad;
	u64 pos; /* in the file: a multiple of the block size */
	u64 off; /* of the block, as memory is named */
};
struct hc_window_fetch {
	u64 off, len; /* whole pages of one block */
	u32 nowait;   /* -EAGAIN instead of waiting for the disk */
	u32 pad;
};

/*
 * Every request is passed by pointer; under KVM the platform glue copies it to and from the comm page.
 * `len` is sizeof(*req). May block the vCPU for calls that say so. Defined by the platform glue.
 */
s64 hostcall(u32 nr, void *req, size_t len);

/* ---- shared pages, read by the sentry, written by the host side (and the other way where it says so) ---- */

/* Completions and asynchronous happenings. Producer: the host's event thread. Consumer: any vCPU under one lock.
 * The producer never has more than HC_RING_SIZE events outstanding (HC_SUBMIT gives -EBUSY before that). */
#define HC_RING_SIZE 4096
enum hc_event_kind { HC_EV_COMPLETION, HC_EV_SIGNAL /* result: the number; cookie 1: for process 1, 0: for the foreground job */, HC_EV_WINCH,
		     HC_EV_SPAWN /* cookie: id, result: length */,
		     HC_EV_SPAWN_SIGNAL /* cookie: id, bit 32: for its foreground job; result: number */,
		     HC_EV_ASK /* cookie: id, enum hc_ask << 32; result: value, handle of a stream for the answer's text << 32 */,
		     HC_EV_SOCKET /* cookie: handle of a host socket that was armed, result: POLL* */ };
struct hc_event {
	u32 kind;
	u32 pad;
	u64 cookie;
	s64 result; /* bytes, poll mask, or -errno */
	u64 pad2;
};
struct hc_event_ring {
	_Atomic u32 head; /* written by the consumer */
	u32 pad0[15];
	_Atomic u32 tail; /* written by the producer */
	u32 pad1[15];
	struct hc_event ev[HC_RING_SIZE];
};

/* Mapped read-only into every application as part of the vDSO: a clock without a call. A sequence lock: odd while written.
 * ns = base_ns + ((tsc - base_tsc) * mult >> shift), 128-bit product. */
struct clock_page {
	_Atomic u32 seq;
	u32 shift;
	u64 mult;
	u64 base_tsc; /* in the TSC that rdtsc gives inside (guest TSC on KVM) */
	u64 mono_ns;  /* CLOCK_MONOTONIC at base_tsc */
	u64 real_ns;  /* CLOCK_REALTIME at base_tsc */
	u64 boot_ns;  /* CLOCK_BOOTTIME at base_tsc */
	s64 tai_offset_s;
	u64 tsc_hz;
};

/*
 * Physical layout of sandbox memory, all offsets into the memory file:
 *   0                 boot_params (BOOT_PARAMS_SIZE)
 *   CLOCK_PAGE_PA     struct clock_page, one page
 *   EVENT_RING_PA     struct hc_event_ring
 *   COMM_PA           one 4 KiB comm page a vCPU (hostcall requests under KVM; platform's kick word)
 *   first_free_pa     the sentry image (KVM) lies before this; from here on frames are the sentry's to allocate
 */
#define MAX_CPUS 64
#define BOOT_PARAMS_PA 0x0ul
#define BOOT_PARAMS_SIZE 0x300000ul /* 3 MiB: the header page, then the argument strings */
#define CLOCK_PAGE_PA 0x300000ul
#define EVENT_RING_PA 0x301000ul
#define COMM_PA 0x340000ul
#define LAYOUT_END_PA 0x400000ul
_Static_assert(sizeof(struct hc_event_ring) <= COMM_PA - EVENT_RING_PA, "event ring too large");

/* What the host limits the sandbox to, for programs that ask; 0: no limit (of a period or weight: the default). */
struct boot_limits {
	u64 memory_max; /* bytes */
	u64 cpu_quota_us, cpu_period_us, cpu_weight;
	u64 pids_max;
};
#define BOOT_MAGIC 0x632d637372756e72ull
/* Written by the host side before the first vCPU starts; constant afterwards. Strings are NUL-terminated,
 * at offsets into sandbox memory, inside [0, BOOT_PARAMS_SIZE). */
struct boot_params {
	u64 magic;
	u32 abi;
	u32 ncpus;
	u64 mem_size;	   /* bytes of sandbox memory, sparse */
	u64 first_free_pa; /* page aligned */
	u64 window_size;   /* bytes of the file window, which begins at mem_size; 0: none */
	u64 boot_mono_ns;  /* when the sandbox command was started: CLOCK_MONOTONIC */
	struct hc_stdio stdio[3];
	u32 log_level;
	u32 strace;	   /* 1: trace every system call to the log (or stderr) */
	u32 stats;	   /* 1: gather and print at exit */
	u32 uid, gid;
	u32 umask;
	u32 argc, envc;
	u64 argv_off; /* u64[argc] of string offsets */
	u64 envp_off;
	u64 exe_off;	  /* program to start, as the user wrote it; searched in PATH when it has no slash */
	u64 cwd_off;
	u64 hostname_off;
	u32 nmounts;	  /* in their order; entry 0 is the root */
	u32 own_pid_namespace; /* 1: the first process is the init of a container's, which pid_namespaces(7) protects */
	u64 mounts_off;	  /* struct boot_mount[nmounts] */
	u64 host_mem_total; /* for /proc/meminfo: what the sandbox may use */
	u64 machine_memory; /* of a container, which may be limited to less: a mapping that is larger than that is refused */
	struct boot_limits limits;
	u64 cpu_khz;
	char cpu_model[64];
	u8 random[64]; /* seed of the sentry's generator */
	u64 rlimits[16][2];
	struct hc_scheduling scheduling; /* of the first process */
	u64 aux_hwcap, aux_hwcap2;
	u64 caps[5]; /* of the first process: bounding, effective, inheritable, permitted, ambient */
	u32 no_new_privs;
	u32 ngroups;
	u64 groups_off; /* u32[ngroups]: supplementary groups */
	u64 domainname_off;
	u64 seccomp_off; /* struct sock_filter[seccomp_len]: of every program that is started from outside */
	u32 seccomp_len; /* 0: none */
	u32 contained;	 /* 1: of a container */
	u32 held;	 /* 1: the first program waits for HC_ASK_START */
	u32 host_network; /* 1: the sockets of the first network namespace are the host's */
	u32 nsettings;
	u32 ndevices;
	s32 oom_score_adj;	/* of the first process */
	u64 devices_off;	/* struct boot_device[ndevices] */
	u64 settings_off; /* struct boot_setting[nsettings] */
	u64 host_files; /* descriptors that the sandbox process may have, and the gofer */
	u64 ignored_signals; /* bit n-1: the command was started with signal n ignored, so the program is too */
	char cpu_flags[2048]; /* "flags" line of /proc/cpuinfo */
	char cpu_vendor[16];
	u32 cpu_family, cpu_model_id, cpu_stepping, cpu_cache_kb;
};
enum boot_mount_kind { BOOT_MOUNT_GOFER, BOOT_MOUNT_TMPFS, BOOT_MOUNT_PROC, BOOT_MOUNT_SYSFS, BOOT_MOUNT_DEV, BOOT_MOUNT_DEVPTS,
		       BOOT_MOUNT_MQUEUE,
		       BOOT_MOUNT_CGROUP,
		       BOOT_MOUNT_MASK,	    /* no file system: what is at the target is hidden, by nothing; done if it is there */
		       BOOT_MOUNT_READONLY, /* likewise: what is at the target cannot be written by that way */ };
struct boot_device { /* a device node that config.json asks for */
	u64 path_off;
	u32 mode; /* S_IFCHR, S_IFBLK or S_IFIFO, and permissions */
	u32 major, minor, uid, gid, pad;
};
struct boot_setting {
	u32 setting; /* its place in sysctl.def */
	u32 pad;
	u64 numbers[4];
};
struct boot_mount {
	u64 source_off; /* what /proc/mounts shows for it */
	u64 target_off; /* absolute path in the sandbox; what is missing of it is made */
	u64 options_off; /* as mount(2) takes them */
	u32 kind;
	u32 flags; /* MS_* of mount(2) */
	u32 gofer_tree; /* number of the gofer's tree */
	u32 overlay; /* 1: an in-memory overlay above it */
	u32 is_file; /* 1: the tree is one file that is no directory */
	u32 pad;
};

#endif
