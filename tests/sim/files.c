/* Descriptors of a process. */
#include "kernel.h"

#include <errno.h>
#include <string.h>

/* Those below belong to whoever began the process. */
#define FD_FIRST 3

static int new_fd(struct process *p)
{
	for (int fd = FD_FIRST; fd < FDS_MAX; fd++)
		if (p->files[fd].kind == FILE_NONE)
			return fd;
	kernel.exhausted = "descriptors";
	return -EMFILE;
}

int files_open(struct process *p, struct spot spot)
{
	int fd = new_fd(p);

	if (fd < 0)
		return fd;
	p->files[fd] = (struct file){ .kind = FILE_PATH, .spot = spot };
	kernel_hold(spot.inode);
	return fd;
}

int files_open_socket(struct process *p, struct socket *s)
{
	int fd = new_fd(p);

	if (fd >= 0)
		p->files[fd] = (struct file){ .kind = FILE_SOCKET, .socket = s };
	return fd;
}

struct file *files_get(struct process *p, int fd)
{
	if (fd < 0 || fd >= FDS_MAX || p->files[fd].kind == FILE_NONE)
		return NULL;
	return &p->files[fd];
}

int files_close(struct process *p, int fd)
{
	struct file *f = files_get(p, fd);
	struct file was;

	if (!f)
		return -EBADF;
	was = *f;
	*f = (struct file){ 0 };
	if (was.kind == FILE_SOCKET) {
		socket_close(was.socket);
		return 0;
	}
	if (was.locks && was.spot.inode->locked_by == p)
		was.spot.inode->locked_by = NULL;
	kernel_release(was.spot.inode);
	return 0;
}

void files_close_all(struct process *p)
{
	for (int fd = FD_FIRST; fd < FDS_MAX; fd++)
		if (p->files[fd].kind != FILE_NONE)
			(void)files_close(p, fd);
	memset(p->watches, 0, sizeof(p->watches));
	p->event_count = 0;
}

unsigned files_count(const struct process *p)
{
	unsigned count = 0;

	for (int fd = FD_FIRST; fd < FDS_MAX; fd++)
		count += p->files[fd].kind != FILE_NONE && !p->files[fd].own;
	return count;
}
