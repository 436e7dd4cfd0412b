/* Text files made on demand: the whole text is made at the first read (or at offset 0 again) and kept with the open file. */
#ifndef FS_PROC_SEQ_H
#define FS_PROC_SEQ_H

#include "base/types.h"
#include "sentry/vfs/vfs.h"

struct seq {
	char *text;
	size_t len, size;
	bool failed; /* out of memory: the read gives -ENOMEM */
};

void seq_printf(struct seq *s, const char *fmt, ...) __printf(2, 3);
void seq_write(struct seq *s, const void *bytes, size_t n);
static inline void seq_puts(struct seq *s, const char *text) { seq_printf(s, "%s", text); }
/* A path, with the octal escapes that mounts and maps use for blanks and backslashes. */
void seq_escaped(struct seq *s, const char *text, const char *escape);
void seq_path(struct seq *s, const struct path *p, const char *escape);

/* What an inode of such a file carries in priv. */
struct text_file {
	int (*show)(struct seq *s, struct inode *inode); /* 0 or -errno */
	/* Whole write(2) in one piece, NUL-terminated; 0 or -errno. NULL: not writable. */
	int (*store)(struct inode *inode, char *text, size_t n);
};
/* file->priv is the text; the text_file is found by text_file_of(inode), set by each file system. */
long text_read(struct file *file, struct iov_iter *to, u64 *pos, const struct text_file *tf);
long text_write(struct file *file, struct iov_iter *from, u64 *pos, const struct text_file *tf);
void text_release(struct file *file);
/* For simple_add_file(): inode->priv is a struct text_file. */
extern const struct file_ops text_fops;

#endif
