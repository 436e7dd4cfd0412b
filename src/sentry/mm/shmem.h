/*
 * Memory with the face of a file: shared anonymous mappings, memfd_create(2), System V segments; and the file operations
 * that any inode whose mapping has no backing store (tmpfs) can use.
 */
#ifndef SENTRY_SHMEM_H
#define SENTRY_SHMEM_H

#include "base/types.h"

struct file;
struct inode;
struct iattr;
struct iov_iter;
struct vma;

/* An unlinked file of `size` bytes; `name` is what /proc shows. ERR_PTR(-errno). */
struct file *shmem_file_new(const char *name, u64 size);

/* file_ops.mmap of /dev/zero, shared: fresh shared anonymous memory in place of vma->file. 0 or -errno. */
int shmem_zero_setup(struct vma *vma);

/* For file_ops of inodes with inode->mapping (ops NULL). They take inode->lock where needed. */
long shmem_read(struct file *file, struct iov_iter *to, u64 *pos);
long shmem_write(struct file *file, struct iov_iter *from, u64 *pos);
s64 shmem_llseek(struct file *file, s64 off, int whence); /* SEEK_DATA and SEEK_HOLE too */
int shmem_mmap(struct file *file, struct vma *vma);
int shmem_fallocate(struct file *file, u32 mode, u64 off, u64 len);
int shmem_fsync(struct file *file, bool data_only);
/* inode->lock held: a new size, seals minded. */
int shmem_set_size(struct inode *inode, u64 size);

/* fcntl(2) F_ADD_SEALS and F_GET_SEALS: -EINVAL when the file cannot have any. */
long shmem_add_seals(struct file *file, u32 seals);
long shmem_get_seals(struct file *file);
/* Last reference to an inode of shmem_file_new() went: frees its pages. Called by vfs' eviction of anonymous inodes. */
void shmem_evict(struct inode *inode);

#endif
