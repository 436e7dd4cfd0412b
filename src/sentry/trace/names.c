#include "sentry/trace/names.h"

#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/socket.h>
#include <linux/time.h>
#include <linux/stat.h>

#include "base/string.h"

struct name {
	u64 value;
	const char *text;
};
struct name_set {
	const char *kind;
	u64 enum_mask; /* bits that form one value, not flags; ~0: all of it */
	const struct name *names;
	u32 n;
};
#define N(x) { x, #x }
#define SET(k, mask, list) { k, mask, list, ARRAY_SIZE(list) }

static const struct name open_names[] = {
	N(O_RDONLY),
	N(O_WRONLY),
	N(O_RDWR),
	N(O_CREAT),
	N(O_EXCL),
	N(O_NOCTTY),
	N(O_TRUNC),
	N(O_APPEND),
	N(O_NONBLOCK),
	N(O_SYNC),
	N(O_DSYNC),
	N(O_DIRECT),
	N(O_LARGEFILE),
	N(O_TMPFILE),
	N(O_DIRECTORY),
	N(O_NOFOLLOW),
	N(O_NOATIME),
	N(O_CLOEXEC),
	N(O_PATH),
};

static const struct name prot_names[] = {
	N(PROT_NONE),
	N(PROT_READ),
	N(PROT_WRITE),
	N(PROT_EXEC),
	N(PROT_GROWSDOWN),
	N(PROT_GROWSUP),
};

static const struct name mmap_names[] = {
	N(MAP_SHARED),
	N(MAP_PRIVATE),
	N(MAP_SHARED_VALIDATE),
	N(MAP_FIXED),
	N(MAP_ANONYMOUS),
	N(MAP_GROWSDOWN),
	N(MAP_DENYWRITE),
	N(MAP_EXECUTABLE),
	N(MAP_LOCKED),
	N(MAP_NORESERVE),
	N(MAP_POPULATE),
	N(MAP_NONBLOCK),
	N(MAP_STACK),
	N(MAP_HUGETLB),
	N(MAP_SYNC),
	N(MAP_FIXED_NOREPLACE),
};

static const struct name clone_names[] = {
	N(CLONE_VM),
	N(CLONE_FS),
	N(CLONE_FILES),
	N(CLONE_SIGHAND),
	N(CLONE_PIDFD),
	N(CLONE_PTRACE),
	N(CLONE_VFORK),
	N(CLONE_PARENT),
	N(CLONE_THREAD),
	N(CLONE_NEWNS),
	N(CLONE_SYSVSEM),
	N(CLONE_SETTLS),
	N(CLONE_PARENT_SETTID),
	N(CLONE_CHILD_CLEARTID),
	N(CLONE_DETACHED),
	N(CLONE_UNTRACED),
	N(CLONE_CHILD_SETTID),
	N(CLONE_NEWCGROUP),
	N(CLONE_NEWUTS),
	N(CLONE_NEWIPC),
	N(CLONE_NEWUSER),
	N(CLONE_NEWPID),
	N(CLONE_NEWNET),
	N(CLONE_IO),
	{ 17, "SIGCHLD" },
};

static const struct name whence_names[] = {
	{ 0, "SEEK_SET" },
	{ 1, "SEEK_CUR" },
	{ 2, "SEEK_END" },
	{ 3, "SEEK_DATA" },
	{ 4, "SEEK_HOLE" },
};

static const struct name how_names[] = {
	N(SIG_BLOCK),
	N(SIG_UNBLOCK),
	N(SIG_SETMASK),
};

static const struct name af_names[] = {
	{ 0, "AF_UNSPEC" },
	{ 1, "AF_UNIX" },
	{ 2, "AF_INET" },
	{ 10, "AF_INET6" },
	{ 16, "AF_NETLINK" },
	{ 17, "AF_PACKET" },
	{ 38, "AF_ALG" },
	{ 40, "AF_VSOCK" },
};

static const struct name socktype_names[] = {
	{ 1, "SOCK_STREAM" },
	{ 2, "SOCK_DGRAM" },
	{ 3, "SOCK_RAW" },
	{ 5, "SOCK_SEQPACKET" },
	{ 02000000, "SOCK_CLOEXEC" },
	{ 04000, "SOCK_NONBLOCK" },
};

static const struct name clock_names[] = {
	N(CLOCK_REALTIME),
	N(CLOCK_MONOTONIC),
	N(CLOCK_PROCESS_CPUTIME_ID),
	N(CLOCK_THREAD_CPUTIME_ID),
	N(CLOCK_MONOTONIC_RAW),
	N(CLOCK_REALTIME_COARSE),
	N(CLOCK_MONOTONIC_COARSE),
	N(CLOCK_BOOTTIME),
	N(CLOCK_REALTIME_ALARM),
	N(CLOCK_BOOTTIME_ALARM),
	N(CLOCK_TAI),
};

static const struct name futex_names[] = {
	N(FUTEX_WAIT),
	N(FUTEX_WAKE),
	N(FUTEX_REQUEUE),
	N(FUTEX_CMP_REQUEUE),
	N(FUTEX_WAKE_OP),
	N(FUTEX_LOCK_PI),
	N(FUTEX_UNLOCK_PI),
	N(FUTEX_TRYLOCK_PI),
	N(FUTEX_WAIT_BITSET),
	N(FUTEX_WAKE_BITSET),
	N(FUTEX_WAIT_REQUEUE_PI),
	N(FUTEX_CMP_REQUEUE_PI),
	N(FUTEX_LOCK_PI2),
	N(FUTEX_PRIVATE_FLAG),
	N(FUTEX_CLOCK_REALTIME),
};

static const struct name fcntl_names[] = {
	N(F_DUPFD),
	N(F_GETFD),
	N(F_SETFD),
	N(F_GETFL),
	N(F_SETFL),
	N(F_GETLK),
	N(F_SETLK),
	N(F_SETLKW),
	N(F_SETOWN),
	N(F_GETOWN),
	N(F_SETSIG),
	N(F_GETSIG),
	N(F_SETOWN_EX),
	N(F_GETOWN_EX),
	N(F_OFD_GETLK),
	N(F_OFD_SETLK),
	N(F_OFD_SETLKW),
	N(F_SETLEASE),
	N(F_GETLEASE),
	N(F_NOTIFY),
	N(F_DUPFD_CLOEXEC),
	N(F_SETPIPE_SZ),
	N(F_GETPIPE_SZ),
	N(F_ADD_SEALS),
	N(F_GET_SEALS),
};

static const struct name ioctl_names[] = {
	N(TCGETS),
	N(TCSETS),
	N(TCSETSW),
	N(TCSETSF),
	N(TIOCGPGRP),
	N(TIOCSPGRP),
	N(TIOCGWINSZ),
	N(TIOCSWINSZ),
	N(FIONREAD),
	N(FIONBIO),
	N(FIOCLEX),
	N(FIONCLEX),
	N(TIOCSCTTY),
	N(TIOCNOTTY),
	N(TIOCGSID),
	N(TIOCGPTN),
	N(TIOCSPTLCK),
	N(TIOCGPTPEER),
	N(TCXONC),
	N(TCFLSH),
	N(FIOASYNC),
};

static const struct name rlimit_names[] = {
	N(RLIMIT_CPU),
	N(RLIMIT_FSIZE),
	N(RLIMIT_DATA),
	N(RLIMIT_STACK),
	N(RLIMIT_CORE),
	N(RLIMIT_RSS),
	N(RLIMIT_NPROC),
	N(RLIMIT_NOFILE),
	N(RLIMIT_MEMLOCK),
	N(RLIMIT_AS),
	N(RLIMIT_LOCKS),
	N(RLIMIT_SIGPENDING),
	N(RLIMIT_MSGQUEUE),
	N(RLIMIT_NICE),
	N(RLIMIT_RTPRIO),
	N(RLIMIT_RTTIME),
};

static const struct name_set sets[] = {
	SET("O", 3, open_names),	 SET("prot", 0, prot_names),   SET("mmap", 3, mmap_names),
	SET("clone", 0xff, clone_names), SET("whence", ~0ull, whence_names), SET("how", ~0ull, how_names),
	SET("af", ~0ull, af_names),	 SET("socktype", 0xf, socktype_names), SET("clk", ~0ull, clock_names),
	SET("futex", 0x7f, futex_names), SET("fcntl", ~0ull, fcntl_names), SET("ioctl", ~0ull, ioctl_names),
	SET("rlim", ~0ull, rlimit_names),
};

const struct name_set *name_set_for(const char *kind)
{
	for (u32 i = 0; i < ARRAY_SIZE(sets); i++) {
		size_t n = strlen(sets[i].kind);

		if (!kstrncmp(kind, sets[i].kind, n) && (!kind[n] || kind[n] == ','))
			return &sets[i];
	}
	return NULL;
}

static const char *find(const struct name_set *set, u64 v, u64 mask)
{
	for (u32 i = 0; i < set->n; i++)
		if (set->names[i].value == v && !(v & ~mask))
			return set->names[i].text;
	return NULL;
}

const char *name_value(const struct name_set *set, u64 v, char *buf, size_t size)
{
	const char *text = set->enum_mask || !v ? find(set, v & set->enum_mask, set->enum_mask) : NULL;
	u64 rest = v & ~set->enum_mask;
	size_t n = 0;

	if (!set->enum_mask && !v)
		text = find(set, 0, 0);
	if (text)
		n = (size_t)kscnprintf(buf, size, "%s", text);
	else if (v & set->enum_mask)
		n = (size_t)kscnprintf(buf, size, "0x%lx", v & set->enum_mask);
	for (u32 i = 0; i < set->n && rest; i++) {
		u64 bit = set->names[i].value;

		if (!bit || (bit & set->enum_mask) || (rest & bit) != bit)
			continue;
		n += (size_t)kscnprintf(buf + n, size - n, "%s%s", n ? "|" : "", set->names[i].text);
		rest &= ~bit;
	}
	if (rest || !n)
		kscnprintf(buf + n, size - n, rest ? "%s0x%lx" : "%s0", n ? "|" : "", rest);
	return buf;
}

const char *signal_name(int sig)
{
	static const char *const names[] = {
		NULL, "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS"
	};

	return sig > 0 && sig < (int)ARRAY_SIZE(names) ? names[sig] : NULL;
}

const char *errno_name(int err)
{
	static const char *const names[] = {
		[EPERM] = "EPERM (Operation not permitted)",
		[ENOENT] = "ENOENT (No such file or directory)",
		[ESRCH] = "ESRCH (No such process)",
		[EINTR] = "EINTR (Interrupted system call)",
		[EIO] = "EIO (Input/output error)",
		[ENXIO] = "ENXIO (No such device or address)",
		[E2BIG] = "E2BIG (Argument list too long)",
		[ENOEXEC] = "ENOEXEC (Exec format error)",
		[EBADF] = "EBADF (Bad file descriptor)",
		[ECHILD] = "ECHILD (No child processes)",
		[EAGAIN] = "EAGAIN (Resource temporarily unavailable)",
		[ENOMEM] = "ENOMEM (Cannot allocate memory)",
		[EACCES] = "EACCES (Permission denied)",
		[EFAULT] = "EFAULT (Bad address)",
		[ENOTBLK] = "ENOTBLK (Block device required)",
		[EBUSY] = "EBUSY (Device or resource busy)",
		[EEXIST] = "EEXIST (File exists)",
		[EXDEV] = "EXDEV (Invalid cross-device link)",
		[ENODEV] = "ENODEV (No such device)",
		[ENOTDIR] = "ENOTDIR (Not a directory)",
		[EISDIR] = "EISDIR (Is a directory)",
		[EINVAL] = "EINVAL (Invalid argument)",
		[ENFILE] = "ENFILE (Too many open files in system)",
		[EMFILE] = "EMFILE (Too many open files)",
		[ENOTTY] = "ENOTTY (Inappropriate ioctl for device)",
		[ETXTBSY] = "ETXTBSY (Text file busy)",
		[EFBIG] = "EFBIG (File too large)",
		[ENOSPC] = "ENOSPC (No space left on device)",
		[ESPIPE] = "ESPIPE (Illegal seek)",
		[EROFS] = "EROFS (Read-only file system)",
		[EMLINK] = "EMLINK (Too many links)",
		[EPIPE] = "EPIPE (Broken pipe)",
		[EDOM] = "EDOM (Numerical argument out of domain)",
		[ERANGE] = "ERANGE (Numerical result out of range)",
		[EDEADLK] = "EDEADLK (Resource deadlock avoided)",
		[ENAMETOOLONG] = "ENAMETOOLONG (File name too long)",
		[ENOLCK] = "ENOLCK (No locks available)",
		[ENOSYS] = "ENOSYS (Function not implemented)",
		[ENOTEMPTY] = "ENOTEMPTY (Directory not empty)",
		[ELOOP] = "ELOOP (Too many levels of symbolic links)",
		[ENOMSG] = "ENOMSG (No message of desired type)",
		[EIDRM] = "EIDRM (Identifier removed)",
		[ECHRNG] = "ECHRNG (Channel number out of range)",
		[EL2NSYNC] = "EL2NSYNC (Level 2 not synchronized)",
		[EL3HLT] = "EL3HLT (Level 3 halted)",
		[EL3RST] = "EL3RST (Level 3 reset)",
		[ELNRNG] = "ELNRNG (Link number out of range)",
		[EUNATCH] = "EUNATCH (Protocol driver not attached)",
		[ENOCSI] = "ENOCSI (No CSI structure available)",
		[EL2HLT] = "EL2HLT (Level 2 halted)",
		[EBADE] = "EBADE (Invalid exchange)",
		[EBADR] = "EBADR (Invalid request descriptor)",
		[EXFULL] = "EXFULL (Exchange full)",
		[ENOANO] = "ENOANO (No anode)",
		[EBADRQC] = "EBADRQC (Invalid request code)",
		[EBADSLT] = "EBADSLT (Invalid slot)",
		[EBFONT] = "EBFONT (Bad font file format)",
		[ENOSTR] = "ENOSTR (Device not a stream)",
		[ENODATA] = "ENODATA (No data available)",
		[ETIME] = "ETIME (Timer expired)",
		[ENOSR] = "ENOSR (Out of streams resources)",
		[ENONET] = "ENONET (Machine is not on the network)",
		[ENOPKG] = "ENOPKG (Package not installed)",
		[EREMOTE] = "EREMOTE (Object is remote)",
		[ENOLINK] = "ENOLINK (Link has been severed)",
		[EADV] = "EADV (Advertise error)",
		[ESRMNT] = "ESRMNT (Srmount error)",
		[ECOMM] = "ECOMM (Communication error on send)",
		[EPROTO] = "EPROTO (Protocol error)",
		[EMULTIHOP] = "EMULTIHOP (Multihop attempted)",
		[EDOTDOT] = "EDOTDOT (RFS specific error)",
		[EBADMSG] = "EBADMSG (Bad message)",
		[EOVERFLOW] = "EOVERFLOW (Value too large for defined data type)",
		[ENOTUNIQ] = "ENOTUNIQ (Name not unique on network)",
		[EBADFD] = "EBADFD (File descriptor in bad state)",
		[EREMCHG] = "EREMCHG (Remote address changed)",
		[ELIBACC] = "ELIBACC (Can not access a needed shared library)",
		[ELIBBAD] = "ELIBBAD (Accessing a corrupted shared library)",
		[ELIBSCN] = "ELIBSCN (.lib section in a.out corrupted)",
		[ELIBMAX] = "ELIBMAX (Attempting to link in too many shared libraries)",
		[ELIBEXEC] = "ELIBEXEC (Cannot exec a shared library directly)",
		[EILSEQ] = "EILSEQ (Invalid or incomplete multibyte or wide character)",
		[ERESTART] = "ERESTART (Interrupted system call should be restarted)",
		[ESTRPIPE] = "ESTRPIPE (Streams pipe error)",
		[EUSERS] = "EUSERS (Too many users)",
		[ENOTSOCK] = "ENOTSOCK (Socket operation on non-socket)",
		[EDESTADDRREQ] = "EDESTADDRREQ (Destination address required)",
		[EMSGSIZE] = "EMSGSIZE (Message too long)",
		[EPROTOTYPE] = "EPROTOTYPE (Protocol wrong type for socket)",
		[ENOPROTOOPT] = "ENOPROTOOPT (Protocol not available)",
		[EPROTONOSUPPORT] = "EPROTONOSUPPORT (Protocol not supported)",
		[ESOCKTNOSUPPORT] = "ESOCKTNOSUPPORT (Socket type not supported)",
		[EOPNOTSUPP] = "EOPNOTSUPP (Operation not supported)",
		[EPFNOSUPPORT] = "EPFNOSUPPORT (Protocol family not supported)",
		[EAFNOSUPPORT] = "EAFNOSUPPORT (Address family not supported by protocol)",
		[EADDRINUSE] = "EADDRINUSE (Address already in use)",
		[EADDRNOTAVAIL] = "EADDRNOTAVAIL (Cannot assign requested address)",
		[ENETDOWN] = "ENETDOWN (Network is down)",
		[ENETUNREACH] = "ENETUNREACH (Network is unreachable)",
		[ENETRESET] = "ENETRESET (Network dropped connection on reset)",
		[ECONNABORTED] = "ECONNABORTED (Software caused connection abort)",
		[ECONNRESET] = "ECONNRESET (Connection reset by peer)",
		[ENOBUFS] = "ENOBUFS (No buffer space available)",
		[EISCONN] = "EISCONN (Transport endpoint is already connected)",
		[ENOTCONN] = "ENOTCONN (Transport endpoint is not connected)",
		[ESHUTDOWN] = "ESHUTDOWN (Cannot send after transport endpoint shutdown)",
		[ETOOMANYREFS] = "ETOOMANYREFS (Too many references: cannot splice)",
		[ETIMEDOUT] = "ETIMEDOUT (Connection timed out)",
		[ECONNREFUSED] = "ECONNREFUSED (Connection refused)",
		[EHOSTDOWN] = "EHOSTDOWN (Host is down)",
		[EHOSTUNREACH] = "EHOSTUNREACH (No route to host)",
		[EALREADY] = "EALREADY (Operation already in progress)",
		[EINPROGRESS] = "EINPROGRESS (Operation now in progress)",
		[ESTALE] = "ESTALE (Stale file handle)",
		[EUCLEAN] = "EUCLEAN (Structure needs cleaning)",
		[ENOTNAM] = "ENOTNAM (Not a XENIX named type file)",
		[ENAVAIL] = "ENAVAIL (No XENIX semaphores available)",
		[EISNAM] = "EISNAM (Is a named type file)",
		[EREMOTEIO] = "EREMOTEIO (Remote I/O error)",
		[EDQUOT] = "EDQUOT (Disk quota exceeded)",
		[ENOMEDIUM] = "ENOMEDIUM (No medium found)",
		[EMEDIUMTYPE] = "EMEDIUMTYPE (Wrong medium type)",
		[ECANCELED] = "ECANCELED (Operation canceled)",
		[ENOKEY] = "ENOKEY (Required key not available)",
		[EKEYEXPIRED] = "EKEYEXPIRED (Key has expired)",
		[EKEYREVOKED] = "EKEYREVOKED (Key has been revoked)",
		[EKEYREJECTED] = "EKEYREJECTED (Key was rejected by service)",
		[EOWNERDEAD] = "EOWNERDEAD (Owner died)",
		[ENOTRECOVERABLE] = "ENOTRECOVERABLE (State not recoverable)",
		[ERFKILL] = "ERFKILL (Operation not possible due to RF-kill)",
		[EHWPOISON] = "EHWPOISON (Memory page has hardware error)",
	};

	return err > 0 && err < (int)ARRAY_SIZE(names) ? names[err] : NULL;
}

int errno_words(int err, char *buf, size_t size)
{
	const char *name = errno_name(err), *words = name ? kstrchr(name, '(') : NULL;
	int n;

	if (!words)
		return kscnprintf(buf, size, "error %d", err);
	n = kscnprintf(buf, size, "%.*s", (int)strlen(words + 1) - 1, words + 1);
	if (n > 0 && buf[0] >= 'A' && buf[0] <= 'Z')
		buf[0] = (char)(buf[0] | 0x20);
	return n;
}

const char *file_type_name(u32 mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "S_IFREG";
	case S_IFDIR:
		return "S_IFDIR";
	case S_IFLNK:
		return "S_IFLNK";
	case S_IFCHR:
		return "S_IFCHR";
	case S_IFBLK:
		return "S_IFBLK";
	case S_IFIFO:
		return "S_IFIFO";
	case S_IFSOCK:
		return "S_IFSOCK";
	default:
		return "0";
	}
}
