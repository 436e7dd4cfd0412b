/* io_uring's hook in the life of tasks. */
#ifndef SENTRY_IO_URING_H
#define SENTRY_IO_URING_H

struct file;
struct task;

bool is_uring(const struct file *f);

/* The current task ends or starts another program: what it submitted is cancelled, and has ended. Sleeps. */
void uring_task_exit_slow(void);
void uring_forget_rings(void); /* those that it registered with itself */
#define uring_task_exit()                                                               \
	do {                                                                            \
		if (unlikely(current->uring_rings))                                     \
			uring_forget_rings();                                           \
		if (unlikely(current->uring_reqs))                                      \
			uring_task_exit_slow();                                         \
	} while (0)

#endif
