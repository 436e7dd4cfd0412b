/* The servers of hostcalls that have a file of their own. Each takes a private, full-sized, unchecked request. */
#ifndef HOST_SERVE_H
#define HOST_SERVE_H

#include "base/types.h"

/* serve_file.c */
s64 serve_pread(u32 cpu, void *req);
s64 serve_pwrite(u32 cpu, void *req);
s64 serve_preadv(u32 cpu, void *req);
s64 serve_pwritev(u32 cpu, void *req);
s64 serve_ftruncate(u32 cpu, void *req);
s64 serve_fallocate(u32 cpu, void *req);
s64 serve_fsync(u32 cpu, void *req);
s64 serve_fsize(u32 cpu, void *req);
s64 serve_close(u32 cpu, void *req);
/* serve_gofer.c */
s64 serve_gofer(u32 cpu, void *req);
void serve_gofer_channel(u32 cpu, int fd); /* before the vCPU starts */
/* serve_spawn.c */
s64 serve_spawn_take(u32 cpu, void *req);
s64 serve_spawn_say(u32 cpu, void *req);
/* A request of the command for program `id`, with its three standard files, which are taken over. */
void spawn_arrived(u32 id, const void *request, size_t len, const int *fds);

/* window.c */
s64 serve_window_open(u32 cpu, void *req);
s64 serve_window_close(u32 cpu, void *req);
s64 serve_window_map(u32 cpu, void *req);
s64 serve_window_unmap(u32 cpu, void *req);
s64 serve_window_fetch(u32 cpu, void *req);

/* serve_sock.c: -ENOSYS all of them, unless the sandbox was given the network */
int serve_sock_init(void); /* before the lock-down. 0 or -errno */
s64 serve_sock_open(u32 cpu, void *req);
s64 serve_sock_name(u32 cpu, void *req);
s64 serve_sock_listen(u32 cpu, void *req);
s64 serve_sock_accept(u32 cpu, void *req);
s64 serve_sock_send(u32 cpu, void *req);
s64 serve_sock_recv(u32 cpu, void *req);
s64 serve_sock_shutdown(u32 cpu, void *req);
s64 serve_sock_opt(u32 cpu, void *req);
s64 serve_sock_count(u32 cpu, void *req);
s64 serve_sock_poll(u32 cpu, void *req);
/* net_view.c: likewise */
int net_view_init(void); /* before the root goes. 0 or -errno */
s64 serve_net_ask(u32 cpu, void *req);
s64 serve_net_file(u32 cpu, void *req);

/* serve_tty.c */
s64 serve_tty(u32 cpu, void *req);

#endif
