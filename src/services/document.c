#include "services/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Read up to @size bytes; a file that shrinks meanwhile gives fewer. Return: how many. */
static ssize_t read_all(int fd, char *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, to + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int document_load(const char *path, size_t bytes_max, char **ret, size_t *ret_size)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > bytes_max)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = read_all(fd, text, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	*ret = steal_ptr(text);
	*ret_size = (size_t)n;
	return 0;
}

void document_init(struct document *d, const char *directory, const char *name, size_t bytes_max,
		   bool (*is_good)(struct kedge_span text))
{
	*d = (struct document){ .bytes_max = bytes_max, .is_good = is_good, .error = -ENOENT };
	(void)snprintf(d->path, sizeof(d->path), "%s/%s", directory, name);
}

void document_deinit(struct document *d)
{
	free(d->text);
	*d = (struct document){ 0 };
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Read it anew. Return: 0, or why it is as it was. */
static int renew(struct document *d)
{
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	int r = document_load(d->path, d->bytes_max, &text, &size);

	if (r < 0)
		return r;
	if (d->is_good && !d->is_good((struct kedge_span){ text, size }))
		return -EBADMSG;
	free(d->text);
	d->text = steal_ptr(text);
	d->size = size;
	return 0;
}

static bool is_broken(int error)
{
	return error < 0 && error != -ENOENT;
}

struct kedge_span document_text(struct document *d, int *ret_news)
{
	int before = d->error;
	struct stat st = { 0 };

	if (stat(d->path, &st) < 0) {
		d->error = -errno;
	} else if (!d->text || !same_file(&st, &d->seen)) {
		d->error = renew(d);
		d->seen = st;
	}
	/* A file that is gone says nothing; one that cannot be read still says what it said. */
	if (d->error == -ENOENT) {
		free(d->text);
		d->text = NULL;
		d->size = 0;
	}
	*ret_news = (int)is_broken(d->error) - (int)is_broken(before);
	return (struct kedge_span){ d->text, d->text ? d->size : 0 };
}
