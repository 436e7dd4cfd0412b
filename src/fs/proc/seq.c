#include "fs/proc/seq.h"

#include <linux/errno.h>

#include "base/string.h"

static bool reserve(struct seq *s, size_t n)
{
	size_t size = MAX(s->size, 1024);
	char *text;

	if (s->failed)
		return false;
	if (s->len + n <= s->size)
		return true;
	while (size < s->len + n)
		size *= 2;
	text = krealloc(s->text, s->size, size);
	if (!text) {
		s->failed = true;
		return false;
	}
	s->text = text;
	s->size = size;
	return true;
}

void seq_write(struct seq *s, const void *bytes, size_t n)
{
	if (!reserve(s, n))
		return;
	memcpy(s->text + s->len, bytes, n);
	s->len += n;
}

void seq_printf(struct seq *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = kvsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (!reserve(s, (size_t)n + 1))
		return;
	va_start(ap, fmt);
	kvsnprintf(s->text + s->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	s->len += (size_t)n;
}

void seq_escaped(struct seq *s, const char *text, const char *escape)
{
	for (; *text; text++) {
		if (kstrchr(escape, *text))
			seq_printf(s, "\\%03o", (u8)*text);
		else
			seq_write(s, text, 1);
	}
}

void seq_path(struct seq *s, const struct path *p, const char *escape)
{
	char *buf = kmalloc(PAGE_SIZE), *name;

	if (!buf) {
		s->failed = true;
		return;
	}
	name = d_path(p, buf, PAGE_SIZE);
	if (!IS_ERR(name))
		seq_escaped(s, name, escape);
	kfree(buf);
}

static int make_text(struct file *file, const struct text_file *tf)
{
	struct seq *s = file->priv;
	int err;

	if (!s) {
		s = kzalloc(sizeof(*s));
		if (!s)
			return -ENOMEM;
		file->priv = s;
	}
	s->len = 0;
	s->failed = false;
	err = tf->show(s, file->inode);
	return err ? err : s->failed ? -ENOMEM : 0;
}

long text_read(struct file *file, struct iov_iter *to, u64 *pos, const struct text_file *tf)
{
	struct seq *s = file->priv;
	size_t n;
	int err;

	if (!tf->show)
		return -EINVAL;
	if (!s || !*pos) {
		err = make_text(file, tf);
		if (err)
			return err;
		s = file->priv;
	}
	if (*pos >= s->len)
		return 0;
	n = copy_to_iter(s->text + *pos, MIN(s->len - *pos, to->count), to);
	*pos += n;
	return n || !to->count ? (long)n : -EFAULT;
}

#define STORE_MAX 4096u

long text_write(struct file *file, struct iov_iter *from, u64 *pos, const struct text_file *tf)
{
	size_t n = from->count;
	char *text;
	long ret;

	if (!tf->store)
		return -EIO;
	if (n >= STORE_MAX)
		return -EINVAL;
	text = kzalloc(n + 1);
	if (!text)
		return -ENOMEM;
	if (copy_from_iter(text, n, from) != n)
		ret = -EFAULT;
	else
		ret = tf->store(file->inode, text, n);
	kfree(text);
	if (ret)
		return ret;
	*pos += n;
	return (long)n;
}

void text_release(struct file *file)
{
	struct seq *s = file->priv;

	if (s) {
		kfree(s->text);
		kfree(s);
	}
}

static long simple_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	return text_read(file, to, pos, file->inode->priv);
}
static long simple_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	return text_write(file, from, pos, file->inode->priv);
}

const struct file_ops text_fops = {
	.read = simple_read, .write = simple_write, .release = text_release, .llseek = generic_file_llseek,
};
