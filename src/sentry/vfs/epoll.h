/* epoll's hook in the life of files. */
#ifndef SENTRY_EPOLL_H
#define SENTRY_EPOLL_H

struct file;

/* The last reference to f is going: forget it in every eventpoll. Called by file_put() before fop->release. Sleeps. */
void epoll_file_release(struct file *f);

#endif
