#include "standard_files.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static bool closed[3];
static struct termios saved;
static int terminal = -1;

void standard_files_check(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		closed[fd] = true;
		/* The lowest free number is this one. Opened the wrong way round, so that its use fails as a closed one's does. */
		open("/dev/null", fd ? O_RDONLY : O_WRONLY);
	}
}

bool standard_file_closed(int fd)
{
	return closed[fd];
}

bool standard_file_own_nonblock(int fd)
{
	struct stat st;
	char path[32];
	int mode, own;

	if (closed[fd] || fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd))))
		return false;
	mode = fcntl(fd, F_GETFL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, (mode & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return false;
	dup2(own, fd);
	close(own);
	return true;
}

void terminal_save(void)
{
	for (int fd = 0; fd < 3 && terminal < 0; fd++)
		if (!closed[fd] && !tcgetattr(fd, &saved))
			terminal = fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

void terminal_restore(void)
{
	struct termios now;

	if (terminal < 0 || tcgetattr(terminal, &now) || !memcmp(&now, &saved, sizeof(now)))
		return;
	signal(SIGTTOU, SIG_IGN); /* from the background, too */
	tcsetattr(terminal, TCSADRAIN, &saved);
}
