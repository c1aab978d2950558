#include "kernel.h"

#include <errno.h>

int socket_bind(const struct actor *actor, struct spot dir, const char *name, int type,
		uint32_t mode, struct socket **ret)
{
	struct inode *inode;
	struct socket *s;
	int r;

	if (kernel.socket_count == SOCKETS_MAX) {
		kernel.exhausted = "sockets";
		return -ENFILE;
	}
	r = names_make(actor, dir, name, INODE_SOCKET, mode, &inode);
	if (r < 0)
		return r == -EEXIST ? -EADDRINUSE : r;
	s = &kernel.sockets[kernel.socket_count++];
	*s = (struct socket){ .inode = inode, .type = type, .maker = actor->instance, .refs = 1 };
	inode->socket = s;
	kernel_hold(inode);
	*ret = s;
	return 0;
}

void socket_close(struct socket *s)
{
	if (--s->refs > 0)
		return;
	s->inode->socket = NULL;
	s->queued = 0;
	kernel_release(s->inode);
}

bool socket_lives(const struct socket *s)
{
	return s && s->refs > 0 && !s->shut;
}

int socket_connect(const struct actor *actor, struct spot at, int type, struct socket **ret)
{
	struct socket *s;

	if (!at.inode)
		return -ENOENT;
	if (at.inode->kind != INODE_SOCKET)
		return -ECONNREFUSED;
	if (!kernel_may(actor, at.inode, 2))
		return -EACCES;
	s = at.inode->socket;
	if (!s)
		return -ECONNREFUSED;
	if (s->type != type)
		return -EPROTOTYPE;
	if (!s->listening || s->shut)
		return -ECONNREFUSED;
	if (s->queued > s->backlog)
		return -EAGAIN;
	*ret = s;
	return 0;
}
