/*
 * The command line that containerd calls: "start" makes the shim of a container, or finds that of its pod, and says
 * where it listens; "delete" cleans up after one that is gone. The working directory is the bundle.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/command.h"
#include "shim/container.h"
#include "shim/loop.h"
#include "shim/setup.h"
#include "shim/ttrpc.h"
#include "version.h"

#define SOCKETS "/run/containerd/s"
#define UNIX "unix://"
#define SMALL_FILE_MAX (4u << 20)

struct shim shim;
static char *socket_path;

/* ---- what the others need ---- */

void say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, SHIM_NAME ": %s\n", line);
}

void die(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, SHIM_NAME ": %s\n", line);
	exit(1);
}

void *must(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

char *text(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return must(s);
}

char *copy_of(const char *s)
{
	return must(strdup(s));
}

char *read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t n = 0, size = 0;
	char *s = NULL;
	ssize_t got = 0;

	if (fd < 0)
		return NULL;
	do {
		n += (size_t)got;
		if (n + 1 >= size) {
			size = size * 2 + 4096;
			s = must(realloc(s, size));
		}
		got = n < SMALL_FILE_MAX ? read(fd, s + n, size - n - 1) : 0;
	} while (got > 0);
	s[n] = '\0';
	close(fd);
	return s;
}

bool write_text(const char *path, const char *s, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, s, n) == (ssize_t)n;
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return ok;
}

/* ---- the shim itself ---- */

static void reap(struct watch *w, u32 events)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(w->fd, &info, sizeof(info)) ==
	       sizeof(info)) /* SIGTERM and SIGINT are left out: containerd says Shutdown */
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!command_ended(pid, status))
			process_reaped(pid, status);
}

/* containerd reads a FIFO of the bundle, if it made one, into its own log. */
static void open_log(void)
{
	int fd = open("log", O_WRONLY | O_NONBLOCK | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(fd >= 0 ? fd : null, STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	close(null);
}

static __noreturn void serve(int listener)
{
	static struct watch signals;
	sigset_t set;

	setsid();
	open_log();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	loop_init();
	watch_add(&signals, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), EPOLLIN, reap);
	ttrpc_serve(listener, task_call);
	loop_run();
	unlink(socket_path);
	exit(0);
}

/* ---- start ---- */

static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path) || fd < 0)
		return -1;
	strcpy(a.sun_path, path);
	if (connect(fd, (void *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The address of the pod's shim, if that is there. */
static char *address_of_group(void)
{
	char *group = setup_group("."), *path, *address = NULL;
	int fd = -1;

	if (!group || !strcmp(group, shim.id)) {
		free(group);
		return NULL;
	}
	path = text("../%s/address", group);
	address = read_text(path);
	if (address && !strncmp(address, UNIX, strlen(UNIX)))
		fd = connect_to(address + strlen(UNIX));
	if (fd < 0) {
		free(address);
		address = NULL;
	} else {
		close(fd);
	}
	free(path);
	free(group);
	return address;
}

static int make_listener(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	u64 random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		die("getrandom: %m");
	mkdir("/run/containerd", 0711);
	mkdir(SOCKETS, 0711);
	socket_path = text(SOCKETS "/%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
	strcpy(a.sun_path, socket_path);
	umask(0077);
	if (fd < 0 || bind(fd, (void *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0)
		die("%s: %m", socket_path);
	umask(0022);
	return fd;
}

static void announce(const char *address)
{
	if (!write_text(".address", address, strlen(address)) || rename(".address", "address") < 0)
		die("address: %m");
	printf("%s", address);
	fflush(stdout);
}

static int start(void)
{
	char *address = address_of_group();
	int fd;

	if (address) {
		announce(address);
		free(address);
		return 0;
	}
	fd = make_listener();
	switch (fork()) {
	case -1:
		die("fork: %m");
	case 0:
		serve(fd);
	default:
		address = text(UNIX "%s", socket_path);
	}
	announce(address);
	free(address);
	free(socket_path);
	return 0;
}

/* ---- delete ---- */

/* Its container is gone, or about to be: nobody reaped it. */
static int delete (const char *bundle)
{
	const char *const args[] = {"delete", "--force", shim.id, NULL};
	struct container *c = container_new(shim.id, bundle);
	DeleteResponse r = DELETE_RESPONSE__INIT;
	Timestamp at = TIMESTAMP__INIT;
	struct timespec now;
	char *why = NULL;
	u8 *out;
	size_t n;

	if (setup_again(c) && !command_run(c, args, &why) && !strstr(why, "does not exist"))
		say("%s", why);
	free(why);
	rootfs_unmount(bundle);
	clock_gettime(CLOCK_REALTIME, &now);
	at.seconds = now.tv_sec;
	at.nanos = (s32)now.tv_nsec;
	r.exit_status = 128 + SIGKILL;
	r.exited_at = &at;
	n = delete_response__get_packed_size(&r);
	out = must(malloc(n));
	delete_response__pack(&r, out);
	if (write(STDOUT_FILENO, out, n) != (ssize_t)n)
		die("standard output: %m");
	free(out);
	container_free(c);
	return 0;
}

/* ---- the command line ---- */

static int usage(void)
{
	printf("Usage: " SHIM_NAME
	       " -namespace NS -id ID -address SOCKET [-publish-binary FILE] [-bundle DIR] [-debug] start|delete\n"
	       "The shim by which containerd runs containers with runsc-c: \"ctr run --runtime "
	       "io.containerd.runsc-c.v2\". containerd calls it.\n\n"
	       "  -v     say the version\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *bundle = NULL, *publisher, *command = NULL;
	struct {
		const char *name, **to;
	} options[] = {{"namespace", &shim.namespace}, {"id", &shim.id},    {"address", &shim.address},
		       {"publish-binary", &publisher}, {"bundle", &bundle}, {"socket", &publisher}};

	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = strchr(name, '=');
		bool known = false;

		if (name[0] != '-') {
			command = name;
			continue;
		}
		name += 1 + (name[1] == '-');
		if (!strcmp(name, "v") || !strcmp(name, "version"))
			return printf(SHIM_NAME " " RUNSC_C_VERSION "\n") < 0;
		if (!strcmp(name, "h") || !strcmp(name, "help"))
			return usage();
		if (!strcmp(name, "debug")) {
			shim.debug = true;
			continue;
		}
		for (u32 k = 0; k < ARRAY_SIZE(options); k++) {
			size_t n = strlen(options[k].name);

			if (strncmp(name, options[k].name, n) || (name[n] && name[n] != '='))
				continue;
			if (!value && ++i == argc)
				die("-%s: a value is missing", options[k].name);
			*options[k].to = value ? value + 1 : argv[i];
			known = true;
		}
		if (!known)
			die("-%s: unknown option", name);
	}
	if (!shim.namespace || !shim.id || !shim.id[0] || strchr(shim.id, '/') || !command)
		die("-namespace and -id and a command, start or delete, are needed: containerd calls this");
	if (!strcmp(command, "start"))
		return start();
	if (!strcmp(command, "delete")) {
		char cwd[PATH_MAX];

		return delete (bundle ? bundle : must(getcwd(cwd, sizeof(cwd))));
	}
	die("%s: unknown command", command);
}
