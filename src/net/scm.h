/* Socket control messages: descriptors and credentials that travel with data (unix(7)). */
#ifndef NET_SCM_H
#define NET_SCM_H

#include "net/sock.h"

#define SCM_MAX_FD 253u

struct scm_fp { /* files under way; each a reference */
	struct list_head node; /* of those waiting to be closed */
	u32 count;
	u32 nunix;     /* Unix sockets among them */
	bool inflight; /* counted by unix_gc.c */
	struct file *files[];
};
struct scm {
	struct scm_fp *fp;
	struct ucred_k cred;
	bool explicit_cred; /* given by SCM_CREDENTIALS */
};

/* Parse what is sent. 0 or -errno; on success scm_drop() it or take fp away. */
int scm_send(struct sock *sk, struct msg *m, struct scm *s);
void scm_drop(struct scm *s);
/* Hand over to the receiver: credentials when it asked for them, descriptors installed. Consumes s->fp. */
void scm_recv(struct sock *sk, struct msg *m, struct scm *s);
/* Close the files. Iterative: closing a socket may free further messages. */
void scm_fp_put(struct scm_fp *fp);
struct scm_fp *scm_fp_dup(struct scm_fp *fp); /* for MSG_PEEK; NULL: no memory */

#endif
