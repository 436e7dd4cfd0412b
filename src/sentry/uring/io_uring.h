/* io_uring's hook in the life of tasks. */
#ifndef SENTRY_IO_URING_H
#define SENTRY_IO_URING_H

struct task;

/* The current task ends or starts another program: what it submitted is cancelled, and has ended. Sleeps. */
void uring_task_exit_slow(void);
#define uring_task_exit()                                                               \
	do {                                                                            \
		if (unlikely(current->uring_reqs))                                      \
			uring_task_exit_slow();                                         \
	} while (0)

#endif
