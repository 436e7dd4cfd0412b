/* A container's cgroup had to kill for want of memory: memory.oom_control's events of cgroup v1, memory.events of v2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/container.h"
#include "shim/shim.h"

static void tell(struct container *c)
{
	TaskEvent e = TASK_EVENT__INIT;

	e.container_id = c->id;
	publish("/tasks/oom", "containerd.events.TaskOOM", &e.base);
}

static void v1_ready(struct watch *w, u32 events)
{
	struct container *c = container_of(w, struct container, oom);
	u64 n;

	if (read(w->fd, &n, sizeof(n)) != sizeof(n))
		return;
	/* It is signalled as well when the cgroup goes. */
	if (c->processes && process_find(c, "")->state != PROCESS_STOPPED)
		tell(c);
	else
		watch_remove(w);
}

static u64 v2_kills(struct container *c)
{
	char *dir = cgroup_folder(process_find(c, "")->pid, ""), *path = text("%s/memory.events", dir ? dir : ""),
	     *s = read_text(path), *at;
	u64 n = c->oom_kills;

	at = s ? strstr(s, "oom_kill ") : NULL;
	if (at)
		n = strtoull(at + strlen("oom_kill "), NULL, 10);
	free(s);
	free(path);
	free(dir);
	return n;
}

static void v2_ready(struct watch *w, u32 events)
{
	struct container *c = container_of(w, struct container, oom);
	char buf[512];
	u64 n;

	while (read(w->fd, buf, sizeof(buf)) > 0)
		;
	n = v2_kills(c);
	if (n > c->oom_kills)
		tell(c);
	c->oom_kills = n;
}

static void watch_v1(struct container *c, const char *dir)
{
	char *path = text("%s/memory.oom_control", dir), *control = text("%s/cgroup.event_control", dir), line[64];
	int oom = open(path, O_RDONLY | O_CLOEXEC), ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	    fd = open(control, O_WRONLY | O_CLOEXEC);
	int n = snprintf(line, sizeof(line), "%d %d", ev, oom);
	bool ok = oom >= 0 && ev >= 0 && fd >= 0 && write(fd, line, (size_t)n) == n;

	close(fd);
	close(oom);
	if (ok)
		watch_add(&c->oom, ev, EPOLLIN, v1_ready);
	else
		close(ev);
	free(path);
	free(control);
}

static void watch_v2(struct container *c, const char *dir)
{
	char *path = text("%s/memory.events", dir);
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY) >= 0) {
		watch_add(&c->oom, fd, EPOLLIN, v2_ready);
		c->oom_kills = v2_kills(c);
	} else {
		close(fd);
	}
	free(path);
}

void oom_watch(struct container *c)
{
	pid_t pid = process_find(c, "")->pid;
	char *v1 = cgroup_folder(pid, "memory"), *v2 = cgroup_folder(pid, "");

	if (v1)
		watch_v1(c, v1);
	else if (v2)
		watch_v2(c, v2);
	free(v1);
	free(v2);
}
